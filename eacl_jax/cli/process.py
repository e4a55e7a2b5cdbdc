"""How a command ends: with a status and at most one line, whatever happens to its process.

0 done; 2 a mistake or a failure that is reported; 130 Ctrl+C; 143 SIGTERM; 141 nobody reads the
output any more.
"""

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from eacl_jax.errors import UserError
from eacl_jax.files import stores

if TYPE_CHECKING:
    from eacl_jax.training.loop import StopRequest

_MISTAKE, _UNREAD = 2, 128 + signal.SIGPIPE
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORTER = "<frozen importlib._bootstrap>"

_received: list[int] = []
_last_words = ["stopped."]


def run(command: Callable[[], int | None]) -> NoReturn:
    """Runs a command, and exits.

    Args:
      command: returns the status, or ends with SystemExit.
    """
    start()
    _received.clear()
    try:
        status = command()
        _flush()
    except SystemExit as ended:
        status = (
            ended.code
            if isinstance(ended.code, int) or ended.code is None
            else _fail(str(ended.code))
        )
    except UserError as error:
        status = _fail(str(error))
    except KeyboardInterrupt:
        tell("stopped.")
        status = 130
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_gone():
            status = _UNREAD
        elif not error.errno:
            raise
        else:
            status = _fail(
                f"{error.filename or 'cannot read or write a file or stream'}: {error.strerror}."
            )
    finally:
        _leave_at_once()
    if status == 130 and _received:
        status = 128 + _received[-1]
    with contextlib.suppress(OSError):
        _flush()
    sys.exit(status)


def start() -> None:
    """Opens what was closed of the standard streams, and from now on a signal to stop ends the
    process as `run` says.

    A signal in the middle of an import ends it at once: libraries that are half imported catch the
    exception and go on, or show a traceback of theirs. Everywhere else it is KeyboardInterrupt, so
    that nothing unfinished is left.
    """
    _open_streams()
    if threading.current_thread() is not threading.main_thread():
        return
    # Not where the signal is ignored, as for a command in the background of a script.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop)
    sys.unraisablehook = _unraisable
    # `huge_pages.use_huge_pages` has them wait until here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def quiet_libraries() -> None:
    """Warnings of this project only, a line each."""
    # In place of absl's handler.
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, force=True)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("transformers", "jax", "gcsfs"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Where orbax repeats what it raises, with tracebacks of its threads.
    for name in ("absl", "orbax", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning, module="orbax")


class Once(logging.Filter):
    """Lets each line about data through once: every run that reads a corpus repeats them."""

    _DATA = ("eacl_jax.corpora", "eacl_jax.data", "eacl_jax.features")

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is not of data, or was not told yet."""
        if not record.name.startswith(self._DATA):
            return True
        line = f"{record.levelname}: {record.getMessage()}"
        known = self.told(line)
        self._told.add(line)
        return not known

    def told(self, line: str) -> bool:
        """Whether a line about data, with its level, was told by this process."""
        return line in self._told


@contextlib.contextmanager
def handling(handle: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Has `handle` take signals to stop while the block runs, and afterwards who took them before.

    Outside the main thread, where Python handles no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def asking(stop: "StopRequest") -> Iterator[None]:
    """While the block runs, a signal to stop is asked of a run; a second Ctrl+C stops it at once.

    Where the run does not look at the request, there is nothing to save, and the signal does what
    it did before.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.heeded:
            if stop.requested and number == signal.SIGINT:
                raise KeyboardInterrupt
            stop.ask(number)
        elif callable(handler := before[number]):
            handler(number, frame)
        elif handler is signal.SIG_DFL:
            _stop(number, frame)

    with handling(handle):
        yield


@contextlib.contextmanager
def ending_at_once(where: str) -> Iterator[None]:
    """Has signals to stop end the process while the block runs, with a word and the status that
    shells expect.

    For where nothing is lost, and an exception would have to pass through libraries that are being
    imported, which swallow some.

    Args:
      where: completes `stopped by SIGTERM`, as `before the service was up`.
    """
    with handling(lambda number, _: _exit_now(number, None, _stopped(number, where))):
        yield


def stoppable(do: Callable[[], None], where: str) -> None:
    """Calls `do`, which may wait outside of Python, where no signal is handled: a signal to stop
    ends the process at once, as `ending_at_once` says.

    It is called in another thread while this one waits for signals. Who handles them stays as it
    is, so that `do` may have them handled otherwise from then on.

    Args:
      do: what to call; its exceptions are raised here.
      where: completes `stopped by SIGTERM`.
    """
    ended: Future[None] = Future()

    def call() -> None:
        try:
            do()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    try:
        threading.Thread(target=call, name="stoppable", daemon=True).start()
        ended.result()
    except KeyboardInterrupt:
        number = _received[-1] if _received else signal.SIGINT
        _exit_now(number, None, _stopped(number, where))


@contextlib.contextmanager
def last_words(words: str) -> Iterator[None]:
    """What is said if a signal ends the process at once, in the middle of an import, while the
    block runs: else that it stopped.
    """
    _last_words.append(words)
    try:
        yield
    finally:
        _last_words.pop()


def _stopped(number: int, where: str) -> str:
    return f"stopped by {signal.Signals(number).name} {where}."


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTER:
            _exit_now(number, None, _last_words[-1])
        frame = frame.f_back
    raise KeyboardInterrupt


def _exit_now(number: int, _: FrameType | None, words: str = "stopped.") -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, f"{words}\n".encode())
    os._exit(128 + number)


def _leave_at_once() -> None:
    """From now on there is nothing to finish."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is _stop:
                signal.signal(number, _exit_now)


def _unraisable(unraisable: Any) -> None:
    """Sends the signal again where Python drops its exception, as in a callback of the garbage
    collector.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        again = threading.Timer(
            0.01, os.kill, (os.getpid(), _received[-1] if _received else signal.SIGINT)
        )
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _open_streams() -> None:
    """Takes the numbers of standard streams that are closed: else the next file to be opened would
    get one, and what libraries print. `sys.stdin` and `sys.stdout` stay None, which Python has for
    closed ones.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:  # in whose place print() takes the standard output
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    with contextlib.suppress(AttributeError):  # closed, or a stand-in
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _drop(_descriptors()[:1])
        if isinstance(error, BrokenPipeError):
            raise
        raise UserError(f"cannot write to standard output: {error.strerror}.") from error


def _reader_gone() -> bool:
    """Whether nobody reads the standard output or the errors any more; other pipes and sockets
    break too.
    """
    poll = select.poll()
    for number in _descriptors():
        poll.register(number, 0)
    gone = [number for number, _ in poll.poll(0)]
    _drop(gone)
    return bool(gone)


def _descriptors() -> list[int]:
    """Of the standard output, where it has one, and of the errors."""
    numbers = []
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            numbers.append(stream.fileno())
    return numbers


def _drop(numbers: Sequence[int]) -> None:
    """What is still to be written there goes nowhere; Python would try again at its end, and
    complain.
    """
    for number in numbers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _fail(message: str) -> int:
    tell(f"error: {stores.with_addresses(message)}")
    return _MISTAKE


def tell(text: str) -> None:
    """Prints a line on standard error, if anybody reads there."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
