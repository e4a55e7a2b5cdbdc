"""Dialogues that stand newest first, as message services and ticket systems give them, or in no
order, as databases do.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eacl_jax.corpora.columns import plain
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

_TIMES = frozenset(
    "timestamp ts time datetime date created createdat createdtime creationtime sent sentat"  # noqa: SIM905
    " senttime messagetime messagedate starttime start begin".split()
)


def check_oldest_first(utterances: Sequence[Utterance], where: str) -> None:
    """Raises `UserError` where a field of three utterances or more tells a time for each of them,
    and it goes back at least twice, and at half of them or more: answers go by the past, which
    would be the future. Clocks that differ, and utterances that overlap, go back less often.

    Times are numbers or as ISO 8601 writes them; others are not looked at.
    """
    if len(utterances) < 3:
        return
    for name in utterances[0].other:
        if plain(name) not in _TIMES:
            continue
        if found := _disorder([each.other for each in utterances], name):
            raise UserError(
                f"{where} stands {found}, by {name!r}; the order must be that of speaking: sort by"
                " that field, or rename it where it does not tell when an utterance was said."
            )


def _disorder(others: Sequence[Mapping[str, Any]], name: str) -> str:
    """What is wrong with the order of the times, as a message says it; empty: nothing."""
    times: list[float] = []
    for other in others:
        time = _time(other.get(name))
        if time is None:
            return ""
        times.append(time)
    steps = [after - before for before, after in itertools.pairwise(times)]
    back = sum(step < 0 for step in steps)
    if back < 2 or 2 * back < len(steps):
        return ""
    return "in no order" if any(step > 0 for step in steps) else "newest first"


def _time(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
