"""What a label is: the targets of utterances, the decision, its measures and its calibration."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.dialogue import Corpus, Dialogue, Utterance
from eacl_jax.model import calibration, decisions, metrics
from eacl_jax.model.decisions import Affine, SeveralAnswering
from eacl_jax.model.scores import Answering

Levels = Mapping[str, tuple[str, ...]]
"""By name of a coarser taxonomy, the group of each label, in their order."""


class Task(Protocol):
    """One kind of labels. N utterances, C labels; targets and answers are arrays whose first axis
    is N.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """In anchor order."""

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""

    def targets(self, dialogues: Sequence[Dialogue]) -> np.ndarray:
        """What the annotated utterances are annotated with, in their order."""

    def members(self, targets: np.ndarray) -> Bool[np.ndarray, "N C"]:
        """Which labels the targets have."""

    def constant(self, label: int, count: int) -> np.ndarray:
        """So many answers of this label alone."""

    def fit(
        self,
        answering: Answering,
        cosines: Float[np.ndarray, "N C"],
        targets: np.ndarray,
        near: Affine | None = None,
    ) -> Answering:
        """How to answer, as suits annotated utterances that did not choose the model's weights.

        Args:
          answering: of the model.
          cosines: from it.
          targets: of the utterances.
          near: what scale and biases are held near to, where there are any.
        """

    def measure(
        self,
        targets: np.ndarray,
        answers: np.ndarray,
        scores: Float[np.ndarray, "N C"] | None = None,
    ) -> dict[str, Any]:
        """How good the answers are, in percent; what goes by scores only where they are given."""

    def fit_temperature(self, scores: Float[np.ndarray, "N C"], targets: np.ndarray) -> float:
        """What scores are divided by before they become probabilities."""

    def calibration_error(
        self, scores: Float[np.ndarray, "N C"], targets: np.ndarray, temperature: float
    ) -> float:
        """Expected calibration error of the probabilities, in percent."""


@dataclasses.dataclass(frozen=True)
class SingleLabel:
    """Each utterance has one of C labels: targets and answers are indices [N].

    Attributes:
      labels: in anchor order.
      excluded: the label that `micro_f1` leaves out; empty: no `micro_f1`.
      levels: by which answers are scored too.
    """

    labels: tuple[str, ...]
    excluded: str = ""
    levels: Levels = dataclasses.field(default_factory=dict)
    several: bool = dataclasses.field(default=False, init=False)

    def targets(self, dialogues: Sequence[Dialogue]) -> Int[np.ndarray, " N"]:
        """See `Task`."""
        index = {label: number for number, label in enumerate(self.labels)}
        found = [index[u.emotion] for u in annotated(dialogues) if u.emotion is not None]
        return np.array(found, np.int64)

    def members(self, targets: Int[np.ndarray, " N"]) -> Bool[np.ndarray, "N C"]:
        """See `Task`."""
        return targets[:, None] == np.arange(len(self.labels))

    def constant(self, label: int, count: int) -> Int[np.ndarray, " N"]:
        """See `Task`."""
        return np.full(count, label, np.int64)

    def fit(
        self,
        answering: Answering,
        cosines: Float[np.ndarray, "N C"],
        targets: np.ndarray,
        near: Affine | None = None,
    ) -> Answering:
        """The nearest anchor answers: there is nothing to fit."""
        return answering

    def measure(
        self,
        targets: Int[np.ndarray, " N"],
        answers: Int[np.ndarray, " N"],
        scores: Float[np.ndarray, "N C"] | None = None,
    ) -> dict[str, Any]:
        """Weighted F1 and others; see `metrics.summarize`."""
        confusion = metrics.confusion_matrix(targets, answers, len(self.labels))
        found = metrics.summarize(confusion, self.labels, self.excluded)
        if self.levels:
            found["levels"] = {}
            for level, groups in self.levels.items():
                names = tuple(dict.fromkeys(groups))
                of = np.array([names.index(group) for group in groups])
                confusion = metrics.confusion_matrix(of[targets], of[answers], len(names))
                found["levels"][level] = _plain(metrics.summarize(confusion, names))
        return found

    def fit_temperature(
        self, scores: Float[np.ndarray, "N C"], targets: Int[np.ndarray, " N"]
    ) -> float:
        """See `calibration.fit_temperature`."""
        return calibration.fit_temperature(scores, targets)

    def calibration_error(
        self, scores: Float[np.ndarray, "N C"], targets: Int[np.ndarray, " N"], temperature: float
    ) -> float:
        """Of softmax's probabilities."""
        return calibration.expected_calibration_error(
            calibration.probabilities(scores, temperature), targets
        )


