"""Runs -> the study's table."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.recognizer.results import Results
from eacl_jax.studies import statistics
from eacl_jax.studies.comparing import compare
from eacl_jax.studies.computed import computed_elsewhere
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.pairs import MEASURES, PAIRS_F1, pairs_among
from eacl_jax.studies.same_answers import same_answers
from eacl_jax.studies.scoring import LABEL_SCORES
from eacl_jax.studies.seed_answers import SeedAnswers, estimates
from eacl_jax.studies.similar import Similar, similar, smallest_angle
from eacl_jax.studies.table import CostMeans, LabelScores, Row, Table
from eacl_jax.training import run_folder
from eacl_jax.training.cost import Cost, read_cost
from eacl_jax.training.outputs import Outputs, read_outputs


@dataclasses.dataclass(frozen=True)
class CellResult:
    """A run that is complete.

    Attributes:
      cell: of the study.
      results, outputs, cost: of its folder.
      before: readouts of test's texts by the encoder before training, for similar emotions; None:
        there are none, see `readouts_before`.
    """

    cell: Cell
    results: Results
    outputs: Outputs
    cost: Cost | None = None
    before: Float[np.ndarray, "N d"] | None = None


def read_cell(cell: Cell, folder: Path, given: Mapping[str, Any] | None = None) -> CellResult:
    """Reads a complete run's folder; without its cost where that cannot be read.

    Args:
      cell: of the study.
      folder: the run's.
      given: what the study's runs of this variant are given (`Study.given`); None: not looked at.

    Raises:
      UserError: its results or outputs are missing or damaged, or they are another run's.
    """
    cost = None
    with contextlib.suppress(UserError):
        cost = read_cost(folder)
    advice = f"delete {folder} to train it again"  # its checkpoints are gone
    results = run_folder.read_results(folder, advice)
    different = run_folder.differences(run_folder.read_config(folder), cell.config)
    if results.seed != cell.seed and not different:
        different = [f"seed of its results: there {results.seed}, now {cell.seed}"]
    # A corpus or an encoder may be replaced while the study runs.
    there = run_folder.read_data(folder)
    if given and there is not None and not different:
        different = run_folder.data_differences(there, given)
    if different:
        raise UserError(f"{folder} holds another run ({'; '.join(different)}); {advice}.")
    return CellResult(cell, results, read_outputs(folder), cost)


def gather(
    study: Study,
    cells: Sequence[CellResult],
    failed: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    *,
    answers: Sequence[SeedAnswers] = (),
) -> Table:
    """Gathers what is there: a study need not be complete.

    Args:
      study: that was run.
      cells: complete runs.
      failed: why others failed, by their names.
      missing: names of those still to be done.
      answers: that no stage of a run gave; they become rows, and comparisons may name their
        variants.

    Raises:
      UserError: a measure is not one of the runs', or runs of one row were measured on different
        utterances or labels.
    """
    for measure in study.measures:
        if measure not in MEASURES:
            raise UserError(
                f"study {study.name}: there is no measure {measure!r}; measures are"
                f" {', '.join(MEASURES)}."
            )
    groups: dict[tuple[str, str, str], list[SeedAnswers]] = {}
    rows: list[Row] = []
    for corpus in study.corpora:
        for variant in study.variants:
            here = sorted(
                (c for c in cells if (c.cell.corpus, c.cell.variant) == (corpus, variant)),
                key=lambda c: c.cell.seed,
            )
            for stage in Stage:
                if here:
                    group = [_answered(study, each, "test", stage) for each in here]
                    groups[corpus, variant, stage] = group
                    rows.append(_row_of_runs(study, here, group, stage))
        extra = [each for each in answers if each.corpus == corpus]
        for variant in dict.fromkeys(each.variant for each in extra):
            group = [
                dataclasses.replace(each, asked_pairs=study.pairs)
                for each in extra
                if each.variant == variant
            ]
            groups[corpus, variant, ""] = group
            rows.append(row_of_answers(group, planned=len(study.seeds)))
    _check_measures(study, rows)
    others = [each.variant for each in answers if each.variant not in study.variants]
    settings = {corpus: _settings(study, corpus) for corpus in study.corpora}
    most_frequent = {
        (each.cell.corpus, each.cell.variant): each.results.always_most_frequent.label
        for each in cells
    }
    return Table(
        name=study.name,
        question=study.question,
        corpora=study.corpora,
        variants=(*study.variants, *dict.fromkeys(others)),
        axes=study.axes,
        seeds=study.seeds,
        measures=study.measures,
        settings={corpus: differing for corpus, (differing, _) in settings.items()},
        rows=tuple(rows),
        comparisons=compare(study, groups),
        failed=dict(failed or {}),
        missing=tuple(missing),
        notes=(
            *study.notes,
            *same_answers(study, groups, most_frequent),
            *computed_elsewhere(rows),
        ),
        common_settings={corpus: common for corpus, (_, common) in settings.items()},
    )


def row_of_answers(answers: Sequence[SeedAnswers], *, planned: int) -> Row:
    """A row of answers that no stage of a run gave, one of `answers` a seed, of one corpus and
    variant.

    Args:
      answers: at least one.
      planned: how many seeds there are to be.

    Raises:
      UserError: they were measured on different utterances or labels.
    """
    found = [
        [
            similar(each.labels, pair, gold=each.gold, answers=each.answers, scores=each.scores)
            for pair in pairs_among(answers[0].labels, each.asked_pairs)
            if {*pair} <= {*each.labels}
        ]
        for each in answers
    ]
    return Row(
        stage="",
        planned=planned,
        similar=_mean_similar(found),
        **_common({"test": answers}),
    )


def chosen_on(cell: Cell) -> str:
    """The split that chooses stage one's epoch."""
    return "test" if cell.config.compat.select_on_test else "dev"


