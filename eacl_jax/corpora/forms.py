"""The forms in which an utterance or a dialogue may be given, in Python as in JSON -> `Utterance`,
`Dialogue`.

An utterance: `{"speaker": "Ann", "text": "I got it!"}`, perhaps with an "emotion" (its label, or
the main one), "emotions" (a list of all its labels, empty where it has none of them), "annotations"
(a list of labels an annotator), "features" (numbers by modality, `{"prosody": [0.1, 0.7]}`, or
lists of frames of them) and fields of the user's own, which are carried through; a pair of
speaker and text; and inside of a dialogue's "utterances" also the text "Ann: I got it!".

A dialogue as an object: `{"id": "1", "utterances": [...]}` or `{"id": "1", "transcript": "Ann: I
got it!\\nBen: What?"}`, perhaps with fields of the user's own.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from eacl_jax.corpora.columns import find_part
from eacl_jax.corpora.labels import read_annotations, read_label, read_labels
from eacl_jax.corpora.order import check_oldest_first
from eacl_jax.corpora.repeats import check_same_ids
from eacl_jax.corpora.texts import check_utterance, why_no_text
from eacl_jax.corpora.transcripts import (
    NOBODY,
    count_unnamed,
    names_speaker,
    read_line,
    read_transcript,
)
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import read_features

UTTERANCE = '{"speaker": "Ann", "text": "I got it!"}, a pair (speaker, text) or an Utterance'
DIALOGUE = (
    '{"id": ..., "utterances": [{"speaker": ..., "text": ...}, ...]} or {"id": ..., "transcript":'
    ' "Ann: ...\\nBen: ..."}'
)
POSSIBLE = "possible"
ANSWERED = frozenset(
    {"confidence", "probabilities", "cosines", "truncated", "unknown_text", POSSIBLE}
)
"""Fields that an answer adds to an utterance: of an answer that is given as a question, these are
left out."""
LABELS = ("emotion", "emotions", "annotations")
"""Fields that annotators give an utterance."""
PROBABILITY = re.compile(r"p\((.*)\)", re.DOTALL)
"""The name of a column with a label's probability, in answers that are a table."""

# With the sign: an id of letters and digits may be `12e4`.
_SHORTENED = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE]\+[0-9]+")
_UTTERANCE_FIELDS = ("speaker", "text", "emotion", "emotions", "annotations", "features")
_MORE_SPEAKERS = ("from", "who")  # in objects; a table's column of this name may be anything


def read_utterance(given: Any, where: str = "the utterance") -> Utterance:
    """One utterance, in one of this module's forms, without blanks around its speaker and its text.
    Without a speaker, or with None for one, it is by `NOBODY`; an emotion that is blank is none.

    Raises:
      UserError: a field is missing, misnamed or not text, a label is there twice, or the labels
        contradict each other.
    """
    if isinstance(given, Utterance):
        return check_labels(check_utterance(given, where), where)
    if isinstance(given, str):
        return read_line(given, where)
    if is_pair(given):
        if (
            isinstance(given, list) and read_line(given[0], where).text != given[0].strip()
        ):  # it names a speaker itself
            raise UserError(
                f"{where}: {given!r:.80} should be a pair of speaker and text, but {given[0]!r:.60}"
                " is a line of a transcript; give each line as an utterance of its own."
            )
        return check_utterance(Utterance(given[0], given[1]), where)
    if not isinstance(given, Mapping):
        raise UserError(
            f'{where} must be {UTTERANCE}, or "NAME: TEXT", got {type(given).__name__}.'
        )
    fields = {str(name): value for name, value in given.items()}
    _no_other_capitals(fields, _UTTERANCE_FIELDS, where)
    if not isinstance(fields.get("text"), str):
        raise UserError(f"{where}: {_wrong(fields, 'text', 'a string')}")
    speaker = fields.get("speaker")
    if "speaker" not in fields and _misnamed(fields, "speaker"):
        raise UserError(f"{where}: {_wrong(fields, 'speaker', 'a string')}")
    if speaker is None:
        speaker = NOBODY
    if not isinstance(speaker, str):
        if not _is_number(speaker):
            raise UserError(f"{where}: {_wrong(fields, 'speaker', 'a string')}")
        check_exact(speaker, f"{where}: the speaker")
        speaker = str(int(speaker))
    emotion = read_label(fields.get("emotion"), where, keep_all="give all of them as 'emotions'")
    other = _other(fields, {*_UTTERANCE_FIELDS, *ANSWERED}, where)
    return check_utterance(
        check_labels(
            Utterance(
                speaker,
                fields["text"],
                emotion,
                read_labels(fields.get("emotions"), where, "emotions"),
                read_annotations(fields.get("annotations"), where),
                other,
                read_features(fields.get("features"), where),
            ),
            where,
        ),
        where,
    )


