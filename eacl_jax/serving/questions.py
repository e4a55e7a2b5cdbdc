"""A request's dialogues -> the recognizer's, with the limits kept."""

from collections.abc import Mapping, Sequence

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.inputs import read_transcript
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.schemas import AskedDialogue, AskedUtterance
from eacl_jax.serving.settings import Limits


def dialogues_of(asked: Sequence[AskedDialogue], limits: Limits) -> list[Dialogue]:
    """The dialogues of a request.

    Raises:
      ApiError: 413, they are above a limit; 422, a transcript holds no utterance.
    """
    _within(len(asked), limits.dialogues, "dialogues", "dialogues")
    found, utterances = [], 0
    for number, each in enumerate(asked):
        field = f"dialogues[{number}]"
        identity = each.id if "id" in each.model_fields_set else str(number + 1)
        if "transcript" in each.model_fields_set:
            field = f"{field}.transcript"
            # Counted before they are read, which takes a while.
            utterances += sum(not line.isspace() for line in each.transcript.splitlines() if line)
            _within(utterances, limits.utterances, "utterances", field)
            dialogue = _transcribed(each.transcript, identity, field)
            for said in dialogue.utterances:
                _short_enough(said.text, limits, field)
        else:
            utterances += len(each.utterances)
            _within(utterances, limits.utterances, "utterances", f"{field}.utterances")
            for index, asked_utterance in enumerate(each.utterances):
                _short_enough(asked_utterance.text, limits, f"{field}.utterances[{index}].text")
            dialogue = Dialogue(identity, tuple(Utterance(said.speaker, said.text) for said in each.utterances))
        found.append(dialogue)
    return found


def utterance_of(asked: AskedUtterance, limits: Limits) -> Utterance:
    """One more utterance of a conversation.

    Raises:
      ApiError: 413, its text is above the limit.
    """
    _short_enough(asked.text, limits, "text")
    return Utterance(asked.speaker, asked.text)


def check_labels(labels: Mapping[str, str], limits: Limits) -> None:
    """Raises `ApiError`, 413, where a request has too many labels of its own."""
    _within(len(labels), limits.labels, "labels", "labels")


def _transcribed(text: str, identity: str, field: str) -> Dialogue:
    try:
        dialogue = read_transcript(text, identity, field)
    except UserError as error:
        raise ApiError(422, "invalid", str(error), field=field) from error
    if not dialogue.utterances:
        raise ApiError(422, "invalid", f"{field} holds no utterance; write a line each, as in 'Ann: I got it!'.", field=field)
    return dialogue


def _short_enough(text: str, limits: Limits, field: str) -> None:
    if len(text) > limits.characters:
        message = f"{field} holds a text of {len(text)} characters; the limit is {limits.characters}."
        raise ApiError(413, "too_large", message, field=field)


def _within(count: int, limit: int, what: str, field: str) -> None:
    if count > limit:
        message = f"the request holds {count} {what} or more; the limit is {limit}. Send them in several requests."
        raise ApiError(413, "too_large", message, field=field)
