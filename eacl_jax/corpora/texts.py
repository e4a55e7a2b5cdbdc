"""What can be the text of an utterance."""

from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError


def check_utterance(utterance: Utterance, where: str) -> Utterance:
    """The same utterance. Raises `UserError` where its speaker is empty, or a string cannot be
    text: it holds a null character or half of a surrogate pair.
    """
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
        return (
            f"holds half of a surrogate pair at position {error.start}, which is no character;"
            " decode the text again"
        )
    return ""