def _answered(study: Study, run: CellResult, split: str, stage: Stage) -> SeedAnswers:
    cell, of = run.cell, run.outputs.splits[split]
    return SeedAnswers(
        cell.corpus,
        cell.variant,
        cell.seed,
        run.outputs.labels,
        of.gold,
        of.dialogues,
        of.answers[stage],
        of.scores[stage],
        excluded=cell.config.evaluation.excluded_label,
        chosen_on=chosen_on(cell),
        chosen_by=cell.config.evaluation.primary,
        asked_pairs=study.pairs,
    )


def _row_of_runs(
    study: Study,
    runs: Sequence[CellResult],
    test: list[SeedAnswers],
    stage: Stage,
) -> Row:
    cell, labels = runs[0].cell, runs[0].outputs.labels
    scored = [run.results.of(stage) for run in runs]
    errors = [each.calibration.expected_calibration_error for each in scored]
    by_logits = cell.config.classifies
    anchors = [None if by_logits else run.outputs.anchors[stage] for run in runs]
    found = [
        [
            similar(
                labels,
                pair,
                gold=each.gold,
                answers=each.answers,
                scores=each.scores,
                anchors=of_run,
                # Of logits, of which there are as many as labels, other distances are usual.
                representations=None if by_logits else run.outputs.representations,
                before=run.before,
            )
            for pair in pairs_among(labels, study.pairs)
        ]
        for run, each, of_run in zip(runs, test, anchors, strict=True)
    ]
    return Row(
        stage=str(stage),
        planned=len(study.seeds),
        epochs=tuple(each.mean_of or (each.best_epoch,) for each in scored),
        calibration_error={
            split: float(np.mean([each[split] for each in errors]))
            for split in ("dev", "test")
            if all(split in each for each in errors)
        },
        similar=_mean_similar(found),
        smallest_angle=_mean(
            [smallest_angle(each, len(labels)) for each in anchors if each is not None]
        ),
        by_logits=by_logits,
        cost=_mean_cost([run.cost for run in runs if run.cost is not None]),
        **_common({"dev": [_answered(study, run, "dev", stage) for run in runs], "test": test}),
    )


