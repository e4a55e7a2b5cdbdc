"""Whether features are unlike those that a model was trained on: made another way, in other units,
all the same, or filled up with zeros. Answers to such are as sure as others, and say little.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import Utterance, count
from eacl_jax.features.modality import (
    CONSTANT,
    Modality,
    has_known,
    is_filled_up,
    shown_columns,
)

_UTTERANCES = 10  # of fewer, whose voice it is decides
_DEVIATIONS = 3.0
_SAME = 1e-3
_MANY = 0.1


@dataclasses.dataclass(frozen=True)
class Seen:
    """One kind of features in some utterances; plain numbers, which can be kept as JSON.

    Attributes:
      utterances: that have them.
      filled: of these, with zeros at an end (`is_filled_up`).
      sums: of each number, standardized, an utterance's mean over its frames; F of them.
      squares: likewise of their squares.
    """

    utterances: int = 0
    filled: int = 0
    sums: Sequence[float] = ()
    squares: Sequence[float] = ()

    def plus(self, other: "Seen") -> "Seen":
        """In these and other utterances."""
        if not self.utterances or not other.utterances:
            return self if self.utterances else other
        return Seen(
            self.utterances + other.utterances,
            self.filled + other.filled,
            [a + b for a, b in zip(self.sums, other.sums, strict=True)],
            [a + b for a, b in zip(self.squares, other.squares, strict=True)],
        )


def see(utterances: Iterable[Utterance], modalities: Mapping[str, Modality]) -> dict[str, Seen]:
    """What utterances have of what a model reads, by modality.

    Args:
      utterances: with features of the model's widths.
      modalities: that it reads.
    """
    given = list(utterances)
    found = {}
    for name, modality in modalities.items():
        rows = [each.features[name] for each in given if has_known(each.features, name)]
        found[name] = _seen(rows, modality) if rows else Seen()
    return found


def added(seen: Mapping[str, Seen], more: Mapping[str, Seen]) -> dict[str, Seen]:
    """Both, by modality."""
    return {name: seen.get(name, Seen()).plus(each) for name, each in more.items()}


def unlike(seen: Mapping[str, Seen], modalities: Mapping[str, Modality]) -> list[str]:
    """A sentence for each thing to warn of; none where they are few."""
    return [
        sentence
        for name, each in seen.items()
        if each.utterances >= _UTTERANCES
        for sentence in _sentences(name, each, modalities[name])
    ]


def filled_up(name: str, filled: int, of: int, whose: str) -> list[str]:
    """A sentence where the features of many of so many utterances are filled up with zeros."""
    if filled <= _MANY * of:
        return []
    return [
        f"features {name}: of {count(of, whose)}, {filled:,} begin or end with frames of zeros"
        " alone, as arrays do that are filled up to one length; a zero counts as a number like any"
        " other. Cut such frames off, or fill up with NaN, which is left out"
    ]


def _seen(rows: Sequence[Float[np.ndarray, "t F"]], modality: Modality) -> Seen:
    means = np.stack([modality.standardized(each).mean(axis=0, dtype=np.float64) for each in rows])
    filled = sum(map(is_filled_up, rows))
    return Seen(len(rows), filled, means.sum(axis=0).tolist(), (means**2).sum(axis=0).tolist())


def _sentences(name: str, seen: Seen, modality: Modality) -> list[str]:
    number = seen.utterances
    mean = np.array(seen.sums) / number
    spread = np.sqrt(np.maximum(np.array(seen.squares) / number - mean**2, 0))
    varied = np.array(modality.deviation) != CONSTANT
    sentences = []
    if varied.any() and (spread[varied] < _SAME).all():
        sentences.append(
            f"features {name} are the same in all {number:,} utterances: they say nothing"
        )
    elif (far := (np.abs(mean) > _DEVIATIONS) & varied).any():
        columns = modality.columns or [f"number {each + 1}" for each in range(modality.width)]
        which = [columns[each] for each in np.argsort(-np.abs(mean)) if far[each]]
        sentences.append(
            f"features {name} of {number:,} utterances are far from those that the model was"
            f" trained on ({shown_columns(which)}: their means are off by more than"
            f" {_DEVIATIONS:.0f} deviations), as of numbers that were made in another way or units:"
            " answers are as sure as others, and say little"
        )
    return [*sentences, *filled_up(name, seen.filled, number, "utterance")]
