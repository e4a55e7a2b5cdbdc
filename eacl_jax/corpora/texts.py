"""What can be the text of an utterance."""

import dataclasses
import unicodedata

from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError


def check_utterance(utterance: Utterance, where: str) -> Utterance:
    """The utterance as whatever is answered has it: without blanks around its speaker and its text,
    which some tokenizers read and by which "Ann " would be another speaker than "Ann".

    Raises:
      UserError: its speaker is empty, or a string cannot be text: it is something else, or holds a
        null character or half of a surrogate pair.
    """
    for field in ("speaker", "text"):
        value = getattr(utterance, field)
        if not isinstance(value, str):
            raise UserError(f"{where}: field {field!r} must be a string, got {value!r:.60}.")
    for field in ("speaker", "text", "emotion"):
        value = getattr(utterance, field)
        if value is not None and (reason := why_no_text(value)):
            raise UserError(f"{where}: field {field!r} {reason}.")
    for field, lists in (
        ("emotions", (utterance.emotions or (),)),
        ("annotations", utterance.annotations or ()),
    ):
        for labels in lists:
            for label in labels:
                if reason := why_no_text(label):
                    raise UserError(f"{where}: a label in field {field!r} {reason}.")
    speaker, text = utterance.speaker.strip(), utterance.text.strip()
    if not speaker:
        raise UserError(f"{where}: field 'speaker' is empty; give a name, any name.")
    if (speaker, text) == (utterance.speaker, utterance.text):
        return utterance
    return dataclasses.replace(utterance, speaker=speaker, text=text)


def why_no_text(value: str) -> str:
    """Why a string cannot be text; empty where it can."""
    if "\0" in value:
        return f"holds a null character at position {value.index(chr(0))}; remove it"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return (
            f"holds half of a surrogate pair at position {error.start}, which is no character;"
            " decode the text again"
        )
    return ""


def without_controls(text: str) -> str:
    """The text without what a terminal would obey: control characters are shown as a
    replacement.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text
    )


def letters_of(text: str) -> str:
    """What is left of a text however it was tokenized, encoded and capitalized."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
