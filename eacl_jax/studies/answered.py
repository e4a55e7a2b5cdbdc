"""Answers on a split, and what is drawn of them."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.studies import statistics
from eacl_jax.studies.statistics import Draws, Estimate


@dataclasses.dataclass(frozen=True)
class Answered:
    """Answers of one seed on a split.

    Attributes:
      seed: of the run.
      labels: the C labels.
      excluded: the one that micro F1 leaves out; empty: no micro F1.
      gold, dialogues, answers: of the N utterances.
    """

    seed: int
    labels: tuple[str, ...]
    excluded: str
    gold: Int[np.ndarray, " N"]
    dialogues: Int[np.ndarray, " N"]
    answers: Int[np.ndarray, " N"]

    @functools.cached_property
    def confusions(self) -> Int[np.ndarray, "D C C"]:
        """A dialogue each."""
        return statistics.dialogue_confusions(
            self.gold, self.answers, self.dialogues, len(self.labels)
        )

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all that can be measured: summaries, then what each label has."""
        kept = statistics.SUMMARIES if self.excluded else statistics.SUMMARIES[:3]
        return (*kept, *statistics.LABEL_SCORES)

    def score(self, measure: str) -> np.ndarray:
        """One number, or of a label's score [C]."""
        return self._measure(self.confusions.sum(0), measure)

    def drawn(self, measure: str) -> np.ndarray | None:
        """[B] or [B, C]; None where there is nothing to draw from."""
        return self._drawn.get(measure)

    @functools.cached_property
    def _drawn(self) -> dict[str, np.ndarray]:
        if len(self.confusions) < 2:
            return {}
        totals = statistics.redrawn(
            self.confusions, lambda each: each, Draws(len(self.confusions), statistics.DRAWS)
        )
        return {name: self._measure(totals, name).astype(np.float32) for name in self.measures}

    def _measure(self, confusions: np.ndarray, measure: str) -> np.ndarray:
        if measure in statistics.LABEL_SCORES:
            return statistics.label_scores(confusions, measure)
        excluded = self.labels.index(self.excluded) if self.excluded else None
        return statistics.summary(confusions, measure, excluded)

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
