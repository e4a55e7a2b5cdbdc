"""Rows that are one utterance over again, as where each of its annotators has a row."""

from collections.abc import Sequence
from typing import Any

from eacl_jax.corpora.columns import plain, turn_of
from eacl_jax.errors import UserError

# A turn of more utterances is looked into no further.
_MOST = 1000


class Repeats:
    """The rows of a dialogue, in the order of speaking.

    Rows of one number, one speaker and one text are one utterance. A turn may be several utterances
    of a speaker, of which two may have one text: where a column that is called so alone numbers
    rows, all of a turn's must be there again.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: of the columns that number utterances.
        """
        self._names = names
        self._of_utterances = ["turn" not in plain(name) for name in names]
        self._key: tuple[int | None, ...] = ()
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, cells: Sequence[Any], speaker: str, text: str, place: str) -> None:
        """Notes the next row.

        Args:
          cells: of those columns.
          speaker: of the row.
          text: of the row.
          place: where it stands, for messages.

        Raises:
          UserError: it is the utterance of a row before, or the rows before are.
        """
        key = tuple(turn_of(cell) for cell in cells)
        if key != self._key:
            self.end()
            self._key, self._found = key, {}
        if any(number is not None for number in key) and len(self._found) < _MOST:
            places = self._found.setdefault((speaker, text), [])
            if len(places) < 2:
                places.append(place)
            pairs = zip(key, self._of_utterances, strict=True)
            if any(of_utterances and number is not None for number, of_utterances in pairs):
                self._check(places)

    def end(self) -> None:
        """Sees to the last rows. Raises `UserError` where they are one utterance."""
        if self._found and all(len(places) > 1 for places in self._found.values()):
            self._check(next(iter(self._found.values())))

    def _check(self, places: Sequence[str]) -> None:
        if len(places) > 1:
            number, name = next(
                (number, name)
                for number, name in zip(self._key, self._names, strict=True)
                if number is not None
            )
            raise UserError(
                f"{places[1]}: number {number} in column {name!r}, the speaker and the text are"
                f" those of a row before ({places[0]}), so the two are one utterance, as where each"
                " annotator has a row. Give each utterance one row, with the label that stands or,"
                f" in training, a column an annotator; where it was said twice, rename {name!r}."
            )
