"""What a run gives: scores and calibration of both stages, as `results.json` has them, and as a
table.
"""

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax.config import Stage
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.results import Baseline, Calibration, Results, Scores, StageScores
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.stage import HEADLINE, StageResult, score


def summarize(
    experiment: Experiment,
    stages: Mapping[Stage, StageResult],
    predicted: Mapping[Stage, Mapping[str, np.ndarray]],
    calibration: Mapping[Stage, Calibration],
) -> Results:
    """What goes into `results.json`: scores in percent and calibration of each stage's chosen
    epoch, and scores of always answering the training split's most frequent label.
    """
    frequent = experiment.task.most_frequent(experiment.gold("train"))

    def scores(answers: Mapping[str, np.ndarray]) -> dict[str, Scores]:
        return {
            split: Scores(**score(experiment, split, answers[split])) for split in ("dev", "test")
        }

    def of(stage: Stage) -> StageScores:
        found = scores(predicted[stage])
        return StageScores(
            best_epoch=stages[stage].best_epoch, **found, calibration=calibration[stage]
        )

    always = {split: np.full_like(experiment.gold(split), frequent) for split in ("dev", "test")}
    return Results(
        experiment.corpus.name,
        experiment.config.seed,
        of(Stage.ONE),
        of(Stage.TWO),
        Baseline(experiment.task.labels[frequent], **scores(always)),
    )


def print_results(results: Results, console: Console) -> None:
    """Prints the headline scores as a table."""
    names = (["micro_f1"] if results.stage_one.dev.micro_f1 is not None else []) + list(HEADLINE)
    table = Table(title=Text(f"{results.corpus}, seed {results.seed}: scores in percent"))
    for column in ("", "split", *(title(name) for name in names)):
        table.add_column(column, justify="left" if column in ("", "split") else "right")
    rows: list[tuple[str, StageScores | Baseline]] = [
        *(
            (f"{stage.words} (epoch {results.of(stage).best_epoch})", results.of(stage))
            for stage in Stage
        ),
        (f"always {results.always_most_frequent.label}", results.always_most_frequent),
    ]
    for name, found in rows:
        for split in ("dev", "test"):
            scores = [f"{getattr(getattr(found, split), score):.2f}" for score in names]
            table.add_row(
                Text(name if split == "dev" else ""), split, *scores, end_section=split == "test"
            )
    console.print(table)
