"""A request's dialogues and labels -> the recognizer's, with the limits kept."""

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from eacl_jax.corpora.backwards import about_backwards
from eacl_jax.corpora.forms import names_somebody
from eacl_jax.corpora.order import check_oldest_first
from eacl_jax.corpora.repeats import about_annotators, check_same_ids
from eacl_jax.corpora.transcripts import about_unnamed, count_unnamed, split_lines
from eacl_jax.data.beside import Modalities
from eacl_jax.data.identities import numbered_apart, same_id
from eacl_jax.data.inputs import read_labels, read_record, read_utterance
from eacl_jax.data.prompts import OnLong
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance, count
from eacl_jax.errors import UserError
from eacl_jax.features.given import with_flat_features
from eacl_jax.recognizer.prediction import ALONE, Prediction
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http.schemas import LONGEST_NAME, AskedDialogue, AskedUtterance
from eacl_jax.serving.settings import Limits

Read = TypeVar("Read")
_LINES = 10
"""Lines of a transcript for each utterance that it may hold: most of them are blank."""


def check_counts(body: Any, limits: Limits) -> None:
    """Raises `ApiError`, 413, where the lists of a body that is not looked at yet are longer than
    the limits.
    """
    _few_numbers(body, limits, "")
    dialogues = body.get("dialogues") if isinstance(body, dict) else None
    if not isinstance(dialogues, list):
        return
    _within(len(dialogues), limits.dialogues, "dialogues", "dialogues")
    count = 0
    for number, each in enumerate(dialogues):
        utterances = each.get("utterances") if isinstance(each, dict) else None
        count += len(utterances) if isinstance(utterances, list) else 0
        _within(count, limits.utterances, "utterances", f"dialogues[{number}].utterances")
        for index, utterance in enumerate(utterances if isinstance(utterances, list) else ()):
            _few_numbers(utterance, limits, f"dialogues[{number}].utterances[{index}].")


def dialogues_of(
    asked: Sequence[AskedDialogue], limits: Limits, modalities: Modalities
) -> tuple[list[Dialogue], list[str]]:
    """The dialogues of a request, and what to say of them: which lines of transcripts were left
    out, how many utterances name no speaker, and where they may stand newest first or have
    utterances once an annotator.

    Args:
      asked: as they were given.
      limits: of the request.
      modalities: that the model reads.

    Raises:
      ApiError: 413, they are above a limit; 422, one cannot be read or holds no utterance, two have
        one id, or as `utterance_of`.
    """
    found: list[Dialogue] = []
    notes: list[str] = []
    unnamed: list[int] = []
    before = 0
    for number, each in enumerate(asked):
        field, given = f"dialogues[{number}]", each.given()
        if "transcript" in given:
            path = f"{field}.transcript"
            # Counted before they are read, which takes a while. Several may be one message of a
            # chat's export.
            lines = split_lines(each.transcript)
            _within(len(lines), _LINES * limits.utterances, "lines", path)
            _within(
                before + sum(bool(line.strip()) for line in lines),
                limits.utterances,
                "lines",
                path,
            )
            left_out: list[str] = []
            reader = functools.partial(read_record, tell=left_out.append, unnamed=unnamed.append)
            dialogue = _read(reader, given, field, path, str(number + 1))
            notes += (f"{path}: {what}" for what in left_out)
            if not dialogue.utterances:
                why = "".join(f": {what}" for what in left_out)
                message = (
                    f"{path} holds no utterance{why}; write a line each, as in 'Ann: I got it!'."
                )
                raise ApiError(422, "invalid", message, field=path)
            for utterance in dialogue.utterances:
                _short_enough(utterance.text, limits, path)
        else:
            _within(
                before + len(each.utterances),
                limits.utterances,
                "utterances",
                f"{field}.utterances",
            )
            head = _read(read_record, {**given, "utterances": []}, field, field, str(number + 1))
            turns = tuple(
                utterance_of(turn, limits, modalities, f"{field}.utterances[{index}]")
                for index, turn in enumerate(each.utterances)
            )
            _read(_check_turns, turns, field, field)
            unnamed.append(count_unnamed([_names_somebody(turn) for turn in each.utterances]))
            dialogue = Dialogue(head.id, turns, head.other)
        before += len(dialogue.utterances)
        found.append(dialogue)
    named = ["id" in each.model_fields_set for each in asked]
    if same := same_id(found, named):
        field = f"dialogues[{same[1]}].id"
        message = (
            f"{field}: {found[same[1]].id!r:.60} is the id of dialogues[{same[0]}] too; give each"
            " dialogue an id of its own, or none."
        )
        raise ApiError(422, "invalid", message, field=field)
    found = numbered_apart(found, named)
    spoken = ((f"dialogues[{n}]", each.utterances) for n, each in enumerate(found))
    amiss = [*about_backwards(each.utterances for each in found), about_annotators(spoken), *notes]
    if number := sum(unnamed):
        amiss.append(f"{about_unnamed(number)}.")
    return found, [message for message in amiss if message]


