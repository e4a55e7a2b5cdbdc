"""Files of features -> `FeatureTable`, whatever wrote them.

    FOLDER with features.json                  as `eacl features` writes them
    FOLDER with train, dev and test .csv, .tsv, .npz or .safetensors
    FOLDER of .npy files                       an utterance each, named by its key (`A/0.npy`,
                                               `dia1_utt0.npy`), perhaps in folders of splits
    FILE .csv, .tsv, .npz or .safetensors      utterances of all splits

A table has an utterance a row: its key in one column (`key`, `id`, `filename`, ...) or in two
(`dialogue` and `utterance`), numbers in all others. The other files have an array an utterance, by
its key, [F] or [T, F].
"""

import csv
import io
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.modality import check_rows
from eacl_jax.features.table import ALL, FeatureTable, Rows
from eacl_jax.files.local import here, unreadable

_KEYS = ("key", "id", "filename", "file", "name", "utterance_key", "video_id")
_DIALOGUES = ("dialogue", "dialogue_id", "dialog_id", "dialogueid", "conversation_id")
_UTTERANCES = ("utterance", "utterance_id", "utteranceid", "utt_id", "turn", "turn_id")
_MEDIA = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".avi", ".npy")
_SUFFIXES = (".csv", ".tsv", ".npz", ".safetensors")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_COUNTS = ("", "unnamed:_0", "index", "level_0", "sr_no.")
"""Columns that programs add to count rows: pandas' index, without a name or with these."""
NO_NUMBER = ["", "nan", "NaN", "NA", "N/A", "null", "--undefined--"]

log = logging.getLogger(__name__)


def read_features(given: str, where: str = "the features") -> FeatureTable:
    """The features that a path names.

    Args:
      given: a file or folder of this module's kinds, or an address in an object store.
      where: what names it, for messages.

    Raises:
      UserError: it is not there, is of no such kind, or holds what are no features.
    """
    if not given.strip():  # which would be the working folder
        raise UserError(f"{where}: no file or folder is named; expected NAME=PATH.")
    path = here(given, where)
    try:
        if path.is_dir():
            return _folder(path, where)
        if path.is_file():
            columns, rows = _file(path)
            return _table({ALL: rows}, columns, path)
    except OSError as error:
        raise UserError(f"{where}: {unreadable(path, error)}") from error
    raise UserError(f"{where}: {path} is not there; expected a file or folder of features.")


def _folder(path: Path, where: str) -> FeatureTable:
    if (path / table.DESCRIPTION).is_file():
        return table.read(path)
    found = {
        split: [
            file
            for file in sorted(path.iterdir())
            if file.stem == split and file.suffix.lower() in _SUFFIXES and file.is_file()
        ]
        for split in SPLITS
    }
    if any(found.values()):
        if wrong := [split for split, files in found.items() if len(files) != 1]:
            has = ", ".join(file.name for file in found[wrong[0]]) or "none"
            raise UserError(
                f"{where}: {path} must have one file of features for {wrong[0]}, such as"
                f" {wrong[0]}.csv; it has {has}."
            )
        read = {split: _file(files[0]) for split, files in found.items()}
        columns = {split: names for split, (names, _) in read.items()}
        if len(set(columns.values())) > 1:
            named = "; ".join(f"{split}: {', '.join(each)}" for split, each in columns.items())
            raise UserError(f"{where}: the files of {path} have different columns: {named}.")
        return _table({split: rows for split, (_, rows) in read.items()}, columns["train"], path)
    if arrays := sorted(file for file in path.rglob("*") if file.suffix.lower() == ".npy"):
        splits: dict[str, dict[str, np.ndarray]] = {}
        for file in arrays:
            split, *rest = file.relative_to(path).with_suffix("").parts
            if split not in SPLITS or not rest:
                split, rest = ALL, [split, *rest]
            splits.setdefault(split, {})["/".join(rest)] = check_rows(_npy(file), str(file))
        if ALL in splits and len(splits) > 1:
            raise UserError(
                f"{where}: {path} has .npy files inside and outside of folders of splits: put all"
                " into train, dev and test, or none."
            )
        return _table(splits, (), path)
    raise UserError(
        f"{where}: {path} holds no features; expected {table.DESCRIPTION}, train.csv, dev.csv and"
        " test.csv (or .tsv, .npz, .safetensors), or .npy files of an utterance each."
    )


def _table(splits: Mapping[str, Rows], columns: tuple[str, ...], path: Path) -> FeatureTable:
    widths: dict[int, str] = {}
    for rows in splits.values():
        for key, each in rows.items():
            widths.setdefault(each.shape[1], key)
    if not widths:
        raise UserError(f"{path} has no features in it.")
    if len(widths) > 1:
        (first, one), (second, other), *_ = widths.items()
        raise UserError(
            f"{path}: {one!r} has {first} numbers and {other!r} has {second}; all utterances must"
            " have equally many."
        )
    return FeatureTable(splits, columns)


