"""Answers on a split, and what is drawn of them."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.studies import scoring, statistics
from eacl_jax.studies.pairs import PAIRS, PAIRS_F1, Pairs, pairs_among
from eacl_jax.studies.similar import pair_counts, pairs_f1
from eacl_jax.studies.statistics import Draws, Estimate


@dataclasses.dataclass(frozen=True)
class SeedAnswers:
    """Answers of one seed on a split, of a run's stage or of none.

    Attributes:
      corpus, variant: names for the table.
      seed: of the training.
      labels: the C labels.
      gold, dialogues, answers: of the N utterances; gold and answers are label indices, or, where
        an utterance may have several labels, booleans.
      scores: of the labels; None: there is no F1 of similar pairs.
      excluded: the label that micro F1 leaves out; none of the labels: no micro F1.
      chosen_on, chosen_by: the split and the measure that chose the epoch of the run that answered;
        empty where none was chosen.
      asked_pairs: the pairs of similar labels; those of which a label is missing do not count.
    """

    corpus: str
    variant: str
    seed: int
    labels: tuple[str, ...]
    gold: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]
    dialogues: Int[np.ndarray, " N"]
    answers: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]
    scores: Float[np.ndarray, "N C"] | None = None
    excluded: str = ""
    chosen_on: str = ""
    chosen_by: str = ""
    asked_pairs: Pairs = PAIRS

    @property
    def several(self) -> bool:
        """Whether an utterance may have several labels."""
        return self.gold.ndim == 2

    @property
    def left_out(self) -> str:
        """The label that micro F1 leaves out; empty where it leaves out none."""
        return self.excluded if not self.several and self.excluded in self.labels else ""

    @functools.cached_property
    def counts(self) -> Float[np.ndarray, "D K"]:
        """Of each dialogue `scoring.dialogue_counts`."""
        gold, answers = self.gold, self.answers
        if not self.several:
            alone = np.eye(len(self.labels), dtype=bool)
            gold, answers = alone[gold], alone[answers]
        return scoring.dialogue_counts(gold, answers, self.dialogues)

    @functools.cached_property
    def pairs(self) -> Int[np.ndarray, "D P 2 2"] | None:
        """`pair_counts` of the similar pairs that are asked for and have utterances of both labels,
        the same ones whichever dialogues are drawn; None where none are asked for.
        """
        found = pairs_among(self.labels, self.asked_pairs)
        if self.scores is None or not found:
            return None
        indices = [(self.labels.index(one), self.labels.index(other)) for one, other in found]
        counts = pair_counts(indices, self.gold, self.scores, self.dialogues)
        return counts[:, (counts.sum(axis=(0, 3)) > 0).all(axis=1)]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all that can be measured: summaries, then what each label has."""
        lacks: tuple[str, ...] = ()
        if not self.several:
            # Micro F1 of all labels, where each utterance has one, is the accuracy.
            lacks = ("jaccard",) if self.left_out else ("jaccard", "micro_f1")
        kept = (name for name in scoring.SUMMARIES if name not in lacks)
        more = () if self.pairs is None else (PAIRS_F1,)
        return (*kept, *more, *scoring.LABEL_SCORES)

    @property
    def support(self) -> Float[np.ndarray, " C"]:
        """How many utterances have each label."""
        return scoring.margins(self.counts.sum(0))[1]

    @property
    def answered(self) -> Float[np.ndarray, " C"]:
        """How many utterances were answered as each label."""
        return scoring.margins(self.counts.sum(0))[2]

    def score(self, measure: str) -> np.ndarray:
        """One number, or of a label's score [C]; NaN where there is no such score, as it is 0 / 0.

        Raises:
          ValueError: it is none of `measures`.
        """
        if measure not in self.measures:
            raise ValueError(f"no measure {measure!r} of these answers")
        if measure == PAIRS_F1 and self.pairs is not None:
            return pairs_f1(self.pairs.sum(0))
        return self._measure(self.counts.sum(0), measure)

    def drawn(self, measure: str) -> np.ndarray | None:
        """[B] or [B, C]; None where there is nothing to draw from."""
        return self._drawn.get(measure)

    @functools.cached_property
    def _drawn(self) -> dict[str, np.ndarray]:
        if len(self.counts) < statistics.FEWEST_DIALOGUES:
            return {}
        draws = Draws(len(self.counts), statistics.DRAWS)
        totals = statistics.redrawn(self.counts, lambda each: each, draws)
        found = {
            name: self._measure(totals, name).astype(np.float32)
            for name in self.measures
            if name != PAIRS_F1
        }
        if self.pairs is not None:
            found[PAIRS_F1] = statistics.redrawn(self.pairs, pairs_f1, draws).astype(np.float32)
        return found

    def _measure(self, counts: np.ndarray, measure: str) -> np.ndarray:
        if measure in scoring.LABEL_SCORES:
            return scoring.label_scores(*scoring.margins(counts), measure)
        excluded = self.labels.index(self.left_out) if self.left_out else None
        return scoring.summary(counts, measure, excluded)

    def asked_like(self, other: "SeedAnswers") -> bool:
        """Whether both answered the same utterances in the same labels."""
        return (
            self.labels == other.labels
            and np.array_equal(self.gold, other.gold)
            and np.array_equal(self.dialogues, other.dialogues)
        )


def estimates(group: Sequence[SeedAnswers], measure: str) -> list[Estimate]:
    """Of a summary one, of a label's score one a label."""
    scores = np.stack([np.atleast_1d(each.score(measure)) for each in group])
    drawn = mean_drawn(group, measure)
    columns = [None] * scores.shape[1] if drawn is None else drawn.reshape(len(drawn), -1).T
    return [
        statistics.estimate(list(map(float, column)), draws)
        for column, draws in zip(scores.T, columns, strict=True)
    ]


def mean_drawn(group: Sequence[SeedAnswers], measure: str) -> Float[np.ndarray, "B ..."] | None:
    """The measure's mean over seeds in each draw; None where there is nothing to draw from."""
    drawn = drawn_by_seed(group, measure)
    if drawn is None:
        return None
    known = ~np.isnan(np.stack([each.score(measure) for each in group]))
    return statistics.known_mean(drawn, known)


def drawn_by_seed(
    group: Sequence[SeedAnswers], measure: str
) -> Float[np.ndarray, "S B ..."] | None:
    """The measure of each seed in each draw; None where there is nothing to draw from."""
    drawn = [found for each in group if (found := each.drawn(measure)) is not None]
    return np.stack(drawn) if len(drawn) == len(group) else None
