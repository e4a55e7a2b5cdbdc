"""Answers to bytes: a dialogue a line of JSON, or an utterance a row of CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Protocol

from eacl_jax.prediction import DialoguePrediction


class Format(Protocol):
    """How an output file is written.

    Attributes:
      header: what the file begins with.
    """

    header: bytes

    def encode(self, prediction: DialoguePrediction) -> bytes:
        """One dialogue's part of the file."""


class JsonLines:
    """`DialoguePrediction.to_json`, a line."""

    header = b""

    def encode(self, prediction: DialoguePrediction) -> bytes:
        """A line."""
        return json.dumps(prediction.to_json(), ensure_ascii=False).encode() + b"\n"


class Csv:
    """`DialoguePrediction.to_rows`, below a header."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Args:
        labels: of the recognizer, whose probabilities are the last columns.
        """
        none = dict.fromkeys(labels, 0.0)
        columns = ["dialogue", "utterance", "speaker", "text", "emotion", "confidence", *(f"p({label})" for label in none)]
        self.header = _table([columns])

    def encode(self, prediction: DialoguePrediction) -> bytes:
        """A row an utterance."""
        return _table(row.values() for row in prediction.to_rows())


def _table(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    # All text in quotes: Python 3.11 would leave a cell without in which a carriage return stands alone.
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
