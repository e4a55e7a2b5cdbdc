"""How far a score can be trusted: bootstrap over test dialogues, paired differences of systems, and
Holm's correction. Scores are in percent.

Dialogues are drawn, not utterances: those of one dialogue are not independent, and intervals over
utterances are too narrow. An interval says how the score would change with other test dialogues,
the deviation how it changes with the seed. What differs between two recipes, and not only between
the models that happened to be trained, is what still differs where seeds are drawn too. Few seeds
tell little of how much seeds vary, so how far these lie from their mean is drawn from Student's t.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16; S. Holm,
A simple sequentially rejective multiple test procedure (1979).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from eacl_jax.dialogue import count, counted

# Percent of the draws that an interval holds.
LEVEL = 95
DRAWS = 10_000
# Below this, percentile intervals are known to be too narrow, and from this on they tell something:
# of two equal recipes the models of three seeds were called different in 18 to 50% of studies with
# five to two test dialogues, in 11% with eight and in 4% with twenty.
FEW_DIALOGUES, FEWEST_DIALOGUES = 20, 6
MOST_UNDEFINED = 1
"""Percent of the draws that may have no such score, as none of their utterances is of it: with more
there is no interval. Of a label that is in fewer than five dialogues more draws have none."""

# As many numbers of draws stay in memory, 64 MB, for the next use; of the last four corpora.
_KEPT_NUMBERS = 8_000_000

# Counts that were added up, of each draw -> numbers, of each draw.
Measure = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Draws:
    """Dialogues drawn with replacement, the same ones at every use.

    Attributes:
      dialogues: D, to draw from, and as many are drawn each time.
      times: B.
      seed: of the draws.
    """

    dialogues: int
    times: int = DRAWS
    seed: int = 0

    def __iter__(self) -> Iterator[Float[np.ndarray, "b D"]]:
        """How often each dialogue was drawn, at most 1000 draws at once: what would be gigabytes
        for a corpus of single utterances is some megabytes.
        """
        kept = self.dialogues * self.times <= _KEPT_NUMBERS
        yield from _kept_draws(self) if kept else _drawn(self)


def _drawn(draws: Draws) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(draws.seed)
    even = np.full(draws.dialogues, 1 / max(draws.dialogues, 1))
    for start in range(0, draws.times, 1000):
        size = min(1000, draws.times - start)
        yield rng.multinomial(draws.dialogues, even, size=size).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _kept_draws(draws: Draws) -> tuple[np.ndarray, ...]:
    # To draw takes ten times as long as to use what was drawn.
    return tuple(_drawn(draws))


def redrawn(counts: Float[np.ndarray, "D ..."], measure: Measure, draws: Draws) -> np.ndarray:
    """The measure of each draw of dialogues: [B, ...].

    Args:
      counts: of each dialogue, which add up.
      measure: of counts that were added up.
      draws: of the dialogues.
    """
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    return np.concatenate(
        [measure((times @ flat).reshape(len(times), *counts.shape[1:])) for times in draws]
    )


def interval(values: Float[np.ndarray, "B ..."]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end between which the middle 95% of the draws lie."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail], axis=0)
    return low, high


def two_sided(differences: Float[np.ndarray, " B"]) -> float:
    """P-value of no difference: twice the share of draws on the rarer side of 0, at least
    2 / (B + 1).

    Below 0.05 where the 95% interval of the differences leaves 0 out, so that both say the same.
    """
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values for which 0.05 bounds the chance that any of the comparisons is called different
    where none is; in the order given.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation (n - 1); None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
      mean: over the seeds that have such a score; None where none has, for it is 0 / 0.
      deviation: over these seeds; None for one.
      low, high: 95% interval over dialogues; None for fewer than `FEWEST_DIALOGUES`, and where more
        than `MOST_UNDEFINED` percent of the draws have no such score.
      values: by seed; None where a seed has none.
      undefined: percent of the draws that have no such score; they are left out of the interval.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    values: tuple[float | None, ...] = ()
    undefined: float = 0.0


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of two systems, second minus first.

    Attributes:
      mean: over seeds.
      deviation: of the seeds' differences; None for one seed.
      low, high: 95% interval over dialogues; None for fewer than `FEWEST_DIALOGUES`.
      p: two-sided; None likewise.
      higher: in how many of the seeds the second is higher.
      wide_low, wide_high: 95% interval over dialogues and seeds; None likewise, or for one seed.
      wide_p: two-sided, over dialogues and seeds; None likewise.
      equal: in how many of the seeds both have the same score.
      undefined: as of an `Estimate`; with more than `MOST_UNDEFINED` percent there is neither
        interval nor p-value.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    p: float | None
    higher: int
    wide_low: float | None = None
    wide_high: float | None = None
    wide_p: float | None = None
    equal: int = 0
    undefined: float = 0.0


def estimate(scores: Sequence[float], drawn: np.ndarray | None) -> Estimate:
    """Of the seeds' scores, and of the mean over seeds in each draw, [B]; None where there is
    nothing to draw from. NaN is a score that there is not.
    """
    values = tuple(None if np.isnan(score) else score for score in scores)
    known = [value for value in values if value is not None]
    mean = float(np.mean(known)) if known else None
    found = Estimate(mean, deviation(known), None, None, values)
    if drawn is None:
        return found
    there = ~np.isnan(drawn)
    found = dataclasses.replace(found, undefined=_percent(~there))
    if found.undefined > MOST_UNDEFINED:
        return found
    low, high = map(float, interval(drawn[there]))
    return dataclasses.replace(found, low=low, high=high)


def _percent(flags: Bool[np.ndarray, " B"]) -> float:
    return 100 * float(flags.mean())


def known_mean(
    values: Float[np.ndarray, "S B ..."], known: Bool[np.ndarray, "S ..."]
) -> Float[np.ndarray, "B ..."]:
    """The mean over seeds in each draw, of the same seeds in all: those that have such a score.

    NaN where one of these has none in a draw, and where no seed has one: the mean over whichever
    have it would be another measure from draw to draw.
    """
    known = known[:, None]
    total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
    count = np.broadcast_to(known.sum(axis=0), total.shape)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def difference(
    first: Sequence[float],
    second: Sequence[float],
    drawn_first: Float[np.ndarray, "S B"] | None,
    drawn_second: Float[np.ndarray, "S B"] | None,
) -> Difference:
    """Of the S seeds' scores of two systems, seed by seed, and of each in the same draws; None
    where there is nothing to draw from. Draws in which one is NaN are left out.
    """
    apart = [after - before for before, after in zip(first, second, strict=True)]
    found = Difference(
        float(np.mean(apart)),
        deviation(apart),
        low=None,
        high=None,
        p=None,
        higher=sum(each > 0 for each in apart),
        equal=sum(each == 0 for each in apart),
    )
    if drawn_first is None or drawn_second is None:
        return found
    by_seed = drawn_second.astype(np.float64) - drawn_first
    there = ~np.isnan(by_seed).any(axis=0)
    found = dataclasses.replace(found, undefined=_percent(~there))
    if found.undefined > MOST_UNDEFINED:
        return found
    by_seed = by_seed[:, there]
    drawn = by_seed.mean(axis=0)
    low, high = map(float, interval(drawn))
    found = dataclasses.replace(found, low=low, high=high, p=two_sided(drawn))
    if len(apart) < 2:
        return found
    wide = seeds_drawn(by_seed)
    wide_low, wide_high = map(float, interval(wide))
    return dataclasses.replace(
        found, wide_low=wide_low, wide_high=wide_high, wide_p=two_sided(wide)
    )


def seeds_drawn(values: Float[np.ndarray, "S B"]) -> Float[np.ndarray, " B"]:
    """The mean over seeds with other seeds in each of the B draws of dialogues.

    How far the mean over other S seeds lies from this one is drawn from Student's t distribution
    with S - 1 degrees of freedom, times the seeds' standard error. To draw the S seeds themselves
    would promise too much: the mean of three has ten values, none beyond its seeds.

    Args:
      values: by seed and draw, S >= 2.
    """
    count, times = values.shape
    # As many of each part of the distribution as there should be, in an order of chance.
    parts = (np.random.default_rng(0).permutation(times) + 0.5) / times
    error = values.std(axis=0, ddof=1) / np.sqrt(count)
    return values.mean(axis=0) + stats.t.ppf(parts, count - 1) * error


def limits(seeds: int, dialogues: int) -> list[str]:
    """What numbers of so many seeds and test dialogues cannot say, a sentence each."""
    sentences = []
    if seeds == 1:
        sentences.append(
            "One seed: there is no deviation, and neither interval nor p-value says how much"
            " another seed would change."
        )
    if dialogues < FEWEST_DIALOGUES:
        sentences.append(
            f"{count(dialogues, 'test dialogue').capitalize()}: there is no interval and no"
            " p-value, for that is too little to draw from."
        )
    elif dialogues < FEW_DIALOGUES:
        sentences.append(
            counted(dialogues, "test dialogue is", "test dialogues are")
            + " few: intervals are too narrow and p-values too low."
        )
    return sentences
