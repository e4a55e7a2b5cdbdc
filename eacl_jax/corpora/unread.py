"""Plain transcripts that would be answered, and were not meant so."""

import re

from eacl_jax.corpora.names import MARKS, begins_like_a_name
from eacl_jax.errors import UserError

_FEWEST = 3
_DATE = re.compile(
    rf"[\s\[({MARKS}]*\d{{1,4}}[\s{MARKS}]*[./年년-][\s{MARKS}]*\d{{1,2}}[\s{MARKS}]*[./月월-][\s{MARKS}]*\d{{1,4}}"
)

# What an e-mail is about, its sender and its recipients; also in German, French, Spanish and Italian.
_SUBJECT = frozenset(("subject", "betreff", "objet", "asunto", "oggetto"))
_LONGEST_FIELD = 20
_MAIL = _SUBJECT | {"from", "to", "von", "an", "de", "à", "para", "da", "a"}


class Unread:
    """Counts the lines of a plain transcript that look as if there were more to read in them."""

    def __init__(self, name: str) -> None:
        """Args:
        name: of the text, for messages.
        """
        self._name = name
        self._lines = self._named = 0
        # Lines that begin as if they named their speaker; the first with its number.
        self._labelled, self._label = 0, ("", 0)
        # Lines without a name that begin with a date.
        self._dated, self._date = 0, ("", 0)

        # Names of an e-mail's head, which stand before a colon as speakers do.
        self._mail: dict[str, int] = {}

    def add(self, line: str, number: int, speaker: str) -> None:
        """Counts an utterance.

        Args:
          line: as it stands.
          number: of it.
          speaker: whose name is read; "" for none.
        """
        self._lines += 1
        self._named += bool(speaker)
        field, colon, _ = line[:_LONGEST_FIELD].partition(":")
        if colon and (field := field.strip().casefold()) in _MAIL:
            self._mail.setdefault(field, number)
        if not speaker and begins_like_a_name(line):
            self._label = self._label if self._labelled else (line, number)
            self._labelled += 1
        if not speaker and _DATE.match(line):
            self._date = self._date if self._dated else (line, number)
            self._dated += 1

    def check(self) -> None:
        """Raises `UserError` where most lines hold what is not read, or this is an e-mail."""
        if self._mail.keys() & _SUBJECT and self._mail.keys() - _SUBJECT:
            number = min(self._mail.values())
            raise UserError(
                f"{self._name} line {number}: this is the head of an e-mail, which names no speakers;"
                " give the utterances alone, as in 'Ann: I got it!', without quoted lines."
            )
        if not self._named and self._labelled >= max(_FEWEST, self._lines / 2):
            line, number = self._label
            raise UserError(
                f"{self._name} line {number}: {line.strip()!r:.60} begins as if it named its"
                f" speaker, and so do {self._labelled - 1} more of {self._lines} lines, but no name"
                " can be read; write 'Ann: I got it!', with nothing before the name."
            )
        if self._dated > max(1, self._lines / 2):
            line, number = self._date
            raise UserError(
                f"{self._name} line {number}: {line.strip()!r:.60} and {self._dated - 1} more of"
                f" {self._lines} lines begin with what looks like a date, but no message can be read"
                " from them; write '12/05/2024, 10:31 - Ann: I got it!', or leave the dates out."
            )
