"""How the bytes of a file become text and rows: compression, encoding and separator, known from its
beginning.

Readers of whole files and of streams share it, so it needs nothing but the standard library.
"""

import codecs
import csv
import dataclasses
import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from eacl_jax.corpora.forms import PROBABILITY
from eacl_jax.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What stands between the cells of a table, and its name for messages."""

_MARK = codecs.BOM_UTF8
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
}  # UTF-32's begins with UTF-16's: looked at first
_SHORT_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_GZIP = b"\x1f\x8b"
_SAVE = "save it as CSV UTF-8 (Excel: Save As, 'CSV UTF-8 (comma delimited)')"
_NO_TEXT = {
    b"PK\x03\x04": f"is a zip archive or an Excel workbook: unpack it, or {_SAVE}",
    b"\xd0\xcf\x11\xe0": f"is an Excel workbook of the old format: {_SAVE}",
    b"%PDF": "is a PDF: give its text as CSV or JSON lines",
    b"BZh": "is compressed with bzip2: unpack it first",
    b"\xfd7zX": "is compressed with xz: unpack it first",
    b"(\xb5/\xfd": "is compressed with zstd: unpack it first",
    b"SQLi": "is a SQLite database: export the table as CSV",
}
_BLOCK = 1 << 16
_FORMULA = "=+-@＝＋－＠"
_OF_ANSWERS = ("confidence", "truncated", "unknown_text")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")
_SWALLOWED = (
    "a cell begins with a quote and ends rows later; write quotes that belong to a text twice, in a"
    " quoted cell."
)


def as_utf8(file: BinaryIO, name: str) -> BinaryIO:
    """A stream of the same text in UTF-8, without byte order marks: gzip is unpacked, UTF-16 and
    UTF-32 are decoded.

    Text without a mark is passed on as it is, unless its first characters can only be UTF-16's;
    whoever decodes it says what is wrong with bytes that are not UTF-8 (`why_not_utf8`).

    Args:
      file: any binary stream, seekable or not; four bytes of it are waited for.
      name: of the input, for messages.

    Raises:
      UserError: it is something else than text (a workbook, an archive); or, while it is read, its
        gzip or UTF-16 is damaged.
    """
    head = file.read(4)
    if head.startswith(_GZIP):
        unpacked = gzip.GzipFile(fileobj=_Joined(head, file))
        return as_utf8(io.BufferedReader(_Guarded(unpacked, name)), name)
    for magic, problem in _NO_TEXT.items():
        if head.startswith(magic):
            raise UserError(f"{name} {problem}.")
    while head.startswith(_MARK):  # some programs put one before another's
        head = head[len(_MARK) :] + file.read(len(_MARK))
    whole = _Joined(head, file)
    if codec := _wide(head):
        return io.BufferedReader(_Transcoded(whole, codec, name))
    return io.BufferedReader(whole)


def why_not_utf8(raw: bytes, start: int) -> str:
    """What a byte that is not UTF-8 probably is, and what to do.

    Other encodings cannot be told from one another by their bytes, so none is guessed.

    Args:
      raw: the bytes.
      start: where the first one stands that is not UTF-8.
    """
    byte = raw[start : start + 1]
    try:
        likely = f" (in Windows-1252, Excel's plain 'CSV', it is {byte.decode('cp1252')!r})"
    except UnicodeDecodeError:
        likely = ""
    return (
        f"byte 0x{byte.hex()} at offset {start} is not UTF-8{likely}; {_SAVE}, or convert it from"
        " the encoding that it is in: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
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


def dialect_of(lines: Sequence[str]) -> Dialect:
    """The dialect of a table, from its first lines: up to the header, which is the first that is
    not blank.

    The separator is what Excel's first line `sep=;` says, else what the header holds most of
    outside quotes.
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
            return Dialect(max(counts, key=lambda separator: counts[separator]), number)
    return Dialect(",", len(lines))


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
    if any(_swallows(cells, place, separator) for place, cell in enumerate(cells) if "\n" in cell):
        return _SWALLOWED
    if [_bare(cell) for cell in cells] == [_bare(name) for name in header]:
        return "the header comes again: leave it out where files are joined."
    return ""


