"""JSON of any shape that dialogues have -> dialogues: nested, an utterance an object, parallel
lists.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora import annotations, convokit, dailydialog_files, empathetic, scenes
from eacl_jax.corpora.columns import (
    ABSENT,
    PARTS,
    SEVERAL,
    find_columns,
    find_part,
    is_absent,
    labels_beside,
)
from eacl_jax.corpora.forms import DIALOGUE, LABELS, read_utterance
from eacl_jax.corpora.found import Found, Kept
from eacl_jax.corpora.kept import kept_of
from eacl_jax.corpora.label_columns import (
    LabelColumns,
    LabelForms,
    divided,
    find_labels,
    find_named,
)
from eacl_jax.corpora.labels import read_labels
from eacl_jax.corpora.order import check_oldest_first
from eacl_jax.corpora.repeats import check_same_ids
from eacl_jax.corpora.rows import flat, gather, read_identity
from eacl_jax.corpora.transcripts import read_transcript
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

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
    """How the parts of an utterance are found (`find_columns`).

    Attributes:
      given, need, naming: as of `find_columns`.
      forms: what the user says of several labels.
      fields: that utterances inside of dialogues have.
      labels: those of `fields` that are named as labels' or annotators'.
    """

    given: Mapping[str, str] = dataclasses.field(default_factory=dict)
    need: Sequence[str] = ()
    naming: str = "{part}_column"
    forms: LabelForms = dataclasses.field(default_factory=LabelForms)
    fields: Sequence[str] = ()
    labels: LabelColumns = dataclasses.field(default_factory=LabelColumns)

    def refuse_names(self, path: Path, corpus: str) -> None:
        """Raises `UserError` where a part, columns of labels or what divides them is named in a
        file whose form is a corpus' own.
        """
        forms = self.forms
        named = [self.naming.format(part=part) for part in self.given]
        named += [forms.columns_named] * bool(forms.columns)
        named += [forms.annotators_named] * bool(forms.annotators)
        named += [forms.separator_named] * bool(forms.separator)
        if named:
            raise UserError(
                f"{path} has the form of {corpus}, whose parts are known: leave out {named[0]}; if"
                " it is no such file, give its fields other names."
            )


def read_shapes(path: Path, records: Sequence[Record], reading: Reading) -> list[Found]:
    """The dialogues in a file of JSON; the first record shows what all of them are.

    Raises:
      UserError: a record is not what the first one is, or lacks something.
    """
    if len(records) == 1 and _is_table(records[0].value):
        raise UserError(
            f"{path} is one table by its columns or by its index, as pandas writes it; write"
            ' frame.to_json(FILE, orient="records"), a row an object, or frame.to_csv(FILE).'
        )
    records = _unwrapped(records) if records else records
    if not records:
        return []
    first = records[0].value
    values = [record.value for record in records]
    if isinstance(first, Mapping) and isinstance(first.get("episodes"), list):
        reading.refuse_names(path, "EmoryNLP")
        return [item for value in values for item in scenes.read_scenes(path, value)]
    if isinstance(first, list):
        return _dialogues(path, records, reading)
    objects = [_object(path, record) for record in records]
    locations = [record.where(path) for record in records]
    lines = [record.line for record in records]
    may_be_doccano = False
    if annotations.is_label_studio(first):
        emotion = reading.given.get("emotion", "")
        asked = "emotion" in reading.need
        objects = annotations.label_studio(objects, locations, emotion, asked=asked)
    elif annotations.is_label_studio_small(first):
        objects, lines, locations = annotations.label_studio_small(objects, lines, locations)
    elif any(map(annotations.has_spans, objects)):
        objects = annotations.doccano_spans(objects, locations)
    elif dailydialog_files.is_parallel(first) and dailydialog_files.has_acts(first):
        reading.refuse_names(path, "DailyDialog")
        return dailydialog_files.read_parallel(path, objects, locations, lines)
    elif dailydialog_files.is_parallel(first):
        objects = dailydialog_files.nested(objects, locations)
    elif empathetic.is_empathetic(first):
        reading.refuse_names(path, "EmpatheticDialogues")
        return empathetic.read_empathetic_rows(path, objects, locations, lines)
    elif convokit.is_utterance(first):
        return convokit.read_utterances(
            path, objects, lines, reading.given, reading.need, reading.naming, reading.forms
        )
    else:
        may_be_doccano = True
    records = [
        Record(item, line, number)
        for number, (item, line) in enumerate(zip(objects, lines, strict=True), 1)
    ]
    names = list(records[0].value)
    transcript = isinstance(records[0].value.get("transcript"), str) and not find_part(
        names, "speaker"
    )
    if _turns_of(records[0].value) or transcript:
        if is_absent(reading.given.get("dialogue", "")):
            raise UserError(
                f"{path} holds dialogues, and no rows that stand by themselves: leave out"
                f" {reading.naming.format(part='dialogue')}={ABSENT}."
            )
        return _dialogues(path, records, reading)
    if not find_part(names, "text", given=reading.given.get("text", "")):
        return [
            _dialogue(path, records[0], records[0].value, reading)
        ]  # refused there, as a dialogue
    header, cells = flat(objects)
    rows = list(zip(lines, cells, strict=True))
    labels = find_labels(
        path, header, rows, given=reading.given, need=reading.need, forms=reading.forms
    )
    columns = find_columns(
        header,
        str(path),
        given=reading.given,
        need=reading.need,
        parts=reading.need,
        naming=reading.naming,
        kind="field",
        apart=labels.all,
        labels_named=reading.forms.columns_named,
        about_annotators=reading.forms.about_annotators(header),
    )
    emotion = "" if columns.emotion is None else header[columns.emotion]
    if may_be_doccano and labels.separator is not None and emotion in annotations.DOCCANO:
        annotations.tell_of_empty([row.get(emotion) for row in objects], str(path))
    return gather(path, header, columns, rows, labels=labels)


def _unwrapped(records: Sequence[Record]) -> Sequence[Record]:
    """The records in an object that does nothing but hold them, as a list or by id."""
    whole = records[0].value
    if (
        len(records) > 1
        or not isinstance(whole, Mapping)
        or {"episodes", "annotations", "transcript"} & set(whole)
    ):
        return records
    lists = [
        name
        for name in _WRAPPERS
        if isinstance(whole.get(name), list) and (name not in TURNS or _holds_turns(whole[name]))
    ]
    if set(_turns_of(whole)) - set(lists):  # a dialogue, whatever else it has
        return records
    if len(lists) == 1:
        return [Record(value, 0, number) for number, value in enumerate(whole[lists[0]], 1)]
    if whole and all(_is_objects(value) for value in whole.values()) and not lists:
        return [
            Record({"id": key, "utterances": value}, 0, n)
            for n, (key, value) in enumerate(whole.items(), 1)
        ]
    return records


def _is_table(value: Any) -> bool:
    """Whether it is what pandas makes of a table: `{"text": {"0": "hi", "1": "ho"}}`, its
    default, `{"0": {"text": "hi"}}` or `{"columns": [...], "index": [...], "data": [...]}`.
    """
    if not isinstance(value, Mapping):
        return False
    if {"columns", "index", "data"} <= value.keys():
        return True
    if not value or not all(isinstance(each, Mapping) for each in value.values()):
        return False
    return bool(find_part(list(value), "text")) or all(
        find_part(list(each), "text") for each in value.values()
    )


def _dialogues(path: Path, records: Sequence[Record], reading: Reading) -> list[Found]:
    """Each record as a dialogue; lists of utterances, where the first is one."""
    lists = isinstance(records[0].value, list)
    values = [{"utterances": record.value} if lists else record.value for record in records]
    turns = [value[name] for value in values for name in _turns_of(value)]
    if any(map(dailydialog_files.is_without_speakers, turns)):
        reading.refuse_names(path, "DailyDialog")
    utterances = [item for items in turns for item in items if isinstance(item, Mapping)]
    fields = list(dict.fromkeys(name for item in utterances for name in item))
    rows = [(0, [item.get(name) for name in fields]) for item in utterances]
    labels = find_named(
        path, fields, rows, given=reading.given, need=reading.need, forms=reading.forms
    )
    reading = dataclasses.replace(reading, fields=fields, labels=labels)
    return [
        _dialogue(path, record, value, reading)
        for record, value in zip(records, values, strict=True)
    ]


def _dialogue(path: Path, record: Record, value: Mapping[str, Any], reading: Reading) -> Found:
    where = record.where(path)
    field, identity = _identity(value, record, where, reading)
    where = f"{where}: dialogue {identity!r}"
    if "utterances" in value and isinstance(value.get("transcript"), str):
        raise UserError(f"{where} has both 'utterances' and 'transcript'; give one of them.")
    names = ["transcript"] if isinstance(value.get("transcript"), str) else _turns_of(value)
    if len(names) != 1:
        what = (
            f"several lists of utterances, {', '.join(map(repr, names))}"
            if names
            else "no field 'utterances'"
        )
        raise UserError(
            f"{where} has {what}; it has {sorted(map(str, value))}. Give a dialogue as {DIALOGUE}."
        )
    given = value[names[0]]
    kept: tuple[Kept, ...] = ()
    if names == ["transcript"]:
        utterances = read_transcript(given, identity, where).utterances
    elif dailydialog_files.is_without_speakers(given):
        utterances = dailydialog_files.without_speakers(given, where)
    else:
        utterances = tuple(
            _utterance(item, f"{where} utterance {number}", reading)
            for number, item in enumerate(given)
        )
        check_same_ids(utterances, lambda number: f"{where} utterance {number}")
        check_oldest_first(utterances, where)
        kept = tuple(
            kept_of(item, utterance.emotion) if isinstance(item, Mapping) else Kept.NO_ANSWER
            for item, utterance in zip(given, utterances, strict=True)
        )
    other = {
        key: value[key]
        for key in value
        if key not in (field, names[0], "id", "utterances", "transcript")
    }
    lines = (record.line,) * max(1, len(utterances)) if record.line else ()
    return Found(Dialogue(identity, utterances, other), path, lines, kept=kept)


def _identity(
    value: Mapping[str, Any], record: Record, where: str, reading: Reading
) -> tuple[str, str]:
    """The field that holds the id, and the id: the record's number where there is none."""
    names = [name for name in value if not isinstance(value[name], (list, Mapping))]
    if named := reading.given.get("dialogue", ""):
        if not (places := find_part(names, "dialogue", given=named)):
            raise UserError(
                f"{where} has no field {named!r} with an id, which"
                f" {reading.naming.format(part='dialogue')} names; it has"
                f" {sorted(map(str, value))}."
            )
    else:
        places = [names.index("id")] if "id" in names else find_part(names, "dialogue")
    if len(places) > 1:
        raise UserError(
            f"{where} has more than one id: {', '.join(repr(names[index]) for index in places)};"
            " keep one."
        )
    if not places or value[names[places[0]]] is None:
        return "", str(record.number)
    return names[places[0]], read_identity(value[names[places[0]]], f"{where}: the id")


