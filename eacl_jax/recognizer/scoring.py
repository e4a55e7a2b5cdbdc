"""How good a model's answers to annotated dialogues are: scores, confusion and calibration."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError
from eacl_jax.model import metrics
from eacl_jax.model.calibration import expected_calibration_error
from eacl_jax.recognizer.prediction import Prediction


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of answers, in percent.

    Attributes:
      labels: in anchor order, C of them.
      dialogues: how many were scored.
      utterances: how many of their utterances have an emotion, and were scored.
      context: how many have none.
      confusion: [C, C], rows annotated, columns answered.
      summary: `weighted_f1`, `macro_f1`, `accuracy`, and `micro_f1` without the excluded label
        where one is.
      by_label: `precision`, `recall`, `f1`, `support` (annotated so) and `answered` of each label.
      confidence: mean probability of the answers.
      calibration_error: expected calibration error (`calibration.expected_calibration_error`).
      truncated: utterances whose text is longer than the model reads.
      unknown_text: utterances whose text the model's tokenizer does not know for the most part.
    """

    labels: tuple[str, ...]
    dialogues: int
    utterances: int
    context: int
    confusion: Int[np.ndarray, "C C"]
    summary: dict[str, float]
    by_label: dict[str, dict[str, float]]
    confidence: float
    calibration_error: float
    truncated: int
    unknown_text: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **dataclasses.asdict(self),
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }

    def confused(self) -> list[tuple[int, str, str]]:
        """How often an annotated label got another as the answer: count, annotated, answered; the
        most frequent first.
        """
        pairs = [
            (int(self.confusion[i, j]), gold, answer)
            for i, gold in enumerate(self.labels)
            for j, answer in enumerate(self.labels)
            if i != j and self.confusion[i, j]
        ]
        return sorted(pairs, key=lambda pair: -pair[0])


class Tally:
    """Counts answers, some dialogues at a time."""

    def __init__(self, labels: Sequence[str]) -> None:
        """`labels`: in anchor order."""
        self._labels = tuple(labels)
        self._gold: list[int] = []
        self._answers: list[int] = []
        self._probabilities: list[np.ndarray] = []
        self._dialogues = self._context = self._truncated = self._unknown = 0

    def add(self, dialogues: Sequence[Dialogue], answers: Sequence[Prediction]) -> None:
        """Counts the answers to all utterances of the dialogues, in their order. Their emotions
        must be labels.
        """
        index = {label: number for number, label in enumerate(self._labels)}
        self._dialogues += len(dialogues)
        utterances = (utterance for dialogue in dialogues for utterance in dialogue.utterances)
        for utterance, answer in zip(utterances, answers, strict=True):
            self._truncated += answer.truncated
            self._unknown += answer.unknown_text
            if utterance.emotion is None:
                self._context += 1
                continue
            self._gold.append(index[utterance.emotion])
            self._answers.append(index[str(answer.emotion)])
            self._probabilities.append(
                np.array([answer.probabilities[label] for label in self._labels])
            )

    def scores(self, excluded_label: str = "") -> Scores:
        """The scores of all that was counted.

        Args:
          excluded_label: if given, micro F1 is over all the other labels.

        Raises:
          UserError: no utterance that was counted has an emotion.
        """
        if not self._gold:
            raise UserError("no utterance has an emotion to compare with.")
        gold, answers = np.array(self._gold), np.array(self._answers)
        confusion = metrics.confusion_matrix(gold, answers, len(self._labels))
        summary = metrics.summarize(confusion, self._labels, excluded_label)
        f1 = summary.pop("per_class_f1")
        support, answered, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
        by_label = {
            label: {
                "precision": 100 * float(right[i] / max(answered[i], 1)),
                "recall": 100 * float(right[i] / max(support[i], 1)),
                "f1": f1[label],
                "support": int(support[i]),
                "answered": int(answered[i]),
            }
            for i, label in enumerate(self._labels)
        }
        probabilities: Float[np.ndarray, "N C"] = np.array(self._probabilities)
        return Scores(
            labels=self._labels,
            dialogues=self._dialogues,
            utterances=len(gold),
            context=self._context,
            confusion=confusion,
            summary=summary,
            by_label=by_label,
            confidence=100 * float(probabilities.max(axis=1).mean()),
            calibration_error=expected_calibration_error(probabilities, gold),
            truncated=self._truncated,
            unknown_text=self._unknown,
        )
