"""How good a model's answers to annotated dialogues are: scores, confusion and calibration."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError
from eacl_jax.model import decisions, metrics
from eacl_jax.model.abstention import LabelSets, surest_right
from eacl_jax.model.calibration import expected_calibration_error
from eacl_jax.model.task import Levels, SeveralLabels, SingleLabel, Task
from eacl_jax.recognizer.prediction import Prediction


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of answers, in percent.

    Attributes:
      labels: in anchor order, C of them.
      dialogues: how many have an utterance that is annotated.
      utterances: how many of their utterances are annotated, and were scored.
      context: how many are not.
      confusion: [C, C], rows annotated, columns answered; None where an utterance may have several
        labels.
      summary: `weighted_f1`, `macro_f1`, `accuracy`, and `micro_f1` without the excluded label
        where one is; with several labels see `metrics.summarize_several`.
      by_label: `precision`, `recall`, `f1`, `support` (annotated so) and `answered` of each label;
        a score of nothing (no answers, no annotations) is 0.
      confidence: mean probability of the answers; None where there may be several.
      surest: by share in percent, how many of the surest answers are right, in percent; None where
        there may be several.
      sets: by coverage in percent, see `abstention.set_scores`; None where the model has no sets.
      excluded_label: that micro F1 leaves out; None where there is none.
      calibration_error: expected calibration error (`calibration.expected_calibration_error`); with
        several labels `decisions.calibration_error`.
      truncated: utterances whose text is longer than the model reads.
      unknown_text: utterances whose text the model's tokenizer does not know for the most part, or
        is empty.
      alone: utterances beside which there was no room for any of those around them.
      co_occurrence: with several labels, see `metrics.co_occurrence`.
      sizes: with several labels, how many utterances are annotated with, and how many answered, no
        label, one, two and so on.
      levels: summary scores by coarser labels, by their names; None where there are none.
    """

    labels: tuple[str, ...]
    dialogues: int
    utterances: int
    context: int
    confusion: Int[np.ndarray, "C C"] | None
    summary: dict[str, float]
    by_label: dict[str, dict[str, float]]
    confidence: float | None
    calibration_error: float
    truncated: int
    unknown_text: int
    alone: int
    co_occurrence: Int[np.ndarray, "C C"] | None = None
    sizes: dict[str, list[int]] | None = None
    levels: dict[str, dict[str, float]] | None = None
    surest: dict[int, float] | None = None
    sets: dict[int, dict[str, float]] | None = None
    excluded_label: str | None = None

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""
        return self.co_occurrence is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values; nothing of what is not measured."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in (dataclasses.asdict(self) | {"labels": list(self.labels)}).items()
            if value is not None
        }

    def confused(self) -> list[tuple[int, str, str]]:
        """How often an annotated label got another as the answer: count, annotated, answered; the
        most frequent first. With several labels both may be right.
        """
        counts = self.confusion if self.confusion is not None else self.co_occurrence
        assert counts is not None
        pairs = [
            (int(counts[i, j]), gold, answer)
            for i, gold in enumerate(self.labels)
            for j, answer in enumerate(self.labels)
            if i != j and counts[i, j]
        ]
        return sorted(pairs, key=lambda pair: -pair[0])


