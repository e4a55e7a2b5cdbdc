"""`--distributed`: joins the processes that do one run together, and sees that they end together.

Whatever ends one of them ends all, within seconds and with one line: else the others would wait for
it until JAX's own time-outs, and then be aborted.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from eacl_jax.cli import process
from eacl_jax.errors import UserError

if TYPE_CHECKING:
    from eacl_jax.training.loop import StopRequest

log = logging.getLogger(__name__)

VARIABLE = "EACL_JAX_DISTRIBUTED"
WORKER = "EACL_JAX_STUDY_WORKER"
"""Set for a study's worker, which has runs of its own: when the command that started it began, by
the clock of the study's folder."""
AUTO, OFF = "auto", "off"
_FAILED, _ALIVE, _READ = "failed", "alive", "read"

_EVERY = 0.5  # seconds between two looks at the others
_SILENCE = 40.0  # seconds without a sign of life, after which a process counts as dead
_BLINK = 0.1  # seconds between two looks at a text that is to come
_LINGER = 5.0  # seconds for which a process that failed waits until the others know
_BEGINNING = 120.0  # the same before the first sign
_STATUS, _INTERRUPTED = 2, 130

Address = tuple[str, int, int]


def parse(given: str) -> Address | str:
    """`auto`, `off`, or (address, number of processes, this one's number) of
    `host:port,4,0`.

    Raises:
      UserError: it is something else.
    """
    if given in (AUTO, OFF):
        return given
    address, *numbers = given.split(",")
    host, _, port = address.rpartition(":")
    digits = all(text.isascii() and text.isdigit() for text in (port, *numbers))
    if host and len(numbers) == 2 and digits:
        number, index = map(int, numbers)
        if index < number:
            return address, number, index
    raise UserError(
        f"--distributed: expected auto, off, or HOST:PORT,N,I, where process 0 listens, how many"
        f" processes there are, and which of them (from 0) this is; got {given!r}."
    )


@contextlib.contextmanager
def joined(given: str) -> Iterator[None]:
    """Joins the other processes while the block runs; to be entered before JAX looks at devices.

    Where there are none, nothing changes. Else what ends the block with an error ends this process,
    and all the others with it.

    Raises:
      UserError: `given` is not as `parse` wants it, or the others cannot be reached.
    """
    if not _join(parse(given)):
        yield
        return
    import jax

    from eacl_jax.training import processes

    if not processes.is_main():
        logging.getLogger().setLevel(logging.ERROR)  # the first process logs it
    watch = _Watch()
    watch.start()
    ended: SystemExit | typer.Exit | None = None
    try:
        try:
            _check_number()
            yield
        except (SystemExit, typer.Exit) as error:
            ended = error
        processes.barrier("end")
    except processes.CommonError as error:
        watch.fail(str(error), of_all=True)
    except UserError as error:
        watch.fail(str(error))
    except KeyboardInterrupt:
        watch.fail("stopped.", status=_INTERRUPTED)
    except jax.errors.JaxRuntimeError as error:
        watch.fail(watch.explain(error))
    except OSError as error:
        watch.fail(f"{error.filename or 'cannot read or write'}: {error.strerror}.")
    except Exception as error:
        traceback.print_exc()
        watch.fail(f"{type(error).__name__}: {error}")
    watch.stop()
    # All are here, so that its barrier waits for none.
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.distributed.shutdown()
    if ended is not None:
        raise ended


@contextlib.contextmanager
def asking(stop: "StopRequest") -> Iterator[None]:
    """While the block runs, a signal to stop is asked of a run; a second Ctrl+C stops it at once.

    With several processes SIGTERM is left to JAX's preemption service, by which all stop at the
    same step, and Ctrl+C is passed on to it.
    """
    from eacl_jax.training import processes

    if processes.count() == 1:
        with process.asking(stop):
            yield
        return
    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked, stop.number = True, number
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _join(wanted: Address | str) -> bool:
    """Whether there are others; they have been joined then."""
    if wanted == OFF or (isinstance(wanted, tuple) and wanted[1] == 1):
        return False
    # The service warns of what is reported below in a line; it looks here when JAX is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    if wanted == AUTO and not _in_a_cluster():
        return False

    def initialize() -> None:
        if isinstance(wanted, tuple):
            jax.distributed.initialize(*wanted)
        else:
            jax.distributed.initialize(local_device_ids=_devices_of_a_task())

    if isinstance(wanted, tuple):
        address, number, index = wanted
        process.tell(f"process {index} of {number}, waiting for the others at {address}")
    try:
        process.stoppable(initialize, "while waiting for the other processes")
    except Exception as error:  # of JAX, or of the libraries by which it asks a cluster
        raise UserError(
            f"--distributed={given_of(wanted)}: the other processes cannot be reached:"
            f" {_first_line(error)}; start all of them with the same address and number of"
            " processes, or give --distributed=off to run alone."
        ) from error
    return True


def _check_number() -> None:
    """Makes sure that all were told of equally many processes: JAX lets in who was told of more.

    Raises:
      CommonError: says who was told what.
    """
    from eacl_jax.training import processes

    try:
        processes.check_equal({})
    except processes.CommonError as error:
        raise processes.CommonError(f"--distributed: {error}") from error