def _check_turns(turns: Sequence[Utterance], where: str) -> None:
    """Raises `UserError` where two of a dialogue's utterances are one, or it is in no order."""
    check_same_ids(turns, lambda number: f"{where}.utterances[{number}]")
    check_oldest_first(turns, where)


def utterance_of(
    asked: AskedUtterance | list[str] | str,
    limits: Limits,
    modalities: Modalities,
    path: str = "",
) -> Utterance:
    """An utterance, in one of its forms, with the features that its fields NAME.COLUMN are.

    Args:
      asked: an object, a pair or a text.
      limits: of its text.
      modalities: that the model reads.
      path: its field in the request; empty where it is the whole body.

    Raises:
      ApiError: 413, its text is above the limit; 422, it cannot be read, or has features that the
        model does not read, which would be answered as if they were not there.
    """
    given = asked.given() if isinstance(asked, AskedUtterance) else asked
    utterance = _read(read_utterance, given, path or "the utterance", path or None)
    _short_enough(utterance.text, limits, field_of(asked, path, "text"))
    return _with_fields(utterance, modalities, path)


def _names_somebody(asked: AskedUtterance | list[str] | str) -> bool:
    return names_somebody(asked.given() if isinstance(asked, AskedUtterance) else asked)


def field_of(asked: AskedUtterance | list[str] | str, path: str, name: str) -> str:
    """Where in the request an utterance's "speaker" or "text" is."""
    if isinstance(asked, AskedUtterance):
        return f"{path}.{name}" if path else name
    return path if isinstance(asked, str) else f"{path}[{('speaker', 'text').index(name)}]"


def _with_fields(utterance: Utterance, modalities: Modalities, path: str) -> Utterance:
    try:
        utterance = with_flat_features(utterance, modalities, path or "the utterance")
    except UserError as error:
        raise ApiError(422, "invalid", str(error), field=path or None) from error
    for name, rows in utterance.features.items():
        field = f"{path}.features.{name}" if path else f"features.{name}"
        if name not in modalities:
            known = f"it reads {', '.join(modalities)}" if modalities else "it reads texts alone"
            message = f"{field}: the model does not read these features; {known}. Leave them out."
            raise ApiError(422, "invalid", message, field=field)
        if rows.shape[1] != (width := modalities[name].width):
            columns = ", ".join(modalities[name].columns)
            message = (
                f"{field}: there are {rows.shape[1]} numbers, and the model reads"
                f" {width}{': ' * bool(columns)}{columns}."
            )
            raise ApiError(422, "invalid", message, field=field)
    return utterance


def missing_features(
    given: Sequence[Collection[str]], modalities: Modalities, *, reads_text: bool
) -> list[str]:
    """What to know of answers to utterances without some of the model's features, in sentences.

    Args:
      given: the modalities that each utterance has.
      modalities: that the model reads.
      reads_text: whether it reads texts too.
    """
    among = count(len(given), "utterance")
    found = [
        f"{missing} of {among} came without features {name!r}: answered without them."
        for name in modalities
        if (missing := sum(name not in each for each in given))
    ]
    empty = sum(not each for each in given)
    if empty and modalities and not reads_text:
        found.append(
            f"{empty} of {among} came without any features, and the model reads no text: such"
            " answers say nothing."
        )
    return found


