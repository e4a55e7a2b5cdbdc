"""Lines of a file or pipe of any length, each with its position."""

import dataclasses
import zlib
from collections import deque
from typing import BinaryIO

from eacl_jax.errors import UserError
from eacl_jax.files.text import as_utf8, why_not_utf8

LONGEST_LINE = 64 * 2**20
"""Bytes. A file without line ends would else be read into memory whole."""


class BadLineError(Exception):
    """A line that cannot be used; the message says which and why. Others may still be read."""


@dataclasses.dataclass(frozen=True)
class Position:
    """How far an input has been read.

    Attributes:
      offset: bytes before it, of the text in UTF-8.
      line: lines before it.
      dialogues: whole dialogues before it, those of other shards and those that could not be used
        included.
      checksum: CRC-32 of the bytes before it.
      utterances: of the next dialogue, which were answered too.
      answered: CRC-32 of those, where their bytes are not before `offset`.
    """

    offset: int = 0
    line: int = 0
    dialogues: int = 0
    checksum: int = 0
    utterances: int = 0
    answered: int = 0


class Lines:
    """The lines of an input, read one after the other. A line ends at a line feed, a carriage
    return or both.

    Gzip is unpacked, UTF-16 decoded and a byte order mark left out (`files.text.as_utf8`).

    A resumed run reads its input from the beginning, and the part that was done before only to see
    that it is still the same: pipes can be resumed so, and a file may have been mended or have
    grown behind that part. Reading is hundreds of times faster than predicting.

    Attributes:
      name: of the input, for messages.
      resumed: what was done before. May be set before it is reached.
      line: how many were read so far, and so the number of the one that was read last.
      dialogues: how many began so far; whoever reads dialogues from the lines counts them here.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        resumed: Position | None = None,
        *,
        restart: str,
    ) -> None:
        """Args:
          file: is read only.
          name: of the input, for messages.
          resumed: where an earlier run has come to; up to there, the input must be the one that it
            has read.
          restart: what a user does to begin anew, for messages.

        Raises:
          UserError: it cannot be read, or is no text.
        """
        self.name, self.resumed = name, resumed or Position()
        self._restart = restart
        self.dialogues = 0
        self.line = 0
        try:
            self._file = as_utf8(file, name)
        except OSError as error:
            raise self._unreadable(error) from error
        self._offset, self._checksum = 0, 0
        self._verified = False
        self._parts: deque[bytes] = deque()
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
        """The next line with its end; empty where there are no more.

        Raises:
          UserError: the input cannot be read, or is not the one that the resumed run has read.
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
        while self._too_long and rest and not _ended(rest):
            rest = self._take()
        self.line += 1
        return line

    def text(self, line: bytes) -> str:
        """The line that was read last, decoded.

        Raises:
          BadLineError: it is too long or not UTF-8.
        """
        if self._too_long:
            raise BadLineError(
                f"{self.where}: longer than {LONGEST_LINE >> 20} MiB; are its line ends missing?"
            )
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise BadLineError(f"{self.where}: {why_not_utf8(line, error.start)}.") from error

    def _take(self) -> bytes:
        """The next line, or so much of it as may be; of a longer one the next calls give the
        rest.
        """
        # All parts but the last end where a line ends. The last one may go on, or be half of a
        # line's end.
        while len(self._parts) < 2 and not self._whole():
            left = self._parts.pop() if self._parts else b""
            try:
                block = self._file.readline(LONGEST_LINE + 1 - len(left))
            except OSError as error:
                raise self._unreadable(error) from error
            self._parts += (left + block).splitlines(keepends=True)
            if not block:
                break
        taken = self._parts.popleft() if self._parts else b""
        self._offset += len(taken)
        self._checksum = zlib.crc32(taken, self._checksum)
        return taken

    def _whole(self) -> bool:
        first = self._parts[0] if self._parts else b""
        return first.endswith(b"\n") or len(first) > LONGEST_LINE

    def _verify(self) -> None:
        # A run that begins; or it is not known yet, as a header is read.
        if not self.resumed.offset:
            return
        if (self._offset, self._checksum) != (self.resumed.offset, self.resumed.checksum):
            raise self.other_input(f"its first {self.resumed.offset} bytes differ")
        self._verified = True

    def other_input(self, why: str) -> UserError:
        """The error where the input is not the one that the resumed run has read."""
        return UserError(
            f"{self.name} is not what the unfinished run has read: {why}. "
            f"Give the same input to go on, or {self._restart} to begin anew."
        )

    def _unreadable(self, error: OSError) -> UserError:
        return UserError(f"cannot read {self.name}: {error.strerror or error}.")


def _ended(line: bytes) -> bool:
    return line.endswith((b"\n", b"\r"))
