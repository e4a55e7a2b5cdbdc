"""Rows of CSV to dialogues: an utterance a row, the rows of a dialogue being neighbours."""

import csv
import dataclasses
from collections.abc import Iterator, Sequence

from eacl_jax.bulk.lines import LONGEST_LINE, BadLineError, Lines
from eacl_jax.bulk.reading import Gathering, Item, Wanted
from eacl_jax.bulk.seen import Seen
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the columns that are read; a table may have others."""

    dialogue: str = "dialogue"
    speaker: str = "speaker"
    text: str = "text"


def read_csv(lines: Lines, wanted: Wanted, columns: Columns) -> Iterator[Item]:
    """Dialogues of a table with a header. Blanks around cells go; a dialogue ends where a row names another.

    A row that cannot be read spoils the dialogue that it stands in; between two dialogues it may be of either, and spoils
    both.

    Raises:
      UserError: the header lacks a column.
    """
    csv.field_size_limit(LONGEST_LINE)  # of the process, and 128 KiB by default; without any, one stray quote takes it all
    rows = csv.reader(_Texts(lines), strict=True)
    names, (dialogue, speaker, text) = _header(rows, lines, columns)
    seen = Seen()
    current: Gathering | None = None
    row: list[str] | None = []
    stray = ""
    while row is not None:
        first = lines.line + 1
        where = f"{lines.name} line {first}"
        try:
            row = next(rows, None)
            if row == []:
                continue
            identity = "" if row is None else _identity(row, names, dialogue, where)
        except (csv.Error, BadLineError) as error:
            stray = stray or _reason(error, where)
            continue
        if current:
            current.problem = current.problem or stray
            if current.id != identity:
                yield from current.items(lines)
                current = None
        elif stray and row is None:
            yield from Gathering(lines, wanted, lines.line, problem=stray).items(lines)
        if row is not None:
            if current is None:
                problem = "" if seen.add(identity) else _comes_back(identity, columns.dialogue, where)
                current = Gathering(lines, wanted, first, identity, stray or problem)
            current.add(Utterance(row[speaker].strip(), row[text].strip()), where)
            stray = ""


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


def _header(rows: Iterator[list[str]], lines: Lines, columns: Columns) -> tuple[list[str], list[int]]:
    """All names, and the places of the columns dialogue, speaker and text."""
    names: list[str] = []
    wanted = (columns.dialogue, columns.speaker, columns.text)
    try:
        while not names:
            names = next(rows)
    except StopIteration:
        raise UserError(f"{lines.name} is empty; its first line must name the columns {', '.join(wanted)}.") from None
    except (csv.Error, BadLineError) as error:
        raise UserError(_reason(error, f"{lines.where}: the header")) from error
    for part, column in dataclasses.asdict(columns).items():
        if names.count(column) != 1:
            there = "no column" if column not in names else "more than one column"
            raise UserError(
                f"{lines.name} has {there} {column!r}; its columns are {', '.join(map(repr, names))}. "
                f"Name the one that holds the {part} with --{part}-column."
            )
    return names, [names.index(column) for column in wanted]


def _identity(row: Sequence[str], names: Sequence[str], column: int, where: str) -> str:
    if len(row) != len(names):
        raise BadLineError(
            f"{where}: {len(row)} cells, but the header has {len(names)} columns; "
            "quote cells that hold commas, quotes or line ends."
        )
    identity = row[column].strip()
    if not identity:
        raise BadLineError(f"{where}: the cell of column {names[column]!r} is empty; it must name the row's dialogue.")
    return identity


def _reason(error: Exception, where: str) -> str:
    return f"{where} is not valid CSV: {error}." if isinstance(error, csv.Error) else str(error)


def _comes_back(identity: str, column: str, where: str) -> str:
    return (
        f"{where}: dialogue {identity!r:.60} comes back after others, but the rows of a dialogue must be neighbours: sort the "
        f"file by column {column!r}, keeping the order of each dialogue's rows."
    )
