"""What a recognizer answers."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from eacl_jax.corpora.forms import POSSIBLE
from eacl_jax.corpora.label_columns import SEPARATORS
from eacl_jax.corpora.labels import NONE
from eacl_jax.corpora.texts import without_controls
from eacl_jax.dialogue import count

ANSWER = (
    "speaker",
    "text",
    "emotion",
    "emotions",
    "confidence",
    POSSIBLE,
    "probabilities",
    "cosines",
    "truncated",
    "unknown_text",
)
"""Fields of an answer to an utterance, those of one label and those of several; see `answered`."""
OTHER = "other"
"""Stands for the fields that an utterance came with."""

ALONE = (
    "of the utterances had to be answered alone: what the model reads at once has no room beside"
    " such a text for the utterances around it"
)
"""Says what `Prediction.alone` is, after how many there are."""

SEPARATOR = ";"
"""Between several labels in a cell of a table."""

_TEXT_WIDTH = 60
_OF_ONE, _OF_SEVERAL = ("emotion", "confidence"), ("emotions",)
_DIGITS = 6  # of what is written: answers are the same to 1e-5 whatever is asked beside them


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The emotion, or emotions, of one utterance.

    Attributes:
      speaker: who says it.
      text: the utterance's.
      emotion: the label with the largest score: that of the nearest anchor where each label has
        one, and nothing is added to the scores (`Settings.offsets`). With a chain
        (`Settings.chain`) that of the dialogue's most probable sequence of labels. None from a
        recognizer that answers several labels: see `emotions`.
      emotions: the labels that are answered: `emotion` alone; or of several those whose probability
        reaches their threshold, the likeliest first, which may be none.
      probabilities: by label, calibrated on dev where the recognizer was
        (`EmotionRecognizer.calibration`). They sum to 1; but not where an utterance may have
        several labels.
      possible: the labels that were asked for by a coverage (`EmotionRecognizer.predict`), the
        likeliest first: one where the model is sure, several where it is not, none where no label
        is as probable as others' labels are. None where no coverage was asked for.
      cosines: by label, from -1 to 1, of the utterance's representation with the label's anchor; of
        a label with several, the cosine with which one alone would have its score
        (`scores.label_cosines`).
      truncated: the text is longer than the encoder reads: the answer is that to its end, or to the
        mean of its parts where that was asked for.
      unknown_text: the encoder's tokenizer does not know most of the text, such as another script,
        or there is none, or the model reads features alone and the utterance has none: the answer
        says nothing.
      other: the user's other fields that the utterance came with.
      alone: it is answered by itself, though there are others around it: beside it there was no
        room for any of them in what the encoder reads at once. Not written with the answer.
    """

    speaker: str
    text: str
    emotion: str | None
    probabilities: dict[str, float]
    cosines: dict[str, float]
    truncated: bool = False
    unknown_text: bool = False
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    emotions: tuple[str, ...] = ()
    alone: bool = False
    possible: tuple[str, ...] | None = None

    @property
    def several(self) -> bool:
        """Whether there may be several labels."""
        return self.emotion is None

    def __post_init__(self) -> None:
        if self.emotion is not None:
            object.__setattr__(self, "emotions", (self.emotion,))

    @property
    def confidence(self) -> float | None:
        """Probability of `emotion`; None where there may be several labels, which have a
        probability each.
        """
        return None if self.emotion is None else self.probabilities[self.emotion]

    def with_possible(self, threshold: float) -> "Prediction":
        """The same with the labels whose probability reaches the threshold as `possible`."""
        found = [label for label, p in self.probabilities.items() if p >= threshold]
        likeliest_first = sorted(found, key=lambda label: -self.probabilities[label])
        return dataclasses.replace(self, possible=tuple(likeliest_first))

    def in_words(self) -> str:
        """The labels that are answered, each with its probability; "none" where there are none."""
        found = [f"{label} {self.probabilities[label]:.0%}" for label in self.emotions]
        return ", ".join(found) or "none"

    def to_json(self) -> dict[str, Any]:
        """Speaker, text, emotion and confidence (of several labels: emotions alone), possible where
        a coverage was asked for, probabilities, cosines, truncated, unknown_text and the other
        fields; numbers to six decimals.
        """
        return {
            "speaker": self.speaker,
            "text": self.text,
            **(_one(self) or {"emotions": list(self.emotions)}),
            **({} if self.possible is None else {POSSIBLE: list(self.possible)}),
            "probabilities": {
                label: round(value, _DIGITS) for label, value in self.probabilities.items()
            },
            "cosines": {label: round(value, _DIGITS) for label, value in self.cosines.items()},
            "truncated": self.truncated,
            "unknown_text": self.unknown_text,
            **self.other,
        }

    def __str__(self) -> str:
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        left = [item for item in ranked if item[0] not in self.emotions]
        runner_up = f"  ({left[0][0]} {left[0][1]:.0%})" if left else ""
        answer = f"{self.in_words()}{runner_up}{_mark(self)}"
        return without_controls(f"{self.speaker}: {_short(self.text)}  ->  {answer}")

    def __repr__(self) -> str:
        return f"<Prediction {self}>"


