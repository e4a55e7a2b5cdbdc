"""What requests hold; the OpenAPI description is made from this and `answers`."""

import base64
import io
import json
import wave
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticSerializationError, to_json

from eacl_jax.corpora.forms import check_exact
from eacl_jax.data.inputs import why_no_text
from eacl_jax.data.prompts import OnLong
from eacl_jax.errors import UserError
from eacl_jax.features.modality import NAME
from eacl_jax.model.abstention import COVERAGES
from eacl_jax.recognizer.prediction import ANSWER, OTHER

LONGEST_NAME = 100


def _is_text(value: Any) -> Any:
    if isinstance(value, str) and (reason := why_no_text(value)):
        raise ValueError(reason)
    return value


def _says_something(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; give a name, any name")
    return value


def _digits(value: Any) -> Any:
    """A whole number stands for its digits, if it has them all."""
    if isinstance(value, float) and value.is_integer():
        try:
            check_exact(value, "it")
        except UserError as error:
            raise ValueError(str(error).removeprefix("it ").removesuffix(".")) from error
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _can_be_answered(value: Any) -> Any:
    """The value of a field that is carried through, where an answer can hold it."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        to_json([[[[[[[[value]]]]]]]])  # with room for what it stands in
    except UnicodeEncodeError as error:
        raise ValueError(
            "holds half of a surrogate pair, which is no character; decode the text again"
        ) from error
    except (PydanticSerializationError, RecursionError) as error:
        raise ValueError("is nested too deep") from error
    except ValueError as error:
        raise ValueError("holds a number that is too large") from error
    return value


def _form(value: Any) -> str:
    """Which of several forms a value has. The brackets keep it out of the names of fields in
    messages.
    """
    return (
        "[list]" if isinstance(value, list) else "[text]" if isinstance(value, str) else "[object]"
    )


def _frames(value: Any) -> str:
    """Likewise for the features of a modality."""
    several = isinstance(value, list) and any(isinstance(each, list) for each in value[:1])
    return "[frames]" if several else "[numbers]"


def _is_sound(value: Any) -> str:
    """Likewise for an utterance's audio."""
    return "[sound]" if isinstance(value, (dict, Sound)) else "[field]"


def _short_speaker(pair: list[str]) -> list[str]:
    if len(pair[0]) > LONGEST_NAME:
        raise ValueError(
            f"has a speaker of {len(pair[0])} characters; names have at most {LONGEST_NAME}"
            " characters"
        )
    return pair


def _known(name: str) -> str:
    if name not in (*ANSWER, OTHER):
        raise ValueError(f"is {name!r:.60}, which is none of {', '.join((*ANSWER, OTHER))}")
    return name


Text = Annotated[str, BeforeValidator(_is_text)]
"""Characters, none of them null or half of a surrogate pair."""

Name = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_NAME),
    BeforeValidator(_is_text),
    AfterValidator(_says_something),
]
"""A short text that is not blank."""

_Filled = Annotated[str, Field(min_length=1), BeforeValidator(_is_text)]
_NAMED = {"type": ["string", "integer"], "minLength": 1, "maxLength": LONGEST_NAME}


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Frame = Annotated[list[_Number | None], Field(min_length=1, fail_fast=True)]
Features = Annotated[
    dict[
        Annotated[str, Field(pattern=f"^{NAME.pattern}$")],
        Annotated[
            Annotated[_Frame, Tag("[numbers]")]
            | Annotated[
                list[_Frame],
                Field(min_length=1, fail_fast=True),
                Tag("[frames]"),
            ],
            Discriminator(_frames),
        ],
    ],
    Field(
        description=(
            "Numbers of its voice, face or anything that the model reads beside the text, by"
            " modality: `features` of `/v1/model` names these and their columns. A list of numbers,"
            " or a list of frames of equally many; null for a number that is not known. A modality"
            " that is left out is missing, and the utterance is answered without it."
        ),
        examples=[{"prosody": [1.2, None, 0.7]}, {"face": [[0.1, 0.2], [0.3, 0.4]]}],
    ),
]


