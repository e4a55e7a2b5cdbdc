"""Rows that are one utterance over again, as where each of its annotators has a row."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from eacl_jax.corpora.columns import is_weak, turn_of
from eacl_jax.corpora.texts import letters_of
from eacl_jax.dialogue import Utterance, counted
from eacl_jax.errors import UserError
from eacl_jax.files.headers import plain

logger = logging.getLogger("eacl_jax.corpora")

# Bytes of letters and digits; what is shorter is often said again.
_LONG = 20
# A turn of more utterances is looked into no further.
_MOST = 1000
# Columns that say who annotated a row, as `plain` has their names.
_WHO = """
annotator annotatorid annotatorname annotatedby rater raterid coder coderid labeler labelerid
labeller labellerid labelername labellername labeledby labelledby worker workerid workername
annotatorno annotatornumber annotatoremail codedby ratedby ratername codername assessor assessorid
mturkid turker turkerid mturkworkerid crowdworker crowdworkerid
"""
_ANNOTATORS = frozenset(_WHO.split())
# Names, as `plain` has them, of ids of utterances, which need not number them; and of ids that may
# as well be a speaker's.
_IDS = frozenset(
    """messageid messageuuid messageguid msgid msguuid msgguid commentid postid tweetid statusid
    textid sentenceid utteranceid utteranceuuid uttid uttuuid""".split()  # noqa: SIM905
)
_ANY_IDS = frozenset({"id", "uuid", "guid"})
_ALL_IDS = _IDS | _ANY_IDS
_REMEDY = (
    "Give each utterance one row, with the label that stands or, for training and for annotated"
    " files, a column an annotator"
)


class Repeats:
    """The rows of a dialogue, in the order of speaking.

    Rows of one number, one speaker and one text are one utterance. A turn may be several utterances
    of a speaker, of which two may have one text: where a column that is called so alone numbers
    rows, all of a turn's must be there again. So they must where an utterance's id is no number
    (`key_of`): a column that is called so may hold something else. So they must where a column has
    one number in the whole dialogue; by itself such a column of a weak name (`is_weak`), and one
    that goes back, numbers nothing.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args:
        names: of the columns that number utterances.
        """
        self._names = names
        self._of_utterances = ["turn" not in plain(name) for name in names]
        self._weak = [is_weak(name) for name in names]
        self._changes = [False] * len(names)
        self._falls = [False] * len(names)
        self._last: list[int | None] = [None] * len(names)
        self._pending: dict[int, str] = {}
        self._key: tuple[int | str | None, ...] = ()
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, cells: Sequence[Any], speaker: str, text: str, where: str) -> None:
        """Notes the next row.

        Args:
          cells: of those columns.
          speaker: of the row.
          text: of the row.
          where: file and line of the row, for messages.

        Raises:
          UserError: it is the utterance of a row before, or the rows before are.
        """
        key = tuple(key_of(cell, name) for cell, name in zip(cells, self._names, strict=True))
        if key != self._key:
            self._end_number()
            for column, (number, before) in enumerate(zip(key, self._key, strict=False)):
                self._changes[column] |= number != before
            for column, number in enumerate(key):
                if isinstance(number, int):
                    last = self._last[column]
                    self._falls[column] |= last is not None and number < last
                    self._last[column] = number
            self._key, self._found = key, {}
        if any(number is not None for number in key) and len(self._found) < _MOST:
            locations = self._found.setdefault((speaker, text), [])
            if len(locations) < 2:
                locations.append(where)
            if len(locations) > 1:
                for column, number in enumerate(key):
                    if isinstance(number, int) and self._of_utterances[column]:
                        self._pending.setdefault(column, self._message(column, locations))
        for column, message in self._pending.items():
            # Whether a column of a weak name numbers anything, is known at the end.
            if self._changes[column] and not self._weak[column]:
                raise UserError(message)

    def end(self) -> None:
        """Sees to the whole dialogue. Raises `UserError` where rows are one utterance."""
        self._end_number()
        for column, message in self._pending.items():
            if self._changes[column] and not self._falls[column]:
                raise UserError(message)

    def _end_number(self) -> None:
        if not self._found or any(len(locations) < 2 for locations in self._found.values()):
            return
        locations = next(iter(self._found.values()))
        columns = [column for column, number in enumerate(self._key) if number is not None]
        if sure := [column for column in columns if not self._weak[column]]:
            raise UserError(self._message(sure[0], locations))
        for column in columns:
            self._pending.setdefault(column, self._message(column, locations))

    def _message(self, column: int, locations: Sequence[str]) -> str:
        return _one_utterance(self._names[column], self._key[column], locations, "column")


def _one_utterance(
    name: str, key: int | str | None, locations: Sequence[str], kind: Literal["column", "field"]
) -> str:
    """What to say of two rows of a table, or two objects, with one id.

    Args:
      name: of the id's column.
      key: the id (`key_of`).
      locations: of the two.
      kind: what the id stands in.
    """
    numbered = f"number {key}" if isinstance(key, int) else f"{key!r:.40}"
    before = "a row" if kind == "column" else "an utterance"
    return (
        f"{locations[1]}: {numbered} in {kind} {name!r}, the speaker and the text are those"
        f" of {before} before ({locations[0]}), so the two are one utterance, as where each"
        f" annotator has a row. {_REMEDY}; where somebody repeated it, rename {name!r}."
    )


class SameIds:
    """The ids that fields give a dialogue's utterances, added one after the other, wherever they
    come from; `Repeats` looks at columns that number them.

    Utterances of one id, one speaker and one text are one, where the field is that of utterances'
    ids in this dialogue: it holds several, and none for two texts or speakers. `id` may also be the
    speaker's: it counts where somebody has two. What is kept does not grow beyond `_MOST` ids.
    """

    def __init__(self) -> None:
        self._fields: dict[str, _Ids] | None = None

    def add(self, utterance: Utterance, where: str) -> None:
        """Notes the next utterance.

        Args:
          utterance: with its fields; those of the first one tell which hold ids.
          where: it stands, for messages.
        """
        if self._fields is None:
            names = [name for name in utterance.other if plain(name) in _ALL_IDS]
            self._fields = {name: _Ids(name) for name in names}
        for name, ids in self._fields.items():
            if (key := key_of(utterance.other.get(name), name)) is not None:
                ids.add(key, utterance, where)

    def check(self, kind: Literal["column", "field"] = "field") -> None:
        """Sees to the whole dialogue.

        Args:
          kind: what ids stand in, for messages.

        Raises:
          UserError: two of its utterances are one.
        """
        for name, ids in (self._fields or {}).items():
            if ids.again and ids.of_utterances:
                raise UserError(_one_utterance(name, *ids.again, kind))


class _Ids:
    """Those of one field.

    Attributes:
      again: the first that is there again with the same speaker and text, and where both stand.
    """

    def __init__(self, name: str) -> None:
        self.again: tuple[int | str, tuple[str, str]] | None = None
        self._any = plain(name) in _ANY_IDS
        self._first: dict[int | str, tuple[int, str]] = {}
        self._by_speaker: dict[str, int | str] = {}
        self._several_by_one = self._several_of_one = False

    def add(self, key: int | str, utterance: Utterance, where: str) -> None:
        if key not in self._first and len(self._first) >= _MOST:
            return
        self._several_by_one |= self._by_speaker.setdefault(utterance.speaker, key) != key
        said = hash((utterance.speaker, utterance.text))  # texts may be long
        if key not in self._first:
            self._first[key] = said, where
        elif self._first[key][0] != said:
            self._several_of_one = True
        elif self.again is None:
            self.again = key, (self._first[key][1], where)

    @property
    def of_utterances(self) -> bool:
        """Whether they are ids of utterances, and not of the dialogue, its turns or speakers."""
        several = len(self._first) > 1 and not self._several_of_one
        return several and (self._several_by_one or not self._any)


def check_same_ids(
    utterances: Iterable[Utterance],
    where: Callable[[int], str],
    kind: Literal["column", "field"] = "field",
) -> None:
    """Raises `UserError` as `SameIds.check` does, of a whole dialogue's utterances; `where` says
    where one of a number, from 0, stands.
    """
    ids = SameIds()
    for number, utterance in enumerate(utterances):
        ids.add(utterance, where(number))
    ids.check(kind)


def key_of(cell: Any, name: str) -> int | str | None:
    """What a cell of a column that may number utterances says of which it is: a number; where the
    column is one of ids (`utterance_id`), any other text; None where it says nothing.

    A column `turn` may say whose turn it is, and a column `utterance` that utterance's text.
    """
    number = turn_of(cell)
    of_ids = "turn" not in plain(name) and plain(name) != "utterance"
    if number is not None or not of_ids or cell is None or isinstance(cell, bool):
        return number
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return str(cell).strip() or None


def check_annotators(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    spoken: Sequence[tuple[str, str]],
    where: Callable[[int], str],
) -> None:
    """Sees that a dialogue has no row an annotator where a column names these.

    A text that is there again says nothing by itself, as people repeat themselves; nor do two
    annotators, who may have shared a dialogue. It is refused where two or more of them have every
    utterance.

    Args:
      header: the columns' names.
      rows: the cells of the dialogue's rows.
      spoken: the speaker and the text of each.
      where: gives file and line of a row, for messages.

    Raises:
      UserError: the rows are so.
    """
    if len(set(spoken)) == len(spoken):
        return
    for column, name in enumerate(header):
        if plain(name) not in _ANNOTATORS:
            continue
        by: dict[tuple[str, str], dict[str, int]] = {}
        for number, (cells, words) in enumerate(zip(rows, spoken, strict=True)):
            if who := str("" if cells[column] is None else cells[column]).strip():
                by.setdefault(words, {}).setdefault(who, number)
        if len(by) == len(set(spoken)) and all(len(found) > 1 for found in by.values()):
            first, second, *_ = next(iter(by.values())).values()
            raise UserError(
                f"{where(second)}: the speaker and the text are those of a row before"
                f" ({where(first)}) with another {name!r}, as all of the dialogue's are, so the two"
                f" are one utterance, as where each annotator has a row. {_REMEDY}; where all"
                f" was repeated, rename {name!r}."
            )


def about_annotators(dialogues: Iterable[tuple[str, Sequence[Utterance]]]) -> str:
    """What to say of dialogues that have some utterances again with another annotator, which
    `check_annotators` does not refuse, as not all are; empty where there are none.

    A text that two annotators of a dialogue have may have been said again; it counts where it is
    long, or where all that one annotator has is there before.

    Args:
      dialogues: where each stands, and its utterances.
    """
    found = [
        (at, *again) for at, utterances in dialogues if (again := _annotated_again(utterances))
    ]
    if not found:
        return ""
    first, name, text = found[0]
    return (
        f"{counted(len(found), 'dialogue has', 'dialogues have')} an utterance twice with two"
        f" values of {name!r} (first in {first}: {f'{text:.60}'!r}): if two people annotated it,"
        f" it was said once, but is read, learnt and scored as said again. {_REMEDY}; where it was"
        " said again, nothing is amiss."
    )


def warn_of_annotators(dialogues: Iterable[tuple[str, Sequence[Utterance]]], where: str) -> None:
    """Logs what `about_annotators` says of the dialogues; `where` all of them stand."""
    if message := about_annotators(dialogues):
        logger.warning("%s: %s", where, message)


def _annotated_again(utterances: Sequence[Utterance]) -> tuple[str, str] | None:
    """The field of annotators and the text of an utterance that is there again with another."""
    for name in utterances[0].other if utterances else ():
        if plain(name) not in _ANNOTATORS:
            continue
        by: dict[tuple[str, str], str] = {}
        rows: dict[str, list[tuple[str, bool]]] = {}
        for utterance in utterances:
            given = utterance.other.get(name)
            if who := str("" if given is None else given).strip():
                first = by.setdefault((utterance.speaker, utterance.text.strip()), who)
                rows.setdefault(who, []).append((utterance.text, first != who))
        for of_one in rows.values():
            again = [text for text, is_again in of_one if is_again]
            long = [text for text in again if len(letters_of(text).encode()) >= _LONG]
            if long or (again and len(again) == len(of_one)):
                return name, (long or again)[0]
    return None
