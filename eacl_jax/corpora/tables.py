"""CSV files with one utterance a row."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import read_text
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

LONGEST_CELL = 2**17
"""Characters. A quote that is never closed would else take in the whole file."""

Row = tuple[int, Mapping[str, str]]
"""The line (from 1) on which a row starts, and its cells by column name."""


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file with a header; quoted cells may hold line ends.

    Args:
      path: a UTF-8 file, with or without byte order mark.
      columns: names that the header must hold; others may stand beside them.

    Raises:
      UserError: the file cannot be read, lacks a column, or a row does not fit the header.
    """
    csv.field_size_limit(LONGEST_CELL)  # of the process, in which somebody may have set another
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path} line {line}: {error}; the row that starts here is not valid CSV.") from error
        if cells is None:
            break
        if not cells:
            continue
        if header is None:
            header = _checked_header(path, cells, columns)
        elif len(cells) != len(header):
            raise UserError(
                f"{path} line {line}: {len(cells)} cells, but the header has {len(header)} columns; "
                "quote cells that hold commas, quotes or line ends."
            )
        else:
            yield line, dict(zip(header, cells, strict=True))
    if header is None:
        raise UserError(f"{path} is empty; its first line must name the columns {', '.join(columns)}.")


def gather(
    path: Path, rows: Iterable[Row], dialogue_column: str, utterance: Callable[[Mapping[str, str]], Utterance]
) -> list[Found]:
    """Rows with the same dialogue cell become one dialogue, in the file's order; they need not be neighbours.

    Args:
      path: the file, for messages.
      rows: what `read_rows` gave.
      dialogue_column: names the dialogue of each row.
      utterance: reads an utterance from a row.

    Raises:
      UserError: a row names no dialogue.
    """
    utterances: dict[str, list[Utterance]] = {}
    lines: dict[str, list[int]] = {}
    for line, row in rows:
        identity = row[dialogue_column].strip()
        if not identity:
            raise UserError(
                f"{path} line {line}: the cell of column {dialogue_column!r} is empty; it must name the row's dialogue."
            )
        utterances.setdefault(identity, []).append(utterance(row))
        lines.setdefault(identity, []).append(line)
    return [Found(Dialogue(key, tuple(said)), path, tuple(lines[key])) for key, said in utterances.items()]


def _checked_header(path: Path, header: list[str], columns: Sequence[str]) -> list[str]:
    if missing := [column for column in columns if column not in header]:
        raise UserError(
            f"{path} has no column {', '.join(map(repr, missing))}; its columns are {', '.join(map(repr, header))}."
        )
    if repeated := sorted({column for column in columns if header.count(column) > 1}):
        raise UserError(f"{path} has more than one column {', '.join(map(repr, repeated))}.")
    return header