def _in_a_cluster() -> bool:
    """Whether this process is one of several, by the clusters that JAX knows.

    `jax.distributed.initialize` could tell as well, but not without changing, for a process that is
    alone, who handles SIGTERM and which devices it sees.
    """
    try:
        from jax._src.clusters import ClusterEnv

        known = [each for each in ClusterEnv._cluster_types if not each.opt_in_only_method]
    except (ImportError, AttributeError):
        log.warning("this version of JAX is not asked for a cluster; give --distributed yourself.")
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what would have to be installed to ask Kubernetes
        try:
            there = next((each for each in known if each.is_env_present()), None)
            return there is not None and there.get_process_count() > 1
        except Exception as error:
            log.warning(
                "this run is alone: who else belongs to it cannot be found out (%s);"
                " --distributed=HOST:PORT,N,I says it, --distributed=off keeps silent.",
                _first_line(error),
            )
            return False


def given_of(wanted: Address | str) -> str:
    """What `parse` was given."""
    return wanted if isinstance(wanted, str) else ",".join(map(str, wanted))


def _devices_of_a_task() -> list[int] | None:
    """No limit where Slurm runs one task on each node: JAX would give each task one GPU. None
    elsewhere, for JAX's own choice.
    """
    tasks, nodes = (os.environ.get(name) for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_NODES"))
    return [] if tasks is not None and tasks == nodes else None


class _Watch(threading.Thread):
    """Tells the others that this process lives, and ends it when another has failed."""

    def __init__(self) -> None:
        from eacl_jax.training import processes

        super().__init__(daemon=True, name="others")
        self._all, self._others = processes, set(range(processes.count())) - {processes.index()}
        self._ended, self._beat, self._status = threading.Event(), 0, _STATUS
        self._seen: dict[int, tuple[str | None, float]] = {}

    def run(self) -> None:
        """Looks at the others until `stop`."""
        looked = time.monotonic()
        while not self._ended.wait(_EVERY):
            try:
                self._look()
                looked = time.monotonic()
            except Exception as error:  # the service's, whatever it raises
                if not self._ended.is_set() and time.monotonic() - looked > _SILENCE:
                    self._leave(f"{self._all.names([0])} is gone ({_first_line(error)}).")

    def stop(self) -> None:
        """Ends the looking; what another does does not matter from now on."""
        self._ended.set()
        if self.ident is not None and threading.current_thread() is not self:
            self.join()

    def fail(self, message: str, *, of_all: bool = False, status: int = _STATUS) -> NoReturn:
        """Ends all processes, with one line of what was wrong with this one, or with all."""
        self.stop()
        self._status = status
        name = self._all.names([self._all.index()])
        line = message if of_all else f"{name} ({socket.gethostname()}): {message}"
        with contextlib.suppress(Exception):
            self._tell(line)
        self._leave(line)

    def explain(self, error: Exception) -> str:
        """What an error of JAX's runtime means: mostly that a process is no longer there."""
        with contextlib.suppress(Exception):
            before = {number: self._all.published(f"{_ALIVE}/{number}") for number in self._others}
            time.sleep(6 * _EVERY)
            silent = [n for n in before if self._all.published(f"{_ALIVE}/{n}") == before[n]]
            if silent:
                return (
                    f"{self._all.names(silent)} ended without a word; look for the reason there"
                    " (killed, or out of memory), and start all again to go on."
                )
        return f"{type(error).__name__}: {_first_line(error)}"

    def _look(self) -> None:
        self._beat += 1
        self._all.publish(f"{_ALIVE}/{self._all.index()}", str(self._beat), again=True)
        if (failure := self._all.published(_FAILED)) is not None:
            self._obey(failure)
        if self._all.is_main():
            self._count_the_living()

    def _count_the_living(self) -> None:
        now = time.monotonic()
        for number in self._others:
            found = self._all.published(f"{_ALIVE}/{number}")
            if number not in self._seen or found != self._seen[number][0]:
                self._seen[number] = found, now
        silent = [
            number
            for number, (found, since) in self._seen.items()
            if now - since > (_BEGINNING if found is None else _SILENCE)
        ]
        if silent:
            message = f"{self._all.names(silent)} gave no sign of life any more."
            self._tell(message)
            self._leave(message)

    def _tell(self, line: str) -> None:
        """Ends the others; returns where this process has to say what was wrong."""
        if not self._all.publish(_FAILED, line):
            self._obey(self._all.published(_FAILED) or line)
        elif self._all.is_main():
            self._await_all()
        elif self._await(f"{_READ}/0", time.monotonic() + _LINGER):
            self._follow()

    def _obey(self, line: str) -> NoReturn:
        """Ends this process because another failed."""
        if not self._all.is_main():
            self._follow()
        self._all.publish(f"{_READ}/0", "", again=True)
        process.tell(f"error: {line}")
        self._await_all()
        _exit(self._status)

    def _follow(self) -> NoReturn:
        """Ends this process; the first says why."""
        with contextlib.suppress(Exception):
            self._all.publish(f"{_READ}/{self._all.index()}", "", again=True)
        _exit(self._status)

    def _await_all(self) -> None:
        """The service ends with the first process: others that still are there would be aborted."""
        deadline = time.monotonic() + _LINGER
        for number in sorted(self._others):
            self._await(f"{_READ}/{number}", deadline)
        time.sleep(2 * _BLINK)

    def _await(self, name: str, deadline: float) -> bool:
        while self._all.published(name) is None and time.monotonic() < deadline:
            time.sleep(_BLINK)
        return time.monotonic() < deadline

    def _leave(self, message: str) -> NoReturn:
        process.tell(f"error: {message}")
        _exit(self._status)


def _exit(status: int) -> NoReturn:
    """Ends this process at once: its other threads may wait for a process that is gone."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
