"""Features of the dialogues that a user gives a model: from a file or folder, NAME=PATH, or
from a table's columns NAME.COLUMN.
"""

import dataclasses
import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.files import NO_NUMBER, read_features
from eacl_jax.features.join import SHOWN, Counted, has_row, key_of, names_of, number_of, shown
from eacl_jax.features.modality import Modality, check_rows
from eacl_jax.features.table import FeatureTable, Rows
from eacl_jax.files.headers import composed

log = logging.getLogger(__name__)

ENOUGH = 1000
"""Utterances of which at least one must have features: where none has, the keys do not fit. After
so many rows it is logged, for the first time, that utterances may be missing between others."""

SOME = 50
"""Rows of whole dialogues that say whether the numbers of utterances are off by one."""


class GivenFeatures:
    """Features of one modality, of utterances that come one after the other.

    Attributes:
      name: of the modality.
      resumed: whether utterances before were asked for elsewhere, so that the next may have none.
      part: whether only some dialogues of the input are asked for. What is amiss with all of these
        need not be amiss with all others: it is logged.
    """

    def __init__(self, name: str, rows: Rows, where: str) -> None:
        """Args:
        name: of the modality.
        rows: by key, in the model's columns.
        where: for messages.
        """
        self.name, self.resumed, self.part = name, False, False
        self._rows, self._where = rows, where
        self._claimed: dict[str, str] = {}
        self._asked: list[str] = []
        self._count = 0
        self._counted = Counted(rows, where)
        self._dialogue, self._numbers, self._checked = "", set[int](), False
        self._numbered, self._warned = True, False

    def of(
        self, dialogue: str, utterance: int, identity: Any = None, *, numbered: bool = False
    ) -> Float[np.ndarray, "T F"] | None:
        """The features of an utterance; None where it has none.

        Args:
          dialogue: its id.
          utterance: its number there; see `join.names_of`.
          identity: the utterance's own id, if it has one.
          numbered: whether the dialogue's file has that number; it is counted otherwise.

        Raises:
          UserError: they may be another utterance's, its number and its id name two, or none so far
            has any.
        """
        names = names_of(dialogue, utterance)
        if dialogue != self._dialogue:
            self._end_dialogue()
            self._dialogue = dialogue
        own = None if numbered else number_of(self._rows, dialogue, utterance, identity)
        if own is not None:
            self._numbers.add(own)
        elif not has_row(self._rows, identity):
            self._numbers.add(utterance)
            self._numbered = self._numbered and numbered
        self._count += 1
        asked = names if own is None else names_of(dialogue, own)
        key = key_of(self._rows, asked, identity, self._where, numbered=numbered)
        if key is None:
            if not self._claimed and len(self._asked) < SHOWN:
                self._asked.append(shown(names[0], identity))
            if self._count == ENOUGH and not self._claimed:
                self.check_found()
            return None
        if key in self._claimed:
            raise UserError(
                f"{self._where}: the features of {key!r:.60} may be those of"
                f" {self._claimed[key]!r:.60} or of {names[0]!r:.60}; name them DIALOGUE/UTTERANCE."
            )
        self._claimed[key] = names[0]
        return self._rows[key]

    def check_found(self) -> None:
        """Raises `UserError` where utterances were asked for and none had any, or those of others
        by numbers that are one too high or low. Logs where they may be those of others, as
        `join.Counted.warn` says.
        """
        self._end_dialogue()
        self._check_numbers()
        self._counted.warn()
        if self._count and not self._claimed and not self.resumed:
            there = ", ".join(repr(key) for key in list(self._rows)[:SHOWN])
            self._refuse(
                f"{self._where}: no utterance of the input has features there. Their keys are"
                f" {there}, ..., and the input's first utterances are"
                f" {', '.join(self._asked)}; keys are DIALOGUE/UTTERANCE,"
                " DIALOGUE_UTTERANCE or diaDIALOGUE_uttUTTERANCE, with utterances counted from 0 or"
                " as the input numbers them, or an utterance's own `id`."
            )

    def _check_numbers(self) -> None:
        try:
            self._counted.check()
        except UserError as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        if not self.part:
            raise UserError(why)
        log.warning("of the dialogues of this part alone, others are not looked at: %s", why)

    def _end_dialogue(self) -> None:
        """Counts the dialogue that has ended. Early, as answers are written on the way: after the
        first dialogues that show a mistake; of what may be right, after many.
        """
        self._counted.add(self._dialogue, self._numbers, numbered=self._numbered)
        self._numbers, self._numbered = set(), True
        if not self._checked and self._counted.found >= SOME:
            self._checked = True
            self._check_numbers()
        if self._counted.found >= ENOUGH and not self._warned:
            self._warned = True
            self._counted.warn()

    def fingerprint(self) -> str:
        """Hash of all features and their keys."""
        digest = hashlib.sha256()
        for key, rows in self._rows.items():
            # Keys may come from names of files that are no UTF-8.
            digest.update(f"{key}\0{rows.shape}".encode("utf-8", "surrogatepass"))
            digest.update(np.ascontiguousarray(rows, np.float32).tobytes())
        return digest.hexdigest()