def _utterance(item: Any, where: str, reading: Reading) -> Utterance:
    """An utterance in any of the forms that `forms` reads, its fields under any usual names."""
    if not isinstance(item, Mapping):
        return read_utterance(item, where)
    labelled = {reading.fields[column] for column in reading.labels.all}
    unasked: dict[str, Any] = {}
    if not reading.labels.asked:
        unasked = {name.casefold(): item[name] for name in item if name.casefold() in LABELS}
        item = {name: item[name] for name in item if name.casefold() not in LABELS}
    parts: dict[str, Any] = {
        name: item[name]
        for name in SEVERAL
        if name not in labelled and isinstance(item.get(name), (list, tuple))
    }
    listed = parts.get("emotions")
    names = [name for name in item if name not in parts and name not in labelled]
    taken: list[str] = []
    for part in PARTS[1:] if reading.labels.asked else PARTS[1:3]:
        found = [
            names[index] for index in find_part(names, part, given=reading.given.get(part, ""))
        ]
        if part == "emotion" and part not in reading.given and found:
            beside = labels_beside(names, names.index(found[0]))
            found += [names[index] for index in beside if item[names[index]] is not None]
        if len(found) > 1:
            raise UserError(
                f"{where} has more than one {part}: {', '.join(map(repr, found))}; keep one."
            )
        if set(found) & set(taken):
            raise UserError(
                f"{where}: the field {found[0]!r} is named for more than one part; it has"
                f" {sorted(names)}."
            )
        taken.extend(found)
        if not found:
            continue
        value, field = item[found[0]], f"field {found[0]!r}"
        if part != "emotion":
            parts[part] = value
            continue
        reading.forms.check_no_object(value, where, field)
        if reading.forms.divides and (
            found[0] != "emotion" or (reading.forms.separator and listed is None)
        ):
            parts.setdefault("emotions", divided(value, reading.forms.separator, where))
        elif reading.forms.divides and isinstance(value, (list, tuple)):
            parts.setdefault("emotions", value)
        else:
            parts[part] = reading.forms.read_label(value, where, field)
    if labelled:
        cells = [item.get(name) for name in reading.fields]
        main = parts.get("emotions") if listed is None else None
        parts |= reading.labels.read_named(
            cells,
            reading.fields,
            where,
            main=None if main is None else read_labels(main, where, "emotions"),
            listed=read_labels(listed, where, "emotions"),
        )
    # A field that has a part's name but is not read would overwrite it where a dialogue is written.
    read = read_utterance(
        {key: item[key] for key in names if key not in (*taken, *PARTS[1:])} | parts, where
    )
    return dataclasses.replace(read, other={**read.other, **unasked}) if unasked else read


def _object(path: Path, record: Record) -> Mapping[str, Any]:
    if not isinstance(record.value, Mapping):
        raise UserError(
            f"{record.where(path)}: a dialogue must be a JSON object, or a list of utterances as"
            f" all others in the file, got {type(record.value).__name__}."
        )
    return record.value


def _turns_of(value: Mapping[str, Any]) -> list[str]:
    names = [
        name
        for name in value
        if str(name).casefold() in TURNS and isinstance(value[name], (list, tuple))
    ]
    return ["utterances"] if "utterances" in names else names


def _holds_turns(values: Sequence[Any]) -> bool:
    return any(
        isinstance(value, list) or (isinstance(value, Mapping) and bool(_turns_of(value)))
        for value in values[:1]
    )


def _is_objects(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )
