"""Dialogues that stand newest first, as message services and ticket systems give them, or in no
order, as databases do.
"""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from eacl_jax.corpora.columns import is_weak, turn_of, turns_in
from eacl_jax.corpora.times import clock_of, time_of, zone_of
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import MAY_BE_FEATURES
from eacl_jax.files.headers import plain

logger = logging.getLogger("eacl_jax.corpora")

_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?")
_NAMES = """
timestamp timestampms ts time datetime date timeutc utctime dateutc utcdate localtime created
createdat createdon createdtime createddate creationtime creationdate timecreated datecreated
createdutc sent sentat senton senttime sentdate sendtime timesent datesent received receivedat
receivedon messagetime messagedate messagetimestamp msgtime eventtime eventdate eventtimestamp
posted postedat postedon posttime publishedat publishedon writtenat saidat spokenat starttime
starttimes start starts startms startsec startseconds startedat startat begin begintime begins
onset zeit zeitpunkt zeitstempel uhrzeit datum gesendet gesendetam gesendetum erstelltam beginn
heure date heuredenvoi envoyele horodatage horodate fecha hora fechahora fechadeenvio enviado ora
dataora inviato datahora enviadoem tijd tijdstip datumtijd verzonden
"""
_TIMES = frozenset(_NAMES.split())
# Numbers that mostly tell an order, but that may number something else: an order of a shop.
_ORDERS = frozenset("order index idx line position pos row rowid rowno rownumber".split())  # noqa: SIM905
_LOOKED = 1000
"""So many values of a field are compared with each other: what is kept does not grow."""
# Seconds. Less than a minute may be no time at all, but a flag, a code or a score; beyond the other
# they count from 1970, as dates do, which may well come again.
_SPEECH = 60
_DATES = 10**8


def check_oldest_first(utterances: Iterable[Utterance], where: str) -> None:
    """Raises `UserError` as `Times.check` does, of the utterances of a whole dialogue."""
    Times.of(utterances).check(where)


class Times:
    """The times that fields of one dialogue's utterances tell, added one after the other: what is
    kept does not grow with the dialogue.

    What times look like, `corpora.times` tells. A field that some utterances lack tells nothing,
    and where another field numbers the utterances, the order is that of the numbers.
    """

    def __init__(self) -> None:
        self._count = 0
        self._fields: dict[str, _Field] = {}
        self._numbers: dict[str, _Steps] = {}
        self._others: dict[str, _Field] = {}

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> Self:
        """Those of a whole dialogue."""
        times = cls()
        for utterance in utterances:
            times.add(utterance)
        return times

    def add(self, utterance: Utterance) -> None:
        """Notes the next utterance."""
        other = utterance.other
        if not self._count:
            for name in other:
                known = plain(name)
                if known in _TIMES:
                    self._fields[name] = _Field(other[name])
                elif known in _ORDERS or is_weak(name):
                    self._fields[name] = _Field(other[name], turns=is_weak(name), numbers=True)
                elif not MAY_BE_FEATURES.match(name):
                    self._others[name] = _Field(other[name])
        self._count += 1
        for fields in (self._fields, self._others):
            for name in [name for name in fields if other.get(name) in (None, "")]:
                del fields[name]
            for name, field in fields.items():
                field.add(other[name])
        for name in [name for name, field in self._others.items() if not field.falls]:
            del self._others[name]
        # A spreadsheet numbers lines in whatever order they stand.
        names = (
            [name for name in other if not is_weak(name)] if self._fields or self._others else []
        )
        for name in (names[number] for number in turns_in(names)):
            if (number := turn_of(other[name])) is not None:
                self._numbers.setdefault(name, _Steps()).add(number)

    @property
    def _ordered(self) -> bool:
        """Whether numbers of the utterances go on."""
        return any(each.on and not each.back for each in self._numbers.values())

    @property
    def count(self) -> int:
        """How many utterances there are."""
        return self._count

    @property
    def falling(self) -> list[str]:
        """Fields of other names whose whole numbers or times fall from each utterance to the next,
        where nothing tells that the utterances are in order.
        """
        if self._count < 3 or self._ordered or any(each.goes_on for each in self._fields.values()):
            return []
        return list(self._others)

    @property
    def backs(self) -> dict[str, bool]:
        """Whether the times of each field that tells them surely go back at all; where numbers of
        the utterances go on, or another field's times do, the utterances are in order all the same.
        """
        if self._count < 2:
            return {}
        in_order = self._ordered or any(field.goes_on for field in self._fields.values())
        return {
            name: goes_back and not in_order
            for name, field in self._fields.items()
            if (goes_back := field.goes_back) is not None
        }

    def check(self, where: str) -> None:
        """Raises `UserError` where a field of three utterances or more tells a time for each of
        them, and it goes back at least twice, and at half of them or more: answers go by the past,
        which would be the future. Clocks that differ, and utterances that overlap, go back less
        often.

        Once for each name of a field it is logged that its values are no such times, or that it
        depends on whether days or months stand first how they are ordered, so that nothing was
        looked at.
        """
        if self._count < 3 or self._ordered:
            return
        certain = any(field.goes_on for field in self._fields.values())
        for name, field in self._fields.items():
            if field.is_weak and certain:
                continue
            disorders = field.disorders
            if len(disorders) != 1:
                _tell_unread(name, *field.unread, where)
            elif found := disorders.pop():
                raise UserError(
                    f"{where} stands {found}, by {name!r}; the order must be that of speaking: sort"
                    " by that field, or rename it where it does not tell when an utterance was"
                    " spoken."
                )
            elif field.may_be_mixed:
                _tell_mixed(name, where)


