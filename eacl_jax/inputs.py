"""What people have at hand -> `Dialogue`s: texts with an utterance a line, plain dicts, DataFrames."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

DialogueLike: TypeAlias = Dialogue | str | Mapping[str, Any] | Sequence[str | Mapping[str, Any] | Utterance]
"""A `Dialogue`; a text with an utterance a line; `{"id"?, "utterances": [...]}`; or a list of utterances, each `"Ann: I got
it!"`, `{"speaker", "text"}` or an `Utterance`."""

NOBODY = "Speaker"
"""Who speaks where no name is given."""

# A name is one to four words that begin with a letter, before a colon that is not an address' or a time of day's.
_NAMED = re.compile(r"\s*(?P<speaker>[^\W\d_][^\s:]*(?: [^\s:]+){0,3})\s*:(?!//)\s*(?P<text>.*)", re.DOTALL)
_LONGEST_NAME = 40


def read_dialogues(given: Any) -> tuple[list[Dialogue], bool]:
    """The dialogues in what a user gave, and whether it was a single one.

    Args:
      given: a `DialogueLike`; a list of them; or a pandas DataFrame with a column `text` and perhaps `speaker` and
        `dialogue` (rows of a dialogue keep their order and need not be neighbours; without that column all are one).

    Raises:
      UserError: something is missing, of the wrong type, or is not text.
    """
    if isinstance(given, (Dialogue, str, Mapping)):
        return [_dialogue(given, "1", "the dialogue")], True
    if hasattr(given, "columns") and hasattr(given, "to_dict"):
        return _from_frame(given)
    if not isinstance(given, Iterable):
        raise UserError(f"expected a dialogue or a list of dialogues, got {type(given).__name__}.")
    items = list(given)
    if items and all(_is_utterance(item) for item in items):
        return [_dialogue(items, "1", "the dialogue")], True
    return [_dialogue(item, str(number), f"dialogue number {number}") for number, item in enumerate(items, 1)], False


def read_utterance(given: str | Mapping[str, Any] | Utterance, where: str = "the utterance") -> Utterance:
    """One utterance: `"Ann: I got it!"`, `{"speaker", "text"}` or an `Utterance`.

    Raises:
      UserError: a field is missing, not known, or not text.
    """
    if isinstance(given, str):
        found = _NAMED.fullmatch(given)
        named = found is not None and len(found["speaker"]) <= _LONGEST_NAME
        given = Utterance(found["speaker"], found["text"].strip()) if found and named else Utterance(NOBODY, given.strip())
    if isinstance(given, Mapping):
        given = Dialogue.from_json({"id": "", "utterances": [{"speaker": NOBODY, **given}]}, where).utterances[0]
    if not isinstance(given, Utterance):
        raise UserError(f'{where} must be "NAME: TEXT" or an object with "speaker" and "text", got {type(given).__name__}.')
    return check_utterance(given, where)


def read_transcript(text: str, identity: str = "1", where: str = "the text") -> Dialogue:
    """A text with an utterance a line, each `Name: ...`; lines without a name are by `NOBODY`, blank lines are passed over.

    Raises:
      UserError: a line is not text.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return Dialogue(identity, tuple(read_utterance(line, f"{where} line {number}") for number, line in lines))


def check_dialogue(dialogue: Dialogue, where: str) -> Dialogue:
    """The same dialogue. Raises `UserError` where a speaker or text is not text."""
    for number, utterance in enumerate(dialogue.utterances):
        check_utterance(utterance, f"{where}: dialogue {dialogue.id!r:.60} utterance {number}")
    return dialogue


def check_utterance(utterance: Utterance, where: str) -> Utterance:
    """The same utterance. Raises `UserError` where its speaker is empty, or a string cannot be text: it holds a null
    character or half of a surrogate pair.
    """
    for field in ("speaker", "text"):
        value = getattr(utterance, field)
        if reason := why_no_text(value):
            raise UserError(f"{where}: field {field!r} {reason}.")
    if not utterance.speaker.strip():
        raise UserError(f"{where}: field 'speaker' is empty; give a name, any name.")
    return utterance


def why_no_text(value: str) -> str:
    """Why a string cannot be text; empty where it can."""
    if "\0" in value:
        return f"holds a null character at position {value.index(chr(0))}; remove it"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"holds half of a surrogate pair at position {error.start}, which is no character; decode the text again"
    return ""


def _is_utterance(item: Any) -> bool:
    return (isinstance(item, str) and "\n" not in item.strip()) or isinstance(item, Utterance) or _is_mapping_of_text(item)


def _is_mapping_of_text(item: Any) -> bool:
    return isinstance(item, Mapping) and "utterances" not in item


def _dialogue(given: Any, identity: str, where: str) -> Dialogue:
    if isinstance(given, Dialogue):
        return check_dialogue(given, where)
    if isinstance(given, str):
        return read_transcript(given, identity, where)
    if isinstance(given, Mapping):
        if unknown := set(given) - {"id", "utterances"}:
            raise UserError(f"{where} has unknown fields {sorted(map(str, unknown))}; known: id, utterances.")
        if not isinstance(given.get("utterances"), (list, tuple)):
            raise UserError(f"{where} must have a list of 'utterances', got {type(given.get('utterances')).__name__}.")
        identity = given.get("id", identity)
        if not isinstance(identity, str):
            raise UserError(f"{where}: field 'id' must be a string, got {identity!r:.60}.")
        given = given["utterances"]
    if isinstance(given, Iterable):
        return Dialogue(identity, tuple(read_utterance(item, f"{where} utterance {i}") for i, item in enumerate(given)))
    raise UserError(f"{where} must be a text, a list of utterances or an object, got {type(given).__name__}.")


def _from_frame(frame: Any) -> tuple[list[Dialogue], bool]:
    columns = [str(column) for column in frame.columns]
    if "text" not in columns:
        raise UserError(
            f"the DataFrame has no column 'text' (and perhaps 'speaker' and 'dialogue'); its columns are {columns}."
        )
    gathered: dict[str, list[Utterance]] = {}
    kept = [name for name in ("dialogue", "speaker", "text", "emotion") if name in columns]
    for number, row in enumerate(frame[kept].to_dict("records")):
        # pandas gives a missing value as NaN, None or NA; only NaN is unlike itself, and NA answers neither way.
        present = {name: value for name, value in row.items() if value is not None and str(value) not in ("nan", "<NA>")}
        identity = str(present.pop("dialogue", "1"))
        gathered.setdefault(identity, []).append(read_utterance(present, f"the DataFrame's row {number}"))
    dialogues = [Dialogue(identity, tuple(said)) for identity, said in gathered.items()]
    return dialogues, "dialogue" not in columns and len(dialogues) == 1
