"""Dialogues that stand newest first, as message services and ticket systems give them, or in no
order, as databases do.
"""

import itertools
import logging
import re
from collections.abc import Sequence
from typing import Any

from eacl_jax.corpora.columns import turn_of
from eacl_jax.corpora.times import readings
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.files.headers import plain

logger = logging.getLogger("eacl_jax.corpora")

_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?")
_TIMES = frozenset(
    "timestamp ts time datetime date created createdat createdtime creationtime sent sentat"  # noqa: SIM905
    " senttime messagetime messagedate starttime start begin".split()
)


def check_oldest_first(utterances: Sequence[Utterance], where: str) -> None:
    """Raises `UserError` where a field of three utterances or more tells a time for each of them,
    and it goes back at least twice, and at half of them or more: answers go by the past, which
    would be the future. Clocks that differ, and utterances that overlap, go back less often.

    What times look like, `corpora.times` tells. Once for each name of a field it is logged that
    its values are no such times, or that it depends on whether days or months stand first how they
    are ordered, so that nothing was looked at. A field that some utterances lack tells nothing.
    """
    if len(utterances) < 3:
        return
    for name in utterances[0].other:
        values = [each.other.get(name) for each in utterances]
        if plain(name) not in _TIMES or any(value in (None, "") for value in values):
            continue
        disorders = {_disorder(times) for times in readings(values)}
        if len(disorders) != 1:
            _tell_unread(name, f"{values[0]!r:.60}", where)
        elif found := disorders.pop():
            raise UserError(
                f"{where} stands {found}, by {name!r}; the order must be that of speaking: sort by"
                " that field, or rename it where it does not tell when an utterance was spoken."
            )


class Decimals:
    """Numbers such as 1.1 and 1.2 in columns that number utterances, as of the parts of a turn, of
    one dialogue. Rows are not sorted by them, as nobody knows whether 1.10 comes after 1.2 or after
    1.9; where they go back either way, the rows are in another order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: of the columns.
        """
        self._names = names
        self._last: list[tuple[str, tuple[float, list[int]]] | None] = [None] * len(names)
        self._any = [False] * len(names)

    def add(self, cells: Sequence[Any], where: str) -> None:
        """Notes the next row.

        Args:
          cells: of those columns.
          where: file and line of the row, for messages.

        Raises:
          UserError: it stands before the row before it.
        """
        for number, (name, cell) in enumerate(zip(self._names, cells, strict=True)):
            text = "" if cell is None or isinstance(cell, bool) else str(cell).strip()
            if not (parts := _DECIMAL.fullmatch(text)):
                continue
            self._any[number] |= turn_of(cell) is None
            now = float(text), [int(part or 0) for part in parts.groups()]
            last, self._last[number] = self._last[number], (text, now)
            if last is None or not self._any[number]:
                continue
            before = last[1]
            if now[0] < before[0] and now[1] < before[1]:
                raise UserError(
                    f"{where}: column {name!r} is {text} after {last[0]}; such numbers order no"
                    " rows, so these must stand in the order of speaking: sort them, or rename the"
                    " column where it numbers something else."
                )


def tells_time(name: str, values: Sequence[Any]) -> bool:
    """Whether a field of this name, with these values, tells when each utterance was spoken."""
    return (
        plain(name) in _TIMES
        and not any(value in (None, "") for value in values)
        and bool(readings(values))
    )


def _disorder(times: Sequence[float]) -> str:
    """What is wrong with the order of the times, as a message says it; empty: nothing."""
    steps = [after - before for before, after in itertools.pairwise(times)]
    back = sum(step < 0 for step in steps)
    if back < 2 or 2 * back < len(steps):
        return ""
    return "in no order" if any(step > 0 for step in steps) else "newest first"


_logged: set[str] = set()


def _tell_unread(name: str, value: str, where: str) -> None:
    """Logs, once for each name in a process, that nothing is known of the order."""
    if plain(name) in _logged:
        return
    _logged.add(plain(name))
    logger.warning(
        "%s: times such as %s in %r are not understood, so it was not checked that each dialogue's"
        " oldest utterance stands first, as it must; write them as 2024-05-12 10:40, or see to it.",
        where,
        value,
        name,
    )
