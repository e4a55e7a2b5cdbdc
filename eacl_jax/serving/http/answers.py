"""What answers hold, of models of one label an utterance and of several."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from eacl_jax.config import Fusion
from eacl_jax.dialogue import TaskName
from eacl_jax.recognizer.prediction import ANSWER, why_absent


def _chosen(several: bool) -> Callable[[dict[str, Any]], None]:
    """Callers choose the fields that they want, of those that such a model answers."""
    absent = [name for name in ANSWER if why_absent(name, several, sets=True)]

    def change(schema: dict[str, Any]) -> None:
        del schema["required"]
        schema["not"] = {"anyOf": [{"required": [name]} for name in absent]}

    return change


class _Answered(BaseModel):
    """What both kinds of models answer of an utterance."""

    speaker: str
    text: str
    cosines: dict[str, float] = Field(
        description="By label: of the utterance's representation with the label's anchor(s)."
    )
    truncated: bool = Field(description="The text is longer than the model reads; see `on_long`.")
    unknown_text: bool = Field(
        description=(
            "The model does not know most of the text, such as another script, or there is none,"
            " or it reads features alone and there are none: the answer says nothing."
        )
    )
    features: dict[str, list[float | None] | list[list[float | None]]] = Field(
        default_factory=dict,
        description=(
            "By modality: what was made of the utterance's sound; only with `return_features`."
        ),
    )


class AnsweredUtterance(_Answered):
    """An utterance and its emotion, and the other fields that it came with: from a model of one
    label an utterance.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_chosen(several=False))

    emotion: str = Field(description="The label whose anchor is nearest.")
    confidence: float = Field(description="Probability of `emotion`.")
    possible: list[str] = Field(
        default_factory=list,
        description="The labels of the `coverage` that was asked for, the likeliest first.",
    )
    probabilities: dict[str, float] = Field(description="By label; they sum to 1.")


class AnsweredOfSeveral(_Answered):
    """An utterance and its emotions, and the other fields that it came with: from a model of
    several labels an utterance.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_chosen(several=True))

    emotions: list[str] = Field(
        description=(
            "The labels whose probabilities reach their thresholds, the likeliest first; empty"
            " where none does."
        )
    )
    probabilities: dict[str, float] = Field(
        description="By label, each on its own: they do not sum to 1."
    )


class _Words(BaseModel):
    """What is known of the labels."""

    words: dict[str, str] = Field(
        description="The word or phrase behind each label; `|` divides several."
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description=(
            "The probability from which on each label is answered; only from a model of several"
            " labels an utterance."
        ),
    )


class AnsweredDialogue(BaseModel):
    """A dialogue's utterances in their order, and the other fields that it came with."""

    model_config = ConfigDict(extra="allow")

    id: str
    utterances: list[AnsweredUtterance | AnsweredOfSeveral]


class PredictAnswer(_Words):
    """The dialogues in the request's order."""

    labels: list[str] = Field(description="All that could be answered.")
    warnings: list[str] = Field(
        description=(
            "What was found in labels of your own: words that the model does not know, or meanings"
            " so near to each other that it hardly tells them apart. And how many utterances had to"
            " be answered without features that the model reads or without the utterances around"
            " them, how many texts were too long or are not known (`truncated`, `unknown_text`;"
            " whatever `fields` were asked for), how many hold HTML, which is read as words, how"
            " many utterances of dialogues name no speaker and count as one speaker's, and how"
            " many texts may be in another language than those that the model was trained on; and"
            " whether features are unlike those of training."
        )
    )
    dialogues: list[AnsweredDialogue]


class NextAnswer(_Words):
    """The answer to one more utterance of a conversation."""

    conversation: str
    index: int = Field(
        description=(
            "Of the utterance in the conversation, from 0. Another one than was expected tells that"
            " the conversation was forgotten; `index` in the request makes that an error."
        )
    )
    labels: list[str] = Field(description="All that could be answered.")
    warnings: list[str] = Field(description="As of `PredictAnswer`.")
    utterance: AnsweredUtterance | AnsweredOfSeveral


