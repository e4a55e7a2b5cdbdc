"""Tables of features, an utterance a row: .csv and .tsv files."""

import io
import logging
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.features.files import NO_NUMBER, plain_key
from eacl_jax.features.modality import check_rows, shown_columns
from eacl_jax.features.table import Rows
from eacl_jax.files.dialects import dialect_of
from eacl_jax.files.headers import LABELS, plain
from eacl_jax.files.text import read_text

_KEYS = ("key", "id", "filename", "file", "name", "utterance_key", "video_id")
_DIALOGUES = ("dialogue", "dialogue_id", "dialog_id", "dialogueid", "conversation_id")
_UTTERANCES = ("utterance", "utterance_id", "utteranceid", "utt_id", "turn", "turn_id")
_BEGINNING = 1 << 16  # characters, of lines up to the header
_COUNTS = ("", "unnamed:_0", "index", "level_0", "sr_no.")
"""Columns that programs add to count rows: pandas' index, without a name or with these."""

log = logging.getLogger(__name__)


def read_table(path: Path) -> tuple[tuple[str, ...], Rows]:
    """The names of a table's columns of numbers, and its rows by key.

    Raises:
      UserError: it is no table of features.
      OSError: it cannot be read.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty; its first line must name the columns.")
    beginning = io.StringIO(text, newline="").readlines(_BEGINNING)
    dialect = dialect_of(beginning, "\t" if path.suffix.lower() == ".tsv" else ",")
    data = text.encode()
    parsed = pa.csv.ParseOptions(delimiter=dialect.separator)
    skipped = pa.csv.ReadOptions(skip_rows=dialect.skipped)
    try:
        whole = pa.csv.open_csv(io.BytesIO(data), parse_options=parsed, read_options=skipped)
        header = whole.schema.names
        named = [name for name in header if _plain(name) in (*_KEYS, *_DIALOGUES, *_UTTERANCES)]
        read = pa.csv.read_csv(
            io.BytesIO(data),
            parse_options=parsed,
            read_options=skipped,
            convert_options=pa.csv.ConvertOptions(
                # Else "01" is read as 1.
                column_types=dict.fromkeys(named, pa.string()),
                null_values=NO_NUMBER,
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} cannot be read as a table: {error}.") from error
    read = _without_counts(path, read)
    names = [name.strip() for name in read.column_names]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: column names repeat: {', '.join(names)}.")
    read = read.rename_columns(names)
    keys, used = _keys(path, read)
    columns = tuple(name for name in names if name not in used)
    _check_labels(path, columns)
    if not columns:
        raise UserError(f"{path} has no column of numbers beside {', '.join(used)}.")
    numbers = []
    for name in columns:
        column = read.column(name)
        kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_null
        if not any(kind(column.type) for kind in kinds):
            raise UserError(_no_number(path, name, column))
        known = column.cast(pa.float64(), safe=False)  # which rounds large whole numbers
        numbers.append(np.asarray(known.fill_null(math.nan), np.float64))
    values = np.stack(numbers, axis=1)
    rows: dict[str, np.ndarray] = {}
    for number, (key, row) in enumerate(zip(keys, values, strict=True)):
        if key in rows:
            raise UserError(f"{path} row {number + 1}: {key!r:.60} is there twice.")
        rows[key] = check_rows(row, f"{path} row {number + 1} ({key})")
    log.info("%s: %s an utterance: %s", path, count(len(columns), "number"), shown_columns(columns))
    return columns, rows


def _without_counts(path: Path, read: pa.Table) -> pa.Table:
    """Without columns that only count the rows; whatever else has no name is refused."""
    kept = []
    for index, name in enumerate(read.column_names):
        if _plain(name) in _COUNTS:
            cells = read.column(index).to_pylist()
            counts = any(cells == list(range(first, first + len(cells))) for first in (0, 1))
            # With gaps, where rows were left out or shuffled since.
            different = len(set(cells)) == len(cells) and all(isinstance(c, int) for c in cells)
            if counts or (name.strip() and different):
                log.info(
                    "%s: column %d, %r, counts the rows and is left out", path, index + 1, name
                )
                continue
        if not name.strip():
            raise UserError(
                f"{path}: column {index + 1} has no name; name it in the first line, or remove it."
            )
        kept.append(index)
    return read.select(kept)


def _check_labels(path: Path, columns: tuple[str, ...]) -> None:
    """Raises `UserError` where a column has the name of labels: a model would answer by it."""
    for number, name in enumerate(columns):
        if plain(name) in LABELS:
            others = columns[:number] + columns[number + 1 :]
            raise UserError(
                f"{path}: column {name!r} has the name of a column of labels, and every column"
                " beside the key is read as numbers to answer by. Take it out; or, where it is a"
                f" feature, name it by a prefix, such as 'voice_{name}'. The other columns are"
                f" {shown_columns(others) or 'none'}."
            )


def _no_number(path: Path, name: str, column: pa.ChunkedArray) -> str:
    for number, value in enumerate(column.to_pylist()):
        try:
            float(value or 0)
        except (TypeError, ValueError):
            if isinstance(value, str) and value.count(",") == 1:
                return (
                    f"{path} row {number + 1}: column {name!r} holds {value!r:.40}; write numbers"
                    " with a decimal point."
                )
            return (
                f"{path} row {number + 1}: column {name!r} holds {value!r:.40}, which is no number;"
                " correct it, leave the cell empty, or remove the column."
            )
    if _plain(name) in (*_KEYS, *_DIALOGUES, *_UTTERANCES):
        return f"{path}: column {name!r} names utterances, as another column does; remove one."
    return f"{path}: column {name!r} is of type {column.type}, not of numbers."


def _keys(path: Path, read: pa.Table) -> tuple[list[str], tuple[str, ...]]:
    """The key of each row, and the columns that it is made of."""
    plain = {_plain(name): name for name in read.column_names}
    dialogue, utterance, whole = (
        next((plain[name] for name in known if name in plain), None)
        for known in (_DIALOGUES, _UTTERANCES, _KEYS)
    )
    if dialogue is not None and utterance is not None:
        pairs = zip(_cells(path, read, dialogue), _cells(path, read, utterance), strict=True)
        return [f"{one}/{other}" for one, other in pairs], (dialogue, utterance)
    if whole is not None:
        return [plain_key(cell) for cell in _cells(path, read, whole)], (whole,)
    raise UserError(
        f"{path} has no column that names the utterance: 'dialogue' and 'utterance', or one of"
        f" {', '.join(map(repr, _KEYS))}; its columns are {', '.join(read.column_names)}."
    )


def _plain(column: str) -> str:
    return column.strip().casefold().replace(" ", "_")


def _cells(path: Path, read: pa.Table, name: str) -> list[str]:
    cells = ["" if c is None else str(c).strip() for c in read.column(name).to_pylist()]
    if "" in cells:
        raise UserError(f"{path} row {cells.index('') + 1}: the cell of column {name!r} is empty.")
    return cells
