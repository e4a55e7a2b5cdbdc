"""Rows with one utterance each -> dialogues, from whatever format the rows were."""

import dataclasses
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.columns import (
    PARTS,
    SEVERAL,
    Columns,
    may_number,
    named_apart,
    numbering,
    turn_of,
)
from eacl_jax.corpora.forms import ANSWERED, LABELS, PROBABILITY, check_exact, check_labels
from eacl_jax.corpora.found import Found, Kept
from eacl_jax.corpora.kept import kept_of
from eacl_jax.corpora.label_columns import LabelColumns
from eacl_jax.corpora.order import Decimals, check_oldest_first
from eacl_jax.corpora.repeats import Repeats, check_annotators, check_same_ids, key_of
from eacl_jax.corpora.returns import JOINED, Returns
from eacl_jax.corpora.transcripts import A_ROW_EACH, NOBODY, about_unnamed, check_one_utterance
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import MAY_BE_FEATURES, read_features

logger = logging.getLogger("eacl_jax.corpora")

# Columns NAME.COLUMN. Empty cells of other columns are left out; one of these that is empty
# throughout a file is not one that the file lacks.
_ONE_LABEL = LabelColumns()

Row = tuple[int, Sequence[Any]]
"""The line (from 1; 0 where the format has no lines) on which a row starts, and its cells in the
header's order."""

Order = Callable[[Sequence[Sequence[Any]]], Sequence[int] | None]
"""Indices of a dialogue's rows, given in the file's order, in the order of speaking; None where
that is not known, and the rows are as of any table.
"""


def gather(
    path: Path,
    header: Sequence[str],
    columns: Columns,
    rows: Iterable[Row],
    order: Order | None = None,
    labels: LabelColumns = _ONE_LABEL,
) -> list[Found]:
    """Rows with the same dialogue cell become one dialogue; they need not be neighbours where a
    column numbers them, or an order is given. Where one tells times alone, it is logged how many
    dialogues come back after others.

    Without a column for it each row is a dialogue, with the row's number. A dialogue's rows are in
    the file's order, or in that of a column that numbers them (`Columns.turns`). Other cells are
    carried along (`Utterance.other`). Rows whose speaker is empty are by `NOBODY`; how many there
    are, is logged.

    Args:
      path: the file.
      header: the columns' names, for messages.
      columns: which are read.
      rows: all of them.
      order: another order.
      labels: where labels are, if not in a column of one each.

    Raises:
      UserError: a row names no dialogue, a cell is not what it must be, a dialogue comes back after
        others and nothing tells the order of its rows, they are numbered so that it is not known,
        two are one utterance, or a cell of a column `transcript` holds several.
    """
    by_dialogue: dict[str, list[Row]] = {}
    returns = Returns()
    unnamed = 0
    for number, (line, cells) in enumerate(rows, 1):
        if columns.dialogue is None:
            by_dialogue[str(number)] = [(line, cells)]
        else:
            identity = read_identity(
                cells[columns.dialogue], f"{at_line(path, line)}: the dialogue"
            )
            if not identity:
                raise UserError(
                    f"{at_line(path, line)}: the cell of column {header[columns.dialogue]!r} is"
                    " empty; it must name the row's dialogue."
                )
            by_dialogue.setdefault(identity, []).append((line, cells))
            returns.add(identity, at_line(path, line))
        if columns.speaker is not None:
            where = f"{at_line(path, line)}: the speaker"
            unnamed += not read_identity(cells[columns.speaker], where)
    if unnamed:
        logger.warning("%s: %s.", path, about_unnamed(unnamed))
    orders = {
        identity: order([cells for _, cells in rows]) if order else None
        for identity, rows in by_dialogue.items()
    }
    found = [
        _dialogue(path, identity, rows, header, columns, orders[identity], labels)
        for identity, rows in by_dialogue.items()
    ]
    # Those whose order is known may stand anywhere.
    returns.starts = {
        identity: starts for identity, starts in returns.starts.items() if orders[identity] is None
    }
    if returns.starts:
        assert columns.dialogue is not None
        read = (columns.dialogue, columns.speaker, columns.text)
        others = [number for number in range(len(header)) if number not in read]
        returns.check(
            str(path),
            {
                identity: {
                    header[other]: [cells[other] for _, cells in by_dialogue[identity]]
                    for other in others
                }
                for identity in returns.starts
            },
            [header[turn] for turn in columns.turns],
            f"sort the file by {header[columns.dialogue]!r}, keeping the order of each"
            " dialogue's rows",
        )
    return found


