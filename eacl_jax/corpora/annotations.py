"""Exports of annotation tools: Label Studio's JSON and JSON-MIN, doccano's spans.

Label Studio: a task is an utterance (its data name the dialogue and the speaker, a choice is its
label) or a dialogue (its data hold a list of paragraphs with author and text, and each label stands
on one paragraph). Skipped annotations do not count; where one is marked as ground truth, only it
does; the others of a task must agree. Predictions are no annotations. A task of which none counts
is not annotated, nor is a paragraph without a label; a task that is an utterance, and was submitted
without a label, has none of them.

doccano: a span's label is that of the utterance, a line `Name: text` of the item's text, that it
stands in. (doccano's classifications are rows: an item is an utterance, and `dialogue` and
`speaker` were imported beside its text. An empty list there may mean either: `tell_of_empty`.)
"""

import contextlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eacl_jax.corpora.transcripts import read_line
from eacl_jax.dialogue import counted
from eacl_jax.errors import UserError
from eacl_jax.files.headers import composed

logger = logging.getLogger("eacl_jax.corpora")

DOCCANO = ("label", "labels")
"""Fields in which doccano writes lists of labels."""

_BOOKKEEPING = frozenset(
    {"annotator", "annotation_id", "created_at", "updated_at", "lead_time", "completed_by"}
)
_DECIDE = (
    "Decide between them in the tool (keep one annotation a task, or mark it as ground truth) and"
    " export again."
)


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """Whether an object is a task of Label Studio's JSON export."""
    return isinstance(record.get("data"), Mapping) and any(
        isinstance(record.get(name), list) for name in ("annotations", "completions", "predictions")
    )


def is_label_studio_small(record: Mapping[str, Any]) -> bool:
    """Whether an object is of Label Studio's JSON-MIN export."""
    return "annotation_id" in record and bool(
        {"annotator", "lead_time", "created_at"} & set(record)
    )


def has_spans(record: Mapping[str, Any]) -> bool:
    """Whether an object is an item of doccano's with labelled spans of its text."""
    if not isinstance(record.get("text"), str):
        return False
    if isinstance(record.get("entities"), list):
        return True
    labels = _doccano_labels(record)
    return bool(labels) and all(isinstance(label, list) and len(label) == 3 for label in labels)


def label_studio(
    tasks: Sequence[Mapping[str, Any]],
    locations: Sequence[str],
    emotion: str,
    *,
    asked: bool = True,
) -> list[Mapping[str, Any]]:
    """Tasks as objects: dialogues with utterances, or utterances.

    Args:
      tasks: of the export.
      locations: where each stands, for messages.
      emotion: the control that gives the label; empty where there is only one.
      asked: whether labels are; where not, no annotation counts.

    Raises:
      UserError: annotators differ, a label is not on one utterance, or several controls could give
        it.
    """
    for task, where in zip(tasks, locations, strict=True):
        if not is_label_studio(task):
            raise UserError(
                f"{where}: expected a task with 'data' and 'annotations', as all others in the file"
                " are."
            )
    objects: list[Mapping[str, Any]] = []
    control = _control(tasks, locations, emotion) if asked else ""
    for task, where in zip(tasks, locations, strict=True):
        data, results = task["data"], _results(task, where, control) if asked else None
        name = emotion or "emotion"
        paragraphs = _paragraphs(data)
        if paragraphs:
            objects.append(
                _dialogue(
                    {"id": task.get("id"), **_plain(data)},
                    data[paragraphs],
                    _values(results or ()),
                    name,
                    where,
                )
            )
            continue
        # Nobody's, also where the data came with a field of this name.
        labels = None
        if results is not None:
            labels = [label for value in _values(results) for label in _labels(value)]
        objects.append({**data, name: labels})
    return objects


