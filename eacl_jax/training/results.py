"""What a run gives: scores and calibration of both stages, as `results.json` has them, and as a
table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax.config import Stage
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.results import (
    Abstention,
    Baseline,
    ModalitiesResults,
    Removed,
    Results,
    SequenceResults,
    SplitScores,
    StageScores,
)
from eacl_jax.training.annotators import compare_with_annotators
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SCORED_SPLITS
from eacl_jax.training.stage import HEADLINE, OF_SEVERAL, StageResult, score
from eacl_jax.training.teachers import most_learnt


def summarize(
    experiment: Experiment,
    stages: Mapping[Stage, StageResult],
    answered: Mapping[Stage, StageAnswers],
    modalities: ModalitiesResults | None = None,
    sequence: SequenceResults | None = None,
    abstention: Abstention | None = None,
) -> Results:
    """What goes into `results.json`: scores in percent and calibration of each stage's chosen
    epoch, scores of always answering the training split's most frequent label, what is known of
    annotators, what modalities and a chain add, what abstaining gives, and what teachers have
    learnt of dev and test.
    """
    frequent = int(experiment.counts.argmax())

    def scores(
        answers: Mapping[str, np.ndarray], ranked: Mapping[str, np.ndarray | None]
    ) -> dict[str, SplitScores]:
        return {
            split: SplitScores(**score(experiment, split, answers[split], ranked[split]))
            for split in SCORED_SPLITS
        }

    def of(stage: Stage) -> StageScores:
        found = answered[stage]
        return StageScores(
            best_epoch=stages[stage].best_epoch,
            **scores(found.answers, found.scores),
            calibration=found.calibration,
            mean_of=stages[stage].mean_of or None,
        )

    always = {
        split: experiment.task.constant(frequent, len(experiment.gold(split)))
        for split in SCORED_SPLITS
    }
    return Results(
        experiment.corpus.name,
        experiment.config.seed,
        of(Stage.ONE),
        of(Stage.TWO),
        Baseline(experiment.task.labels[frequent], **scores(always, dict.fromkeys(SCORED_SPLITS))),
        compare_with_annotators(experiment, answered),
        modalities,
        sequence,
        abstention,
        experiment.config.evaluation.excluded_label or None,
        most_learnt(experiment),
    )


def print_results(results: Results, console: Console) -> None:
    """Prints the headline scores as a table, and one of the coarser labels where there are some."""
    dev = results.stage_one.dev
    names = list(HEADLINE) if dev.jaccard is None else list(OF_SEVERAL)
    if dev.micro_f1 is not None and "micro_f1" not in names:
        names.insert(0, "micro_f1")
    shown = {name: title(name, results.excluded_label or "") for name in names}
    table = _table(f"{results.corpus}, seed {results.seed}: scores in percent", "", shown.values())
    rows: list[tuple[str, StageScores | Baseline]] = [
        *((f"{stage.words} ({results.of(stage).chosen})", results.of(stage)) for stage in Stage),
        (f"always {results.always_most_frequent.label}", results.always_most_frequent),
    ]
    for name, found in rows:
        _add(table, name, found, names)
    console.print(table)
    if dev.levels:
        _print_levels(results, names, console)
    if results.modalities is not None:
        _print_modalities(results, results.modalities, shown, console)
    if results.sequence is not None:
        _print_sequence(results.sequence, shown, console)


def _print_levels(results: Results, measures: Sequence[str], console: Console) -> None:
    """Of stage two, by each level, what there is of the measures."""
    found = {split: getattr(results.stage_two, split).levels or {} for split in ("dev", "test")}
    known = {name for levels in found["dev"].values() for name in levels}
    names = [name for name in measures if name in known]
    table = _table("by coarser labels, stage two", "level", map(title, names))
    for level in found["dev"]:
        for split, levels in found.items():
            scores = [f"{levels[level][name]:.2f}" for name in names]
            first = Text(level if split == "dev" else "")
            table.add_row(first, split, *scores, end_section=split == "test")
    console.print(table)


def _print_modalities(
    results: Results, found: ModalitiesResults, shown: Mapping[str, str], console: Console
) -> None:
    """Of stage two, with all features and with some left out; `shown`: measures and their names."""
    table = _table("what features add, stage two", "answers", shown.values())
    rows: list[tuple[str, StageScores | Removed]] = [("with all features", results.stage_two)]
    if len(found.each) > 1 or not found.text:
        rows += [
            (f"without {name}", each.without)
            for name, each in found.each.items()
            if each.without is not None
        ]
    if found.text_alone is not None:
        rows.append(("text alone", found.text_alone))
    for name, scored in rows if len(rows) > 1 else []:
        _add(table, name, scored, list(shown))
    if table.row_count:
        console.print(table)


def _print_sequence(found: SequenceResults, shown: Mapping[str, str], console: Console) -> None:
    """Of stage two, with a chain over the dialogue and without; `shown` as of features."""
    kept = "kept" if found.kept else "left out: dev is not answered better"
    table = _table(f"the dialogue as a sequence, stage two ({kept})", "answers", shown.values())
    rows = {
        "each utterance alone": found.alone,
        "whole dialogues": found.whole,
        "by the past alone": found.so_far,
    }
    for name, scored in rows.items():
        _add(table, name, scored, list(shown))
    console.print(table)


def _add(table: Table, name: str, scored: Any, measures: Sequence[str]) -> None:
    """A row for dev and one for test, of what has scores of both."""
    for split in SCORED_SPLITS:
        scores = [f"{getattr(getattr(scored, split), score):.2f}" for score in measures]
        first = Text(name if split == "dev" else "")
        table.add_row(first, split, *scores, end_section=split == "test")


def _table(name: str, first: str, measures: Iterable[str]) -> Table:
    table = Table(title=Text(name))
    for column in (first, "split"):
        table.add_column(column)
    for measure in measures:
        table.add_column(Text(measure), justify="right")
    return table
