"""What a recognizer answers."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

_TEXT_WIDTH = 60
_DIGITS = 6  # of what is written: answers are the same to 1e-5 whatever is asked beside them


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The emotion of one utterance.

    Attributes:
      speaker: who says it.
      text: what is said.
      emotion: label of the nearest anchor.
      probabilities: by label, calibrated on dev where the recognizer was (`EmotionRecognizer.calibration`); they sum to 1.
      cosines: by label, from -1 to 1, of the utterance's representation with each anchor.
    """

    speaker: str
    text: str
    emotion: str
    probabilities: dict[str, float]
    cosines: dict[str, float]

    @property
    def confidence(self) -> float:
        """Probability of `emotion`."""
        return self.probabilities[self.emotion]

    def to_json(self) -> dict[str, Any]:
        """Speaker, text, emotion, confidence, probabilities and cosines; numbers to six decimals."""
        return {
            "speaker": self.speaker,
            "text": self.text,
            "emotion": self.emotion,
            "confidence": round(self.confidence, _DIGITS),
            "probabilities": {label: round(value, _DIGITS) for label, value in self.probabilities.items()},
            "cosines": {label: round(value, _DIGITS) for label, value in self.cosines.items()},
        }

    def __str__(self) -> str:
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        runner_up = f"  ({ranked[1][0]} {ranked[1][1]:.0%})" if len(ranked) > 1 else ""
        return f"{self.speaker}: {_short(self.text)}  ->  {self.emotion} {self.confidence:.0%}{runner_up}"


@dataclasses.dataclass(frozen=True)
class DialoguePrediction(Sequence[Prediction]):
    """The emotions of a dialogue: a sequence with one `Prediction` an utterance.

    Attributes:
      id: of the dialogue.
      predictions: in the order of the utterances.
    """

    id: str
    predictions: tuple[Prediction, ...]

    @property
    def emotions(self) -> list[str]:
        """The labels alone."""
        return [prediction.emotion for prediction in self.predictions]

    def to_json(self) -> dict[str, Any]:
        """`{"id", "utterances": [...]}`; see `Prediction.to_json`."""
        return {"id": self.id, "utterances": [prediction.to_json() for prediction in self.predictions]}

    def to_rows(self) -> list[dict[str, Any]]:
        """A flat record an utterance, for a table or `pandas.DataFrame`: dialogue, utterance (from 0), speaker, text, emotion,
        confidence, and a probability a label as `p(LABEL)`; numbers to six decimals.
        """
        return [
            {
                "dialogue": self.id,
                "utterance": number,
                "speaker": each.speaker,
                "text": each.text,
                "emotion": each.emotion,
                "confidence": round(each.confidence, _DIGITS),
                **{f"p({label})": round(value, _DIGITS) for label, value in each.probabilities.items()},
            }
            for number, each in enumerate(self.predictions)
        ]

    def __str__(self) -> str:
        """A line an utterance, in columns."""
        rows = [(each.speaker, _short(each.text), each.emotion, f"{each.confidence:4.0%}") for each in self.predictions]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(lines)

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


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_WIDTH else f"{line[: _TEXT_WIDTH - 3]}..."
