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
from eacl_jax.recognizer.results import Baseline, Results, Scores, StageScores
from eacl_jax.training.answers import Answered
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SPLITS
from eacl_jax.training.stage import HEADLINE, OF_SEVERAL, StageResult, score


def summarize(
    experiment: Experiment,
    stages: Mapping[Stage, StageResult],
    answered: Mapping[Stage, Answered],
) -> Results:
    """What goes into `results.json`: scores in percent and calibration of each stage's chosen
    epoch, and scores of always answering the training split's most frequent label.
    """
    frequent = int(experiment.counts.argmax())

    def scores(
        answers: Mapping[str, np.ndarray], ranked: Mapping[str, np.ndarray | None]
    ) -> dict[str, Scores]:
        return {
            split: Scores(**score(experiment, split, answers[split], ranked[split]))
            for split in SPLITS
        }

    def of(stage: Stage) -> StageScores:
        found = answered[stage]
        return StageScores(
            best_epoch=stages[stage].best_epoch,
            **scores(found.answers, found.scores),
            calibration=found.calibration,
        )

    always = {
        split: experiment.task.constant(frequent, len(experiment.gold(split))) for split in SPLITS
    }
    return Results(
        experiment.corpus.name,
        experiment.config.seed,
        of(Stage.ONE),
        of(Stage.TWO),
        Baseline(experiment.task.labels[frequent], **scores(always, dict.fromkeys(SPLITS))),
    )


def print_results(results: Results, console: Console) -> None:
    """Prints the headline scores as a table."""
    dev = results.stage_one.dev
    names = list(HEADLINE) if dev.jaccard is None else list(OF_SEVERAL)
    if dev.micro_f1 is not None and "micro_f1" not in names:
        names.insert(0, "micro_f1")
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
