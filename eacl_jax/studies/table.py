"""What a study found, as `study.json` holds it. Scores are in percent."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eacl_jax.config import Stage
from eacl_jax.files import whole
from eacl_jax.studies.similar import Similar
from eacl_jax.studies.statistics import DRAWS, LEVEL, Difference, Estimate

FILE = "study.json"
FORMAT = "eacl_jax study 3"


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """Of a label on test.

    Attributes:
      label: its name.
      support: test utterances that have it.
      f1, precision, recall: over seeds.
      answered: test utterances that were answered as it, by seed.
    """

    label: str
    support: int
    f1: Estimate
    precision: Estimate
    recall: Estimate
    answered: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class CostMeans:
    """Means over seeds of `training.cost.Cost`; of the memory the most.

    Attributes:
      parameters, trained: of the model.
      examples_per_second, seconds_an_epoch: of stage one's steps; None where no run knows them.
      seconds: of a run; None where all were resumed, for such a run knows its last part only.
      peak_bytes: None where no run knows it.
      devices: kinds of devices of the runs.
      processors, versions: what computed the runs, and by which versions of what, where that is
        known: "AMD EPYC 9B14", "eacl_jax 0.1.0, jax 0.10.0".
    """

    parameters: float
    trained: float
    examples_per_second: float | None
    seconds_an_epoch: float | None
    seconds: float | None
    peak_bytes: int | None
    devices: tuple[str, ...]
    processors: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """A variant on a corpus, answered by the anchors of one stage.

    Attributes:
      corpus, variant: by the study's names.
      stage: "stage_one" or "stage_two"; "" where the answers are of no stage of a run.
      seeds: that are there.
      planned: how many there are to be.
      chosen_on: the split that chose stage one's epoch; "" where no epoch was chosen.
      chosen_by: the measure that chose it.
      excluded_label: that micro F1 leaves out; "" where it leaves out none.
      dialogues, utterances: of test.
      scores: by split and measure.
      labels: of test.
      epochs: chosen, by seed: one, or those whose weights' mean was chosen.
      calibration_error: expected calibration error by split, mean over seeds.
      similar: pairs of similar emotions on test, means over seeds.
      smallest_angle: between anchors of different labels in degrees, mean over seeds.
      by_logits: the classifier alone was trained, and answers. The anchors of its logits are their
        axes, at right angles whatever was learned: there are no angles to tell.
      cost: None where it is not known.
      limits: what these numbers cannot say.
    """

    corpus: str
    variant: str
    stage: str
    seeds: tuple[int, ...]
    planned: int
    chosen_on: str
    chosen_by: str
    dialogues: int
    utterances: int
    scores: Mapping[str, Mapping[str, Estimate]]
    labels: tuple[LabelScores, ...]
    excluded_label: str = ""
    epochs: tuple[tuple[int, ...], ...] = ()
    calibration_error: Mapping[str, float] = dataclasses.field(default_factory=dict)
    similar: tuple[Similar, ...] = ()
    smallest_angle: float | None = None
    by_logits: bool = False
    cost: CostMeans | None = None
    limits: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Of two sides on test: the second minus the first, which it is read against.

    Attributes:
      corpus: by the study's name.
      first, second: (variant, stage).
      measure: that is compared.
      seeds: that both sides have.
      difference: None where they cannot be compared.
      p_holm: the p-value over dialogues, `difference.p`, by Holm's correction over all comparisons
        of this measure that the study names; those that cannot be made yet count as no difference.
      note: why they cannot be compared; else empty.
      wide_p_holm: the same of the p-value over dialogues and seeds, `difference.wide_p`.
      excluded_label: that the measure leaves out, where it is micro F1; else "".
    """

    corpus: str
    first: tuple[str, str]
    second: tuple[str, str]
    measure: str
    seeds: tuple[int, ...]
    difference: Difference | None
    p_holm: float | None
    note: str = ""
    wide_p_holm: float | None = None
    excluded_label: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A study's numbers.

    Attributes:
      name, question, corpora, variants, axes, seeds, measures: of the study; `variants` may end
        with some that only have answers.
      settings: by corpus and variant, the settings in which variants of that corpus differ, as
        `group.name`.
      common_settings: by corpus, those in which they do not differ, but for the seed.
      rows: corpus by corpus, variant by variant, stage by stage.
      comparisons: as the study names them, by corpus and measure.
      failed: why runs failed, by their names.
      missing: names of the runs that are still to be done.
      notes: what the study as a whole cannot say.
    """

    name: str
    question: str
    corpora: tuple[str, ...]
    variants: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Mapping[str, Any]]]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    failed: Mapping[str, str]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()
    common_settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def of(self, corpus: str, stage: str = Stage.TWO) -> list[Row]:
        """A corpus' rows of one stage, and those of no stage."""
        return [row for row in self.rows if row.corpus == corpus and row.stage in (stage, "")]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the file holds them."""
        values = dataclasses.asdict(self)
        for comparison in values["comparisons"]:
            for side in ("first", "second"):
                variant, stage = comparison[side]
                comparison[side] = {"variant": variant, "stage": stage}
        return {"format": FORMAT, "interval_percent": LEVEL, "draws": DRAWS, **values}


def stage_words(stage: str) -> str:
    """For a person: "stage one"; "answers" where they are of no stage."""
    return Stage(stage).words if stage else "answers"


def write_study(folder: Path, table: Table) -> None:
    """Writes `study.json` into a study's folder."""
    whole.write_json(folder / FILE, table.to_json())
