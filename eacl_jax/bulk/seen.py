"""Which ids were there before, in eight bytes each."""

import numpy as np

_RECENT = 2**14


class Seen:
    """A set of strings that only grows, for hundreds of millions of them.

    It holds 64-bit hashes: the newest in a set, the others in sorted arrays of which each is at
    least twice as long as the next, so that there are few to look into. Two different ids are taken
    for one with a probability of n^2 / 2^65 among n: one in 4,000,000 for three million ids, one in
    4,000 for a hundred million. Python's hashes of strings differ from process to process, so
    starting again helps even then.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: list[np.ndarray] = []

    def add(self, text: str) -> bool:
        """Notes the string; whether it was not there before."""
        value = hash(text)
        if value in self._recent or any(_holds(block, value) for block in self._sorted):
            return False
        self._recent.add(value)
        if len(self._recent) == _RECENT:
            self._settle()
        return True

    def _settle(self) -> None:
        block = np.fromiter(self._recent, np.int64, len(self._recent))
        self._recent = set()
        while self._sorted and len(self._sorted[-1]) < 2 * len(block):
            block = np.concatenate([self._sorted.pop(), block])
        block.sort()
        self._sorted.append(block)


def _holds(block: np.ndarray, value: int) -> bool:
    index = int(block.searchsorted(value))
    return index < len(block) and int(block[index]) == value
