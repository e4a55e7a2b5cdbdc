"""JSON of any shape that dialogues have -> dialogues: nested, an utterance an object, parallel lists."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora import annotations, convokit, dailydialog_files, scenes
from eacl_jax.corpora.columns import find_columns, find_part
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import read_label
from eacl_jax.corpora.rows import flat, gather, read_identity, read_spoken
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.inputs import read_transcript

TURNS = ("utterances", "turns", "messages", "dialogue", "dialog", "conversation", "conversations")
"""Fields that hold a dialogue's utterances."""

_WRAPPERS = ("dialogues", "dialogs", "conversations", "data", "rows", "tasks")


@dataclasses.dataclass(frozen=True)
class Record:
    """A JSON value that stands for a dialogue or an utterance.

    Attributes:
      value: decoded.
      line: on which it stands (from 1); 0 in a file that is one JSON value.
      number: how many stand before it, plus one.
    """

    value: Any
    line: int
    number: int

    def where(self, path: Path) -> str:
        """`FILE line 3`, or `FILE item 3`."""
        return f"{path} line {self.line}" if self.line else f"{path} item {self.number}"


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the parts of an utterance are found (`find_columns`)."""

    given: Mapping[str, str] = dataclasses.field(default_factory=dict)
    need: Sequence[str] = ()
    naming: str = "--{part}-column"


def read_shapes(path: Path, records: Sequence[Record], reading: Reading) -> list[Found]:
    """The dialogues in a file of JSON; the first record shows what all of them are.

    Raises:
      UserError: a record is not what the first one is, or lacks something.
    """
    if not records:
        return []
    records = _unwrapped(records)
    first = records[0].value
    values = [record.value for record in records]
    if isinstance(first, Mapping) and isinstance(first.get("episodes"), list):
        return [item for value in values for item in scenes.read_scenes(path, value)]
    if isinstance(first, list):
        return [_dialogue(path, record, {"utterances": record.value}, reading) for record in records]
    objects = [_object(path, record) for record in records]
    places = [record.where(path) for record in records]
    lines = [record.line for record in records]
    if annotations.is_label_studio(first):
        objects = annotations.label_studio(objects, places, reading.given.get("emotion", ""))
    elif annotations.is_label_studio_small(first):
        objects, lines, places = annotations.label_studio_small(objects, lines, places)
    elif annotations.has_spans(first):
        objects = annotations.doccano_spans(objects, places)
    elif dailydialog_files.is_parallel(first):
        return dailydialog_files.read_parallel(path, objects, places, lines)
    elif convokit.is_utterance(first):
        return convokit.read_utterances(path, objects, lines, reading.given, reading.need, reading.naming)
    records = [Record(item, line, number) for number, (item, line) in enumerate(zip(objects, lines, strict=True), 1)]
    if _turns_of(records[0].value) or isinstance(records[0].value.get("transcript"), str):
        return [_dialogue(path, record, record.value, reading) for record in records]
    if not find_part(list(records[0].value), "text", given=reading.given.get("text", "")):
        return [_dialogue(path, records[0], records[0].value, reading)]  # refused there, as a dialogue
    header, cells = flat(objects)
    columns = find_columns(header, str(path), given=reading.given, need=reading.need, naming=reading.naming, kind="field")
    return gather(path, header, columns, zip(lines, cells, strict=True))


def _unwrapped(records: Sequence[Record]) -> Sequence[Record]:
    """The records in an object that does nothing but hold them, as a list or by id."""
    if len(records) > 1 or records[0].line or not isinstance(records[0].value, Mapping):
        return records
    whole = records[0].value
    if _turns_of(whole) or isinstance(whole.get("episodes"), list):
        lists = []
    else:
        lists = [name for name in _WRAPPERS if isinstance(whole.get(name), list)]
    if len(lists) == 1 and "annotations" not in whole:
        return [Record(value, 0, number) for number, value in enumerate(whole[lists[0]], 1)]
    by_id = whole and all(_is_objects(value) for value in whole.values())
    if by_id and not any(name in whole for name in TURNS):
        return [Record({"id": key, "utterances": value}, 0, n) for n, (key, value) in enumerate(whole.items(), 1)]
    return records


def _dialogue(path: Path, record: Record, value: Mapping[str, Any], reading: Reading) -> Found:
    where = record.where(path)
    identity = _identity(value, record, where)
    place = f"{where}: dialogue {identity!r}"
    if isinstance(value.get("transcript"), str):
        utterances = read_transcript(value["transcript"], identity, place).utterances
    else:
        names = _turns_of(value)
        if len(names) != 1:
            what = f"several lists of utterances, {', '.join(map(repr, names))}" if names else "no field 'utterances'"
            raise UserError(
                f"{place} has {what}; it has {sorted(map(str, value))}. Give a dialogue as "
                '{"id": "1", "utterances": [{"speaker": "Ann", "text": "It works!", "emotion": "joy"}]}.'
            )
        if dailydialog_files.is_without_speakers(value[names[0]]):
            utterances = dailydialog_files.without_speakers(value[names[0]], place)
        else:
            utterances = tuple(
                _utterance(item, f"{place} utterance {number}", reading) for number, item in enumerate(value[names[0]])
            )
    lines = (record.line,) * max(1, len(utterances)) if record.line else ()
    return Found(Dialogue(identity, utterances), path, lines)


def _identity(value: Mapping[str, Any], record: Record, where: str) -> str:
    names = [name for name in value if not isinstance(value[name], (list, Mapping))]
    place = [names.index("id")] if "id" in names else find_part(names, "dialogue")
    if len(place) > 1:
        raise UserError(f"{where} has more than one id: {', '.join(repr(names[index]) for index in place)}; keep one.")
    if not place or value[names[place[0]]] is None:
        return str(record.number)
    return read_identity(value[names[place[0]]], f"{where}: the id")


def _utterance(item: Any, place: str, reading: Reading) -> Utterance:
    if isinstance(item, (list, tuple)) and len(item) == 2 and all(isinstance(part, str) for part in item):
        item = {"speaker": item[0], "text": item[1]}
    if not isinstance(item, Mapping):
        raise UserError(
            f'{place} must be an object with "speaker" and "text" (and "emotion"), or [speaker, text], got {item!r:.60}.'
        )
    names = list(item)
    parts: dict[str, Any] = {}
    taken: list[int] = []
    for part in ("speaker", "text", "emotion"):
        found = find_part(names, part, given=reading.given.get(part, ""))
        if len(found) > 1:
            raise UserError(f"{place} has more than one {part}: {', '.join(repr(names[index]) for index in found)}; keep one.")
        if not found and part != "emotion":
            raise UserError(f"{place} has no field {part!r}; it has {sorted(map(str, names))}.")
        if set(found) & set(taken):
            raise UserError(f"{place}: the field {names[found[0]]!r} is named for more than one part; it has {sorted(names)}.")
        taken.extend(found)
        parts[part] = item[names[found[0]]] if found else None
    return Utterance(
        read_identity(parts["speaker"], f"{place} field 'speaker'"),
        read_spoken(parts["text"], f"{place} field 'text'"),
        read_label(parts["emotion"], place),
    )


def _object(path: Path, record: Record) -> Mapping[str, Any]:
    if not isinstance(record.value, Mapping):
        raise UserError(
            f"{record.where(path)}: a dialogue must be a JSON object, or a list of utterances as all others in the file, "
            f"got {type(record.value).__name__}."
        )
    return record.value


def _turns_of(value: Mapping[str, Any]) -> list[str]:
    names = [name for name in value if str(name).casefold() in TURNS and isinstance(value[name], (list, tuple))]
    return ["utterances"] if "utterances" in names else names


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