@dataclasses.dataclass(frozen=True)
class DialoguePrediction(Sequence[Prediction]):
    """The emotions of a dialogue: a sequence with one `Prediction` an utterance.

    Attributes:
      id: of the dialogue.
      predictions: in the order of the utterances.
      other: the user's other fields that the dialogue came with.
    """

    id: str
    predictions: tuple[Prediction, ...]
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def emotions(self) -> list[Any]:
        """The label of each utterance alone; where there may be several, a tuple of them."""
        return [each.emotions if each.several else each.emotion for each in self.predictions]

    def to_json(self) -> dict[str, Any]:
        """`{"id", "utterances": [...]}` and the other fields; see `Prediction.to_json`."""
        return {
            "id": self.id,
            "utterances": [prediction.to_json() for prediction in self.predictions],
            **self.other,
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """A flat record an utterance, for a table or `pandas.DataFrame`: dialogue, utterance (from
        0), speaker, text, emotion and confidence (or emotions, several with a semicolon between
        them, all as a list of JSON where one holds a sign that may divide labels, `[]` for none),
        possible where a coverage was asked for (likewise; a list where one holds a semicolon),
        truncated, unknown_text, a probability a label as `p(LABEL)`, and the other fields of the
        utterance (where one has the name of a column before, the column stays); numbers to six
        decimals.
        """
        rows: list[dict[str, Any]] = [
            {
                "dialogue": self.id,
                "utterance": number,
                "speaker": each.speaker,
                "text": each.text,
                **(_one(each) or {"emotions": _in_a_cell(each.emotions, SEPARATORS)}),
                **({} if each.possible is None else {POSSIBLE: _in_a_cell(each.possible)}),
                "truncated": each.truncated,
                "unknown_text": each.unknown_text,
                **{
                    f"p({label})": round(value, _DIGITS)
                    for label, value in each.probabilities.items()
                },
            }
            for number, each in enumerate(self.predictions)
        ]
        return [
            row | {name: value for name, value in each.other.items() if name not in row}
            for row, each in zip(rows, self.predictions, strict=True)
        ]

    def __str__(self) -> str:
        """A line an utterance, in columns."""
        rows = [
            (
                without_controls(each.speaker),
                _short(each.text),
                without_controls(each.in_words() if each.several else str(each.emotion)),
                (f"{each.confidence:4.0%}" if each.confidence is not None else "") + _mark(each),
            )
            for each in self.predictions
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<DialoguePrediction {self.id!r}, {count(len(self), 'utterance')}>\n{self}".rstrip()

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Prediction, ...]: ...
    def __getitem__(self, index: int | slice) -> Prediction | tuple[Prediction, ...]:
        return self.predictions[index]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)


def answered(several: bool, *, sets: bool = False) -> tuple[str, ...]:
    """Fields of an answer by a model that answers one label an utterance, or several.

    Args:
      several: whether it answers several.
      sets: whether a coverage is asked for, which only those of one label have.
    """
    absent = {*(_OF_ONE if several else _OF_SEVERAL)}
    if several or not sets:
        absent.add(POSSIBLE)
    return tuple(name for name in ANSWER if name not in absent)


def why_absent(field: str, several: bool, *, sets: bool = False) -> str:
    """Why a field of `ANSWER` is not in such answers, and what is; empty where it is there.
    Arguments as of `answered`.
    """
    if field in answered(several, sets=sets):
        return ""
    if field == POSSIBLE and not several:
        return f"{field!r} are the labels of a coverage, and none is asked for; give one"
    if several:
        return (
            f"{field!r} is of a model of one label an utterance, and this one answers several; ask"
            " for 'emotions', and 'probabilities' of all labels"
        )
    return (
        f"{field!r} is of a model of several labels an utterance, and this one answers one; ask for"
        " 'emotion' and 'confidence'"
    )


def _one(prediction: Prediction) -> dict[str, Any]:
    """Fields of an answer of one label; none where there may be several."""
    if prediction.confidence is None:
        return {}
    return {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, _DIGITS),
    }


def _in_a_cell(labels: Sequence[str], signs: Sequence[str] = (SEPARATOR,)) -> str:
    """Labels as text: a list of JSON where one holds a sign at which a reader would divide it."""
    if any(sign in label for label in labels for sign in signs):
        return json.dumps(labels, ensure_ascii=False)
    return SEPARATOR.join(labels) or NONE


def _mark(prediction: Prediction) -> str:
    """What a person should know of an answer before trusting it."""
    marks = [
        ("text longer than the model reads", prediction.truncated),
        ("text unknown to the model", prediction.unknown_text),
    ]
    return "".join(f"  ({mark})" for mark, applies in marks if applies)


def _short(text: str) -> str:
    line = without_controls(" ".join(text.split()))
    return line if len(line) <= _TEXT_WIDTH else f"{line[: _TEXT_WIDTH - 3]}..."