def read_identity(value: Any, where: str) -> str:
    """An id or speaker: blanks around go, a whole number is written out; "" for an empty one.

    Raises:
      UserError: it is of another type, or a number that has lost its last digits.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if (
        isinstance(value, float) and value.is_integer()
    ):  # whole numbers beside empty cells, as pandas writes them
        check_exact(value, where)
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UserError(f"{where} must be a string or a whole number, got {value!r:.60}.")
    check_exact(value, where)
    return value.strip()


def read_spoken(value: Any, where: str) -> str:
    """A text. Raises `UserError` where it is not a string."""
    if not isinstance(value, str):
        raise UserError(f"{where} must be a string, got {value!r:.60}.")
    return value


def at_line(path: Path, line: int) -> str:
    """`FILE line 3`; `FILE` where the format has no lines."""
    return f"{path} line {line}" if line else str(path)


def _dialogue(
    path: Path,
    identity: str,
    rows: list[Row],
    header: Sequence[str],
    columns: Columns,
    order: Sequence[int] | None,
    labels: LabelColumns,
) -> Found:
    turns: tuple[int, ...] = ()
    if order is not None:
        rows = [rows[index] for index in order]
    else:
        rows, turns = _by_turns(path, identity, rows, header, columns)
        check_annotators(
            header,
            [cells for _, cells in rows],
            [_spoken(cells, columns) for _, cells in rows],
            lambda number: at_line(path, rows[number][0]),
        )
    read = {columns.dialogue, columns.speaker, columns.text, columns.emotion}
    read |= set(labels.all)
    # A column that has a part's name but is not read would overwrite it where a dialogue is
    # written.
    others: dict[str, int] = {}
    for number, name in enumerate(header):
        if not labels.asked and name.casefold() in LABELS:
            others[name.casefold()] = number
        elif number not in read and name and name not in (*PARTS, *SEVERAL, *ANSWERED):
            others[named_apart(name, number, header) if name in others else name] = number
    answers = {
        name: number
        for number, name in enumerate(header)
        if number not in read and (name in ANSWERED or PROBABILITY.fullmatch(name))
    }
    utterances, kept = [], []
    for line, cells in rows:
        where = f"{at_line(path, line)}: dialogue {identity!r}"
        found = labels.read(cells, header, columns.emotion, where)
        named = "" if columns.speaker is None else cells[columns.speaker]
        speaker = read_identity(named, f"{where}: the speaker") or NOBODY
        text = read_spoken(cells[columns.text], f"{where}: the text").strip()
        check_one_utterance(text, header[columns.text], where, A_ROW_EACH)
        other = {
            name: cells[column]
            for name, column in others.items()
            if cells[column] not in (None, "") or MAY_BE_FEATURES.match(name)
        }
        # Of objects alone: a table's column of this name is a user's field, and named otherwise, as
        # it would be read as features where the dialogue is written.
        given = other.pop("features", None)
        if given is not None and not isinstance(given, Mapping):
            other[named_apart("features", others["features"], header)], given = given, None
        features = read_features(given, where)
        utterance = Utterance(speaker, text, **found, other=other, features=features)
        utterances.append(check_labels(utterance, where))
        answer = {name: cells[column] for name, column in answers.items()}
        kept.append(kept_of(answer, utterance.emotion) if any(answer.values()) else Kept.NO_ANSWER)
    lines = tuple(line for line, _ in rows)
    check_same_ids(utterances, lambda number: at_line(path, lines[number]), "column")
    if order is None:
        check_oldest_first(utterances, f"{at_line(path, rows[0][0])}: dialogue {identity!r}")
    dialogue = Dialogue(identity, tuple(utterances))
    return Found(dialogue, path, lines if all(lines) else (), turns, tuple(kept))


def _by_turns(
    path: Path, identity: str, rows: list[Row], header: Sequence[str], columns: Columns
) -> tuple[list[Row], tuple[int, ...]]:
    """A dialogue's rows in the order of the columns that number them, and its numbers; as they are
    where none does, or a number stands for several neighbours.
    """
    numbers = {column: [turn_of(cells[column]) for _, cells in rows] for column in columns.turns}
    numbers = {each: found for each, found in numbers.items() if may_number(header[each], found)}
    columns = dataclasses.replace(columns, turns=tuple(numbers))
    for other, found in numbers.items():
        known = [number for number in found if number is not None]
        if len(known) < len(rows) and known != sorted(known):
            line, cells = rows[found.index(None)]
            raise UserError(
                f"{at_line(path, line)}: column {header[other]!r} numbers other rows of dialogue"
                f" {identity!r}, which are not in that order, but has {cells[other]!r:.40} here;"
                " give the row its number."
            )
    if not columns.turns:
        return rows, ()
    column, turns = numbering(numbers)
    if column is None:
        decimals = Decimals([header[column] for column in columns.turns])
        for line, cells in rows:
            decimals.add([cells[column] for column in columns.turns], at_line(path, line))
        keys = [tuple(key_of(cells[c], header[c]) for c in columns.turns) for _, cells in rows]
        seen: dict[tuple[int | str | None, ...], int] = {}
        first = [seen.setdefault(key, len(seen)) for key in keys]
        if len(seen) < len(rows) and any(part is not None for key in keys for part in key):
            _check_repeats(path, rows, header, columns, first)
        return rows, ()
    if turns:
        rows = [rows[index] for index in sorted(range(len(rows)), key=turns.__getitem__)]
    else:
        repeated = [number for number in numbers[column] if number is not None]
        _check_repeats(path, rows, header, columns, repeated)
        _check_neighbours(path, identity, rows, header[column], repeated)
    for other, found in numbers.items():
        if None in found:
            continue
        after = [turn_of(cells[other]) or 0 for _, cells in rows]
        if after != sorted(after):
            wrong = next(n for n, (a, b) in enumerate(itertools.pairwise(after), 1) if b < a)
            raise UserError(
                f"{at_line(path, rows[wrong][0])}: columns {header[column]!r} and {header[other]!r}"
                f" put the rows of dialogue {identity!r} in different orders; leave out or rename"
                " the one that does not number its utterances."
            )
    return rows, tuple(sorted(turns))


def _check_repeats(
    path: Path,
    rows: list[Row],
    header: Sequence[str],
    columns: Columns,
    numbers: Sequence[int],
) -> None:
    """Sees that rows of one number are not one utterance.

    Args:
      path: for messages.
      rows: of a dialogue.
      header: the columns' names.
      columns: which are read.
      numbers: of the rows, in a column that numbers all of them; equal where their ids are.

    Raises:
      UserError: some are.
    """
    spoken = [_spoken(cells, columns) for _, cells in rows]
    texts: dict[int, set[tuple[str, str]]] = {}
    for words, number in zip(spoken, numbers, strict=True):
        texts.setdefault(number, set()).add(words)
    if list(numbers) != sorted(numbers) and any(len(found) > 1 for found in texts.values()):
        return  # refused as rows of two dialogues
    repeats = Repeats([header[turn] for turn in columns.turns])
    for index in sorted(range(len(rows)), key=lambda index: numbers[index]):
        line, cells = rows[index]
        repeats.add([cells[turn] for turn in columns.turns], *spoken[index], at_line(path, line))
    repeats.end()


def _spoken(cells: Sequence[Any], columns: Columns) -> tuple[str, str]:
    """The speaker and the text of a row, as they are compared."""
    speaker = "" if columns.speaker is None else str(cells[columns.speaker] or "").strip()
    return speaker, str(cells[columns.text]).strip()


def _check_neighbours(
    path: Path, identity: str, rows: list[Row], name: str, numbers: Sequence[int]
) -> None:
    """Sees that rows of one number are neighbours, and all in the order of their numbers.

    Args:
      path, identity: of the dialogue, for messages.
      rows: of it.
      name: of the column.
      numbers: of the rows, some the same.

    Raises:
      UserError: they are not.
    """
    if list(numbers) == sorted(numbers):
        return
    second = next(index for index, number in enumerate(numbers) if number in numbers[:index])
    first = numbers.index(numbers[second])
    raise UserError(
        f"{at_line(path, rows[second][0])}: dialogue {identity!r} has a second row with"
        f" {numbers[second]} in column {name!r} (the first: {at_line(path, rows[first][0])})."
        f" {JOINED}; else remove one of the rows."
    )


def flat(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """A header and cells of JSON objects; the fields of `meta` and `metadata` are an object's,
    where it has none of that name.

    Absent fields are None.
    """
    objects = []
    for record in records:
        inner = {
            key: value
            for name in ("meta", "metadata")
            if isinstance(record.get(name), Mapping)
            for key, value in record[name].items()
        }
        objects.append({**inner, **record})
    header = list(dict.fromkeys(key for record in objects for key in record))
    return header, [[record.get(key) for key in header] for record in objects]
