"""The mean of several epochs' weights, one more candidate for dev's choice (arXiv 1706.03762, Sec.
6.1, and 2203.05482).

What it is made of is kept in the host's memory and is part of each checkpoint, so that a run that
goes on has the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np


class LastEpochs:
    """The running mean of a stage's last epochs: one copy of the weights, however many they are."""

    def __init__(self, like: Any, size: int, epochs: int) -> None:
        """Args:
        like: a tree like the weights.
        size: how many epochs, k; fewer where the stage has fewer.
        epochs: of the stage, all of them.
        """
        self._first = epochs - size + 1
        self._mean = _empty(like)
        self.epochs: tuple[int, ...] = ()

    def add(self, epoch: int, rank: Sequence[float], weights: Any) -> None:
        """An epoch's weights; `rank` is not asked for."""
        if epoch >= self._first:
            self.epochs = (*self.epochs, epoch)
            self._mean = mean_with(self._mean, weights, len(self.epochs))

    def mean(self) -> Any:
        """The mean of what was added, a tree of float32 arrays."""
        return self._mean

    @property
    def arrays(self) -> Any:
        """What a checkpoint holds of it; always of the same shapes."""
        return self._mean

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that belong to `arrays`."""
        return {"epochs": list(self.epochs)}

    def restore(self, arrays: Any, record: Mapping[str, Any]) -> None:
        """What was saved, in place of what is here."""
        self._mean, self.epochs = arrays, tuple(record["epochs"])


class BestEpochs:
    """The weights of the epochs that rank highest, of equal ones the earliest: a copy each."""

    def __init__(self, like: Any, size: int) -> None:
        """Args:
        like: a tree like the weights.
        size: how many epochs, k; fewer where the stage has fewer.
        """
        self._kept = [_empty(like) for _ in range(size)]
        # By index in `_kept`; None: nothing there yet.
        self._of: list[tuple[int, list[float]] | None] = [None] * size

    def add(self, epoch: int, rank: Sequence[float], weights: Any) -> None:
        """An epoch's weights; `rank` is compared element by element, the higher the better."""
        if None in self._of:
            index = self._of.index(None)
        else:
            taken = [found for found in self._of if found is not None]
            index, (_, lowest) = min(enumerate(taken), key=lambda at: (at[1][1], -at[1][0]))
            if list(rank) <= lowest:
                return
        self._of[index] = (epoch, list(rank))
        self._kept[index] = _copy(weights)

    @property
    def epochs(self) -> tuple[int, ...]:
        """Those that are kept, ascending."""
        return tuple(epoch for epoch, _ in self._ordered())

    def mean(self) -> Any:
        """The mean of what is kept, a tree of float32 arrays."""
        found = _empty(self._kept[0])
        for count, (_, weights) in enumerate(self._ordered(), start=1):
            found = mean_with(found, weights, count)
        return found

    @property
    def arrays(self) -> Any:
        """What a checkpoint holds of it; always of the same shapes."""
        return {str(index): weights for index, weights in enumerate(self._kept)}

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that belong to `arrays`."""
        return {"kept": [None if found is None else list(found) for found in self._of]}

    def restore(self, arrays: Any, record: Mapping[str, Any]) -> None:
        """What was saved, in place of what is here."""
        self._kept = [arrays[str(index)] for index in range(len(self._kept))]
        self._of = [
            None if found is None else (int(found[0]), list(found[1])) for found in record["kept"]
        ]

    def _ordered(self) -> list[tuple[int, Any]]:
        """Epochs and their weights, so that a mean does not depend on where they are kept."""
        pairs = zip(self._of, self._kept, strict=True)
        found = [(of[0], weights) for of, weights in pairs if of is not None]
        return sorted(found, key=lambda pair: pair[0])


Soup = LastEpochs | BestEpochs


def mean_with(mean: Any, more: Any, count: int) -> Any:
    """The mean of `count` trees: of `count - 1`, whose mean is given, and one more. What all of
    them have alike stays so to the bit.

    Example:
      >>> mean_with({"w": np.float32(2)}, {"w": np.float32(5)}, 3)["w"].item()
      3.0
    """
    if count == 1:
        return _copy(more)
    return jax.tree.map(
        lambda m, x: (m + (np.asarray(x) - m) / np.float32(count)).astype(m.dtype), mean, more
    )


def _copy(tree: Any) -> Any:
    """Arrays of the host's own: what a device has is given up in the next step."""
    return jax.tree.map(lambda x: np.array(x, copy=True), tree)


def _empty(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), tree)
