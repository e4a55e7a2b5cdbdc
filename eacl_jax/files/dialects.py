"""How tables are written: their separator, known from their beginning, and why a row of one fits
its header or does not.
"""

import csv
import dataclasses
import re
from collections.abc import Iterable, Sequence

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What stands between the cells of a table, and its name for messages."""

_SWALLOWED = (
    "a cell begins with a quote and ends rows later; write quotes that belong to a text twice, in a"
    " quoted cell."
)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
      separator: stands between cells.
      skipped: lines before the header: Excel's `sep=;` and blank ones.
    """

    separator: str = ","
    skipped: int = 0

    def rows(self, lines: Iterable[str], longest_cell: int) -> "csv._reader":
        """A strict reader of rows, from the header on. Blanks after a separator go, so that `1,
        "Well, yes"` is two cells.

        Args:
          lines: from the header on, with their ends.
          longest_cell: characters; a quote that is never closed would else take in the whole file.
        """
        csv.field_size_limit(longest_cell)  # of the process, in which somebody may have set another
        return csv.reader(lines, delimiter=self.separator, skipinitialspace=True, strict=True)


def dialect_of(lines: Sequence[str], likely: str = ",") -> Dialect:
    """The dialect of a table, from its first lines: up to the header, which is the first that is
    not blank.

    The separator is what Excel's first line `sep=;` says, else what the header holds most of
    outside quotes, `likely` rather than another.
    """
    for number, line in enumerate(lines):
        stated = line.strip("\r\n")
        if (
            number == 0
            and stated.strip('"').lower().startswith("sep=")
            and len(stated.strip('"')) == 5
        ):
            return Dialect(stated.strip('"')[4], 1)
        if line.strip():
            counts = {separator: _outside_quotes(line).count(separator) for separator in SEPARATORS}
            return Dialect(max((likely, *SEPARATORS), key=counts.__getitem__), number)
    return Dialect(likely, len(lines))


def why_no_row(error: csv.Error) -> str:
    """What the csv module's complaint means, and what to do."""
    reason = str(error)
    if "expected after" in reason:
        return f'{reason}: a quote inside a quoted cell is written twice ("")'
    if "unexpected end" in reason:
        return "a cell's opening quote is never closed"
    if "field larger" in reason:
        return f"{reason}: an opening quote is probably never closed"
    return reason


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a row says nothing: Excel writes such rows below a table's end."""
    return not any(cell.strip() for cell in cells)


def fit(cells: list[str], columns: int) -> list[str]:
    """A row without the empty cells that Excel adds behind the last column."""
    while len(cells) > columns and not cells[-1].strip():
        cells.pop()
    return cells


def why_misfit(cells: Sequence[str], header: Sequence[str], separator: str) -> str:
    """Why a row does not fit its header, and what to do; empty where it does."""
    if len(cells) != len(header):
        return (
            f"{len(cells)} cells, but the header has {len(header)} columns; "
            f"quote cells that hold {SEPARATORS.get(separator, separator)}, quotes or line ends."
        )
    # Files with tabs are often written without any quoting: there a quote at a text's beginning is
    # part of the text, and would join all up to the next one.
    if separator == "\t" and any("\t" in cell and ("\n" in cell or "\r" in cell) for cell in cells):
        return _SWALLOWED
    if any(_swallows(cells, index, separator) for index, cell in enumerate(cells) if "\n" in cell):
        return _SWALLOWED
    if [_bare(cell) for cell in cells] == [_bare(name) for name in header]:
        return "the header comes again: leave it out where files are joined."
    return ""


def _swallows(cells: Sequence[str], index: int, separator: str) -> bool:
    """Whether a cell of several lines looks like several rows, of which the first has the end of
    this one's text and all that follows it, and the last what stands before such a text.
    """
    first, *_, last = (line.split(separator) for line in cells[index].split("\n"))
    ending, beginning = first[1:], last[:-1]
    return bool(ending or beginning) and (
        [*map(_shape, beginning), *map(_shape, ending)]
        == [*map(_shape, cells[:index]), *map(_shape, cells[index + 1 :])]
    )


def _shape(cell: str) -> str:
    """What kind of a cell it is: its letters as one, its digits as one."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell.strip()))


def _bare(cell: str) -> str:
    return cell.strip("\ufeff \t\r\n")


def _outside_quotes(line: str) -> str:
    return "".join(part for number, part in enumerate(line.split('"')) if number % 2 == 0)
