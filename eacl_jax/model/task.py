"""What a label is: the targets of examples, the decision, its measures and its calibration."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.data.prompts import Example
from eacl_jax.model import calibration, metrics, scores


class Task(Protocol):
    """One kind of labels. N examples, C labels; targets and answers are arrays whose first axis is
    N.
    """

    def targets(self, examples: Sequence[Example]) -> np.ndarray:
        """What the examples are annotated with."""

    def decide(self, cosines: Float[np.ndarray, "N C"]) -> np.ndarray:
        """The answers, from the cosines with the anchors."""

    def most_frequent(self, targets: np.ndarray) -> int:
        """The label that most targets have, of equal ones the first: what the simplest baseline
        answers.
        """

    def measure(self, targets: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
        """How good the answers are, in percent."""

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
    """

    labels: tuple[str, ...]
    excluded: str = ""

    def targets(self, examples: Sequence[Example]) -> Int[np.ndarray, " N"]:
        """See `Task`."""
        return np.array([example.label for example in examples], np.int64)

    def decide(self, cosines: Float[np.ndarray, "N C"]) -> Int[np.ndarray, " N"]:
        """The nearest anchor."""
        return scores.decide(cosines)

    def most_frequent(self, targets: Int[np.ndarray, " N"]) -> int:
        """See `Task`."""
        return int(np.bincount(targets, minlength=len(self.labels)).argmax())

    def measure(
        self, targets: Int[np.ndarray, " N"], answers: Int[np.ndarray, " N"]
    ) -> dict[str, Any]:
        """Weighted F1 and others; see `metrics.summarize`."""
        confusion = metrics.confusion_matrix(targets, answers, len(self.labels))
        return metrics.summarize(confusion, self.labels, self.excluded)

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
