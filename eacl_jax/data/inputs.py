"""What people have at hand -> `Dialogue`s: texts, dicts, pairs, lists of them, DataFrames; and
labels that they bring.

Each form has one meaning, whatever it holds:

    "Ann: I got it!\\nBen: What?"                  a dialogue: its transcript
    ["Ann: I got it!", "Ben: What?"]              two dialogues: each string is a transcript
    [("Ann", "I got it!"), ("Ben", "What?")]      a dialogue: its utterances (pairs, dicts or
                                                  `Utterance`s)
    [[("Ann", "I got it!")], [("Ben", "What?")]]  two dialogues
    {"id": "1", "utterances": [...]}              a dialogue; a list of these: as many dialogues
    pandas.Series of strings                      as the list
    pandas.DataFrame                              an utterance a row, with the columns dialogue,
                                                  speaker, text
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from eacl_jax.corpora.backwards import warn_of_backwards
from eacl_jax.corpora.forms import (
    UTTERANCE,
    is_pair,
    read_record,
    read_utterance,
    read_utterances,
)
from eacl_jax.corpora.labels import clean_label, word_of
from eacl_jax.corpora.repeats import warn_of_annotators
from eacl_jax.corpora.texts import why_no_text
from eacl_jax.corpora.transcripts import (
    about_unnamed,
    read_transcript,
    reads_back,
    split_lines,
)
from eacl_jax.data.frames import read_frame
from eacl_jax.data.identities import numbered_apart, same_id
from eacl_jax.dialogue import Dialogue, TaskName, Utterance
from eacl_jax.errors import UserError

logger = logging.getLogger(__name__)

__all__ = [
    "DialogueLike",
    "read_dialogues",
    "read_labels",
    "read_record",
    "read_transcript",
    "read_utterance",
    "why_no_text",
]

DialogueLike: TypeAlias = (
    Dialogue | str | Mapping[str, Any] | Sequence[Mapping[str, Any] | tuple[str, str] | Utterance]
)
"""A `Dialogue`; a transcript; `{"id"?, "utterances"}` or `{"id"?, "transcript"}`; or a list of
utterances."""

_QUOTES = tuple("\"'`“„‘«")

_FORMS = (
    'a transcript ("Ann: I got it!\\nBen: What?"), a list of utterances ({"speaker", "text"} or'
    ' (speaker, text)), {"id", "utterances"}, a Dialogue, or a list of these'
)


def read_dialogues(given: Any, task: TaskName | None = None) -> tuple[list[Dialogue], bool]:
    """The dialogues in what a user gave, and whether it was a single one; this module's first lines
    list the forms.

    Args:
      given: a `DialogueLike`; a list of them; a Series of transcripts; or a DataFrame with the
        columns `dialogue` and `text` and perhaps `speaker`, or their usual other names, and perhaps
        `emotion`, `emotions` and `annotations`, the last two of lists; or `emotions` with
        semicolons between them (rows of a dialogue keep their order, and need not be neighbours
        where a column numbers them or has times; other columns are carried through).
      task: of a model that learns from the labels: a DataFrame's are then found as in the CSV of
        it, by usual other names too; None where they are not asked for.

    Raises:
      UserError: something is missing, of the wrong type, is not text, or may be meant in two ways;
        two dialogues as dicts have one id; or a dialogue of a DataFrame comes back after others,
        and no column gives the order of its rows, two of its rows are one utterance, or a cell of
        its column `transcript` holds several.
    """
    if isinstance(given, str) and _names_a_file(given):
        raise UserError(
            f"{given!r} is the name of a file, and a string is a dialogue's transcript: give what"
            " is in the file, as by open(...).read(), or use `eacl predict`."
        )
    unnamed: list[int] = []  # by dialogue, how many utterances name no speaker
    if isinstance(given, (Dialogue, str, Mapping)):
        return _looked_at([_dialogue(given, "1", "the dialogue", unnamed)], unnamed), True
    if hasattr(given, "columns"):
        return _looked_at(read_frame(given, task, unnamed), unnamed, "the DataFrame"), False
    if isinstance(given, (Utterance, bytes, set, frozenset)) or not isinstance(given, Iterable):
        raise UserError(f"expected {_FORMS}; got {_kind(given)}.")
    if isinstance(given, tuple) and given and all(isinstance(item, str) for item in given):
        raise UserError(
            "a tuple of strings may be an utterance (speaker, text) or several transcripts: give"
            " [(speaker, text)] for a dialogue of one utterance, or a list of transcripts."
        )
    items = list(given)
    if items and all(_is_utterance(item) for item in items):
        read = read_utterances(items, "1", "the dialogue", unnamed=unnamed.append)
        return _looked_at([read], unnamed), True
    if some := [number for number, item in enumerate(items, 1) if _is_utterance(item)]:
        other = next(number for number in range(1, len(items) + 1) if number not in some)
        raise UserError(
            f"item {some[0]} of the list is an utterance, but item {other} is"
            f" {_kind(items[other - 1])}: give utterances only, each {UTTERANCE}, for one dialogue,"
            f" or dialogues only, {_FORMS.removesuffix(', or a list of these')}."
        )
    several = [
        _dialogue(item, str(number), f"dialogue number {number}", unnamed)
        for number, item in enumerate(items, 1)
    ]
    named = [isinstance(each, Mapping) and "id" in each for each in items]
    if same := same_id(several, named):
        one, other = (number + 1 for number in same)
        raise UserError(
            f"dialogues number {one} and {other} have one id, {several[same[0]].id!r:.60}: give"
            " each an id of its own, or none, so that its number stands for it."
        )
    # A `Dialogue` cannot be without one, and several may be the windows of one dialogue.
    given_one = [has or isinstance(each, Dialogue) for has, each in zip(named, items, strict=True)]
    return numbered_apart(_looked_at(several, unnamed), given_one), False


def _looked_at(
    dialogues: list[Dialogue], unnamed: Iterable[int], where: str = "the dialogues"
) -> list[Dialogue]:
    """The same, of which it is logged where fields tell that they may stand newest first, or that
    utterances are there once an annotator, and how many name no speaker (`count_unnamed`).
    """
    if number := sum(unnamed):
        logger.warning("%s: %s.", where, about_unnamed(number))
    warn_of_backwards((each.utterances for each in dialogues), where)
    spoken = ((f"dialogue {each.id!r:.60}", each.utterances) for each in dialogues)
    warn_of_annotators(spoken, where)
    return dialogues


def _checked(dialogue: Dialogue, where: str) -> Dialogue:
    """The dialogue as other forms are read. Raises `UserError` where its id, a speaker or a text is
    not text, the labels of an utterance contradict each other, or it stands newest first.
    """
    if reason := why_no_text(dialogue.id):
        raise UserError(f"{where}: field 'id' {reason}.")
    return read_utterances(dialogue.utterances, dialogue.id, where, dialogue.other)


def read_labels(given: Any, where: str = "labels") -> dict[str, str]:
    """The word or phrase that says what each label means.

    Args:
      given: `{"gratitude": "grateful", "anger": "anger"}`; a list of `"gratitude=grateful"`,
        `"gratitude: grateful"` or `"anger"`, a label that is also the word; or such items in one
        string, with commas or line ends between them. Labels are taken as
        `corpora.labels.clean_label` leaves them.
      where: for messages.

    Raises:
      UserError: a label or word is missing, repeats, or is not text.
    """
    if hasattr(given, "columns"):
        raise UserError(
            f"{where} must be a mapping of labels to their words or a list of labels, got a"
            " DataFrame; give dict(zip(frame['label'], frame['word'])) of its columns."
        )
    if hasattr(given, "to_dict") and hasattr(given, "index"):  # a Series: by its index, if of text
        named = len(given) and isinstance(given.index[0], str)
        given = given.to_dict() if named else list(given)
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str):
        items = [item for line in split_lines(given) for item in line.split(",")]
        if len(items) == 1 and ";" in given:
            raise UserError(f"{where}: {given!r:.80} has semicolons; put commas between labels.")
        pairs = [_label(item, where) for item in items if item.strip() or len(items) == 1]
    elif isinstance(given, Iterable):
        pairs = [_label(item, where) for item in given]
    else:
        raise UserError(
            f"{where} must be a mapping of labels to their words or a list of labels, got"
            f" {_kind(given)}."
        )
    labels: dict[str, str] = {}
    for name, words in pairs:
        if not isinstance(name, str) or not isinstance(words, str):
            raise UserError(
                f"{where} and their words must be text, got {name!r:.60}: {words!r:.60}."
            )
        if reason := why_no_text(name) or why_no_text(words):
            raise UserError(f"{where}: label {name!r:.60} {reason}.")
        name = clean_label(name)
        if name in labels:
            raise UserError(f"{where} repeat: {name!r:.60} is there twice.")
        labels[name] = words
    return labels


def _label(item: Any, where: str) -> tuple[Any, Any]:
    """`NAME=WORDS`, `NAME: WORDS` or `NAME`."""
    if not isinstance(item, str):
        return item, item
    cut = min((item.index(sign) for sign in "=:" if sign in item), default=len(item))
    name, words = item[:cut].strip(), item[cut + 1 :].strip()
    if quoted := [
        each for each in (name, words) if each[:1] in _QUOTES or each.startswith(("{", '["'))
    ]:
        raise UserError(
            f"{where}: {quoted[0]!r:.60} begins with a quote or bracket; write labels without:"
            " gratitude=grateful,anger."
        )
    if not name or (cut < len(item) and not words):
        raise UserError(
            f"{where}: {item!r:.60} is neither LABEL=WORD nor LABEL; give them as"
            " gratitude=grateful,anger."
        )
    return name, words or word_of(name)


def _names_a_file(text: str) -> bool:
    try:
        return 0 < len(text) < 1000 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _is_utterance(item: Any) -> bool:
    # Two lines of a transcript in a list look like a pair. Nothing is guessed: such a speaker can
    # be given in a tuple.
    if isinstance(item, list) and is_pair(item) and not reads_back(item[0].strip()):
        raise UserError(
            f"the list {item!r:.80} may be (speaker, text) or two lines of a transcript, and"
            f" {item[0]!r:.60} does not look like a name: join the lines into one string, or give a"
            " tuple (speaker, text)."
        )
    if isinstance(item, Mapping):
        return "utterances" not in item and "transcript" not in item
    return isinstance(item, Utterance) or is_pair(item)


def _dialogue(given: Any, identity: str, where: str, unnamed: list[int]) -> Dialogue:
    """The dialogue; adds `count_unnamed` of it to `unnamed`."""
    if isinstance(given, Dialogue):
        return _checked(given, where)
    if isinstance(given, str):
        return read_transcript(given, identity, where, unnamed=unnamed.append)
    if isinstance(given, Mapping):
        return read_record(given, where, identity, unnamed=unnamed.append)
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise UserError(
            f"{where} must be {_FORMS.removesuffix(', or a list of these')}; got {_kind(given)}."
        )
    items = list(given)
    for number, item in enumerate(items):
        if not _is_utterance(item):
            hint = (
                "join a transcript's lines into one string"
                if isinstance(item, str)
                else "correct it"
            )
            raise UserError(
                f"{where} is a list, so its items must be utterances, each {UTTERANCE}; item"
                f" {number} is {_kind(item)}: {hint}."
            )
    return read_utterances(items, identity, where, unnamed=unnamed.append)


def _kind(given: Any) -> str:
    if given is None or given != given:
        return f"missing ({given})"
    if isinstance(given, str):
        return "a string"
    return f"of type {type(given).__name__}"
