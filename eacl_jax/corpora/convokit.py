"""ConvoKit's `utterances.jsonl`: an utterance a line, in no certain order.

An utterance is `{"id", "conversation_id", "speaker", "text", "reply_to", "timestamp", "meta"}`;
older files have `root`, `user` and `reply-to`. A label is a field of `meta`. Within a conversation,
replies that form one chain give the order; else the times, where all have one; else the file, which
is then checked like any table.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.columns import find_columns
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.label_columns import LabelForms, find_labels
from eacl_jax.corpora.rows import flat, gather
from eacl_jax.corpora.times import time_of


def is_utterance(record: Mapping[str, Any]) -> bool:
    """Whether an object is one of ConvoKit's utterances."""
    return (
        bool({"reply_to", "reply-to"} & set(record))
        and bool({"conversation_id", "root"} & set(record))
        and "text" in record
    )


def read_utterances(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    lines: Sequence[int],
    given: Mapping[str, str],
    need: Sequence[str],
    naming: str,
    forms: LabelForms,
) -> list[Found]:
    """The conversations of a file. Raises `UserError` where an utterance lacks something."""
    renamed = [
        {
            _RENAMED.get(key, key): value
            for key, value in record.items()
            if key not in ("vectors", "meta")
        }
        | {key: value for key, value in _meta(record).items() if key not in _READ}
        for record in records
    ]
    header, cells = flat(renamed)
    given = {"dialogue": "conversation_id", **given}
    rows = list(zip(lines, cells, strict=True))
    labels = find_labels(path, header, rows, given=given, need=need, forms=forms)
    columns = find_columns(
        header,
        str(path),
        given=given,
        need=need,
        parts=need,
        naming=naming,
        kind="field of meta",
        apart=labels.all,
        labels_named=forms.columns_named,
        about_annotators=forms.about_annotators(header),
    )
    indices: dict[str, int] = {
        name: header.index(name) for name in ("id", "reply_to", "timestamp") if name in header
    }

    def order(rows: Sequence[Sequence[Any]]) -> Sequence[int] | None:
        return _chain(rows, indices) or _by_time(rows, indices) or None

    return gather(path, header, columns, rows, order, labels)


_RENAMED = {"root": "conversation_id", "user": "speaker", "reply-to": "reply_to"}
_READ = frozenset({"id", "conversation_id", "speaker", "text", "reply_to", "timestamp"})


def _meta(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("meta")
    return found if isinstance(found, Mapping) else {}


def _chain(rows: Sequence[Sequence[Any]], indices: Mapping[str, int]) -> list[int]:
    """Indices of the rows in the order of the replies; empty where they form no single chain."""
    if "id" not in indices:
        return []
    named = [(row[indices["id"]], row[indices["reply_to"]]) for row in rows]
    if not all(isinstance(name, Hashable) for names in named for name in names):
        return []
    ids = {own for own, _ in named}
    replies = {to: number for number, (_, to) in enumerate(named) if to in ids}
    starts = [number for number, (_, to) in enumerate(named) if to not in ids]
    if len(ids) != len(rows) or len(starts) != 1:
        return []
    chain = starts
    while (following := replies.get(named[chain[-1]][0])) is not None and len(chain) < len(rows):
        chain.append(following)
    return chain if len(set(chain)) == len(rows) else []


def _by_time(rows: Sequence[Sequence[Any]], indices: Mapping[str, int]) -> list[int]:
    """Indices of the rows in the order of their times; empty where one has none, or one that is
    another where months stand first.
    """
    if "timestamp" not in indices:
        return []
    times = []
    for row in rows:
        value = row[indices["timestamp"]]
        time = time_of(value, day_first=True)
        if time is None or not math.isfinite(time) or time != time_of(value, day_first=False):
            return []
        times.append(time)
    return sorted(range(len(rows)), key=times.__getitem__)
