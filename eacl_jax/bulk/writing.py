"""Where answers go: a file in which every dialogue is exactly once, however often the process is killed; or standard output.

    OUT                 appears when all is done
    OUT.part            what is done so far, and perhaps more
    OUT.part.json       the journal: how much of OUT.part counts, and which part of the input it answers
    OUT.part.lock       the lock of the process that writes
    OUT.errors.part     problems, a line of JSON each; at the end OUT.errors.jsonl, where there are any

Each piece is written, then made durable, and only then does the journal, replaced as a whole, count it. So whatever is killed
or loses power, the journal never counts what is not there, and what it does not count is cut off before the run goes on.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TextIO

from filelock import FileLock, Timeout

from eacl_jax.bulk.journal import Journal, Totals, read_journal
from eacl_jax.bulk.lines import Position
from eacl_jax.errors import UserError

_CREATE = os.O_RDWR | os.O_CREAT


class Output(Protocol):
    """Where answers go, piece by piece.

    Attributes:
      journal: what is done.
    """

    journal: Journal

    def append(self, answers: bytes, problems: bytes, position: Position, totals: Totals) -> None:
        """Adds a piece, which answers the input up to `position`."""

    def finish(self) -> None:
        """Nothing more will come."""


class StreamOutput:
    """Standard output, which cannot be resumed; problems go to standard error."""

    def __init__(self, answers: BinaryIO, problems: TextIO, *, header: bytes) -> None:
        """Args:
        answers: where answers go.
        problems: where problems go.
        header: what the output begins with.
        """
        self.journal = Journal({}, replaces=False)
        self._answers, self._problems, self._header = answers, problems, header

    def append(self, answers: bytes, problems: bytes, position: Position, totals: Totals) -> None:
        """Writes it out."""
        self.journal = dataclasses.replace(self.journal, position=position, totals=totals)
        self._problems.write(problems.decode())
        try:
            self._answers.write(self._header + answers)
            self._answers.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(f"cannot write to standard output: {error.strerror}.") from error
        self._header = b""

    def finish(self) -> None:
        """Writes the header where nothing else was written."""
        self.append(b"", b"", self.journal.position, self.journal.totals)


class FileOutput:
    """A file that is written to its end once, in one run or several. A context manager, which holds the lock."""

    def __init__(self, path: Path, settings: Mapping[str, Any], *, header: bytes, restart: bool) -> None:
        """Args:
        path: OUT.
        settings: what decides the answers, as JSON can hold it; a run goes on with the same ones only.
        header: what the file begins with.
        restart: forget a run that is not finished, and replace OUT if it is there.
        """
        self.path = path.expanduser().absolute()
        self.journal = Journal(json.loads(json.dumps(settings)), replaces=self.path.exists())
        self._header, self._restart = header, restart
        self._part, self._journal_file, self._lock_file, self._problems_part, self.problems_file = (
            self.path.with_name(self.path.name + ending)
            for ending in (".part", ".part.json", ".part.lock", ".errors.part", ".errors.jsonl")
        )
        self._open = contextlib.ExitStack()
        self._part_fd = self._problems_fd = -1

    def __enter__(self) -> Self:
        """Raises:
        UserError: the file cannot be written, another process writes it, or it, or a part of it with other settings, is there.
        """
        if not self.path.parent.is_dir():
            raise UserError(f"--output: there is no folder {self.path.parent}; make it first.")
        if self.path.exists() and not self.path.is_file():
            raise UserError(f"--output: {self.path} is no file; name one, or - for standard output.")
        with contextlib.ExitStack() as stack, self._telling():
            try:
                stack.enter_context(FileLock(self._lock_file, timeout=0))
            except Timeout:
                raise UserError(f"another process is writing {self.path}; wait for it, or name another output.") from None
            # Deleted while it is held: who waits for it finds that it has gone, and makes a new one.
            stack.callback(self._lock_file.unlink, missing_ok=True)
            found = self._found()
            if found:
                self.journal = found
            if not self.journal.finished:
                if not found:
                    self._write_journal()
                self._part_fd = self._open_part(stack, self._part, self.journal.written)
                self._problems_fd = self._open_part(stack, self._problems_part, self.journal.problems)
                if not self.journal.written:
                    self.append(self._header, b"", self.journal.position, self.journal.totals)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def append(self, answers: bytes, problems: bytes, position: Position, totals: Totals) -> None:
        """Adds a piece, for good when this returns.

        Raises:
          UserError: the disk is full, or fails. Nothing that was added before is lost.
        """
        with self._telling():
            _write(self._part_fd, answers)
            _write(self._problems_fd, problems)
            self.journal = dataclasses.replace(
                self.journal,
                written=self.journal.written + len(answers),
                problems=self.journal.problems + len(problems),
                position=position,
                totals=totals,
            )
            self._write_journal()

    def finish(self) -> None:
        """Puts the file, and the one of problems, in their places. May be called again where it was cut short."""
        with self._telling():
            if not self.journal.finished:
                self.journal = dataclasses.replace(self.journal, finished=True)
                self._write_journal()
            if self._problems_part.exists():
                if self.journal.problems:
                    os.replace(self._problems_part, self.problems_file)
                else:
                    self.problems_file.unlink(missing_ok=True)  # of a run that this one replaces
                    os.unlink(self._problems_part)
            if self._part.exists():
                os.replace(self._part, self.path)
            self._sync_folder()
            os.unlink(self._journal_file)

    def _found(self) -> Journal | None:
        """The journal to go on with; none where the run begins."""
        if self._restart:
            return None
        again = "--restart starts anew"
        if not self._journal_file.exists():
            if self._part.exists():
                raise UserError(f"{self._part} is there, but not its journal {self._journal_file.name}; {again} without it.")
            if self.path.exists():
                raise UserError(f"{self.path} is there; name another output, or use --restart to replace it.")
            return None
        found = read_journal(self._journal_file)
        pairs = {key: (found.settings.get(key), now) for key, now in self.journal.settings.items()}
        if differ := [f"{key}: {before!r}, now {now!r}" for key, (before, now) in pairs.items() if before != now]:
            told = "\n  ".join(differ)
            raise UserError(f"{self._part} is of an unfinished run that differs; give the same to go on, or {again}.\n  {told}")
        if self.path.exists() and not found.replaces and (self._part.exists() or not found.finished):
            raise UserError(
                f"{self.path} was not there when the unfinished run began; move it away, or {again} and replaces it."
            )
        for file, counted in ((self._part, found.written), (self._problems_part, found.problems)):
            if not found.finished and counted > (file.stat().st_size if file.exists() else 0):
                raise UserError(f"{file} is shorter than the {counted} bytes that its journal counts; {again}.")
        return found

    def _open_part(self, stack: contextlib.ExitStack, file: Path, size: int) -> int:
        descriptor = os.open(file, _CREATE, 0o666)
        stack.callback(os.close, descriptor)
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        return descriptor

    def _write_journal(self) -> None:
        """Counts what was written, after making it durable."""
        for descriptor in (self._part_fd, self._problems_fd):
            if descriptor >= 0:
                os.fsync(descriptor)
        new = self._journal_file.with_name(self._journal_file.name + ".new")
        descriptor = os.open(new, _CREATE | os.O_TRUNC, 0o666)
        try:
            _write(descriptor, self.journal.to_text().encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(new, self._journal_file)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror or error}. What was done before is kept: mend that, and run the "
                "same command again to go on."
            ) from error


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
