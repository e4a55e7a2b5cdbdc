"""Dialogues whose rows go on after another's: one conversation in a log of several, or two of one
id, as in files that were joined?
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eacl_jax.corpora.columns import may_number, turn_of
from eacl_jax.corpora.order import tells_time
from eacl_jax.dialogue import count
from eacl_jax.errors import UserError

logger = logging.getLogger("eacl_jax.corpora")

JOINED = (
    "Where files were joined whose dialogues are numbered anew in each, give each dialogue an id of"
    " its own"
)


class Returns:
    """Dialogues that come back, noted a row at a time.

    Attributes:
      starts: by the dialogue's id, which of its rows (from 0) stand after another dialogue's.
    """

    def __init__(self) -> None:
        self.starts: dict[str, list[int]] = {}
        self._locations: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._last = ""

    def add(self, identity: str, where: str) -> None:
        """Notes the next row, of a dialogue, and where it stands, for messages."""
        before = self._counts.get(identity, 0)
        if before and identity != self._last:
            self.starts.setdefault(identity, []).append(before)
            self._locations.setdefault(identity, where)
        self._counts[identity] = before + 1
        self._last = identity

    def check(
        self,
        name: str,
        cells: Mapping[str, Mapping[str, Sequence[Any]]],
        turns: Collection[str],
        remedy: str,
    ) -> None:
        """Warns of dialogues that come back where times alone tell that their rows are in order.

        Args:
          name: of the table, for messages.
          cells: of each dialogue that comes back, the cells of its rows by column.
          turns: the columns that may number utterances.
          remedy: how such rows are put together, for messages.

        Raises:
          UserError: a dialogue comes back, and no column tells the order of its rows.
        """
        unsure = [
            identity
            for identity, starts in self.starts.items()
            if not any(_goes_on(turn, cells[identity].get(turn, ()), starts) for turn in turns)
        ]
        for identity in unsure:
            columns = cells[identity]
            if not any(tells_time(column, values) for column, values in columns.items()):
                raise UserError(
                    f"{self._locations[identity]}: dialogue {identity!r:.60} comes back after"
                    f" others (as {len(unsure):,} of {len(self._counts):,} dialogues do), and no"
                    f" column numbers its rows. {JOINED}; where they are one conversation,"
                    f" {remedy}, or number them in a column 'turn'."
                )
        if unsure:
            logger.warning(
                "%s: the rows of %s come back after others' (%s the first), and were put together."
                " %s.",
                name,
                count(len(unsure), "dialogue"),
                self._locations[unsure[0]],
                JOINED,
            )


def _goes_on(name: str, cells: Sequence[Any], starts: Sequence[int]) -> bool:
    """Whether a column numbers all rows, and no number before a return is there after it."""
    numbers = [turn_of(cell) for cell in cells]
    known = [number for number in numbers if number is not None]
    if not known or len(known) < len(numbers) or not may_number(name, known):
        return False
    return len(set(known)) == len(known) or all(known[start - 1] < known[start] for start in starts)