def doubts(answers: Sequence[Prediction], on_long: OnLong, *, reads_text: bool) -> list[str]:
    """How many texts were cut, are not known, or were answered alone, in sentences: whatever fields
    are asked for, no such answer comes without a word. The first two name the field of the answers
    that marks them.

    Args:
      answers: to all utterances.
      on_long: what became of texts that are too long.
      reads_text: whether the model does; otherwise `missing_features` says what it does not know.
    """
    by = "the mean of the parts" if on_long == "pool" else "the end alone"
    cut, unknown = sum(e.truncated for e in answers), sum(e.unknown_text for e in answers)
    found = []
    if cut:
        found.append(
            f"{count(cut, 'text')} longer than the model reads, answered by {by}"
            ' ("truncated": true).'
        )
    if unknown and reads_text:
        found.append(
            f"{count(unknown, 'text')} mostly of what the model does not know, such as another"
            ' script, or empty: such answers say nothing ("unknown_text": true).'
        )
    if alone := sum(each.alone for each in answers):
        found.append(f"{alone:,} {ALONE}")
    return found


def labels_of(asked: dict[str, str] | list[str] | str, limits: Limits) -> dict[str, str]:
    """The word or phrase of each label that a request brings; empty where it has none.

    Raises:
      ApiError: 413, there are too many; 422, they cannot be read.
    """
    if not asked:
        return {}
    items = (
        [item for line in split_lines(asked) for item in line.split(",")]
        if isinstance(asked, str)
        else asked
    )
    _within(sum(bool(item.strip()) for item in items), limits.labels, "labels", "labels")
    labels = _read(read_labels, asked, "labels", "labels")
    try:
        Taxonomy(tuple(labels), tuple(labels.values()))
    except UserError as error:
        raise unusable(error) from error
    wordings = [part for words in labels.values() for part in words.split("|")]
    _within(len(wordings), limits.labels, "words of labels", "labels")
    if long := [each for each in (*labels, *wordings) if len(each) > LONGEST_NAME]:
        message = (
            f"labels: {long[0]!r:.60} is longer than the {LONGEST_NAME} characters that labels and"
            " words may have."
        )
        raise ApiError(422, "invalid", message, field="labels")
    return labels


def unusable(error: UserError) -> ApiError:
    """422 for what the library says of labels."""
    message = str(error)
    return ApiError(
        422,
        "invalid",
        message if message.startswith("label") else f"labels: {message}",
        field="labels",
    )


def _read(
    reader: Callable[..., Read], given: Any, where: str, field: str | None, *more: str
) -> Read:
    """What the library's reader makes of it; its error is the caller's."""
    try:
        return reader(given, where, *more)
    except UserError as error:
        raise ApiError(422, "invalid", str(error), field=field) from error


def _few_numbers(asked: Any, limits: Limits, path: str) -> None:
    features = asked.get("features") if isinstance(asked, dict) else None
    if not isinstance(features, dict):
        return
    count = sum(
        len(frame) if isinstance(frame, list) else 1
        for frames in features.values()
        for frame in (frames if isinstance(frames, list) else ())
    )
    if count > limits.numbers:
        field = f"{path}features"
        message = (
            f"{field}: there are {count} numbers; the limit of an utterance is {limits.numbers}."
        )
        raise ApiError(413, "too_large", message, field=field)


def _short_enough(text: str, limits: Limits, field: str) -> None:
    if len(text) > limits.characters:
        message = (
            f"{field} holds a text of {len(text)} characters; the limit is {limits.characters}."
        )
        raise ApiError(413, "too_large", message, field=field)


def _within(count: int, limit: int, what: str, field: str) -> None:
    if count > limit:
        message = (
            f"the request holds {count} {what} or more; the limit is {limit}. Send them in several"
            " requests."
        )
        raise ApiError(413, "too_large", message, field=field)