def check_labels(utterance: Utterance, where: str) -> Utterance:
    """The same utterance, without annotations where there is no annotator.

    Raises:
      UserError: a label is there twice, its main label is not among all of its labels, or it has
        labels and an empty list of annotators.
    """
    for field, labels in (
        ("emotions", utterance.emotions or ()),
        *(("annotations", labels) for labels in utterance.annotations or ()),
    ):
        if len(set(labels)) < len(labels):
            raise UserError(
                f"{where}: field {field!r} has a label twice, in {list(labels)!r:.120}."
            )
    emotion, emotions = utterance.emotion, utterance.emotions
    if emotion and emotions is not None and emotion not in emotions:
        raise UserError(
            f"{where}: 'emotion' is {emotion!r:.60}, which is not among 'emotions',"
            f" {list(emotions)!r:.120}; the main label is one of all: correct one of the"
            " two."
        )
    if utterance.annotations == ():
        if utterance.annotated:
            raise UserError(
                f"{where}: it has labels, but 'annotations' is an empty list, as if nobody had"
                " given any; leave 'annotations' out where it is not known who gave what."
            )
        return dataclasses.replace(utterance, annotations=None)
    return utterance


def names_somebody(given: Any) -> bool:
    """Whether an utterance, in a form that `read_utterance` has read, names its speaker."""
    if isinstance(given, Mapping):
        return given.get("speaker") is not None
    return not isinstance(given, str) or names_speaker(given)


def read_record(
    given: Any,
    where: str,
    identity: str = "1",
    *,
    tell: Callable[[str], object] | None = None,
    unnamed: Callable[[int], object] = lambda number: None,
) -> Dialogue:
    """A dialogue as an object.

    Args:
      given: `{"id"?, "utterances"}` or `{"id"?, "transcript"}`, and fields of the user's own.
      where: for messages.
      identity: its id where it gives none.
      tell, unnamed: as of `read_transcript`.

    Raises:
      UserError: a field is missing, misnamed or of the wrong type.
    """
    if not isinstance(given, Mapping):
        raise UserError(
            f"{where}: a dialogue must be an object, got {type(given).__name__}; give {DIALOGUE}."
        )
    fields = {str(name): value for name, value in given.items()}
    _no_other_capitals(fields, ("id", "utterances", "transcript"), where)
    # What has neither of both is no dialogue, and lacks more than an id.
    if (
        "id" not in fields
        and {"utterances", "transcript"} & fields.keys()
        and (
            misnamed := [
                name
                for name in _misnamed(fields, "dialogue")
                if not isinstance(fields[name], (list, tuple, Mapping))
            ]
        )
    ):
        raise UserError(
            f"{where}: a dialogue has no field 'id', but {misnamed[0]!r}; name it 'id'."
        )
    identity = read_identity(fields.get("id", identity), where)
    if "utterances" in fields and "transcript" in fields:
        raise UserError(
            f"{where}: dialogue {identity!r:.60} has both 'utterances' and 'transcript'; give one"
            " of them."
        )
    other = _other(fields, {"id", "utterances", "transcript"}, where)
    if "transcript" in fields:
        if "speaker" in fields:
            raise UserError(
                f"{where}: it has a 'speaker' and a 'transcript'; an utterance has its words in"
                " 'text', and a dialogue's 'transcript' names the speakers itself."
            )
        if not isinstance(fields["transcript"], str):
            raise UserError(
                f"{where}: field 'transcript' must be a string, got {fields['transcript']!r:.60}."
            )
        at = f"{where}: field 'transcript'"
        read = read_transcript(fields["transcript"], identity, at, tell=tell, unnamed=unnamed)
        return Dialogue(identity, read.utterances, other)
    if "utterances" not in fields:
        hint = (
            "this is an utterance, and a dialogue is a list of them"
            if "text" in fields
            else f"it has {sorted(fields)}"
        )
        raise UserError(
            f"{where}: a dialogue has no field 'utterances' and no 'transcript' ({hint}); give"
            f" {DIALOGUE}."
        )
    if not isinstance(fields["utterances"], (list, tuple)):
        kind = type(fields["utterances"]).__name__
        raise UserError(
            f"{where}: dialogue {identity!r:.60} must have a list of 'utterances', got {kind}."
        )
    return read_utterances(fields["utterances"], identity, where, other, unnamed=unnamed)