def read_given(
    given: Sequence[str], modalities: Mapping[str, Modality], option: str = "features"
) -> dict[str, GivenFeatures]:
    """The features that options name, by modality.

    Args:
      given: "NAME=PATH" each, a file or folder that `files.read_features` reads. Of a table with
        named columns, the model's are taken by name.
      modalities: that the model reads.
      option: what names them, for messages.

    Raises:
      UserError: one is not of this form, cannot be read, or is not what the model reads.
    """
    found: dict[str, GivenFeatures] = {}
    for item in given:
        name, equals, path = (part.strip() for part in item.partition("="))
        if not equals or not name or not path:
            raise UserError(
                f"{option}: {item!r:.80} is not NAME=PATH, the model's name of these features and"
                " their file or folder."
            )
        if name not in modalities:
            known = ", ".join(modalities) or "none"
            raise UserError(
                f"{option}: the model reads no features {name!r:.60}; it reads {known}."
            )
        if name in found:
            raise UserError(f"{option}: the features {name!r} are there twice; give them once.")
        where = f"{option} {name}"
        table = read_features(path, where)
        made_by = modalities[name].made_by
        if made_by and table.made_by and table.made_by != made_by:
            log.warning(
                "%s: they were made by %s, and those that the model was trained on by %s",
                where,
                table.made_by,
                made_by,
            )
        rows = _fitted(_merged(table), table.columns, modalities[name], where)
        found[name] = GivenFeatures(name, rows, where)
    return found


def _merged(table: FeatureTable) -> Rows:
    """The rows of all splits. Where keys repeat in them, all keys say the split: `test_12/0`."""
    merged: dict[str, np.ndarray] = {}
    for rows in table.splits.values():
        merged.update(rows)
    if len(merged) == sum(map(len, table.splits.values())):
        return merged
    return {
        f"{split}_{key}": value
        for split, rows in table.splits.items()
        for key, value in rows.items()
    }


def _fitted(rows: Rows, columns: tuple[str, ...], modality: Modality, where: str) -> Rows:
    """In the model's columns."""
    if (found := columns_of(columns, modality, where)) is not None:
        return {key: each[:, found] for key, each in rows.items()}
    width = next((each.shape[1] for each in rows.values()), modality.width)
    if width != modality.width:
        raise UserError(
            f"{where}: an utterance has {width} numbers there, and the model reads"
            f" {modality.width}{': ' * bool(modality.columns)}{', '.join(modality.columns)}."
        )
    return rows


def columns_of(columns: tuple[str, ...], modality: Modality, where: str) -> list[int] | None:
    """Where in a table the model's columns stand, from 0; None where one has no names.

    Raises:
      UserError: one is not there.
    """
    if not columns or not modality.columns:
        return None
    there = [composed(name) for name in columns]
    wanted = [composed(name) for name in modality.columns]
    if missing := [name for name in wanted if name not in there]:
        raise UserError(
            f"{where}: there is no column {missing[0]!r}; the model reads"
            f" {', '.join(modality.columns)}, and there are {', '.join(columns)}."
        )
    return [there.index(name) for name in wanted]


