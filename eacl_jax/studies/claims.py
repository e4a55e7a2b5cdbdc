"""Which process runs which cell: several processes and machines share a study's folder, and none
runs a cell that another is running.

A cell's claims are files with numbers in a folder of the cell's, `1`, `2`, `3`; the highest counts.
To claim is to make the next number, which the file system lets one process do alone
(`O_CREAT | O_EXCL`). No number is used twice while a cell is unfinished, so that who decides slowly
that a claim has expired can never put aside the claim of who was faster, as a rename could. A claim
is given back by renaming it to `3.free`.

A claim holds nothing in a copy of the folder, and a process whose folder was moved away has lost
its claims.

While it lasts a thread touches the file, and looks whether there is a higher number. A claim that
was not touched for longer than the expiry may be taken over; one of a process of this machine as
soon as that is dead, and not before. Ages are measured by the clock of the file system.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.files import local

EXPIRY = 60.0
"""Seconds."""
_FREE = ".free"


@dataclasses.dataclass(frozen=True)
class Claimant:
    """A process that has claimed a cell.

    Attributes:
      host: the machine's name, for a person.
      machine: tells machines, starts of a machine and containers apart.
      process: its number.
      started: when the process began, in clock ticks since the machine did; numbers of processes
        are used again. None where that is not known.
      since: when it claimed, for a person.
      place: the claim's path.
      number: the file system's number of its file.
    """

    host: str
    machine: str
    process: int
    started: int | None
    since: str
    place: str
    number: int

    @property
    def words(self) -> str:
        """For a person: "process 12 on lab3, since ..."."""
        if not self.host:
            return (
                "a process that is not known, for its claim is empty or damaged, and counts no more"
                f" once it is {EXPIRY:.0f} seconds old"
            )
        return f"process {self.process} on {self.host}, since {self.since}"

    @classmethod
    def this(cls, file: Path, stream: int) -> "Claimant":
        """This process, with a claim in `file`, which is open as `stream`."""
        return cls(
            host=socket.gethostname(),
            machine=_machine(),
            process=os.getpid(),
            started=_started(os.getpid()),
            since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            place=str(file.absolute()),
            number=os.fstat(stream).st_ino,
        )


_UNKNOWN = Claimant("", "", 0, None, "", "", 0)


class Claim:
    """A cell that is this process' to run, until `give_back`, `close` or another takes it over.

    Attributes:
      lost: whether another has taken it over, or its folder is gone.
    """

    def __init__(
        self, file: Path, stream: int, *, beat: float, on_lost: Callable[[], None] | None
    ) -> None:
        """Args:
        file: the claim's.
        stream: opened for writing.
        beat: seconds between two touches.
        on_lost: called once, in another thread, when the claim is found lost.
        """
        self.lost = False
        self._file, self._stream, self._on_lost = file, stream, on_lost
        self._number = os.fstat(stream).st_ino
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(beat,), daemon=True)
        self._thread.start()

    def check(self) -> bool:
        """Touches the claim; returns whether it is still this process'."""
        with contextlib.suppress(OSError):
            # Not by name, under which there may be another's file.
            os.utime(self._stream)
        try:
            highest = _highest(self._file.parent)
            taken = highest != (int(self._file.name), False) or not self._is_there()
        except OSError:
            taken = False  # the disk is not to be read for a while; nothing is known
        if taken and not self.lost:
            self.lost = True
            if self._on_lost is not None:
                self._on_lost()
        return not self.lost

    def give_back(self) -> None:
        """Lets others claim the cell at once."""
        if self._end():
            with contextlib.suppress(OSError):
                self._file.rename(self._file.with_name(f"{self._file.name}{_FREE}"))

    def close(self) -> None:
        """Removes all claims of the cell, which is complete; not where another has it now."""
        if not self._end():
            return
        shutil.rmtree(self._file.parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # the next is not empty
            for folder in self._file.parent.parents:
                folder.rmdir()

    def _end(self) -> bool:
        """Stops touching; returns whether there is a claim of this process to give back."""
        if self._ended.is_set():
            return False
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with contextlib.suppress(OSError):
            if not self._is_there():
                # Where the folder was moved the claim went along, and this process may live on.
                self.lost = True
                os.ftruncate(self._stream, 0)
                os.utime(self._stream, (0, 0))
        os.close(self._stream)
        return not self.lost

    def _is_there(self) -> bool:
        """Whether the claim's name is still its file's: not where the folder was moved away."""
        try:
            if self._file.stat().st_ino == self._number:
                return True
            # Some file systems number a file anew; what was written is as it was.
            found = _read(self._file)
            return found is not None and (found.process, found.number) == (
                os.getpid(),
                self._number,
            )
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _keep(self, beat: float) -> None:
        while not self._ended.wait(beat):
            if not self.check():
                return


class Claims:
    """The claims of a study's cells, in a folder that all its processes see."""

    def __init__(self, folder: Path, *, expiry: float = EXPIRY) -> None:
        """Args:
        folder: made in the study's, when something is claimed.
        expiry: seconds without a touch after which a claim of another machine counts no more; the
          same for all processes.
        """
        self._folder, self._expiry = folder, expiry

    def take(self, name: str, on_lost: Callable[[], None] | None = None) -> Claim | None:
        """Claims a cell; None where another has it.

        Whether the cell is still to be run must be asked after this: it may have been completed by
        the process that had it before.

        Args:
          name: the cell's, a relative path.
          on_lost: see `Claim`.

        Raises:
          UserError: it cannot be written, as where the disk is full.
        """
        folder = self._folder / name
        try:
            with _explained(self._folder):
                # Not with those above: what was moved away is not to be begun anew.
                self._folder.mkdir(exist_ok=True)
                folder.mkdir(parents=True, exist_ok=True)
                number, free = _highest(folder)
                if number and not free and self._alive(folder / str(number)):
                    return None
                file = folder / str(number + 1)
                stream = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except (FileExistsError, FileNotFoundError):  # another was faster, or has completed it
            return None
        try:
            with _explained(self._folder):
                _write(file, stream)
                # Where the folder was removed in between, because the cell is complete, numbers
                # begin anew.
                first = _highest(folder) == (number + 1, False)
        except BaseException:
            os.close(stream)
            # Empty, others would wait for it until it is old.
            with contextlib.suppress(OSError):
                file.unlink()
            raise
        if not first:
            os.close(stream)
            file.unlink(missing_ok=True)
            return None
        return Claim(file, stream, beat=self._expiry / 6, on_lost=on_lost)

    def claimant(self, name: str) -> Claimant | None:
        """Who is running a cell; None where nobody is."""
        folder = self._folder / name
        try:
            number, free = _highest(folder)
        except OSError:
            return None
        if not number or free or not self._alive(folder / str(number)):
            return None
        return _read(folder / str(number)) or _UNKNOWN

    def claimants(self, names: Iterable[str]) -> list[Claimant]:
        """Who is running any of the cells, each process once."""
        found = [each for name in names if (each := self.claimant(name)) is not None]
        return list({(each.machine, each.process): each for each in found}.values())

    def has(self, name: str) -> bool:
        """Whether there are files of claims on a cell, of whatever age."""
        return (self._folder / name).is_dir()

    def _alive(self, file: Path) -> bool:
        claimant = _read(file)
        try:
            if (
                claimant is not None
                and claimant.machine == _machine()
                and claimant.started is not None
            ):
                # A claim that came along in a copy of the folder is another file at another place,
                # and holds nothing here, although its process lives. Either alone does not tell:
                # the place changes where one folder is mounted twice, and some file systems number
                # a file anew.
                copied = (
                    claimant.place != str(file.absolute()) and claimant.number != file.stat().st_ino
                )
                return not copied and _started(claimant.process) == claimant.started
            try:
                now = file_time(self._folder)
            except (OSError, UserError):  # of a folder that is only looked at
                now = time.time()
            # One from later was written before the file system's clock was set back.
            return abs(now - file.stat().st_mtime) <= self._expiry
        except FileNotFoundError:
            return False


def file_time(folder: Path) -> float:
    """The time by the clock of the file system that a folder is on, in seconds as `st_mtime`.

    Machines' clocks differ; this one is the same for all that share the folder.

    Args:
      folder: made where it is missing, in one that is there.

    Raises:
      UserError: it cannot be written.
    """
    with _explained(folder):
        folder.mkdir(exist_ok=True)
        file = folder / f".clock-{secrets.token_hex(6)}"
        stream = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            os.write(stream, b".")
            return os.fstat(stream).st_mtime
        finally:
            os.close(stream)
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns what the operating system says of a folder of claims into what to do about it."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        problem = local.disk_problem(error, folder)
        raise UserError(f"{problem}, and run the same command again.") from error


def _write(file: Path, stream: int) -> None:
    """Writes who this process is into its claim, whole."""
    text = json.dumps(dataclasses.asdict(Claimant.this(file, stream))).encode()
    while text:  # a disk that fills up may take a part
        text = text[os.write(stream, text) :]


def _highest(folder: Path) -> tuple[int, bool]:
    """The number of the claim that counts, 0 where there is none, and whether it was given back."""
    found = [(0, False)]
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        names = []
    for name in names:
        number, dot, _ = name.partition(".")
        if number.isdecimal():
            found.append((int(number), bool(dot)))
    return max(found)


def _read(file: Path) -> Claimant | None:
    """Who made a claim; None where that is not written yet, or never will be."""
    try:
        return Claimant(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _machine() -> str:
    """Tells this machine from others, since it was started; a container from its host."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(process: int) -> int | None:
    """When a process of this machine began; None where there is none that runs, or no /proc."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name before them, in brackets, may hold anything.
    values = text.rpartition(")")[2].split()
    return None if values[0] in ("Z", "X") else int(values[19])
