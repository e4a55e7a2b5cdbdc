"""The text of files, whole or in a stream: compression and encoding, known from their beginning."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from eacl_jax.errors import UserError

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


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 (or marked UTF-16), perhaps compressed with gzip, without its
    byte order mark.

    Line ends are kept as they are.

    Raises:
      UserError: the file is missing or unreadable, is of another encoding, is no text, or holds a
        null byte.
    """
    raw = read_bytes(path)
    if (null := raw.find(b"\0")) >= 0:
        raise UserError(
            f"{path} line {_line(raw, null)}: null byte at offset {null}; the file must be UTF-8"
            " text."
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} line {_line(raw, error.start)}: {why_not_utf8(raw, error.start)}."
        ) from error


def read_bytes(path: Path) -> bytes:
    """A file's text as UTF-8 (`as_utf8`). Raises `UserError` where it is missing,
    unreadable or no text.
    """
    try:
        with path.open("rb") as file:
            return as_utf8(file, str(path)).read()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}.") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends. Raises `UserError` as `read_text` does.

    Only line feeds (with a carriage return before or not) end a line: utterances may hold what else
    Unicode calls line ends.
    """
    return split_lines(read_text(path))


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends, as `read_lines`."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines


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
    check_head(head, name)
    while head.startswith(_MARK):  # some programs put one before another's
        head = head[len(_MARK) :] + file.read(len(_MARK))
    whole = _Joined(head, file)
    if codec := _wide(head):
        return io.BufferedReader(_Transcoded(whole, codec, name))
    return io.BufferedReader(whole)


def check_head(head: bytes, name: str) -> None:
    """Raises `UserError` where a file's first four bytes are those of something else than text, as
    a workbook's.
    """
    for magic, problem in _NO_TEXT.items():
        if head.startswith(magic):
            raise UserError(f"{name} {problem}.")


def why_not_utf8(raw: bytes, start: int) -> str:
    """What a byte that is not UTF-8 probably is, and what to do.

    Bytes do not show which other encoding they are of, so none is guessed.

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


def _line(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1


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
