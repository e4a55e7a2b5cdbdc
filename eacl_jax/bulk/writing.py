"""Where answers go: a file in which every dialogue is exactly once, however often the process is
killed; or standard output.

    OUT                 appears when all is done
    OUT.part            what is done so far, and perhaps more
    OUT.part.json       the journal: how much of OUT.part counts, and which part of the input it
                        answers
    OUT.part.lock       the lock of the process that writes
    OUT.errors.part     problems, a line of JSON each; at the end OUT.errors.jsonl, where there are
                        any

Each piece is written, then made durable, and only then does the journal, replaced as a whole, count
it. So whatever is killed or loses power, the journal never counts what is not there, and what it
does not count is cut off before the run goes on. A run that counts nothing leaves nothing, and what
a killed one has left of that kind is in nobody's way.

A long dialogue is written in pieces. Where a later one cannot be used, those before it are taken
back.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TextIO

from filelock import FileLock, Timeout

from eacl_jax.bulk.journal import Journal, Totals, read_journal
from eacl_jax.bulk.lines import Position
from eacl_jax.errors import UserError
from eacl_jax.files import whole

_CREATE = os.O_RDWR | os.O_CREAT


class Output(Protocol):
    """Where answers go, piece by piece. A context manager.

    Attributes:
      journal: what is done.
      problems_in: where it says which dialogues cannot be used, for messages.
    """

    journal: Journal
    problems_in: str

    def __enter__(self) -> Self:
        """Begins."""

    def __exit__(self, *_: object) -> None:
        """Ends, finished or not."""

    def append(
        self,
        answers: bytes,
        problems: bytes,
        position: Position,
        totals: Totals,
        *,
        more: bool = False,
    ) -> None:
        """Adds a piece, which answers the input up to `position`; `more` where it ends inside a
        dialogue.
        """

    def take_back(self) -> None:
        """Forgets the pieces of the dialogue that has not ended."""

    def finish(self) -> None:
        """Nothing more will come."""

    def give_up(self) -> None:
        """No answer has come, but problems: they are left where they can be read, and nothing
        else.
        """


class StreamOutput:
    """Standard output, which cannot be resumed; problems go to standard error. A context manager.

    A dialogue is written when it is whole: what has been written cannot be taken back.
    """

    def __init__(self, answers: BinaryIO, problems: TextIO, *, header: bytes) -> None:
        """Args:
        answers: where answers go.
        problems: where problems go.
        header: what the output begins with.
        """
        self.journal = Journal({}, replaces=False)
        self.problems_in = "above"
        self._answers, self._problems, self._header = answers, problems, header
        self._pieces: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pieces:
            self._pieces.close()

    def append(
        self,
        answers: bytes,
        problems: bytes,
        position: Position,
        totals: Totals,
        *,
        more: bool = False,
    ) -> None:
        """Writes it out, or keeps it in a temporary file until the dialogue ends."""
        self.journal = self.journal.added(len(answers), len(problems), position, totals, more=more)
        self._problems.write(problems.decode())
        if more:
            try:
                self._pieces = self._pieces or tempfile.TemporaryFile()  # noqa: SIM115
                self._pieces.write(answers)
                self._pieces.flush()
            except OSError as error:
                raise UserError(
                    f"cannot keep the pieces of a long dialogue in {tempfile.gettempdir()}:"
                    f" {error.strerror}."
                ) from error
            return
        try:
            self._answers.write(self._header)
            if self._pieces:
                self._pieces.seek(0)
                shutil.copyfileobj(self._pieces, self._answers)
            self._answers.write(answers)
            self._answers.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(f"cannot write to standard output: {error.strerror}.") from error
        self._header = b""
        self._forget()

    def take_back(self) -> None:
        """Forgets what was kept."""
        self.journal = self.journal.taken_back()
        self._forget()

    def finish(self) -> None:
        """Writes the header where nothing else was written."""
        self.append(b"", b"", self.journal.position, self.journal.totals)

    def give_up(self) -> None:
        """The problems are written already."""

    def _forget(self) -> None:
        if self._pieces:
            self._pieces.seek(0)
            self._pieces.truncate()


class FileOutput:
    """A file that is written to its end once, in one run or several. A context manager, which has
    the lock.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        header: bytes,
        restart: bool,
        restart_named: str,
    ) -> None:
        """Args:
        path: OUT; of a link, the file that it points to, and all others are beside that.
        settings: what decides the answers, as JSON can hold it; a run goes on with the same ones
          only.
        header: what the file begins with.
        restart: forget a run that is not finished, and replace OUT if it is there.
        restart_named: what a user does for that, for messages.
        """
        self.path = whole.target_of(path).absolute()
        self.journal = Journal(json.loads(json.dumps(settings)), replaces=False)
        self._header, self._restart, self._restart_named = header, restart, restart_named
        (
            self._part,
            self._journal_file,
            self._lock_file,
            self._problems_part,
            self._problems_file,
        ) = beside(self.path)
        self.problems_in = str(self._problems_file)
        self._open = contextlib.ExitStack()
        self._part_fd = self._problems_fd = -1

    def __enter__(self) -> Self:
        """Makes nothing but the lock.

        Raises:
          UserError: the file cannot be written, another process writes it, or it, or a part of it
            with other settings, is there.
        """
        with contextlib.ExitStack() as stack, self._telling():
            if not self.path.parent.is_dir():
                raise UserError(
                    f"there is no folder {self.path.parent} for the output; make it first."
                )
            if self.path.exists() and not self.path.is_file():
                raise UserError(f"{self.path} is no file; name one, or - for standard output.")
            try:
                stack.enter_context(FileLock(self._lock_file, timeout=0))
            except Timeout:
                raise UserError(
                    f"another process is writing {self.path}; wait for it, or name another output."
                ) from None
            # Deleted while it is locked: who waits for it finds that it has gone, and makes a new
            # one.
            stack.callback(self._lock_file.unlink, missing_ok=True)
            self.journal = self._found() or dataclasses.replace(
                self.journal, replaces=self.path.exists()
            )
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def append(
        self,
        answers: bytes,
        problems: bytes,
        position: Position,
        totals: Totals,
        *,
        more: bool = False,
    ) -> None:
        """Adds a piece, for good when this returns.

        Raises:
          UserError: the disk is full, or fails. Nothing that was added before is lost.
        """
        with self._telling():
            self._begin()
            answers = answers if self.journal.written else self._header + answers
            _write(self._part_fd, answers)
            _write(self._problems_fd, problems)
            self._count(
                self.journal.added(len(answers), len(problems), position, totals, more=more)
            )

    def take_back(self) -> None:
        """Cuts off the pieces of the dialogue that has not ended."""
        with self._telling():
            self._begin()
            self._count(self.journal.taken_back())
            _cut(self._part_fd, self.journal.written)

    def finish(self) -> None:
        """Moves the file, and the one of problems, to their final names. May be called again
        where it was cut short.
        """
        with self._telling():
            if not self.journal.finished:
                if not self.journal.written:
                    self.append(b"", b"", self.journal.position, self.journal.totals)
                self._begin()
                self._count(dataclasses.replace(self.journal, finished=True))
            if self._problems_part.exists():
                if self.journal.problems:
                    os.replace(self._problems_part, self._problems_file)
                else:
                    self._problems_file.unlink(missing_ok=True)  # of a run that this one replaces
                    os.unlink(self._problems_part)
            if self._part.exists():
                os.replace(self._part, self.path)
            self._sync_folder()
            os.unlink(self._journal_file)

    def give_up(self) -> None:
        """Moves the file of problems to its final name; nothing else is left."""
        with self._telling():
            self._begin()
            self._count(Journal(self.journal.settings, self.journal.replaces))
            os.replace(self._problems_part, self._problems_file)

    def _found(self) -> Journal | None:
        """The journal to go on with; none where the run begins."""
        if self._restart:
            return None
        again = f"{self._restart_named} to begin anew"
        found = (
            read_journal(self._journal_file, self._restart_named)
            if self._journal_file.exists()
            else None
        )
        if found is None and self._part.exists():
            raise UserError(
                f"{self._part} is there, but not its journal {self._journal_file.name}; {again}"
                " without it."
            )
        if found is None or found.counts_nothing:
            if self.path.exists():
                raise UserError(
                    f"{self.path} is there; name another output, or {self._restart_named} to"
                    " replace it."
                )
            return None
        pairs = {key: (found.settings.get(key), now) for key, now in self.journal.settings.items()}
        if differ := [
            f"{key}: {before!r}, now {now!r}"
            for key, (before, now) in pairs.items()
            if before != now
        ]:
            differing = "\n  ".join(differ)
            raise UserError(
                f"{self._part} is of an unfinished run that differs; give the same to go on, or"
                f" {again}.\n  {differing}"
            )
        if (
            self.path.exists()
            and not found.replaces
            and (self._part.exists() or not found.finished)
        ):
            raise UserError(
                f"{self.path} was not there when the unfinished run began; move it away, or {again}"
                " and replace it."
            )
        for file, counted in ((self._part, found.written), (self._problems_part, found.problems)):
            if not found.finished and counted > (file.stat().st_size if file.exists() else 0):
                raise UserError(
                    f"{file} is shorter than the {counted} bytes that its journal counts; {again}."
                )
        return found

    def _begin(self) -> None:
        """Opens what is written, with a journal beside it."""
        if self._part_fd >= 0:
            return
        self._open.callback(self._clean)
        if self.journal.counts_nothing:
            self._write_journal()
        self._part_fd = self._open_part(self._part, self.journal.written)
        self._problems_fd = self._open_part(self._problems_part, self.journal.problems)

    def _clean(self) -> None:
        """Removes what was begun and counts nothing."""
        if self.journal.counts_nothing:
            with contextlib.suppress(OSError):
                for file in (self._part, self._problems_part, self._journal_file):
                    if file.exists():
                        os.unlink(file)

    def _open_part(self, file: Path, size: int) -> int:
        descriptor = os.open(file, _CREATE, 0o666)
        self._open.callback(os.close, descriptor)
        _cut(descriptor, size)
        return descriptor

    def _count(self, journal: Journal) -> None:
        """Counts what was written, after making it durable."""
        before, self.journal = self.journal, journal
        try:
            os.fsync(self._part_fd)
            os.fsync(self._problems_fd)
            self._write_journal()
        except OSError:
            self.journal = before
            raise

    def _write_journal(self) -> None:
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
            again = "mend that, and run the same command again"
            if not self.journal.counts_nothing:
                again = f"what was done before is kept: {again} to go on"
            raise UserError(
                f"cannot write {self.path}: {error.strerror or error}; {again}."
            ) from error


def beside(path: Path) -> list[Path]:
    """The other files of an output: see above."""
    return [
        path.with_name(path.name + ending)
        for ending in (".part", ".part.json", ".part.lock", ".errors.part", ".errors.jsonl")
    ]


def _cut(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
