"""Lines of a file or pipe of any length, each with its place."""

import dataclasses
import zlib
from typing import BinaryIO

from eacl_jax.errors import UserError

LONGEST_LINE = 64 * 2**20
"""Bytes. A file without line ends would else be read into memory whole."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadLineError(Exception):
    """A line that cannot be used; the message says which and why. Others may still be read."""


@dataclasses.dataclass(frozen=True)
class Position:
    """How far an input has been read.

    Attributes:
      offset: bytes before it.
      line: lines before it.
      dialogues: dialogues before it, those of other shards and those that could not be used included.
      checksum: CRC-32 of the bytes before it.
    """

    offset: int = 0
    line: int = 0
    dialogues: int = 0
    checksum: int = 0


class Lines:
    """The lines of an input, read one after the other.

    A resumed run reads its input from the beginning, and the part that was done before only to see that it is still the
    same: pipes can be resumed so, and a file may have been mended or have grown behind that part. Reading is hundreds of
    times faster than predicting.

    Attributes:
      name: of the input, for messages.
      resumed: what was done before.
      line: how many were read so far, and so the number of the one that was read last.
      dialogues: how many began so far; whoever reads dialogues from the lines counts them here.
    """

    def __init__(self, file: BinaryIO, name: str, resumed: Position | None = None) -> None:
        """Args:
        file: is read only.
        name: of the input, for messages.
        resumed: where an earlier run has come to; up to there, the input must be the one that it has read.
        """
        self.name, self.resumed = name, resumed or Position()
        self.dialogues = 0
        self._file = file
        self.line = 0
        self._offset, self._checksum = 0, 0
        self._verified = self.resumed.offset == 0
        self._too_long = False

    @property
    def where(self) -> str:
        """`FILE line 3`, of the line that was read last."""
        return f"{self.name} line {self.line}"

    @property
    def position(self) -> Position:
        """Up to the end of the line that was read last."""
        return Position(self._offset, self.line, self.dialogues, self._checksum)

    def read(self) -> bytes:
        """The next line with its end, without the file's byte order mark; empty where there are no more.

        Raises:
          UserError: the input cannot be read, is UTF-16, or is not the one that the resumed run has read.
        """
        if not self._verified and self._offset >= self.resumed.offset:
            self._verify()
        line = self._take()
        self._too_long = len(line) > LONGEST_LINE
        if not line:
            if not self._verified:
                self._verify()
            return line
        rest = line
        while self._too_long and rest and not rest.endswith(b"\n"):
            rest = self._take()
        self.line += 1
        if self.line == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise UserError(f"{self.name} begins with the byte order mark of UTF-16; save it as UTF-8.")
            line = line.removeprefix(_BYTE_ORDER_MARK) or b"\n"
        return line

    def text(self, line: bytes) -> str:
        """The line that was read last, decoded.

        Raises:
          BadLineError: it is too long or not UTF-8.
        """
        if self._too_long:
            raise BadLineError(f"{self.where}: longer than {LONGEST_LINE >> 20} MiB; are its line ends missing?")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise BadLineError(
                f"{self.where}: byte 0x{line[error.start]:02x} at offset {error.start} of the line is not UTF-8; "
                "save the file as UTF-8."
            ) from error

    def _take(self) -> bytes:
        try:
            taken = self._file.readline(LONGEST_LINE + 1)
        except OSError as error:
            raise UserError(f"cannot read {self.name}: {error.strerror}.") from error
        self._offset += len(taken)
        self._checksum = zlib.crc32(taken, self._checksum)
        return taken

    def _verify(self) -> None:
        if (self._offset, self._checksum) != (self.resumed.offset, self.resumed.checksum):
            raise UserError(
                f"{self.name} is not what the unfinished run has read: its first {self.resumed.offset} bytes differ. "
                "Give the same input to go on, or --restart to start anew."
            )
        self._verified = True
