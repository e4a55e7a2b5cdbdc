"""Dialogues that stand newest first, as message services and ticket systems give them."""

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
    and it goes back from one to the next: answers go by the past, which would be the future.

    Times are numbers or as ISO 8601 writes them; others are not looked at.
    """
    if len(utterances) < 3:
        return
    for name in utterances[0].other:
        if plain(name) in _TIMES and _goes_back([each.other for each in utterances], name):
            raise UserError(
                f"{where} stands newest first, by {name!r}; the order must be that of speaking:"
                " turn it round, or sort by that field."
            )


def _goes_back(others: Sequence[Mapping[str, Any]], name: str) -> bool:
    times: list[float] = []
    for other in others:
        time = _time(other.get(name))
        if time is None or (times and time > times[-1]):
            return False
        times.append(time)
    return sum(after < before for before, after in itertools.pairwise(times)) > 1


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