def read_utterances(
    given: Collection[Any],
    identity: str,
    where: str,
    other: Mapping[str, Any] | None = None,
    *,
    unnamed: Callable[[int], object] = lambda number: None,
) -> Dialogue:
    """The dialogue of these utterances; `unnamed` as of `read_transcript`."""
    where = f"{where}: dialogue {identity!r:.60}"
    read = tuple(read_utterance(item, f"{where} utterance {i}") for i, item in enumerate(given))
    check_same_ids(read, lambda number: f"{where} utterance {number}")
    check_oldest_first(read, where)
    unnamed(count_unnamed([names_somebody(item) for item in given]))
    return Dialogue(identity, read, other or {})


def read_identity(given: Any, where: str, name: str = "id") -> str:
    """A dialogue's id: a string, or a whole number, which stands for its digits.

    Raises:
      UserError: it is something else, cannot be text, or has lost its last digits.
    """
    if not isinstance(given, str):
        if not _is_number(given):
            raise UserError(
                f"{where}: field {name!r} must be a string or a whole number, got {given!r:.60}."
            )
        check_exact(given, f"{where}: field {name!r}")
        return str(int(given))
    if reason := why_no_text(given):
        raise UserError(f"{where}: field {name!r} {reason}.")
    check_exact(given, f"{where}: field {name!r}")
    return given


def check_exact(number: Any, where: str) -> None:
    """Raises `UserError` where a whole number is a float too large for it, or a text as
    spreadsheets write such numbers (`2.15E+17`), which may stand for others beside it too.
    """
    if isinstance(number, str):
        if _SHORTENED.fullmatch(number.strip()):
            raise UserError(
                f"{where} is {number!r:.60}, as spreadsheets write numbers of many digits: the last"
                " ones are lost, and several ids may have become one; export ids as text."
            )
        return
    if not isinstance(number, (int, np.integer)) and abs(number) >= 2**53:
        raise UserError(
            f"{where} is {number!r}, a number with a decimal point of so many digits that the last"
            " ones are lost; give ids as text."
        )


def is_pair(given: Any) -> bool:
    """Whether it is a list or tuple of two strings: speaker and text."""
    return (
        isinstance(given, (list, tuple))
        and len(given) == 2
        and all(isinstance(each, str) for each in given)
    )


def _is_number(given: Any) -> bool:
    """A whole number, of Python's or NumPy's; tables give them as floats where other cells are
    missing.
    """
    if isinstance(given, int):  # of hundreds of digits, too, which no float holds
        return not isinstance(given, bool)
    try:
        return float(given).is_integer() and not isinstance(given, (str, bytes))
    except (TypeError, ValueError, OverflowError):
        return False


def _no_other_capitals(fields: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuses "Speaker" and the like, which would else be carried through as the user's own."""
    for name in fields:
        for right in known:
            if name != right and name.casefold() == right and right not in fields:
                raise UserError(f"{where}: the field {name!r} must be named {right!r}.")


def _wrong(fields: Mapping[str, Any], name: str, kind: str) -> str:
    if name in fields:
        return f"field {name!r} must be {kind}, got {fields[name]!r:.60}."
    if misnamed := _misnamed(fields, name):
        return f"an utterance has no field {name!r}, but {misnamed[0]!r}; name it {name!r}."
    return f"an utterance has no field {name!r}; it has {sorted(fields)}."


def _misnamed(fields: Mapping[str, Any], part: str) -> list[str]:
    """Fields that hold a part by their names, as tables' columns do."""
    names = list(fields)
    more = _MORE_SPEAKERS if part == "speaker" else ()
    return [names[index] for index in find_part(names, part)] or [n for n in more if n in fields]


def _other(fields: Mapping[str, Any], known: set[str], where: str) -> dict[str, Any]:
    other = {name: value for name, value in fields.items() if name not in known}
    if other:
        try:
            json.dumps(other, ensure_ascii=False, default=str).encode()
        except (UnicodeEncodeError, ValueError, RecursionError) as error:
            raise UserError(
                f"{where}: its other fields ({', '.join(sorted(other))}) hold what is no text"
                f" ({error})."
            ) from error
    return other
