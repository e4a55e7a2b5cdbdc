"""Answers on a split, and what is drawn of them."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.studies import several, statistics
from eacl_jax.studies.statistics import Draws, Estimate


@dataclasses.dataclass(frozen=True)
class Answered:
    """Answers of one seed on a split.

    Attributes:
      seed: of the run.
      labels: the C labels.
      excluded: the one that micro F1 leaves out; empty: no micro F1.
      gold, dialogues, answers: of the N utterances; gold and answers are label indices, or, where
        an utterance may have several labels, booleans.
    """

    seed: int
    labels: tuple[str, ...]
    excluded: str
    gold: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]
    dialogues: Int[np.ndarray, " N"]
    answers: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""
        return self.gold.ndim == 2

    @functools.cached_property
    def counts(self) -> Float[np.ndarray, "D ..."]:
        """Of each dialogue a confusion matrix; of several labels `several.dialogue_counts`."""
        if self.several:
            return several.dialogue_counts(self.gold, self.answers, self.dialogues)
        return statistics.dialogue_confusions(
            self.gold, self.answers, self.dialogues, len(self.labels)
        )

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all that can be measured: summaries, then what each label has."""
        if self.several:
            return (*several.SUMMARIES, *statistics.LABEL_SCORES)
        kept = statistics.SUMMARIES if self.excluded else statistics.SUMMARIES[:3]
        return (*kept, *statistics.LABEL_SCORES)

    @property
    def support(self) -> Float[np.ndarray, " C"]:
        """How many utterances have each label."""
        total = self.counts.sum(0)
        return several.support(total) if self.several else total.sum(axis=1)

    @property
    def answered(self) -> Int[np.ndarray, " C"]:
        """How many utterances were answered as each label."""
        if self.several:
            return self.answers.sum(axis=0)
        return np.bincount(self.answers, minlength=len(self.labels))

    def score(self, measure: str) -> np.ndarray:
        """One number, or of a label's score [C]."""
        return self._measure(self.counts.sum(0), measure)

    def drawn(self, measure: str) -> np.ndarray | None:
        """[B] or [B, C]; None where there is nothing to draw from."""
        return self._drawn.get(measure)

    @functools.cached_property
    def _drawn(self) -> dict[str, np.ndarray]:
        if len(self.counts) < 2:
            return {}
        totals = statistics.redrawn(
            self.counts, lambda each: each, Draws(len(self.counts), statistics.DRAWS)
        )
        return {name: self._measure(totals, name).astype(np.float32) for name in self.measures}

    def _measure(self, counts: np.ndarray, measure: str) -> np.ndarray:
        if self.several:
            label = measure in statistics.LABEL_SCORES
            return (several.label_scores if label else several.summary)(counts, measure)
        if measure in statistics.LABEL_SCORES:
            return statistics.label_scores(counts, measure)
        excluded = self.labels.index(self.excluded) if self.excluded else None
        return statistics.summary(counts, measure, excluded)

    def asked_like(self, other: "Answered") -> bool:
        """Whether both answered the same utterances in the same labels."""
        return (
            self.labels == other.labels
            and np.array_equal(self.gold, other.gold)
            and np.array_equal(self.dialogues, other.dialogues)
        )


def estimates(group: list[Answered], measure: str) -> list[Estimate]:
    """Of a summary one, of a label's score one a label."""
    scores = np.stack([np.atleast_1d(each.score(measure)) for each in group])
    drawn = mean_drawn(group, measure)
    columns = [None] * scores.shape[1] if drawn is None else drawn.reshape(len(drawn), -1).T
    return [
        statistics.estimate(list(map(float, column)), draws)
        for column, draws in zip(scores.T, columns, strict=True)
    ]


def mean_drawn(group: Sequence[Answered], measure: str) -> Float[np.ndarray, "B ..."] | None:
    """The measure's mean over seeds in each draw; None where there is nothing to draw from."""
    drawn = drawn_by_seed(group, measure)
    return None if drawn is None else drawn.mean(axis=0, dtype=np.float64)


def drawn_by_seed(group: Sequence[Answered], measure: str) -> Float[np.ndarray, "S B ..."] | None:
    """The measure of each seed in each draw; None where there is nothing to draw from."""
    drawn = [found for each in group if (found := each.drawn(measure)) is not None]
    return np.stack(drawn) if len(drawn) == len(group) else None
