"""Plain transcripts that would be answered, and were not meant so."""

from eacl_jax.corpora.names import begins_like_a_name
from eacl_jax.errors import UserError

_FEWEST = 3


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

    def add(self, line: str, number: int, speaker: str) -> None:
        """Counts an utterance.

        Args:
          line: as it stands.
          number: of it.
          speaker: whose name is read; "" for none.
        """
        self._lines += 1
        self._named += bool(speaker)
        if not speaker and begins_like_a_name(line):
            self._label = self._label if self._labelled else (line, number)
            self._labelled += 1

    def check(self) -> None:
        """Raises `UserError` where most lines hold what is not read."""
        if not self._named and self._labelled >= max(_FEWEST, self._lines / 2):
            line, number = self._label
            raise UserError(
                f"{self._name} line {number}: {line.strip()!r:.60} begins as if it named its"
                f" speaker, and so do {self._labelled - 1} more of {self._lines} lines, but no name"
                " can be read; write 'Ann: I got it!', with nothing before the name."
            )