class Tally:
    """Counts answers, some dialogues at a time."""

    def __init__(self, labels: Sequence[str], *, several: bool = False) -> None:
        """Args:
        labels: in anchor order.
        several: whether an utterance may have several of them.
        """
        self._labels, self._several = tuple(labels), several
        self._gold: list[tuple[str, ...]] = []
        self._answers: list[tuple[str, ...]] = []
        self._probabilities: list[np.ndarray] = []
        self._dialogues = self._context = self._truncated = self._unknown = self._alone = 0

    def add(self, dialogues: Sequence[Dialogue], answers: Sequence[Prediction]) -> None:
        """Counts the answers to all utterances of the dialogues, in their order. They are annotated
        as the model answers (`corpora.tasks.settled`), and their emotions must be labels.
        """
        self._dialogues += sum(any(u.annotated for u in each.utterances) for each in dialogues)
        utterances = (utterance for dialogue in dialogues for utterance in dialogue.utterances)
        for utterance, answer in zip(utterances, answers, strict=True):
            self._truncated += answer.truncated
            self._unknown += answer.unknown_text
            self._alone += answer.alone
            if not utterance.annotated:
                self._context += 1
                continue
            self._gold.append(utterance.labels)
            self._answers.append(answer.emotions)
            self._probabilities.append(
                np.array([answer.probabilities[label] for label in self._labels])
            )

    def scores(
        self,
        excluded_label: str = "",
        levels: Levels | None = None,
        sets: LabelSets | None = None,
    ) -> Evaluation:
        """The scores of all that was counted.

        Args:
          excluded_label: if given, micro F1 is over all the other labels; of one label an utterance
            only.
          levels: coarser labels by which it is scored too.
          sets: the model's, of one label an utterance.

        Raises:
          UserError: no utterance that was counted has an emotion.
        """
        if not self._gold:
            raise UserError("no utterance has an emotion to compare with.")
        labels, levels = self._labels, levels or {}
        task: Task = (
            SeveralLabels(labels, levels)
            if self._several
            else SingleLabel(labels, excluded_label, levels)
        )
        gold, answers = (self._members(each) for each in (self._gold, self._answers))
        probabilities: Float[np.ndarray, "N C"] = np.array(self._probabilities)
        if self._several:
            targets, answered = gold, answers
        else:
            targets, answered = gold.argmax(axis=1), answers.argmax(axis=1)
        summary = task.measure(targets, answered, probabilities if self._several else None)
        f1, by_level = summary.pop("per_class_f1"), summary.pop("levels", None)
        del summary["support"], summary["answered"]  # `by_label` has them
        right = (gold & answers).sum(axis=0)
        support, given = gold.sum(axis=0), answers.sum(axis=0)
        by_label = {
            label: {
                "precision": 100 * float(right[i] / max(given[i], 1)),
                "recall": 100 * float(right[i] / max(support[i], 1)),
                "f1": f1[label],
                "support": int(support[i]),
                "answered": int(given[i]),
            }
            for i, label in enumerate(labels)
        }
        together = metrics.co_occurrence(gold, answers)
        most = max(int(each.sum(axis=1).max()) for each in (gold, answers))
        sizes = {
            name: np.bincount(each.sum(axis=1), minlength=most + 1).tolist()
            for name, each in (("annotated", gold), ("answered", answers))
        }
        error = (
            decisions.calibration_error(probabilities, gold)
            if self._several
            else expected_calibration_error(probabilities, targets, answers=answered)
        )
        surest = (
            None if self._several else surest_right(probabilities[answers], targets == answered)
        )
        return Evaluation(
            labels=labels,
            dialogues=self._dialogues,
            utterances=len(gold),
            context=self._context,
            confusion=None if self._several else together,
            summary=summary,
            by_label=by_label,
            confidence=None if self._several else 100 * float(probabilities[answers].mean()),
            calibration_error=error,
            truncated=self._truncated,
            unknown_text=self._unknown,
            alone=self._alone,
            co_occurrence=together if self._several else None,
            sizes=sizes if self._several else None,
            levels=by_level,
            surest=surest,
            sets=None if sets is None else sets.scores(probabilities, targets),
            excluded_label=excluded_label or None,
        )

    def _members(self, given: Sequence[Sequence[str]]) -> Bool[np.ndarray, "N C"]:
        index = {label: number for number, label in enumerate(self._labels)}
        found = np.zeros((len(given), len(self._labels)), bool)
        for row, labels in zip(found, given, strict=True):
            row[[index[label] for label in labels]] = True
        return found
