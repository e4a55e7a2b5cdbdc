"""Answers to bytes: a dialogue a line of JSON, or an utterance a row of CSV. A long dialogue comes
in pieces.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from eacl_jax.corpora.formulas import guarded
from eacl_jax.errors import UserError
from eacl_jax.recognizer.prediction import (
    ANSWER,
    OTHER,
    DialoguePrediction,
    answered,
    why_absent,
)

# Control characters that json.dumps leaves as they are. In JSON they stand in strings only.
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


class Format(Protocol):
    """How an output file is written.

    Attributes:
      header: what the file begins with.
      others: columns of the input that are carried through, as columns.
    """

    header: bytes
    others: tuple[str, ...]

    def encode(
        self, prediction: DialoguePrediction, start: int = 0, *, more: bool = False
    ) -> bytes:
        """The part of the file that a dialogue is, or a piece of one.

        Args:
          prediction: of the piece.
          start: how many utterances came in pieces before.
          more: another piece follows.
        """


class JsonLines:
    """`DialoguePrediction.to_json`, a line. Characters that would steer a terminal are written as
    JSON's escapes.
    """

    header = b""
    others: tuple[str, ...] = ()

    def __init__(self, fields: Sequence[str] = ()) -> None:
        """Args:
        fields: what is written of an utterance, of `ANSWER` and `OTHER`; none: all.
        """
        self._left_out = {name for name in (*ANSWER, OTHER) if fields and name not in fields}

    def encode(
        self, prediction: DialoguePrediction, start: int = 0, *, more: bool = False
    ) -> bytes:
        """A line, or a piece of one."""
        record = prediction.to_json()
        utterances = record.pop("utterances")
        if OTHER in self._left_out:
            record = {"id": record["id"]}
        head, tail = _json({"id": record.pop("id"), "utterances": []})[:-2], "]"
        if record:
            tail += ", " + _json(record)[1:-1]
        body = ", ".join(_json(self._kept(each)) for each in utterances)
        begin = head if start == 0 else ", " if utterances else ""
        end = "" if more else f"{tail}}}\n"
        return f"{begin}{body}{end}".encode()

    def _kept(self, utterance: Mapping[str, Any]) -> dict[str, Any]:
        left_out = self._left_out
        return {
            name: value
            for name, value in utterance.items()
            if (name if name in ANSWER else OTHER) not in left_out
        }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)


class Csv:
    """`DialoguePrediction.to_rows`, below a header; the columns of the input that are carried
    through come first.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        others: Sequence[str] = (),
        fields: Sequence[str] = (),
        raw: bool = False,
        shown: bool = False,
        several: bool = False,
        sets: bool = False,
    ) -> None:
        """Args:
        labels: of the recognizer, whose probabilities are columns.
        others: columns of the input that are carried through.
        fields: what is written of an utterance, of `ANSWER` and `OTHER`; none: all but the cosines.
        raw: write texts as they are, also where a spreadsheet would run them.
        shown: for a terminal: without the characters that would steer it.
        several: the recognizer answers several labels an utterance.
        sets: a coverage is asked for.
        """
        self.others = tuple(others) if not fields or OTHER in fields else ()
        self._raw, self._shown = raw, shown
        chosen = [name for name in answered(several, sets=sets) if not fields or name in fields]
        self._columns = [
            "dialogue",
            "utterance",
            *(name for name in chosen if name not in ("probabilities", "cosines")),
        ]
        if "probabilities" in chosen:
            self._columns += [f"p({label})" for label in labels]
        self.header = self._table([[*self.others, *self._columns]])

    def encode(
        self, prediction: DialoguePrediction, start: int = 0, *, more: bool = False
    ) -> bytes:
        """A row an utterance."""
        return self._table(
            [
                *(each.other.get(name, "") for name in self.others),
                *(
                    row["utterance"] + start if name == "utterance" else row[name]
                    for name in self._columns
                ),
            ]
            for row, each in zip(prediction.to_rows(), prediction, strict=True)
        )

    def _table(self, rows: Iterable[Iterable[object]]) -> bytes:
        text = io.StringIO(newline="")
        # All text in quotes: Python 3.11 would leave a cell without in which a carriage return
        # stands alone.
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerows([value if self._raw else guarded(value) for value in row] for row in rows)
        written = text.getvalue()
        if self._shown:
            written = "".join(
                "\N{REPLACEMENT CHARACTER}" if _steers(letter) else letter for letter in written
            )
        return written.encode()


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) == "Cc" and letter not in "\t\n\r"


def read_fields(
    given: str, written_as: str, several: bool | None = None, *, sets: bool = False
) -> tuple[str, ...]:
    """The fields in `emotion,confidence`; none in an empty string.

    Args:
      given: as typed.
      written_as: "jsonl" or "csv".
      several: whether the model answers several labels an utterance; None where that is not known
        yet.
      sets: whether a coverage is asked for.

    Raises:
      UserError: one is not known, cannot be written so, or is not in the answers of such a model.
    """
    fields = tuple(name.strip() for name in given.split(",")) if given.strip() else ()
    known = (*ANSWER, OTHER)
    if wrong := [name for name in fields if name not in known]:
        raise UserError(f"fields: {wrong[0]!r} is none of {', '.join(known)}.")
    if "cosines" in fields and written_as == "csv":
        raise UserError(
            "fields: cosines are written to JSON lines only; leave them out, or write a .jsonl"
            " file."
        )
    if several is not None:
        for name in fields:
            if name in ANSWER and (reason := why_absent(name, several, sets=sets)):
                raise UserError(f"fields: {reason}.")
    return tuple(name for name in known if name in fields)