def label_studio_small(
    records: Sequence[Mapping[str, Any]], lines: Sequence[int], locations: Sequence[str]
) -> tuple[list[Mapping[str, Any]], list[int], list[str]]:
    """Objects of JSON-MIN, one a task, with their lines and locations: annotations of a task that
    agree are one.

    Raises:
      UserError: annotators differ, or a label is not on one utterance.
    """
    first: dict[Any, tuple[Mapping[str, Any], str]] = {}
    objects: list[Mapping[str, Any]] = []
    kept_lines, kept_locations = [], []
    for number, (record, line, where) in enumerate(zip(records, lines, locations, strict=True)):
        content = {key: value for key, value in record.items() if key not in _BOOKKEEPING}
        key = record.get("id", f"number {number}")
        if key in first:
            if first[key][0] != content:
                raise UserError(
                    f"{where}: the annotations of task {key!r} differ (the first: {first[key][1]})."
                    f" {_DECIDE}"
                )
            continue
        first[key] = content, where
        paragraphs = _paragraphs(content)
        spans = next((name for name in content if _is_spans(content[name])), "")
        if paragraphs:
            named = _dialogue(
                _plain(content), content[paragraphs], content.get(spans, []), "emotion", where
            )
        else:
            named = {name: _choices(value) for name, value in content.items()}
        objects.append(named)
        kept_lines.append(line)
        kept_locations.append(where)
    return objects, kept_lines, kept_locations


def doccano_spans(
    items: Sequence[Mapping[str, Any]], locations: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Items with labelled spans as dialogues, an utterance a line `Name: text`.

    Raises:
      UserError: a span goes over several lines, or a line has two labels.
    """
    dialogues: list[Mapping[str, Any]] = []
    for item, where in zip(items, locations, strict=True):
        text = item.get("text")
        if not isinstance(text, str):
            raise UserError(
                f"{where}: expected an item with 'text' and spans, as all others in the file are."
            )
        lines = [match for match in re.finditer(r"[^\r\n]+", text) if match[0].strip()]
        labels: dict[int, str] = {}
        for start, end, label in _spans(item, where):
            start += len(text[start:end]) - len(text[start:end].lstrip())
            inside = [
                number
                for number, line in enumerate(lines)
                if start < line.end() and end > line.start()
            ]
            inside = [
                number
                for number in inside
                if text[max(start, lines[number].start()) : min(end, lines[number].end())].strip()
            ]
            if len(inside) != 1:
                raise UserError(
                    f"{where}: the span {text[start:end]!r:.60} labelled {label!r} stands in"
                    f" {len(inside)} lines; a label is one utterance's, and an utterance is a line."
                )
            if labels.setdefault(inside[0], label) != label:
                raise UserError(
                    f"{where}: the line {lines[inside[0]][0]!r:.60} has the labels"
                    f" {labels[inside[0]]!r} and {label!r}; one utterance has one: decide between"
                    " them."
                )
        read = [
            read_line(line[0], f"{where} line {number + 1} of the text")
            for number, line in enumerate(lines)
        ]
        utterances = [
            {"speaker": utterance.speaker, "text": utterance.text, "emotion": labels.get(number)}
            for number, utterance in enumerate(read)
        ]
        dialogues.append({**_plain(item), "utterances": utterances})
    return dialogues


def tell_of_empty(values: Sequence[Any], where: str) -> None:
    """Warns of labels' empty lists, where an utterance may have several, or none.

    Args:
      values: of the field that holds the labels, which doccano writes for its classifications.
      where: the file.
    """
    if empty := sum(isinstance(value, (list, tuple)) and not value for value in values):
        logger.warning(
            "%s: %s an empty list of labels, which says: annotated, with none of the labels."
            " doccano writes the same where nobody annotated; if that is so here, leave the field"
            " out there.",
            where,
            counted(empty, "utterance has", "utterances have"),
        )


def _control(tasks: Sequence[Mapping[str, Any]], locations: Sequence[str], emotion: str) -> str:
    """The control that gives the label: the named one where the tasks have it, else the only one;
    empty where no task is labelled. A task may be labelled by another control alone.
    """
    found: dict[str, str] = {}
    for task, where in zip(tasks, locations, strict=True):
        for results in _labelled(task, where):
            for result in results:
                found.setdefault(str(result.get("from_name")), where)
    if named := [control for control in found if composed(control) == composed(emotion)]:
        return named[0]
    if len(found) > 1:
        raise UserError(
            f"{list(found.values())[1]}: several controls give labels:"
            f" {', '.join(map(repr, sorted(found)))}; name the emotion's with the emotion column's"
            " name."
        )
    return next(iter(found), "")


def _labelled(task: Mapping[str, Any], where: str) -> list[list[Mapping[str, Any]]]:
    """The results with labels of each annotation that counts."""
    items = task.get("annotations") or task.get("completions") or []
    if not _are_objects(items):
        raise UserError(f"{where}: expected annotations that are objects, got {items!r:.60}.")
    done = [item for item in items if not item.get("was_cancelled")]
    done = [item for item in done if item.get("ground_truth")] or done
    labelled = []
    for item in done:
        results = item.get("result") or []
        if not _are_objects(results) or not _are_objects([r.get("value", {}) for r in results]):
            raise UserError(
                f"{where}: expected results that are objects with a 'value', an object too, got"
                f" {results!r:.60}."
            )
        labelled.append([result for result in results if _labels(result.get("value", {}))])
    return labelled


def _are_objects(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, Mapping) for value in values)


def _results(task: Mapping[str, Any], where: str, control: str) -> list[Mapping[str, Any]] | None:
    """What the annotators of a task agree on by this control; None where no annotation counts."""
    given = [
        [result for result in results if str(result.get("from_name")) == control]
        for results in _labelled(task, where)
    ]
    labels = [
        sorted(
            (str(r.get("from_name")), str(sorted(_label_and_span(r["value"]).items())))
            for r in results
        )
        for results in given
    ]
    if any(one != labels[0] for one in labels):
        raise UserError(
            f"{where}: the {len(labels)} annotations of task {task.get('id')!r} differ. {_DECIDE}"
        )
    return given[0] if given else None


def _label_and_span(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "labels": sorted(_labels(value)),
        **{name: str(value[name]) for name in ("start", "end") if name in value},
    }


def _values(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [result["value"] for result in results]


def _labels(value: Mapping[str, Any]) -> list[str]:
    return [
        label
        for name in ("choices", "paragraphlabels", "labels")
        for label in value.get(name) or []
    ]


def _paragraphs(data: Mapping[str, Any]) -> str:
    """The field with a dialogue's paragraphs; empty where there is none."""
    for name, value in data.items():
        if (
            isinstance(value, list)
            and value
            and all(isinstance(item, Mapping) and "start" not in item for item in value)
        ):
            return name
    return ""


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in data.items()
        if not isinstance(value, (list, Mapping)) and name != "text"
    }


