"""Features of utterances by key, and the folder that they are kept in.

    <folder>/features.json        what they are, and the keys of each file's utterances
    <folder>/SPLIT.safetensors    `values` float32 [M, F], frame after frame; `ends` int64 [N]

SPLIT is train, dev or test, or `all` where they are not divided. Frames of an utterance are those
before its end and from the end of the one before it.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.records import read_json
from eacl_jax.files.tensors import load_tensors

FORMAT = "eacl_jax features 1"
DESCRIPTION = "features.json"
ALL = "all"
"""In place of a split, where utterances are not divided into splits."""

Rows = Mapping[str, Float[np.ndarray, "T F"]]
"""Frames by the utterance's key: `DIALOGUE/UTTERANCE`, both as the corpus names them, or one of the
names that `join.names_of` knows."""


@dataclasses.dataclass(frozen=True)
class FeatureTable:
    """Features of one modality.

    Attributes:
      splits: by split, or by `ALL` alone, float32 [T, F] of each utterance: T frames, one where
        there is a vector an utterance. A number that is not known is NaN.
      columns: what the F numbers are; empty where it is not known.
      made_by: what made them from sound, as `prosody 1`; empty where it is not known. A model that
        learns from them knows what to make of sound by it.
    """

    splits: Mapping[str, Rows]
    columns: tuple[str, ...] = ()
    made_by: str = ""

    def __post_init__(self) -> None:
        widths = {rows.shape[-1] for table in self.splits.values() for rows in table.values()}
        if len(widths) > 1:
            raise ValueError(f"utterances have features of different widths: {sorted(widths)}")
        if self.columns and widths - {len(self.columns)}:
            raise ValueError(f"{widths.pop()} numbers, but {len(self.columns)} columns are named")


def write(table: FeatureTable, folder: str | Path, **facts: Any) -> None:
    """Writes the folder, or replaces its files.

    Args:
      table: of one modality.
      folder: appears whole or not at all.
      facts: are kept in `features.json`, for people.

    Raises:
      UserError: it cannot be written.
    """
    description = {
        "format": FORMAT,
        "columns": list(table.columns),
        "made_by": table.made_by,
        "keys": {split: list(rows) for split, rows in table.splits.items()},
        **facts,
    }
    with whole.new_folder(folder) as new:
        for split, rows in table.splits.items():
            values = list(rows.values()) or [np.zeros((0, len(table.columns)), np.float32)]
            tensors: dict[str, np.ndarray] = {
                "values": np.ascontiguousarray(np.concatenate(values), np.float32),
                "ends": np.cumsum([len(each) for each in rows.values()], dtype=np.int64),
            }
            (new / f"{split}.safetensors").write_bytes(save(tensors))
        text = json.dumps(description, ensure_ascii=False)
        # Half of a surrogate pair, as in the name of a file or a damaged id, becomes JSON's \udc80.
        (new / DESCRIPTION).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read(folder: Path) -> FeatureTable:
    """What `write` has written.

    Raises:
      UserError: a file is missing or damaged, or they do not belong together.
    """
    file = folder / DESCRIPTION
    found = read_json(file, "make the features again")
    if found.get("format") != FORMAT:
        raise UserError(f"{file}: 'format' is not {FORMAT!r}: it is no folder of features.")
    keys, columns, made_by = found.get("keys"), found.get("columns"), found.get("made_by")
    if (
        not isinstance(keys, dict)
        or not all(_are_strings(each) for each in (*keys.values(), columns))
        or not isinstance(made_by, str)
    ):
        raise UserError(f"{file} is damaged: expected 'keys' by split, 'columns' and 'made_by'.")
    splits = {split: _rows(folder / f"{split}.safetensors", each) for split, each in keys.items()}
    try:
        return FeatureTable(splits, tuple(columns), made_by)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(f"{folder} is damaged: {error}; make the features again.") from error


def _rows(file: Path, keys: list[str]) -> Rows:
    tensors = load_tensors(file, "copy it or make the features again")
    values, ends = tensors.get("values"), tensors.get("ends")
    if (
        values is None
        or ends is None
        or values.ndim != 2
        or ends.shape != (len(keys),)
        or (np.diff(ends, prepend=0) < 1).any()
        or (len(ends) and ends[-1] != len(values))
        or len(set(keys)) < len(keys)
    ):
        raise UserError(f"{file} does not fit {DESCRIPTION} beside it: make the features again.")
    return dict(zip(keys, np.split(values, ends[:-1]), strict=True)) if keys else {}


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
