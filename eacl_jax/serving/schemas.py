"""What requests and answers hold; the OpenAPI description is made from this."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

from eacl_jax.inputs import why_no_text

LONGEST_NAME = 100


def _is_text(value: Any) -> Any:
    if isinstance(value, str) and (reason := why_no_text(value)):
        raise ValueError(reason)
    return value


def _says_something(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; give a name, any name")
    return value


Text = Annotated[str, BeforeValidator(_is_text)]
"""Characters, none of them null or half of a surrogate pair."""

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), BeforeValidator(_is_text), AfterValidator(_says_something)]
"""A short text that is not blank."""


# Lists fail fast: only the first mistake is told, and gathering those of a megabyte of them would hold up everybody else.
class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AskedUtterance(_Asked):
    """One turn of a conversation."""

    speaker: Name = Field(examples=["Ann"])
    text: Text = Field(examples=["We got the flat!"])


class AskedDialogue(_Asked):
    """A conversation: either its utterances, or a transcript with an utterance a line."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["utterances"]}, {"required": ["transcript"]}]})

    id: Annotated[str, Field(max_length=LONGEST_NAME), BeforeValidator(_is_text)] = Field(
        "", description="Comes back in the answer. By default the dialogue's number in the request, from 1."
    )
    utterances: Annotated[list[AskedUtterance], FailFast()] = Field(
        default_factory=list, min_length=1, description="In the order in which they were said."
    )
    transcript: Text = Field("", description="`Ann: ...`, a line an utterance.", examples=["Ann: We got the flat!\nBen: What?"])

    @model_validator(mode="after")
    def _one_of_two(self) -> "AskedDialogue":
        if len(self.model_fields_set & {"utterances", "transcript"}) != 1:
            raise ValueError("must have either 'utterances' or 'transcript', and not both")
        return self


class PredictRequest(_Asked):
    """Dialogues whose utterances' emotions are asked for."""

    dialogues: Annotated[list[AskedDialogue], FailFast()] = Field(min_length=1)
    labels: dict[Name, Name] = Field(
        default_factory=dict,
        min_length=2,
        description="Labels of your own, each with a word or phrase that says what it means; by default the model's labels.",
        examples=[{"gratitude": "grateful", "complaint": "annoyed"}],
    )


class AnsweredUtterance(BaseModel):
    """An utterance and its emotion."""

    speaker: str
    text: str
    emotion: str = Field(description="The label whose anchor is nearest.")
    confidence: float = Field(description="Probability of `emotion`.")
    probabilities: dict[str, float] = Field(description="By label; they sum to 1.")
    cosines: dict[str, float] = Field(description="By label: of the utterance's representation with the label's anchor.")


class AnsweredDialogue(BaseModel):
    """A dialogue's utterances in their order."""

    id: str
    utterances: list[AnsweredUtterance]


class PredictAnswer(BaseModel):
    """The dialogues in the request's order."""

    labels: list[str] = Field(description="All that could be answered.")
    dialogues: list[AnsweredDialogue]


class SaidAnswer(BaseModel):
    """The answer to one more utterance of a conversation."""

    conversation: str
    index: int = Field(description="Of the utterance in the conversation, from 0.")
    utterance: AnsweredUtterance


class ConversationAnswer(BaseModel):
    """What is known of a conversation."""

    conversation: str
    utterances: int = Field(description="How many were said.")


class LimitsAnswer(BaseModel):
    """What one request may hold."""

    dialogues: int
    utterances: int
    characters: int = Field(description="Of an utterance's text.")
    labels: int
    body_bytes: int


class ModelAnswer(BaseModel):
    """The model that answers."""

    name: str
    labels: list[str]
    words: dict[str, str] = Field(description="The word or phrase behind each label.")
    max_tokens: int = Field(description="Longest prompt: an utterance and as much of its past as fits.")
    max_past: int = Field(description="Past utterances that may count.")
    temperature: float = Field(description="That calibrates the probabilities.")
    limits: LimitsAnswer


class StateAnswer(BaseModel):
    """Whether the service lives or is ready."""

    status: str