def _file(path: Path) -> tuple[tuple[str, ...], Rows]:
    readers: dict[str, Callable[[Path], tuple[tuple[str, ...], Rows]]] = {
        ".csv": _csv,
        ".tsv": _csv,
        ".npz": lambda each: ((), _arrays(each, _npz(each))),
        ".safetensors": lambda each: ((), _arrays(each, table.tensors_of(each))),
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise UserError(
            f"{path} is of no known kind; expected one of {', '.join(readers)}, or a folder. An"
            " exchanged .pkl is made one by `eacl features import`."
        )
    return readers[kind](path)


def _arrays(path: Path, found: Mapping[str, np.ndarray]) -> Rows:
    rows: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if (key := plain_key(name)) in rows:
            raise UserError(f"{path}: {key!r:.60} is there twice, once as {name!r:.60}.")
        rows[key] = check_rows(value, f"{path}: {name!r:.60}")
    return rows


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except OSError:
        raise
    except Exception as error:  # whatever a damaged archive provokes
        raise UserError(
            f"{path} is damaged or holds what are no plain arrays ({error}); save it by"
            " numpy.savez(FILE, **{key: array})."
        ) from error


def _npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged or no plain array ({error}).") from error


def plain_key(key: str) -> str:
    """A key without the ending of a sound or film, which features are often named after."""
    for ending in _MEDIA:
        if key.lower().endswith(ending):
            return key[: -len(ending)]
    return key


def _csv(path: Path) -> tuple[tuple[str, ...], Rows]:
    data = _utf8(path)
    if not data.strip():
        raise UserError(f"{path} is empty; its first line must name the columns.")
    parsed = pa.csv.ParseOptions(delimiter=_separator(path, data))
    try:
        header = pa.csv.open_csv(io.BytesIO(data), parse_options=parsed).schema.names
        named = [name for name in header if _plain(name) in (*_KEYS, *_DIALOGUES, *_UTTERANCES)]
        read = pa.csv.read_csv(
            io.BytesIO(data),
            parse_options=parsed,
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
    if not columns:
        raise UserError(f"{path} has no column of numbers beside {', '.join(used)}.")
    numbers = []
    for name in columns:
        column = read.column(name)
        kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_null
        if not any(kind(column.type) for kind in kinds):
            raise UserError(_no_number(path, name, column))
        numbers.append(np.asarray(column.cast(pa.float64()).fill_null(math.nan), np.float64))
    values = np.stack(numbers, axis=1)
    rows: dict[str, np.ndarray] = {}
    for number, (key, row) in enumerate(zip(keys, values, strict=True)):
        if key in rows:
            raise UserError(f"{path} row {number + 1}: {key!r:.60} is there twice.")
        rows[key] = check_rows(row, f"{path} row {number + 1} ({key})")
    return columns, rows


def _utf8(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} line {line}: byte {data[error.start]:#04x} is not UTF-8; save the table as"
            " UTF-8 (`iconv -f LATIN1 -t UTF-8 FILE`, where it is Latin-1)."
        ) from error
    return data


def _separator(path: Path, data: bytes) -> str:
    """What stands between the columns: what parts the header into most; else as the file is
    named.
    """
    first = next(line for line in data.decode("utf-8-sig").splitlines() if line.strip())
    named = "\t" if path.suffix.lower() == ".tsv" else ","
    parts = {sign: len(next(csv.reader([first], delimiter=sign))) for sign in _SEPARATORS}
    return max((named, *_SEPARATORS), key=parts.__getitem__)


def _without_counts(path: Path, read: pa.Table) -> pa.Table:
    """Without columns that only count the rows; whatever else has no name is refused."""
    kept = []
    for place, name in enumerate(read.column_names):
        if _plain(name) in _COUNTS:
            cells = read.column(place).to_pylist()
            if any(cells == list(range(first, first + len(cells))) for first in (0, 1)):
                log.info(
                    "%s: column %d, %r, counts the rows and is left out", path, place + 1, name
                )
                continue
        if not name.strip():
            raise UserError(
                f"{path}: column {place + 1} has no name; name it in the first line, or remove it."
            )
        kept.append(place)
    return read.select(kept)


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
    cells = read.column(name).to_pylist()
    if (empty := next((n for n, cell in enumerate(cells) if cell in (None, "")), None)) is not None:
        raise UserError(f"{path} row {empty + 1}: the cell of column {name!r} is empty.")
    return [str(cell).strip() for cell in cells]