def guarded(value: object) -> object:
    """A cell with an apostrophe before it where a spreadsheet would take it for a formula and run
    it.

    The same rule as the page's (`serving/page/download.js`): a sign of a formula after any blanks
    and invisible characters, or a tab or line end first. Plain numbers stay, which say the same to
    a spreadsheet.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    first = next(
        (
            letter
            for letter in value
            if not letter.isspace() and unicodedata.category(letter) != "Cf"
        ),
        "",
    )
    return (
        f"'{value}"
        if (first and first in _FORMULA) or value.startswith(("\t", "\r", "\n"))
        else value
    )


def as_written(cells: list[str], header: Sequence[str]) -> list[str]:
    """A row of answers as it was before `guarded`: without the apostrophes, which would else be
    part of ids and texts when answers are read again. Other tables' rows as they are: an answer
    has a column that no other table has.
    """
    if not {"dialogue", "utterance"} <= set(header) or not any(
        name in _OF_ANSWERS or PROBABILITY.fullmatch(name) for name in header
    ):
        return cells
    return [
        cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell for cell in cells
    ]


def _swallows(cells: Sequence[str], place: int, separator: str) -> bool:
    """Whether a cell of several lines looks like several rows, of which the first has the end of
    this one's text and all that follows it, and the last what stands before such a text.
    """
    first, *_, last = (line.split(separator) for line in cells[place].split("\n"))
    ending, beginning = first[1:], last[:-1]
    return bool(ending or beginning) and (
        [*map(_shape, beginning), *map(_shape, ending)]
        == [*map(_shape, cells[:place]), *map(_shape, cells[place + 1 :])]
    )


def _shape(cell: str) -> str:
    """What kind of a cell it is: its letters as one, its digits as one."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell.strip()))


def _bare(cell: str) -> str:
    return cell.strip("\ufeff \t\r\n")


def _wide(head: bytes) -> str:
    for marks in (_MARKS, _SHORT_MARKS):
        for mark, codec in marks.items():
            if head.startswith(mark):
                return codec
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return ""


def _outside_quotes(line: str) -> str:
    return "".join(part for number, part in enumerate(line.split('"')) if number % 2 == 0)


class _Raw(io.RawIOBase):
    """A stream from pieces of bytes of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Joined(_Raw):
    """Bytes that were read already, and the stream that they came from."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        super().__init__(self._pieces_of(head, file))

    @staticmethod
    def _pieces_of(head: bytes, file: BinaryIO) -> Iterator[bytes]:
        if head:
            yield head
        read = getattr(
            file, "read1", file.read
        )  # what a pipe has now, not all that it will ever have
        while piece := read(_BLOCK):
            yield piece


class _Guarded(_Raw):
    """What gzip unpacks, with its errors in words."""

    def __init__(self, unpacked: gzip.GzipFile, name: str) -> None:
        super().__init__(self._unpack(unpacked, name))

    @staticmethod
    def _unpack(unpacked: gzip.GzipFile, name: str) -> Iterator[bytes]:
        try:
            while piece := unpacked.read1(_BLOCK):
                yield piece
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{name}: the gzip file is damaged or cut short ({error}); copy or compress it"
                " again."
            ) from error


class _Transcoded(_Raw):
    """UTF-16 or UTF-32 as UTF-8."""

    def __init__(self, file: _Joined, codec: str, name: str) -> None:
        super().__init__(self._transcode(file, codec, name))

    @staticmethod
    def _transcode(file: _Joined, codec: str, name: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(codec)()
        try:
            while piece := file.read(_BLOCK):
                yield decoder.decode(piece).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError as error:
            raise UserError(
                f"{name} is not valid {codec.upper()}: {error}; save it as UTF-8."
            ) from error