# Lists fail fast: only the first mistake is reported, and gathering those of a megabyte of them
# would hold up everybody else.
class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _CarriedThrough(BaseModel):
    """Has fields of the caller's, which come back in the answer."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_can_be_answered)]]
    parts: ClassVar[tuple[str, ...]]
    """What it is made of, beside the caller's fields."""

    def given(self) -> dict[str, Any]:
        """The fields that were given."""
        known = {name: getattr(self, name) for name in self.parts if name in self.model_fields_set}
        return {**known, **(self.model_extra or {})}


def _hum() -> str:
    """A WAV file in base64: a hundredth of a second of 200 Hz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes((b"\x40" * 20 + b"\xc0" * 20) * 2)
    return base64.b64encode(file.getvalue()).decode()


class Sound(_Asked):
    """How an utterance sounds: a file."""

    data: Annotated[
        str,
        Field(
            min_length=1,
            description=(
                "The bytes of a WAV, FLAC, MP3 or Ogg file in base64 (RFC 4648, with padding)."
            ),
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ]


class AskedUtterance(_CarriedThrough):
    """One turn of a conversation. Its other fields come back in the answer; features and a sound do
    not.
    """

    parts = ("speaker", "text", "features")  # labels are not looked at

    speaker: Annotated[
        Name | None, BeforeValidator(_digits), WithJsonSchema({"anyOf": [_NAMED, {"type": "null"}]})
    ] = Field(
        None,
        description="`Speaker` where there is none; a number stands for its digits.",
        examples=["Ann"],
    )
    text: Text = Field(examples=["We got the flat!"])
    features: Features | None = None
    audio: Annotated[
        Annotated[Sound, Tag("[sound]")]
        | Annotated[
            Any,
            BeforeValidator(_can_be_answered),
            WithJsonSchema({"type": ["string", "number", "boolean", "array", "null"]}),
            Tag("[field]"),
        ],
        Discriminator(_is_sound),
    ] = Field(
        None,
        description=(
            "How it sounds, where the model reads features that can be made of sound (`from_sound`"
            " of `/v1/model`): they are made of it, and may then not be given themselves. Anything"
            " else than an object, such as a file's path, is a field of the caller's: it comes"
            " back in the answer, and no file is opened."
        ),
        examples=[{"data": _hum()}],
    )
    emotion: Text | None = Field(
        None, description="Not looked at: what is answered may be asked again."
    )
    emotions: list[Text] | None = Field(None, fail_fast=True, description="Likewise.")
    annotations: list[Annotated[list[Text], Field(fail_fast=True)]] | None = Field(
        None,
        fail_fast=True,
        description="Likewise: labels that annotators gave, a list an annotator.",
    )

    @property
    def sound(self) -> str | None:
        """A sound file in base64."""
        return self.audio.data if isinstance(self.audio, Sound) else None

    def given(self) -> dict[str, Any]:
        """The fields that were given, but for the sound."""
        found = super().given()
        if "audio" in self.model_fields_set and not isinstance(self.audio, Sound):
            found["audio"] = self.audio
        return found


Pair = Annotated[
    list[Text], Field(min_length=2, max_length=2, fail_fast=True), AfterValidator(_short_speaker)
]
"""Speaker and text."""

Utterance = Annotated[
    Annotated[AskedUtterance, Tag("[object]")]
    | Annotated[Pair, Tag("[list]")]
    | Annotated[Text, Tag("[text]")],
    Discriminator(_form),
]

Labels = Annotated[
    Annotated[dict[Name, Name], Field(min_length=2), Tag("[object]")]
    | Annotated[list[_Filled], Field(min_length=2, fail_fast=True), Tag("[list]")]
    | Annotated[_Filled, Tag("[text]")],
    Discriminator(_form),
    Field(
        description=(
            "Labels of your own, each with a word or phrase that says what it means; by default the"
            " model's labels. Also as a list of `gratitude=grateful`, `gratitude: grateful` or"
            " `gratitude`, or these in one text, with commas or line ends between them. Several"
            " words or phrases of one label have `|` between them: `complaint=annoyed|complains`."
        ),
        examples=[
            {"gratitude": "grateful", "complaint": "annoyed"},
            ["gratitude=grateful", "anger"],
            "joy, anger",
        ],
    ),
]

Long = Annotated[
    OnLong,
    Field(
        description=(
            "What becomes of a text that is longer than the model reads: `cut` answers by its end,"
            " and says so in `truncated`; `pool` by the mean of its parts; `refuse` is an error."
        )
    ),
]

Fields = Annotated[
    list[Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": [*ANSWER, OTHER]})]],
    FailFast(),
    Field(
        min_length=1,
        description=(
            "What an answered utterance holds, for a leaner answer; by default all. `other` stands"
            " for the fields that are carried through. `emotion` and `confidence` are of models of"
            " one label an utterance, `emotions` of those of several (`task` of `/v1/model`)."
        ),
        examples=[["emotion", "confidence"]],
    ),
]


Coverage = Annotated[
    float | None,
    Field(
        description=(
            "With 0.9, answers hold `possible`: the labels among which an utterance's own is in 90%"
            " of utterances like those of the model's dev, on average. In whole percent, where"
            " `/v1/model` says `coverage`; not with labels of your own."
        ),
        # Checked where it is looked up. Not `multipleOf`: 0.57 is none of 0.01 where doubles are
        # divided.
        json_schema_extra={"minimum": COVERAGES[0] / 100, "maximum": COVERAGES[-1] / 100},
        examples=[0.9],
    ),
]


ReturnFeatures = Annotated[
    bool,
    Field(
        description=(
            "Whether an utterance that came with a sound is answered with the `features` that were"
            " made of it. Given instead of it the next time, they have the same answer, and nothing"
            " is to be sent or read again."
        )
    ),
]


class NextUtterance(AskedUtterance):
    """The next utterance, and how it is to be answered. Its other fields come back."""

    index: int | None = Field(
        None,
        ge=0,
        description=(
            "Where the utterance is to be in the conversation: 0 for the first. Where it would be"
            " elsewhere, as the conversation was forgotten or the utterance was added before, the"
            " answer is 409, and nothing is added."
        ),
        examples=[0],
    )
    labels: Labels = Field(default_factory=dict)
    on_long: Long = "cut"
    fields_: Fields = Field(default_factory=list, alias="fields")
    coverage: Coverage = None
    return_features: ReturnFeatures = False


class AskedDialogue(_CarriedThrough):
    """A conversation: either its utterances, or a transcript. Its other fields come back in the
    answer.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["utterances"]}, {"required": ["transcript"]}]}
    )
    parts = ("id", "utterances", "transcript")

    id: Annotated[
        str,
        Field(max_length=LONGEST_NAME),
        BeforeValidator(_is_text),
        BeforeValidator(_digits),
        WithJsonSchema({"type": ["string", "integer"], "maxLength": LONGEST_NAME}),
    ] = Field(
        "",
        description=(
            "Comes back in the answer; a number stands for its digits. By default the dialogue's"
            " number in the request, from 1, or one beyond where that is the id of another one. Two"
            " dialogues may not be given one id, but an empty one, which is none."
        ),
    )
    utterances: Annotated[list[Utterance], FailFast()] = Field(
        default_factory=list,
        min_length=1,
        description=(
            "In their order, the oldest first: objects, pairs of speaker and text, or texts"
            " `Ann: ...`."
        ),
    )
    transcript: Text = Field(
        "",
        description=(
            "`Ann: ...`, a line an utterance, or what a chat program exports. Lines end at a line"
            " feed, a carriage return or both. It is one conversation: blank lines in it do not end"
            " it."
        ),
        examples=["Ann: We got the flat!\nBen: What?"],
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "AskedDialogue":
        if len(self.model_fields_set & {"utterances", "transcript"}) != 1:
            raise ValueError("must have either 'utterances' or 'transcript', and not both")
        return self


class PredictRequest(_Asked):
    """Dialogues whose utterances' emotions are asked for."""

    dialogues: Annotated[list[AskedDialogue], FailFast()] = Field(min_length=1)
    labels: Labels = Field(default_factory=dict)
    on_long: Long = "cut"
    fields_: Fields = Field(default_factory=list, alias="fields")
    coverage: Coverage = None
    return_features: ReturnFeatures = False