class _Steps:
    """From each of several numbers to the next.

    Attributes:
      count, back, on: how many steps there are, and how many of them go back or on.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._begin = 0.0
        self._values: set[float] = set()
        self._looked = 0
        self._mixed = False
        self._largest = 0.0
        self.count = self.back = self.on = 0

    def add(self, number: float) -> None:
        if self._last is None:
            self._begin = number
        else:
            self.count += 1
            self.back += number < self._last
            self.on += number > self._last
            if number < self._last:
                self._mixed |= number > self._begin
                self._begin = number
        self._last = number
        self._largest = max(self._largest, abs(number))
        if self._looked < _LOOKED:
            self._looked += 1
            self._values.add(number)

    @property
    def falls(self) -> bool:
        """Whether each is below the one before."""
        return self.back == self.count

    @property
    def differ(self) -> bool:
        """Whether most are different, as flags and codes are not."""
        return 4 * len(self._values) >= 3 * self._looked

    @property
    def mixed(self) -> bool:
        """Whether some go back to where others have been, as numbers that begin again, with each
        page, do not.
        """
        return self._mixed

    @property
    def disorder(self) -> str:
        """What is wrong with the order of times, as a message says it; empty: nothing."""
        if self.back < 2 or 2 * self.back < self.count:
            return ""
        return "in no order" if self.on else "newest first"

    @property
    def disorder_of_seconds(self) -> str:
        """The same of times that may be plain numbers, as flags, codes and scores are."""
        if self._largest < _SPEECH:
            return "newest first" if self.falls else ""
        return self.disorder if self.may_be_seconds else ""

    @property
    def may_be_seconds(self) -> bool:
        """Whether plain numbers tell times, and are no flags, codes and scores."""
        return self._largest >= _SPEECH and (self.differ or self._largest >= _DATES)

    @property
    def disorder_of_turns(self) -> str:
        """The same of numbers that may begin again: where these are kept as they stand."""
        if self.falls:
            return "newest first"
        return "in no order" if self.differ and (self.mixed or self.disorder) else ""


class _Field:
    """The values of a field that may tell times."""

    def __init__(self, first: Any, *, numbers: bool = False, turns: bool = False) -> None:
        """Args:
        first: of the values, which is not yet added.
        numbers: whether only whole ones count.
        turns: whether these may number the utterances.
        """
        # The last two by which ways to read them were left out: by the first all but one, perhaps.
        self._telling = first, first
        readings = ("number",) if numbers else ("days first", "months first", "clock")
        self._readings = {reading: _Steps() for reading in readings}
        self._numbers = numbers
        self._turns = turns
        self._whole = True

    def add(self, value: Any) -> None:
        """Notes the next value."""
        self._whole &= _is_whole(value)
        before = list(self._readings)
        for reading in before:
            if (time := _READINGS[reading](value)) is None:
                del self._readings[reading]
            else:
                self._readings[reading].add(time)
        if len(self._readings) < len(before):
            self._telling = self._telling[1], value

    @property
    def unread(self) -> tuple[str, str]:
        """Where not all of them can be read in one way, or it depends on the way how they are
        ordered: one that tells it, and why it does, as a message says it.
        """
        if self._readings:
            return f"{self._telling[1]!r:.60}", ", as days or months may stand first"
        before, value = self._telling
        why = ""
        if zone := zone_of(value):
            why = f", as {zone!r} may stand for several zones: write one as +02:00 in its place"
        elif any(read(value) is not None for read in _READINGS.values()):
            why = f" beside {before!r:.60}"
        return f"{value!r:.60}", why

    @property
    def is_weak(self) -> bool:
        """Whether a field that goes on says more of the order: the values are times of day without
        a date, as "10:40", or numbers that may number something else.
        """
        return self._numbers or set(self._readings) == {"clock"}

    @property
    def goes_on(self) -> bool:
        """Whether they are dates or numbers of seconds, and in order."""
        steps = self._readings.values()
        return bool(steps) and not self.is_weak and all(s.on and not s.back for s in steps)

    @property
    def goes_back(self) -> bool | None:
        """Whether they go back at all; None where they are no dates or numbers of seconds, or it
        depends on whether days or months stand first.
        """
        steps = self._readings.values()
        if not steps or self.is_weak or not all(each.may_be_seconds for each in steps):
            return None
        found = {each.back > 0 for each in steps}
        return found.pop() if len(found) == 1 else None

    @property
    def falls(self) -> bool:
        """Whether each is a whole number or a time, and before the one before it."""
        steps = self._readings.values()
        return bool(steps) and all(s.falls for s in steps) and self._whole

    @property
    def disorders(self) -> set[str]:
        """What is wrong with their order, in each way in which all of them can be read."""
        if self._numbers:
            steps = self._readings.get("number")
            if steps is None:
                return {""}
            newest = "newest first" if steps.falls else ""
            return {steps.disorder_of_turns if self._turns else newest}
        if "clock" in self._readings and self._readings["clock"].on:
            return {""}  # of several days, perhaps
        return {
            steps.disorder if reading == "clock" else steps.disorder_of_seconds
            for reading, steps in self._readings.items()
        }

    @property
    def may_be_mixed(self) -> bool:
        """Whether numbers that may number something else, most of them different, are in no order
        by which a dialogue would be refused.
        """
        steps = self._readings.get("number")
        return steps is not None and not self._turns and steps.differ and bool(steps.disorder)


_READINGS: dict[str, Callable[[Any], float | None]] = {
    "number": turn_of,
    "days first": lambda value: time_of(value, True),
    "months first": lambda value: time_of(value, False),
    "clock": clock_of,
}


def _is_whole(value: Any) -> bool:
    """Whether a value is no number with decimals, of which many a field falls."""
    if turn_of(value) is not None:
        return True
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return not isinstance(value, bool)
    return False


class Decimals:
    """Numbers such as 1.1 and 1.2 in columns that number utterances, as of the parts of a turn, of
    one dialogue. Rows are not sorted by them, as nobody knows whether 1.10 comes after 1.2 or after
    1.9; where they go back either way, the rows are in another order. Columns that may number
    something else (`is_weak`) tell nothing.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: of the columns.
        """
        self._names, self._weak = names, [is_weak(name) for name in names]
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
            if self._weak[number]:
                continue
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
        and bool(values)
        and any(
            all(time_of(value, day_first) is not None for value in values)
            for day_first in (True, False)
        )
    )


_logged: set[tuple[str, str]] = set()


def _log_once(message: str, name: str, *arguments: str) -> None:
    """Logs what is known of a field's order, once for each name in a process."""
    if (known := (message, plain(name))) not in _logged:
        _logged.add(known)
        logger.warning(message, *arguments)


def _tell_mixed(name: str, where: str) -> None:
    """Logs that numbers are in no order."""
    _log_once(
        "%s is in no order by %r: where that tells the order of speaking, sort the utterances of"
        " each dialogue by it, as each is answered by those before it.",
        name,
        *(where, name),
    )


def _tell_unread(name: str, value: str, why: str, where: str) -> None:
    """Logs that nothing is known of the order."""
    _log_once(
        "%s: times such as %s in %r are not understood%s, so it was not checked that each"
        " dialogue's oldest utterance stands first, as it must; write them as 2024-05-12 10:40, or"
        " see to it.",
        name,
        *(where, value, name, why),
    )
