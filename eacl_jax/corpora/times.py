"""Times of messages, as programs and spreadsheets write them -> seconds."""

import contextlib
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_HALF = re.compile(r"\b(\d{1,2})(:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*([ap])\.?m\b\.?", re.IGNORECASE)
_ZONE = re.compile(r"\s*\b(?:UTC|GMT|Uhr)$|\s+(?=[+-]\d\d:?\d\d$)")
_DATE = re.compile(r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})(?!\d)(?:,?\s+(?=\d))?")

_NAMED_ZONE = re.compile(r"[\s\[(]+([A-Z]{2,5}|[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+)[\])]?$")

_LONGEST = 100
"""Characters of a time, with its zone spelled out; what is longer is none. The patterns of times
take the square of the length of what they look at.
"""

_CLOCK = re.compile(r"(\d{1,3}):(\d\d)(?::(\d\d))?(?:[.,](\d{1,9}))?(?:\s*(?:Uhr|h))?")


def clock_of(value: Any) -> float | None:
    """The seconds of a time without a date, of a day or a recording, as "10:40", "9:40 PM" and
    "00:20:57,256"; None where it is none.
    """
    text = _HALF.sub(_of_24_hours, value.strip()) if isinstance(value, str) else ""
    found = _CLOCK.fullmatch(text) if len(text) < 40 else None
    if not found:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(f"{found[3] or 0}.{found[4] or 0}")


def time_of(value: Any, day_first: bool) -> float | None:
    """The time that a value tells, in seconds; None where it is no time.

    Known are numbers, ISO 8601, dates of numbers (12/05/2024, 12.5.24, 2024/5/12), each perhaps
    with a time, AM or PM and UTC or an offset behind, and what mail and Twitter write (12 May 2024
    10:40, Tue Oct 31 22:10:47 +0000 2017).

    Args:
      value: of a field.
      day_first: whether the day stands before the month where only their order tells them apart.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(text := value.strip()) > _LONGEST:
            return None
        text = _HALF.sub(_of_24_hours, text)
        for read in (
            _since_1970,
            datetime.fromisoformat,
            lambda given: _numeric(given, day_first),
            parsedate_to_datetime,
        ):
            with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
                value = read(text)
                break
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def zone_of(value: Any) -> str:
    """The name of a zone, as "EST" or "Europe/Berlin", but for which a value would be a time: such
    names are those of several zones, or of one in summer and another in winter. Empty where there
    is none.
    """
    text = value.strip() if isinstance(value, str) else ""
    found = _NAMED_ZONE.search(text) if len(text) <= _LONGEST else None
    rest = text[: found.start()] if found else ""
    known = ":" in rest and (time_of(rest, True) is not None or clock_of(rest) is not None)
    return found[1] if found and known else ""


def _since_1970(text: str) -> float:
    """Seconds or thousandths of them, in whose digits Python sees dates: 1712101560123 is 01:23 of
    a day in 1712. Raises `ValueError` where it is anything else, as 20240512, a date.
    """
    if len(text.partition(".")[0]) <= len("20240512") or not text.replace(".", "", 1).isdecimal():
        raise ValueError(text)
    return float(text)


def _of_24_hours(found: re.Match[str]) -> str:
    hour = int(found[1]) % 12 + 12 * (found[3].lower() == "p")
    return f"{hour:02}{found[2]}"


def _numeric(text: str, day_first: bool) -> datetime:
    """A date of numbers, or one as of ISO 8601 with what is not of it. Raises `ValueError` where it
    is none.
    """
    found = _DATE.match(text)
    if not found:
        raise ValueError(text)
    parts = found[1], found[3], found[4]
    if len(parts[0]) == 4:
        year, month, day = map(int, parts)
    elif day_first or found[2] == ".":  # nobody writes months first with dots
        day, month, year = map(int, parts)
    else:
        month, day, year = map(int, parts)
    rest = _ZONE.sub("", text[found.end() :].lstrip("T"))
    hour = "0" if rest[1:2] == ":" else ""
    year += 2000 * (year < 100)
    date = f"{year:04}-{month:02}-{day:02}"
    return datetime.fromisoformat(f"{date}T{hour}{rest}" if rest else date)