@dataclasses.dataclass(frozen=True)
class SeveralLabels:
    """Each utterance has any number of C labels: targets and answers are booleans [N, C].

    Attributes:
      labels: in anchor order.
      levels: by which answers are scored too.
      common: whether all labels have one threshold.
    """

    labels: tuple[str, ...]
    levels: Levels = dataclasses.field(default_factory=dict)
    common: bool = False
    several: bool = dataclasses.field(default=True, init=False)

    def targets(self, dialogues: Sequence[Dialogue]) -> Bool[np.ndarray, "N C"]:
        """See `Task`."""
        index = {label: number for number, label in enumerate(self.labels)}
        each = annotated(dialogues)
        found = np.zeros((len(each), len(self.labels)), bool)
        for row, utterance in zip(found, each, strict=True):
            row[[index[label] for label in utterance.emotions or ()]] = True
        return found

    def members(self, targets: Bool[np.ndarray, "N C"]) -> Bool[np.ndarray, "N C"]:
        """See `Task`."""
        return targets

    def constant(self, label: int, count: int) -> Bool[np.ndarray, "N C"]:
        """See `Task`."""
        return np.arange(len(self.labels)) == np.full((count, 1), label)

    def fit(
        self,
        answering: Answering,
        cosines: Float[np.ndarray, "N C"],
        targets: Bool[np.ndarray, "N C"],
        near: Affine | None = None,
    ) -> SeveralAnswering:
        """With scale, biases and thresholds; see `decisions.fit`."""
        assert isinstance(answering, SeveralAnswering)
        found = decisions.fit(
            answering.plain_scores(cosines), targets, near=near, common=self.common
        )
        return dataclasses.replace(answering, decisions=found)

    def measure(
        self,
        targets: Bool[np.ndarray, "N C"],
        answers: Bool[np.ndarray, "N C"],
        scores: Float[np.ndarray, "N C"] | None = None,
    ) -> dict[str, Any]:
        """Weighted F1 and others; see `metrics.summarize_several`. In a level an utterance has the
        groups of its labels.
        """
        found = metrics.summarize_several(targets, answers, self.labels, scores)
        if self.levels:
            found["levels"] = {}
            for level, groups in self.levels.items():
                names = tuple(dict.fromkeys(groups))
                of = np.array([[group == name for name in names] for group in groups])
                grouped = metrics.summarize_several(targets @ of, answers @ of, names)
                found["levels"][level] = _plain(grouped)
        return found

    def fit_temperature(
        self, scores: Float[np.ndarray, "N C"], targets: Bool[np.ndarray, "N C"]
    ) -> float:
        """1: `fit` has calibrated them."""
        return 1.0

    def calibration_error(
        self, scores: Float[np.ndarray, "N C"], targets: Bool[np.ndarray, "N C"], temperature: float
    ) -> float:
        """Of each label's probabilities, their mean."""
        probability = calibration.label_probabilities(scores, temperature)
        return decisions.calibration_error(probability, targets)


def task_of(corpus: Corpus, *, excluded: str = "", common: bool = False) -> Task:
    """The kind of labels that a corpus has; arguments as of the tasks."""
    labels, levels = corpus.taxonomy.labels, corpus.levels
    if corpus.task == "multi":
        return SeveralLabels(labels, levels, common)
    return SingleLabel(labels, excluded, levels)


def annotated(dialogues: Sequence[Dialogue]) -> list[Utterance]:
    """The annotated utterances, in their order: what prompts are made of."""
    return [u for dialogue in dialogues for u in dialogue.utterances if u.annotated]


def shares(task: Task, dialogues: Sequence[Dialogue]) -> Float[np.ndarray, "N C"]:
    """Share of the annotators that gave each label to the annotated utterances, float32; where they
    are not known, 1 for the label or labels that stand.

    What an annotator gave that is no label has no share. With one label an utterance, an
    annotator's voice is divided among the labels that they gave, if any, and rows sum to 1.
    """
    index = {label: number for number, label in enumerate(task.labels)}
    found = task.members(task.targets(dialogues)).astype(np.float32)
    for row, utterance in zip(found, annotated(dialogues), strict=True):
        voices = [
            [label for label in voice if label in index] for voice in utterance.annotations or ()
        ]
        if not task.several:
            voices = [voice for voice in voices if voice]
        if voices:
            votes = np.zeros(len(index))
            for voice in voices:
                for label in voice:
                    votes[index[label]] += 1 if task.several else 1 / len(voice)
            # Divided once: a sum of rounded shares may come to more than 1.
            row[:] = votes / len(voices)
    return found


def mixed(
    labels: Float[np.ndarray, "N C"], taught: Float[np.ndarray, "N C"], weight: float
) -> Float[np.ndarray, "N C"]:
    """`(1 - weight) * labels + weight * taught`, float32.

    Example:
      >>> mixed(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), 0.5).tolist()
      [[0.75, 0.25]]
    """
    return ((1 - weight) * labels + weight * taught).astype(np.float32)


def _plain(found: dict[str, Any]) -> dict[str, float]:
    """A level's scores without those by label."""
    return {name: value for name, value in found.items() if isinstance(value, float)}
