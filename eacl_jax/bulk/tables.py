"""Rows of CSV to dialogues: an utterance a row, the rows of a dialogue being neighbours."""

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from eacl_jax.bulk.lines import LONGEST_LINE, BadLineError, Lines, Position
from eacl_jax.bulk.reading import COLUMNS, Gathering, Item, Wanted
from eacl_jax.bulk.seen import Seen
from eacl_jax.corpora.backwards import Backwards
from eacl_jax.corpora.columns import (
    SEVERAL,
    find_columns,
    is_weak,
    may_number,
    named_apart,
    numbering,
    turn_of,
)
from eacl_jax.corpora.forms import ANSWERED, PROBABILITY, check_exact
from eacl_jax.corpora.formulas import as_written
from eacl_jax.corpora.order import Decimals, Times
from eacl_jax.corpora.repeats import Repeats, SameIds
from eacl_jax.corpora.returns import JOINED
from eacl_jax.corpora.texts import check_utterance
from eacl_jax.corpora.transcripts import A_ROW_EACH, NOBODY, check_one_utterance
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.given import feature_columns, read_cells
from eacl_jax.features.modality import Modality
from eacl_jax.files import dialects
from eacl_jax.recognizer.prediction import ANSWER

_ANSWERS = {"dialogue", "utterance", *ANSWER, *SEVERAL, *ANSWERED}


