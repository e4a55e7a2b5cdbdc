"""Features of a corpus' utterances: of files beside it, of its objects, of its tables' columns."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import Dialogue, FeatureKind, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.files import read_features
from eacl_jax.features.given import GivenFeatures, columns_of, feature_columns, read_cells
from eacl_jax.features.join import Counted, has_row, joined, names_of, number_of, rows_of
from eacl_jax.features.modality import Modality, check_modalities, check_name, has_known
from eacl_jax.features.table import FeatureTable

_SOUND = "sound:"

log = logging.getLogger(__name__)

Splits = Mapping[str, Sequence[Found]]


def with_features(
    splits: Splits,
    rows: Sequence[str],
    cache: Path,
    *,
    known: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, list[Found]], dict[str, FeatureKind]]:
    """The dialogues with all their features, and what is known of each modality.

    Args:
      splits: what was found, perhaps with features in it.
      rows: of `config.data.features`: "NAME=PATH", a file or folder that `read_features` reads;
        "NAME=sound:MAKER", made of the sound files that utterances name as `audio`, beside the
        corpus' file; or "NAME", the columns NAME.something of the corpus' tables.
      cache: the cache folder.
      known: columns, without NAME., that a modality had where other splits were there too; what is
        missing of them here is not known here.

    Raises:
      UserError: a row cannot be read, its features are of no utterance, or a modality has not
        equally many numbers everywhere.
    """
    found = {split: list(items) for split, items in splits.items()}
    kinds = {name: FeatureKind() for name in _inside(found)}
    for number, row in enumerate(rows):
        where = f"config.data.features[{number}]"
        name, equals, path = row.partition("=")
        name = check_name(name.strip(), where)
        if name in kinds:
            raise UserError(f"{where}: the features {name!r} are there already; give them once.")
        path = path.strip()
        if equals and path.startswith(_SOUND):
            from eacl_jax.features.sound.extractors import extractor  # takes its time

            makes = extractor(path.removeprefix(_SOUND))
            kinds[name] = FeatureKind(makes.columns, makes.made_by)
            found = _made_of_sound(found, name, makes.made_by, cache, where)
        elif equals:
            table = read_features(path, where)
            kinds[name] = FeatureKind(table.columns, table.made_by)
            claimed: dict[str, str] = {}
            found = {
                split: _put(items, split, name, table, where, claimed)
                for split, items in found.items()
            }
        else:
            columns = [f"{name}.{column}" for column in (known or {}).get(name, ())]
            if not columns or not _there(found, name) <= set(columns):
                columns = _columns(found, name, where)
            kinds[name] = FeatureKind(tuple(c.removeprefix(f"{name}.") for c in columns))
            found = {split: _moved(items, name, columns) for split, items in found.items()}
    _check_widths(found)
    for name in kinds:
        _warn_of_missing(found, name)
    return found, kinds


def with_path(row: str, change: Callable[[str], str]) -> str:
    """A row of `config.data.features` whose path, if it has one, is changed."""
    name, equals, path = row.partition("=")
    path = path.strip()
    if not equals or not path or path.startswith(_SOUND):
        return row
    return f"{name}={change(path)}"


def with_given_features(
    items: Sequence[Found], given: Mapping[str, GivenFeatures], modalities: Mapping[str, Modality]
) -> list[Found]:
    """The dialogues of a user's file with all the features that a model reads: those of its
    objects, of columns NAME.COLUMN, and of other files.

    Raises:
      UserError: a modality is there twice, has not the model's columns, or is of no utterance.
    """
    file = str(items[0].file) if items else ""
    columns = feature_columns(_fields(items), modalities, file)
    if twice := [name for name in given if name in columns]:
        raise UserError(
            f"{file} has columns {twice[0]}.SOMETHING, and there is a file of the same features:"
            " leave out one of them."
        )

    def with_all(item: Found, index: int, utterance: Utterance) -> Utterance:
        where = item.where(index)
        joined_by = {
            name: each.of(
                item.dialogue.id,
                _turn(item, index),
                utterance.other.get("id"),
                numbered=bool(item.turns),
            )
            for name, each in given.items()
        }
        read = {
            name: read_cells({c: utterance.other[c] for c in names}, where)
            # Of this utterance alone, as wherever one is answered.
            for name, names in feature_columns(tuple(utterance.other), modalities, where).items()
        }
        added = {name: rows for name, rows in (joined_by | read).items() if rows is not None}
        if again := added.keys() & utterance.features.keys():
            raise UserError(f"{where}: it has features {min(again)!r} already; give them once.")
        features = {**utterance.features, **added}
        check_modalities(features, modalities, where)
        return dataclasses.replace(utterance, features=features)

    found = _changed(items, with_all)
    for each in given.values():
        each.check_found()
    return found


def in_columns_of(
    items: Sequence[Dialogue],
    kinds: Mapping[str, FeatureKind],
    modalities: Mapping[str, Modality],
    where: str,
) -> list[Dialogue]:
    """The dialogues with their features in the columns that a model knows, taken by name where both
    have names.

    Args:
      items: the dialogues.
      kinds: of their features.
      modalities: that the model reads.
      where: for messages.

    Raises:
      UserError: a column that the model reads is not there.
    """
    columns = {
        name: found
        for name, modality in modalities.items()
        if name in kinds
        and (found := columns_of(kinds[name].columns, modality, f"{where}: features {name}"))
    }
    if not columns:
        return list(items)

    def moved(utterance: Utterance) -> Utterance:
        features = {
            name: rows[:, columns[name]] if name in columns else rows
            for name, rows in utterance.features.items()
        }
        return dataclasses.replace(utterance, features=features)

    return [dataclasses.replace(d, utterances=tuple(map(moved, d.utterances))) for d in items]


def _inside(splits: Splits) -> list[str]:
    """The modalities that utterances have by themselves."""
    each = (u for items in splits.values() for item in items for u in item.dialogue.utterances)
    return sorted({name for utterance in each for name in utterance.features})


def _with(utterance: Utterance, name: str, rows: np.ndarray | None) -> Utterance:
    if rows is None:
        return utterance
    return dataclasses.replace(utterance, features={**utterance.features, name: rows})


def _changed(
    items: Sequence[Found], change: Callable[[Found, int, Utterance], Utterance]
) -> list[Found]:
    """The dialogues with what `change` makes of each utterance, given where it is."""
    return [
        dataclasses.replace(
            item,
            dialogue=dataclasses.replace(
                item.dialogue,
                utterances=tuple(
                    change(item, index, utterance)
                    for index, utterance in enumerate(item.dialogue.utterances)
                ),
            ),
        )
        for item in items
    ]


def _turn(item: Found, index: int) -> int:
    """The number of an utterance in its dialogue, as the file has it, or else from 0."""
    return item.turns[index] if item.turns else index


def _fields(items: Iterable[Found]) -> list[str]:
    """Names of the fields that the user added, in the order of the files."""
    utterances = (utterance for item in items for utterance in item.dialogue.utterances)
    return list(dict.fromkeys(field for utterance in utterances for field in utterance.other))


def _put(
    items: Sequence[Found],
    split: str,
    name: str,
    table: FeatureTable,
    where: str,
    claimed: dict[str, str],
) -> list[Found]:
    """With features of the table. `claimed`: splits by key, where the table is not divided; MELD's
    dialogues are numbered anew in each split, so that one split's file fits all three.
    """
    rows = rows_of(table, split, name)
    ids: dict[str, Any] = {}
    numbered = set[str]()
    asked: dict[str, tuple[str, ...]] = {}
    counted = Counted(rows, f"{where}: split {split}")
    for item in items:
        plain, counts = set[int](), False
        for index, utterance in enumerate(item.dialogue.utterances):
            each, turn = f"{item.dialogue.id}/{index}", _turn(item, index)
            ids[each] = utterance.other.get("id")
            own = None if item.turns else number_of(rows, item.dialogue.id, turn, ids[each])
            asked[each] = names_of(item.dialogue.id, turn if own is None else own)
            if item.turns:
                numbered.add(each)
            if own is not None:
                plain.add(own)
            elif not has_row(rows, ids[each]):
                plain.add(turn)
                counts = counts or not item.turns
        counted.add(item.dialogue.id, plain, numbered=not counts)
    counted.check()
    counted.warn()
    of = joined(rows, asked.items(), f"{where}: split {split}", ids=ids, numbered=numbered)
    if split not in table.splits:
        if twice := [key for key in of.values() if key in claimed]:
            raise UserError(
                f"{where}: the features of {twice[0]!r} may be those of an utterance of"
                f" {claimed[twice[0]]} or of {split}: give a folder with a file for each split,"
                " such as train.csv, dev.csv and test.csv."
            )
        claimed.update(dict.fromkeys(of.values(), split))
    if others := len(rows) - len(of):
        log.info("%s: %d features %s are of no utterance", split, others, name)

    def put(item: Found, index: int, utterance: Utterance) -> Utterance:
        key = of.get(f"{item.dialogue.id}/{index}")
        return utterance if key is None else _with(utterance, name, rows[key])

    return _changed(items, put)


def _made_of_sound(
    splits: Splits, name: str, made_by: str, cache: Path, where: str
) -> dict[str, list[Found]]:
    from eacl_jax.features.sound.heard import check_audio, heard  # takes its time

    paths = []
    for item in (item for items in splits.values() for item in items):
        for index, utterance in enumerate(item.dialogue.utterances):
            check_audio(utterance, item.where(index))
            if audio := utterance.audio:
                paths.append(item.file.parent / audio)
    if not paths:
        raise UserError(
            f"{where}: no utterance names its sound; give the file's path as `audio`, in a field or"
            " column of that name."
        )
    rows = heard(paths, made_by, cache)

    def listened(item: Found, index: int, utterance: Utterance) -> Utterance:
        audio = utterance.audio
        return _with(utterance, name, rows.get(item.file.parent / audio) if audio else None)

    return {split: _changed(items, listened) for split, items in splits.items()}


def _there(splits: Splits, name: str) -> set[str]:
    fields = _fields(item for items in splits.values() for item in items)
    return {field for field in fields if field.startswith(f"{name}.")}


def _columns(splits: Splits, name: str, where: str) -> list[str]:
    # Sorted: which of them is first filled in, a file's order of rows decides.
    columns = sorted(_there(splits, name))
    for split, items in splits.items():
        there = _there({split: items}, name)
        if there and (lacks := [column for column in columns if column not in there]):
            log.warning("%s has no column %s: it is not known there", split, ", ".join(lacks))
    if not columns:
        raise UserError(
            f"{where}: the corpus has no columns {name}.SOMETHING; name a file or folder,"
            f" {name}=PATH, or rename the columns."
        )
    return columns


def _moved(items: Sequence[Found], name: str, columns: Sequence[str]) -> list[Found]:
    """With the columns' numbers as features, and no longer as fields that the user added."""

    def moved(item: Found, index: int, utterance: Utterance) -> Utterance:
        cells = {column: utterance.other.get(column) for column in columns}
        other = {key: value for key, value in utterance.other.items() if key not in columns}
        rows = read_cells(cells, item.where(index))
        return _with(dataclasses.replace(utterance, other=other), name, rows)

    return _changed(items, moved)


def _check_widths(splits: Splits) -> None:
    widths: dict[str, tuple[int, str]] = {}
    for items in splits.values():
        for item in items:
            for index, utterance in enumerate(item.dialogue.utterances):
                for name, rows in utterance.features.items():
                    width, first = widths.setdefault(name, (rows.shape[1], item.where(index)))
                    if rows.shape[1] != width:
                        raise UserError(
                            f"{item.where(index)}: its features {name!r} have {rows.shape[1]}"
                            f" numbers, and those of {first} have {width}; a modality has equally"
                            " many everywhere."
                        )


def _warn_of_missing(splits: Splits, name: str) -> None:
    for split, items in splits.items():
        has = [has_known(u.features, name) for item in items for u in item.dialogue.utterances]
        if split == "train" and not any(has):
            raise UserError(
                f"no utterance of train has features {name!r}; there is nothing to learn."
            )
        if missing := len(has) - sum(has):
            log.warning(
                "%s: %d of %d utterances have no features %s", split, missing, len(has), name
            )