def _common(splits: Mapping[str, Sequence[SeedAnswers]]) -> dict[str, Any]:
    """What a row of runs and one of answers that no stage gave have in common."""
    test = splits["test"]
    first, support = test[0], test[0].support
    for split, group in splits.items():
        for each in group[1:]:
            if not each.asked_like(group[0]):
                raise UserError(
                    f"{each.corpus}, {each.variant}: seeds {group[0].seed} and {each.seed} answered"
                    f" different {split} utterances or labels, so that they have no mean; delete"
                    " the older run to train it again on today's files."
                )
    labels = {name: estimates(test, name) for name in LABEL_SCORES}
    return {
        "corpus": first.corpus,
        "variant": first.variant,
        "chosen_on": first.chosen_on,
        "chosen_by": first.chosen_by,
        "excluded_label": first.left_out,
        "seeds": tuple(each.seed for each in test),
        "dialogues": len(first.counts),
        "utterances": len(first.gold),
        "scores": {
            split: {
                name: estimates(group, name)[0]
                for name in group[0].measures
                if name not in LABEL_SCORES
            }
            for split, group in splits.items()
        },
        "labels": tuple(
            LabelScores(
                label,
                int(support[number]),
                labels["f1"][number],
                labels["precision"][number],
                labels["recall"][number],
                tuple(int(each.answered[number]) for each in test),
            )
            for number, label in enumerate(first.labels)
        ),
        "limits": tuple(statistics.limits(len(test), len(first.counts))),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean_similar(found: Sequence[Sequence[Similar]]) -> tuple[Similar, ...]:
    """Over seeds, of each pair."""
    numbers = [field.name for field in dataclasses.fields(Similar)][2:]
    return tuple(
        Similar(
            seeds[0].first,
            seeds[0].second,
            **{name: _mean([getattr(each, name) for each in seeds]) for name in numbers},
        )
        for seeds in zip(*found, strict=True)
    )


def _mean_cost(costs: Sequence[Cost]) -> CostMeans | None:
    if not costs:
        return None
    return CostMeans(
        parameters=float(np.mean([cost.parameters for cost in costs])),
        trained=float(np.mean([cost.trained for cost in costs])),
        examples_per_second=_mean([cost.examples_per_second for cost in costs]),
        seconds_an_epoch=_mean([cost.seconds_an_epoch for cost in costs]),
        seconds=_mean([None if cost.resumed else cost.seconds for cost in costs]),
        peak_bytes=max((c.peak_bytes for c in costs if c.peak_bytes is not None), default=None),
        devices=tuple(dict.fromkeys(cost.device for cost in costs)),
        processors=tuple(dict.fromkeys(cost.processor for cost in costs if cost.processor)),
        versions=tuple(
            dict.fromkeys(
                ", ".join(f"{name} {version}" for name, version in cost.versions.items())
                for cost in costs
                if cost.versions
            )
        ),
    )


def _check_measures(study: Study, rows: Sequence[Row]) -> None:
    for measure in study.measures:
        for row in rows:
            if measure == "jaccard" and measure not in row.scores["test"]:
                raise UserError(
                    f"study {study.name}: {row.corpus}, {row.variant} has no jaccard, which is of"
                    " several labels an utterance; take it out of the study."
                )
            if measure == PAIRS_F1 and measure not in row.scores["test"]:
                raise UserError(
                    f"study {study.name}: {row.corpus}, {row.variant} has no {measure}: no"
                    " label has a score there, or no two labels are a similar pair; take the"
                    " measure out of the study."
                )
            if measure not in row.scores["test"]:
                raise UserError(
                    f"study {study.name}: {row.corpus}, {row.variant} has no {measure}; set"
                    " evaluation.excluded_label to the label that it leaves out, or take the"
                    " measure out of the study."
                )


def _settings(study: Study, corpus: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """By variant, the settings in which variants of one corpus differ; and all others."""
    flat: dict[str, dict[str, Any]] = {}
    for cell in study.cells:
        if cell.corpus == corpus:
            flat.setdefault(cell.variant, dict(_flat(cell.config.to_dict())))
    differ = {
        name
        for settings in flat.values()
        for name, value in settings.items()
        if name != "seed" and any(other.get(name) != value for other in flat.values())
    }
    differing = {
        variant: {name: value for name, value in settings.items() if name in differ}
        for variant, settings in flat.items()
    }
    first = next(iter(flat.values()), {})
    return differing, {
        name: value for name, value in first.items() if name not in {*differ, "seed"}
    }


def _flat(settings: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in settings.items()
        for pair in (
            _flat(value, f"{before}{name}.")
            if isinstance(value, Mapping)
            else [(before + name, value)]
        )
    ]
