"""DailyDialog's dialogues, as its release writes them, as JSON and as parquet.

Release: a text file with a dialogue a line, utterances ended by `__eou__`, and a file of digits
beside it. Elsewhere: an object a dialogue, with parallel lists (`dialog` or `utterances`, `act`,
`emotion`), or a list of objects without speakers (`{"text", "act", "emotion"}`). The two speakers
have no names and take turns.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import read_label
from eacl_jax.corpora.rows import read_identity, read_spoken
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.files.text import read_lines

LABELS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""In the order of the release's digits."""

END = "__eou__"
SPEAKERS = ("Alex", "Sam")
_NEUTRAL = ("no emotion", "no_emotion")
_TEXTS = ("dialog", "dialogue", "utterances")
_EMOTIONS = ("emotion", "emotions")


def read_release(texts: Path, emotions: Path, prefix: str = "") -> Iterator[Found]:
    """The dialogues of a text file and the file of digits that belongs to it.

    Raises:
      UserError: the files do not fit each other, or a digit is none of an emotion.
    """
    text_lines, emotion_lines = read_lines(texts), read_lines(emotions)
    if len(text_lines) != len(emotion_lines):
        raise UserError(
            f"{texts} has {len(text_lines)} lines but {emotions} has {len(emotion_lines)}; each"
            " must have one a dialogue."
        )
    for number, (text_line, emotion_line) in enumerate(
        zip(text_lines, emotion_lines, strict=True), start=1
    ):
        if not text_line.strip() and not emotion_line.strip():
            continue
        spoken = [text.strip() for text in text_line.strip().removesuffix(END).split(END)]
        digits = emotion_line.split()
        if len(spoken) != len(digits):
            raise UserError(
                f"{texts} line {number} has {len(spoken)} utterances, but {emotions} has"
                f" {len(digits)} emotions there."
            )
        if unknown := [digit for digit in digits if digit not in map(str, range(len(LABELS)))]:
            raise UserError(
                f"{emotions} line {number}: {unknown[0]!r} is not an emotion, which is a digit from"
                f" 0 to {len(LABELS) - 1}."
            )
        utterances = _in_turns(spoken, [LABELS[int(digit)] for digit in digits])
        yield Found(Dialogue(f"{prefix}{number}", utterances), texts, (number,) * len(utterances))


def emotions_beside(texts: Path) -> Path:
    """The file of digits that belongs to a text file of the release.

    Raises:
      UserError: it is not there.
    """
    emotions = beside(texts)
    if emotions == texts or not emotions.is_file():
        raise UserError(
            f"{texts} is DailyDialog's text, dialogues_NAME.txt; its emotions,"
            " dialogues_emotion_NAME.txt, must lie beside it."
        )
    return emotions


def beside(texts: Path) -> Path:
    """Where the emotions of a text file would be; the file itself where it is none of the
    release's.
    """
    return texts.with_name(texts.name.replace("dialogues_", "dialogues_emotion_", 1))


def is_parallel(record: Mapping[str, Any]) -> bool:
    """Whether an object is a dialogue as parallel lists."""
    texts = _first(record, _TEXTS)
    return (
        isinstance(texts, list)
        and bool(texts)
        and all(isinstance(text, str) for text in texts)
        and _first(record, _EMOTIONS) is not None
    )


def read_parallel(
    path: Path, records: Sequence[Mapping[str, Any]], locations: Sequence[str], lines: Sequence[int]
) -> list[Found]:
    """DailyDialog's dialogues as parallel lists; with a list of `speakers`, those speak.

    Raises:
      UserError: lists of different lengths, or a number that is no emotion.
    """
    found = []
    for number, (record, where, line) in enumerate(zip(records, locations, lines, strict=True), 1):
        texts, emotions, speakers = _parallel(record, where)
        spoken = [
            read_spoken(text, f"{where}: utterance {n}").strip() for n, text in enumerate(texts)
        ]
        labels = [_label(emotion, f"{where}: utterance {n}") for n, emotion in enumerate(emotions)]
        utterances = _in_turns(spoken, labels)
        if speakers is not None:
            names = [
                read_identity(each, f"{where}: speaker {n}") for n, each in enumerate(speakers)
            ]
            utterances = tuple(
                dataclasses.replace(turn, speaker=name)
                for turn, name in zip(utterances, names, strict=True)
            )
        identity = read_identity(record.get("id", number), f"{where}: the id")
        found.append(
            Found(Dialogue(identity, utterances), path, (line,) * len(utterances) if line else ())
        )
    return found


def has_acts(record: Mapping[str, Any]) -> bool:
    """Whether parallel lists are DailyDialog's, which have acts."""
    return any(name in record for name in ("act", "acts"))


def nested(
    records: Sequence[Mapping[str, Any]], locations: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Dialogues as other parallel lists -> as lists of utterances, `speaker`, `text`, `emotion`.

    Raises:
      UserError: lists of different lengths, or none of speakers.
    """
    dialogues: list[Mapping[str, Any]] = []
    for record, where in zip(records, locations, strict=True):
        texts, emotions, speakers = _parallel(record, where)
        if speakers is None:
            raise UserError(
                f"{where}: nothing says who speaks; give a list 'speakers', one an utterance."
            )
        kept = {
            name: value
            for name, value in record.items()
            if name not in (*_TEXTS, *_EMOTIONS, "speakers")
        }
        turns = [
            {"speaker": speaker, "text": text, "emotion": emotion}
            for speaker, text, emotion in zip(speakers, texts, emotions, strict=True)
        ]
        dialogues.append({**kept, "utterances": turns})
    return dialogues


def _parallel(record: Mapping[str, Any], where: str) -> tuple[list[Any], list[Any], Any]:
    """The texts, the emotions and, where there are any, the speakers."""
    texts, emotions = _first(record, _TEXTS), _first(record, _EMOTIONS)
    speakers = record.get("speakers")
    if not isinstance(texts, list) or not isinstance(emotions, list) or len(texts) != len(emotions):
        raise UserError(f"{where}: the lists of utterances and emotions must be of one length.")
    if speakers is not None and (not isinstance(speakers, list) or len(speakers) != len(texts)):
        raise UserError(f"{where}: the list of speakers must have one an utterance.")
    return texts, emotions, speakers


def is_without_speakers(items: Sequence[Any]) -> bool:
    """Whether a list of utterances is DailyDialog's as objects: with acts, without speakers."""
    return bool(items) and all(
        isinstance(item, Mapping) and {"text", "act"} <= set(item) and "speaker" not in item
        for item in items
    )


def without_speakers(items: Sequence[Mapping[str, Any]], where: str) -> tuple[Utterance, ...]:
    """The utterances of such a list. Raises `UserError` where a text or an emotion is not what it
    must be.
    """
    spoken = [
        read_spoken(item["text"], f"{where} utterance {n}: the text").strip()
        for n, item in enumerate(items)
    ]
    return _in_turns(
        spoken,
        [_label(item.get("emotion"), f"{where} utterance {n}") for n, item in enumerate(items)],
    )


def _label(value: Any, where: str) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(LABELS):
            raise UserError(
                f"{where}: {value} is not an emotion, which is a number from 0 to"
                f" {len(LABELS) - 1}."
            )
        return LABELS[value]
    label = read_label(value, where)
    return "neutral" if label in _NEUTRAL else label


def _in_turns(spoken: Sequence[str], labels: Sequence[str | None]) -> tuple[Utterance, ...]:
    return tuple(
        Utterance(SPEAKERS[turn % 2], text, label)
        for turn, (text, label) in enumerate(zip(spoken, labels, strict=True))
    )


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if name in record), None)