class Table:
    """A table with a header, as spreadsheets write them.

    Attributes:
      others: names of the columns that are carried through to the answers. One that is empty, or
        there before, has its number behind.
      left_out: names of those that are not, since answers have columns of these names, or labels
        are read from them.
      features: by modality that the model reads, the columns NAME.SOMETHING that are its numbers.
    """

    def __init__(
        self,
        lines: Lines,
        names: Mapping[str, str],
        naming: str = "{part}_column",
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Reads the header.

        Args:
          lines: of the table.
          names: the columns' names by part; empty or absent: found by the names that are usual.
          naming: how a user names a column, for messages.
          modalities: whose features the model reads.

        Raises:
          UserError: there is no header, or it lacks a column.
        """
        self._lines = lines
        texts = _Texts(lines)
        beginning: list[str] = []
        try:
            while not beginning or dialects.dialect_of(beginning).skipped == len(beginning):
                beginning.append(next(texts))
            self._dialect = dialects.dialect_of(beginning)
            self._rows = self._dialect.rows(
                itertools.chain(beginning[self._dialect.skipped :], texts), LONGEST_LINE
            )
            header = next(row for row in self._rows if not dialects.is_blank(row))
        except StopIteration:
            raise UserError(
                f"{lines.name} is empty; its first line must name the columns {', '.join(COLUMNS)}."
            ) from None
        except (csv.Error, BadLineError) as error:
            raise UserError(_reason(error, f"{lines.where}: the header")) from error
        self._header = [name.strip() for name in header]
        self._columns = find_columns(
            self._header, lines.name, given=names, need=COLUMNS, parts=COLUMNS, naming=naming
        )
        self._turn_names = [self._header[column] for column in self._columns.turns]
        self._others: dict[str, int] = {}
        self.left_out: list[str] = []
        for column, name in enumerate(self._header):
            if column in (self._columns.dialogue, self._columns.speaker, self._columns.text):
                continue
            if is_of_answers(name):
                self.left_out.append(name)
                continue
            again = not name or name in self._others
            self._others[named_apart(name, column, self._header) if again else name] = column
        self.others = tuple(self._others)
        self.features = feature_columns(self.others, modalities or {}, lines.name)

    def read(self, wanted: Wanted) -> Iterator[Item]:
        """Its dialogues. Blanks around cells go, rows of blank cells too; a dialogue ends where a
        row names another, or with the row where no column does. Rows whose speaker is empty are by
        `NOBODY`.

        A row that cannot be read spoils the dialogue that it stands in; between two dialogues it
        may be of either, and spoils both. A row that is the utterance of one before, or holds
        several, spoils its dialogue too.

        Where features of other files are joined, a dialogue is read whole before any of it is
        given: its last row may show that the numbers of its rows are not those of its utterances.
        """
        lines = self._lines
        seen, backwards = Seen(), Backwards()
        current: _Rows | None = None
        stray = ""
        while True:
            first, before = lines.line + 1, lines.position
            where = f"{lines.name} line {first}"
            try:
                row = next(self._rows, None)
                if row is None:
                    break
                if dialects.is_blank(row):
                    continue
                row = as_written(row, self._header)
                identity = self._identity(row, where)
            except (csv.Error, BadLineError) as error:
                stray = stray or _reason(error, where)
                if self._columns.dialogue is None:  # it is of no other dialogue
                    if current:
                        yield from current.end(backwards, before)
                    yield from Gathering(lines, wanted, first, problem=stray).items()
                    current, stray = None, ""
                continue
            if current:
                current.spoil(stray)
                if current.id != identity:
                    yield from current.end(backwards, before)
                    current = None
            if current is None:
                problem = "" if seen.add(identity) else self._comes_back(identity, where)
                start = before if wanted.other_features else None
                gathering = Gathering(
                    lines, wanted, first, identity, stray or problem, before=start
                )
                current = _Rows(gathering, self._turn_names, where, waits=start is not None)
            stray = ""
            yield from self._add(row, current, first, where)
        if current:
            current.spoil(stray)
            yield from current.end(backwards)
        elif stray:
            yield from Gathering(lines, wanted, lines.line, problem=stray).items()
        backwards.warn(lines.name)

    def _add(self, row: Sequence[str], dialogue: "_Rows", line: int, where: str) -> Iterator[Item]:
        """Adds a row to its dialogue, which it may spoil; gives what is ready of that."""
        columns = self._columns
        speaker = "" if columns.speaker is None else row[columns.speaker].strip()
        text = row[columns.text].strip()
        numbered = [row[column] for column in columns.turns]
        try:
            dialogue.check_turns(numbered, where)
            check_one_utterance(text, self._header[columns.text], where, A_ROW_EACH)
            dialogue.check_others(numbered, speaker, text, where)
            utterance = check_utterance(Utterance(speaker or NOBODY, text), where)
            other = {name: row[column] for name, column in self._others.items()}
            features = self._read_features(other, where)
        except UserError as error:
            dialogue.spoil(str(error))
            return
        utterance = dataclasses.replace(utterance, other=other, features=features)
        named = bool(speaker) or columns.speaker is None
        yield from dialogue.add(utterance, line, named, numbered, where)

    def _identity(self, row: list[str], where: str) -> str:
        count = len(self._header)
        if reason := dialects.why_misfit(
            dialects.fit(row, count), self._header, self._dialect.separator
        ):
            raise BadLineError(f"{where}: {reason}")
        if self._columns.dialogue is None:
            return str(self._lines.dialogues + 1)
        identity, name = (cells[self._columns.dialogue] for cells in (row, self._header))
        identity = identity.strip()
        if not identity:
            raise BadLineError(
                f"{where}: the cell of column {name!r} is empty; it must name the row's dialogue."
            )
        try:
            check_exact(identity, f"{where}: column {name!r}")
        except UserError as error:
            raise BadLineError(str(error)) from error
        return identity

    def _read_features(
        self, cells: Mapping[str, str], where: str
    ) -> dict[str, Float[np.ndarray, "1 F"]]:
        read = {
            name: read_cells({column: cells[column] for column in columns}, where)
            for name, columns in self.features.items()
        }
        return {name: rows for name, rows in read.items() if rows is not None}

    def _comes_back(self, identity: str, where: str) -> str:
        assert self._columns.dialogue is not None
        return (
            f"{where}: dialogue {identity!r:.60} comes back after others, but the rows of a"
            f" dialogue must be neighbours. {JOINED}; else sort the file by column"
            f" {self._header[self._columns.dialogue]!r}, keeping the order of each dialogue's rows."
        )


class _Rows:
    """The rows of a dialogue, as far as they are read.

    Attributes:
      id: of the dialogue.
    """

    def __init__(
        self, dialogue: Gathering, names: Sequence[str], where: str, *, waits: bool
    ) -> None:
        """Args:
        dialogue: that begins.
        names: of the columns that may number utterances.
        where: it begins.
        waits: whether nothing is given before it ends: only then it is known what numbers its
          utterances.
        """
        self.id = dialogue.id
        self._dialogue, self._names = dialogue, names
        self._begins = f"{where}: dialogue {self.id!r:.60}"
        self._last: list[int | None] = [None] * len(names)
        self._decimals, self._repeats, self._times = Decimals(names), Repeats(names), Times()
        self._ids = SameIds()
        self._waiting: list[tuple[Utterance, int, bool]] | None = [] if waits else None
        self._turns: list[Sequence[int | None]] = []

    def spoil(self, problem: str) -> None:
        """Notes why the dialogue cannot be used, if that is not known yet; "" changes nothing."""
        self._dialogue.problem = self._dialogue.problem or problem

    def check_turns(self, cells: Sequence[str], where: str) -> None:
        """Raises `UserError` where the next row's cells in those columns hold a lower number than
        was there before.
        """
        turns = []
        for name, cell, last in zip(self._names, cells, self._last, strict=True):
            turn = turn_of(cell)
            if turn is not None and last is not None and turn < last and not is_weak(name):
                raise UserError(
                    f"{where}: {name!r} is {turn} after {last}; sort the rows of a dialogue by that"
                    " column."
                )
            turns.append(last if turn is None else turn)
        self._last = turns

    def check_others(self, cells: Sequence[str], speaker: str, text: str, where: str) -> None:
        """Raises `UserError` where those cells show otherwise that the next row is in no order, or
        is the utterance of one before.
        """
        self._decimals.add(cells, where)
        self._repeats.add(cells, speaker, text, where)

    def add(
        self, utterance: Utterance, line: int, named: bool, cells: Sequence[str], where: str
    ) -> Iterator[Item]:
        """Adds the next row: see `Gathering.add`; its cells are those that were checked."""
        self._times.add(utterance)
        self._ids.add(utterance, where)
        if self._waiting is None:
            yield from self._dialogue.add(utterance, line, named=named)
        else:
            self._waiting.append((utterance, line, named))
            self._turns.append([turn_of(cell) for cell in cells])

    def end(self, backwards: Backwards, before: Position | None = None) -> Iterator[Item]:
        """The rest of the dialogue, now that it is known as a whole, also to `backwards`. It ends
        where the row that shows it begins, `before`: None where no more come.
        """
        if self._waiting is not None:
            yield from self._add_waiting(self._waiting)
        backwards.add(self._times)
        try:
            self._times.check(self._begins)
            self._repeats.end()
            self._ids.check("column")
        except UserError as error:
            self.spoil(str(error))
        yield from self._dialogue.items(before)

    def _add_waiting(self, waiting: Sequence[tuple[Utterance, int, bool]]) -> Iterator[Item]:
        numbers = dict(enumerate(zip(*self._turns, strict=True)))
        _, turns = numbering(
            {each: of for each, of in numbers.items() if may_number(self._names[each], of)}
        )
        for number, (utterance, line, named) in enumerate(waiting):
            turn = turns[number] if turns else None
            yield from self._dialogue.add(utterance, line, named=named, turn=turn)


def is_of_answers(name: str) -> bool:
    """Whether a column is one of the answers', or holds labels, in any capitals: `Emotion` beside
    `emotion` would be two labels of a row.
    """
    return name.strip().casefold() in _ANSWERS or PROBABILITY.fullmatch(name) is not None


class _Texts:
    """Lines as text. Not a generator, which would end at the first line that cannot be used."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> "_Texts":
        return self

    def __next__(self) -> str:
        if line := self._lines.read():
            return self._lines.text(line)
        raise StopIteration


def _reason(error: Exception, where: str) -> str:
    return (
        f"{where} is not valid CSV: {dialects.why_no_row(error)}."
        if isinstance(error, csv.Error)
        else str(error)
    )