def feature_columns(
    header: Sequence[str], modalities: Mapping[str, Modality], where: str
) -> dict[str, tuple[str, ...]]:
    """The columns of a table that are features, by modality, in the model's order.

    Args:
      header: names of all columns; those of features are `NAME.COLUMN`.
      modalities: that the model reads. One without any column is not there.
      where: of the table.

    Raises:
      UserError: a modality has some of its columns, but not all; or the model does not know their
        names.
    """
    found = {}
    for name, modality in modalities.items():
        there = tuple(column for column in header if column.startswith(f"{name}."))
        if not there:
            continue
        if not modality.columns:
            raise UserError(
                f"{where} has columns {', '.join(there)}, and the model does not know which number"
                f" is which: its features {name!r} had no names in training. Give a file of arrays."
            )
        by_name = {composed(column): column for column in there}
        wanted = [composed(f"{name}.{column}") for column in modality.columns]
        if missing := [column for column in wanted if column not in by_name]:
            raise UserError(
                f"{where} has columns {', '.join(there)}, but no {', '.join(missing)}, which the"
                " model reads too; add it, with empty cells where nothing is known, or remove all."
            )
        found[name] = tuple(by_name[column] for column in wanted)
    return found


def read_cells(cells: Mapping[str, Any], where: str) -> Float[np.ndarray, "1 F"] | None:
    """Features from an utterance's cells, by column; None where all are empty.

    Raises:
      UserError: a cell is no number.
    """
    numbers = [read_number(cell, f"{where}: column {name!r}") for name, cell in cells.items()]
    return None if all(map(math.isnan, numbers)) else check_rows(numbers, where)


def with_flat_features(
    utterance: Utterance,
    modalities: Mapping[str, Modality],
    where: str,
    *,
    again: bool = False,
) -> Utterance:
    """An utterance with the features that its fields `NAME.COLUMN` are, whatever fields others
    have: its answer must not depend on what else is asked. Where nothing is known of a column, the
    field is there and empty.

    Args:
      utterance: as it was read.
      modalities: that the model reads.
      where: for messages.
      again: the fields may have been read before, so that features which say the same may be there.

    Raises:
      UserError: as `feature_columns` and `read_cells`, or it has the same features otherwise too.
    """
    if not any("." in field for field in utterance.other):
        return utterance
    features = dict(utterance.features)
    for name, columns in feature_columns(tuple(utterance.other), modalities, where).items():
        rows = read_cells({column: utterance.other[column] for column in columns}, where)
        if name in features and not (again and _says(rows, features[name])):
            raise UserError(
                f"{where} has features {name!r} and fields {columns[0]}, ...: give one of the two."
            )
        if rows is not None:
            features[name] = rows
    return dataclasses.replace(utterance, features=features)


def _says(rows: Float[np.ndarray, "1 F"] | None, there: np.ndarray) -> bool:
    """Whether fields say what features do, or nothing."""
    return rows is None or np.array_equal(there, rows, equal_nan=True)


def all_with_flat_features(
    dialogue: Dialogue,
    modalities: Mapping[str, Modality],
    where: str = "",
    *,
    again: bool = False,
) -> Dialogue:
    """`with_flat_features` of each utterance; `where` the dialogue is, such as file and line."""
    if not modalities:
        return dialogue
    prefix = f"{where}{': ' * bool(where)}dialogue {dialogue.id!r:.60} utterance"
    utterances = tuple(
        with_flat_features(each, modalities, f"{prefix} {number}", again=again)
        for number, each in enumerate(dialogue.utterances)
    )
    return dataclasses.replace(dialogue, utterances=utterances)


def read_number(cell: Any, where: str) -> float:
    """The number in a cell; NaN where it is empty.

    Raises:
      UserError: it is none.
    """
    if cell is None or (isinstance(cell, str) and cell.strip() in NO_NUMBER):
        return math.nan
    try:
        if isinstance(cell, bool):
            raise TypeError
        return float(cell)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{where}: {cell!r:.40} is no number; leave it empty or correct it."
        ) from error
