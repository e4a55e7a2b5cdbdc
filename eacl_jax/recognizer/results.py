"""What a run gave, as `results.json` and a card's front matter hold it. Scores and calibration
errors are in percent.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Stage
from eacl_jax.files.records import bounded, build, plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitScores:
    """Of a split; see `metrics.summarize`, and `metrics.summarize_several` where an utterance may
    have several labels. `support`, `answered`: by label, how many utterances have it and were
    answered it; None where it is not known. Of a label with neither there is no F1, and
    `per_class_f1` has 0 for it. `levels`: of coarser taxonomies, by their names.
    """

    weighted_f1: float = bounded(at_least=0, at_most=101)  # a little more than 100 by rounding
    accuracy: float = bounded(at_least=0, at_most=101)
    macro_f1: float = bounded(at_least=0, at_most=101)
    per_class_f1: dict[str, float] = bounded(at_least=0, at_most=101)
    micro_f1: float | None = bounded(None, at_least=0, at_most=101)
    jaccard: float | None = bounded(None, at_least=0, at_most=101)
    ranking_precision: float | None = bounded(None, at_least=0, at_most=101)
    levels: dict[str, dict[str, float]] | None = bounded(None, at_least=0, at_most=101)
    support: dict[str, int] | None = bounded(None, at_least=0)
    answered: dict[str, int] | None = bounded(None, at_least=0)

    def f1(self, label: str) -> float | None:
        """Of a label; None where no utterance has it and none was answered it, as far as that is
        known.
        """
        counts = (self.support, self.answered)
        nothing = all(of is not None and not of[label] for of in counts)
        return None if nothing else self.per_class_f1[label]

    def to_json(self) -> dict[str, Any]:
        """Plain values; nothing of what is not measured."""
        return plain(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of a stage's chosen epoch: the temperature that fits dev, and by split the expected
    calibration error; and, with `evaluation.logit_adjustment` or `prior`, the factor of the log
    prior that was chosen on dev.

    Uncalibrated is, with one label an utterance, before the temperature. With several labels it is
    before each label's scale and bias were fitted on dev, but after a scale and biases with which
    that begins: stage two's, or one of each for all labels, which are of dev too.
    """

    temperature: float = bounded(above=0)
    expected_calibration_error: dict[str, float]
    expected_calibration_error_uncalibrated: dict[str, float]
    logit_adjustment: float | None = bounded(None, at_least=0)
    prior: float | None = bounded(None, at_least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageScores:
    """Of a stage's chosen epoch. `mean_of`: the epochs whose weights' mean was chosen in place of
    `best_epoch`, the best single one; None where none was.
    """

    best_epoch: int = bounded(at_least=0)
    dev: SplitScores
    test: SplitScores
    calibration: Calibration
    mean_of: tuple[int, ...] | None = bounded(None, at_least=1)

    @property
    def chosen(self) -> str:
        """What was chosen, for a person: "epoch 2", or "mean of epochs 1, 2"."""
        if self.mean_of is None:
            return f"epoch {self.best_epoch}"
        return f"mean of epochs {', '.join(map(str, self.mean_of))}"


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Of always answering one label."""

    label: str
    dev: SplitScores
    test: SplitScores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the annotators of a split agree; see `corpora.agreement.agreement_of`. None where
    nothing could have differed.
    """

    utterances: int = bounded(at_least=1)
    annotators: tuple[int, ...]
    alpha: float | None
    pairwise: float | None
    by_label: dict[str, float | None]
    alpha_jaccard: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stratum:
    """Some utterances of a split: how many they are, and summary scores; none where they are
    none.
    """

    utterances: int = bounded(at_least=0)
    scores: dict[str, float] = bounded(at_least=0, at_most=101)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgainstAnnotators:
    """A stage's answers to the utterances of a split that more than one annotator answered.

    Attributes:
      agreed: those to which all annotators gave the same labels, all of them counted, in any
        order, with one label an utterance too.
      differed: the others.
      divergence: mean Kullback-Leibler divergence in nats from the annotators' shares
        (`task.shares`) to the probabilities; of several labels the sum of the labels'.
    """

    agreed: Stratum
    differed: Stratum
    divergence: float = bounded(at_least=-1e-6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotators:
    """What is known of annotators, by split; a split whose utterances have one annotator each, or
    whose annotators are not known, is left out.
    """

    agreement: dict[str, Agreement]
    stage_one: dict[str, AgainstAnnotators]
    stage_two: dict[str, AgainstAnnotators]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removed:
    """Stage two's answers where some features are left out, and all else is as it was trained.

    Attributes:
      dev, test: their scores.
      changed: by split, how many answers are others than with all features.
      better: of these, how many were wrong with all features and are right without.
      worse: how many were right and are wrong.
    """

    dev: SplitScores
    test: SplitScores
    changed: dict[str, int] = bounded(at_least=0)
    better: dict[str, int] = bounded(at_least=0)
    worse: dict[str, int] = bounded(at_least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModalityResults:
    """Of one modality that a model reads.

    Attributes:
      utterances: annotated ones that have it, by split.
      width: numbers a frame.
      columns: what the numbers are; empty where it is not known, or they are many.
      mean, deviation: of these, over the training utterances.
      weights: mean gate, or attention, by gold label over the utterances of dev that have it; None
        where the fusion has no such number, and of a label that no such utterance has.
      without: None where nothing would be left to answer by.
    """

    utterances: dict[str, int] = bounded(at_least=0)
    width: int = bounded(at_least=1)
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    weights: dict[str, float | None] | None = bounded(at_least=0, at_most=1.001)
    without: Removed | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModalitiesResults:
    """What features add to a run's answers.

    Attributes:
      fusion, text: as `config.features` has them.
      utterances: annotated ones, by split.
      each: by the modality's name.
      text_alone: without any features; None where texts are not read.
    """

    fusion: str
    text: bool
    utterances: dict[str, int] = bounded(at_least=0)
    each: dict[str, ModalityResults]
    text_alone: Removed | None


@dataclasses.dataclass(frozen=True)
class OfSplits:
    """Scores by split."""

    dev: SplitScores
    test: SplitScores


@dataclasses.dataclass(frozen=True)
class SequenceResults:
    """What a chain over the labels of a dialogue (`sequence.crf`) makes of stage two's answers.

    Attributes:
      kept: whether the model has it; else it answers each utterance alone.
      alone: scores without it.
      whole: of whole dialogues.
      so_far: of dialogues as they go on, each utterance by those up to it.
    """

    kept: bool
    alone: OfSplits
    whole: OfSplits
    so_far: OfSplits


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetScores:
    """Of the sets of labels that dev's utterances have for a coverage, on test; see
    `abstention.set_scores`.
    """

    coverage: float = bounded(at_least=0, at_most=101)
    size: float = bounded(at_least=0)
    single: float = bounded(at_least=0, at_most=101)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectiveScores:
    """Of answers with at least the `confidence` that a share of dev's have, on test; see
    `abstention.selective_scores`.
    """

    confidence: float = bounded(at_least=0, at_most=1.01)
    answered: float = bounded(at_least=0, at_most=101)
    right: float | None = bounded(at_least=0, at_most=101)


@dataclasses.dataclass(frozen=True)
class Abstention:
    """Where stage two is unsure.

    Attributes:
      sets: by coverage in percent.
      surest: by the share of dev's utterances that are answered, in percent.
    """

    sets: dict[str, SetScores]
    surest: dict[str, SelectiveScores]


@dataclasses.dataclass(frozen=True)
class Taught:
    """What the teacher who knows most of what is scored has learnt of it.

    Attributes:
      learnt: so many of these utterances.
      of: annotated ones of dev and test.
    """

    learnt: int = bounded(at_least=1)
    of: int = bounded(at_least=1)

    def in_words(self) -> str:
        """What that means, in a sentence."""
        return (
            f"A teacher has learnt from {self.learnt} of the {self.of} annotated utterances of dev"
            " and test: on these it teaches their labels, and the scores say nothing."
        )


@dataclasses.dataclass(frozen=True)
class Results:
    """Of a run. `annotators`: None where no utterance has two. `modalities`: None where the model
    reads no features. `sequence`: None without `sequence.crf`; where it is kept, stage two's scores
    are with it. `abstention`: None where an utterance may have several labels. `excluded_label`:
    the one that micro F1 leaves out; None where it leaves none out, or is not measured. `taught`:
    None where no teacher has learnt from what is scored.
    """

    corpus: str
    seed: int
    stage_one: StageScores
    stage_two: StageScores
    always_most_frequent: Baseline
    annotators: Annotators | None = None
    modalities: ModalitiesResults | None = None
    sequence: SequenceResults | None = None
    abstention: Abstention | None = None
    excluded_label: str | None = None
    taught: Taught | None = None

    def of(self, stage: Stage) -> StageScores:
        """The stage's."""
        return self.stage_one if stage is Stage.ONE else self.stage_two

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the file holds them."""
        return plain(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], problems: list[str]) -> "Results | None":
        """Reads what `to_json` gave; adds what is wrong with it, a line a field, to the
        problems.
        """
        return build(cls, values, "results", problems)