def _is_spans(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Mapping) and "start" in item for item in value)
    )


def _choices(value: Any) -> Any:
    """The list of several choices, which JSON-MIN puts into an object and CSV writes as text; any
    other value as it is.
    """
    if isinstance(value, str) and value.startswith('{"choices"'):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return (
        value["choices"]
        if isinstance(value, Mapping) and isinstance(value.get("choices"), list)
        else value
    )


def _dialogue(
    fields: Mapping[str, Any],
    paragraphs: Sequence[Mapping[str, Any]],
    spans: Sequence[Mapping[str, Any]],
    name: str,
    where: str,
) -> dict[str, Any]:
    labels: dict[int, list[str]] = {}
    for span in spans:
        try:
            start, end = int(span["start"]), int(span["end"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{where}: the label {_labels(span)} stands on no paragraph; label each utterance."
            ) from None
        if start != end or not 0 <= start < len(paragraphs):
            raise UserError(
                f"{where}: the label {_labels(span)} goes from paragraph {start} to {end}; a label"
                " is one utterance's."
            )
        labels[start] = list(dict.fromkeys([*labels.get(start, []), *_labels(span)]))
    return {
        **fields,
        "utterances": [
            {**paragraph, name: labels.get(number)} for number, paragraph in enumerate(paragraphs)
        ],
    }


def _doccano_labels(record: Mapping[str, Any]) -> list[Any]:
    return next((record[name] for name in DOCCANO if isinstance(record.get(name), list)), [])


def _spans(item: Mapping[str, Any], where: str) -> list[tuple[int, int, str]]:
    spans = []
    for span in (
        item["entities"] if isinstance(item.get("entities"), list) else _doccano_labels(item)
    ):
        try:
            start, end, label = (
                (span["start_offset"], span["end_offset"], span["label"])
                if isinstance(span, Mapping)
                else span
            )
            spans.append((int(start), int(end), str(label)))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{where}: {span!r:.60} is not a span [start, end, label].") from None
    return spans
