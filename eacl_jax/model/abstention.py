"""Where a model is unsure: several labels in place of one (split-conformal prediction sets, arXiv
2107.07511), or no answer (selective classification, arXiv 1705.08500). Of one label an utterance.

Both promise of new utterances what dev showed, as far as these are like dev's: for the mean over
them, not for each label or each dialogue.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.files.records import bounded

COVERAGES = tuple(range(50, 100))
"""Percent of utterances whose label is to be in their set."""
SHOWN_COVERAGES = (80, 90, 95)
SHARES = tuple(range(10, 101, 10))
"""Percent of utterances that are answered: the surest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelSets:
    """How probable a label must be to belong to an utterance's set.

    Attributes:
      examples: annotated utterances that these were fitted to.
      thresholds: probabilities, one for each of `COVERAGES`.
    """

    examples: int = bounded(at_least=1)
    thresholds: tuple[float, ...] = bounded(at_least=0, at_most=1)

    def threshold(self, coverage: int) -> float:
        """The probability from which on labels belong to the set that holds an utterance's label
        in so many percent, one of `COVERAGES`.
        """
        return self.thresholds[COVERAGES.index(coverage)]

    def scores(
        self, probabilities: Float[np.ndarray, "N C"], gold: Int[np.ndarray, " N"]
    ) -> dict[int, dict[str, float]]:
        """`set_scores` by each of `SHOWN_COVERAGES`."""
        return {
            coverage: set_scores(probabilities, gold, self.threshold(coverage))
            for coverage in SHOWN_COVERAGES
        }


def fit_sets(likelihood: Float[np.ndarray, " n"]) -> LabelSets:
    """Thresholds for each of `COVERAGES`: with q the ceil((n + 1) coverage) / n quantile of
    1 - likelihood, 1 - q; 0 where n is too small for any other.

    Args:
      likelihood: the probability that each of n annotated utterances' own label got, which the
        model has not learnt from; at least one.

    Example:
      >>> fit_sets(np.array([0.9, 0.1, 0.5])).threshold(75)  # the third largest of three
      0.1
    """
    largest_first = np.sort(likelihood)[::-1]
    count = len(largest_first)

    def threshold(percent: int) -> float:
        # In whole numbers: 0.9 x 10 is more than 9 by rounding.
        rank = math.ceil((count + 1) * percent / 100 - 1e-9)
        return float(np.clip(largest_first[rank - 1], 0, 1)) if rank <= count else 0.0

    return LabelSets(examples=count, thresholds=tuple(map(threshold, COVERAGES)))


def set_scores(
    probabilities: Float[np.ndarray, "N C"], gold: Int[np.ndarray, " N"], threshold: float
) -> dict[str, float]:
    """Of the sets of labels with at least that probability, on annotated utterances: `coverage`,
    how many hold the label, in percent; `size`, how many labels a set has in the mean; `single`,
    how many sets are of one label, in percent. N is at least 1.
    """
    sets: Bool[np.ndarray, "N C"] = probabilities >= threshold
    sizes = sets.sum(axis=1)
    return {
        "coverage": 100 * float(sets[np.arange(len(gold)), gold].mean()),
        "size": float(sizes.mean()),
        "single": 100 * float((sizes == 1).mean()),
    }


def confidences(confidence: Float[np.ndarray, " N"]) -> dict[int, float]:
    """By each of `SHARES`, the confidence from which on answers are among that share of the N
    surest; of all of them 0.
    """
    surest_first = np.sort(confidence)[::-1]
    last = {share: math.ceil(share * len(confidence) / 100) - 1 for share in SHARES}
    return {
        share: 0.0 if share == 100 else float(surest_first[number])
        for share, number in last.items()
    }


def surest_right(
    confidence: Float[np.ndarray, " N"], right: Bool[np.ndarray, " N"]
) -> dict[int, float]:
    """By each of `SHARES`, how many of that share of the N surest answers are right, in percent;
    of equally sure ones all count.
    """
    return {
        share: selective_scores(confidence, right, least)["right"]
        for share, least in confidences(confidence).items()
    }


def selective_scores(
    confidence: Float[np.ndarray, " N"], right: Bool[np.ndarray, " N"], least: float
) -> dict[str, Any]:
    """Where answers below a confidence are left out: `answered`, how many are not, and `right`, how
    many of these are right, in percent; None where all are left out.
    """
    given = confidence >= least
    return {
        "answered": 100 * float(given.mean()),
        "right": 100 * float(right[given].mean()) if given.any() else None,
    }
