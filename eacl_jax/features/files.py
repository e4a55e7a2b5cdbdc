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

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.modality import check_rows
from eacl_jax.features.table import ALL, FeatureTable, Rows
from eacl_jax.files.local import here, unreadable
from eacl_jax.files.tensors import load_tensors

_MEDIA = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".avi", ".npy")
_ADVICE = "copy or make it again"
_SUFFIXES = (".csv", ".tsv", ".npz", ".safetensors")
NO_NUMBER = ["", "nan", "NaN", "NA", "N/A", "null", "--undefined--"]


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
            rows, key = splits.setdefault(split, {}), plain_key("/".join(rest))
            if key in rows:
                raise UserError(f"{where}: {path} has {key!r:.60} twice, once as {file.name}.")
            rows[key] = check_rows(_npy(file), str(file))
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
        ".csv": _table_file,
        ".tsv": _table_file,
        ".npz": lambda each: ((), _arrays(each, _npz(each))),
        ".safetensors": lambda each: ((), _arrays(each, load_tensors(each, _ADVICE))),
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise UserError(
            f"{path} is of no known kind; expected one of {', '.join(readers)}, or a folder. An"
            " exchanged .pkl is made one by `eacl features import`."
        )
    return readers[kind](path)


def _table_file(path: Path) -> tuple[tuple[str, ...], Rows]:
    # pyarrow takes its time, and most models read texts alone.
    from eacl_jax.features.csv_tables import read_table

    return read_table(path)


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