class ConversationAnswer(BaseModel):
    """What is known of a conversation."""

    conversation: str
    utterances: int = Field(description="How many there are.")
    labels: list[str] = Field(description="All that is answered.")


class LimitsAnswer(BaseModel):
    """What one request may hold."""

    dialogues: int
    utterances: int
    characters: int = Field(description="Of an utterance's text.")
    labels: int
    body_bytes: int
    numbers: int = Field(description="Of an utterance's features.")
    sounds: int = Field(description="Where the model reads any: `from_sound`.")
    sound_bytes: int = Field(description="Of a sound file, before base64.")
    sound_seconds: int = Field(description="That a sound may last.")


class ModalityAnswer(BaseModel):
    """Numbers that the model reads beside the text."""

    width: int = Field(description="Numbers of an utterance, or of each of its frames.")
    frames: int = Field(description="Of an utterance at most; of more, the last count.")
    columns: list[str] = Field(description="What the numbers are; empty where it is not known.")
    made_by: str = Field(
        description="What makes them from sound; empty where it is not known. Give the same."
    )
    from_sound: bool = Field(
        description="Whether this service makes them of an utterance's `audio`."
    )


class FeaturesAnswer(BaseModel):
    """What the model reads beside the text."""

    modalities: dict[str, ModalityAnswer] = Field(description="By name, as requests give them.")
    fusion: Fusion = Field(
        description=(
            "How they join the text: by gates, concatenation or attention after the encoder, or as"
            " words in the text."
        )
    )
    text: bool = Field(
        description=(
            "Whether the text is read too. Otherwise an utterance without features has nothing to"
            " be answered by, and its answer says `unknown_text`."
        )
    )


class RuntimeAnswer(BaseModel):
    """What computes the answers."""

    name: str = Field(description="`jax`, `onnx` (ONNX Runtime) or `openvino`.")
    precision: str = Field(
        description="Of its products: `float32`, `bfloat16`, `bfloat16_products` or `int8`."
    )
    cost: str = Field(
        description=(
            "What the precision changes beside `float32`, where that was measured on annotated"
            " dialogues; else empty."
        )
    )


class ModelAnswer(_Words):
    """The model that answers."""

    name: str
    task: TaskName = Field(
        description=(
            "`single`: an utterance has one of the labels, its answer `emotion`. `multi`: it may"
            " have several or none of them, its answer `emotions`."
        )
    )
    labels: list[str]
    max_tokens: int = Field(
        description="Longest prompt: an utterance and as much of its past as fits."
    )
    max_past: int = Field(description="Past utterances that may count.")
    max_future: int = Field(
        description="Later utterances that may count; with any, there are no conversations."
    )
    sequence: bool = Field(
        description=(
            "Whether the answer to an utterance is weighed by those to all others of its dialogue;"
            " in a conversation by those before it. Not with labels of one's own."
        )
    )
    coverage: bool = Field(description="Whether requests may ask for a `coverage`.")
    temperature: float = Field(
        description=(
            "That calibrates the probabilities; 1 with several labels, which are calibrated each on"
            " its own."
        )
    )
    calibration_error: dict[Literal["dev", "test", "adaptation"], float] = Field(
        description=(
            "How far probabilities and how often they are right differ, in percent (expected"
            " calibration error, 15 bins; with several labels the mean over them), by what it was"
            " measured on: `dev` and `test` of the run, or the dialogues of its `adaptation`. Empty"
            " where it was not measured since the model was changed, or with another precision than"
            " the model's own (`cost` of `runtime`). Not of labels of one's own."
        )
    )
    runtime: RuntimeAnswer
    limits: LimitsAnswer
    features: FeaturesAnswer | None = Field(
        None, description="Only from a model that reads features beside the text."
    )


class StateAnswer(BaseModel):
    """Whether the service lives or is ready."""

    status: str
