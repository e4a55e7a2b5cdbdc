"""Sound files read by several processes, where one may end while it reads."""

import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features.sound.extractors import make

Result = tuple[str, Float[np.ndarray, "T F"] | None, str]
"""A file's name, its features, and where there are none, why."""

_AHEAD = 8  # files that wait, a process
GUARD = (
    "sound is read by processes of their own, which run a program's file again to begin, and this"
    " one could not: in a program of your own, put what it does under"
    ' `if __name__ == "__main__":`.'
)
_ENDED = "the process that read it ended; convert it to WAV or FLAC, or leave it out."


def made(
    names: Iterable[str], folder: Path, made_by: str, most_seconds: float, jobs: int
) -> Iterator[Result]:
    """The features of sound files, in the order in which they are done.

    Args:
      names: of the files, below `folder`.
      made_by, most_seconds: see `extractors.make`.
      jobs: processes, beside this one.

    Raises:
      UserError: processes end before they read anything; see `check_main`.
    """
    check_main()
    names = list(names)
    waiting, begun = iter(names), not names
    while True:
        lost: list[str] = []
        with _pool(jobs) as pool:
            running: dict[Future[Result], str] = {}
            try:
                begun = begun or _begins(pool)
                while True:
                    for name in itertools.islice(waiting, jobs * _AHEAD - len(running)):
                        lost = [name]  # where it cannot even be handed on
                        future = pool.submit(_one, name, folder, made_by, most_seconds)
                        running[future], lost = name, []
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        del running[future]
                        yield result
            except BrokenProcessPool:
                lost += running.values()
            finally:
                pool.shutdown(cancel_futures=True)
        # One of these ended a process. Each alone, and then the others as before.
        for name in lost:
            try:
                with _pool(1) as alone:
                    yield alone.submit(_one, name, folder, made_by, most_seconds).result()
            except BrokenProcessPool:
                yield name, None, f"{name}: {_ENDED}"


def check_main() -> None:
    """Raises `UserError` where this process is one that reads sound, still beginning: it runs the
    program that began it from the top, which would begin others in turn.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError(GUARD)


def _begins(pool: Executor) -> bool:
    """True. Raises `UserError` where its processes end at once."""
    try:
        return pool.submit(_nothing).result()
    except BrokenProcessPool as error:
        raise UserError(GUARD) from error


def _nothing() -> bool:
    return True


def _one(name: str, folder: Path, made_by: str, most_seconds: float) -> Result:
    try:
        return name, make(made_by, folder / name, name, most_seconds=most_seconds), ""
    except UserError as error:
        return name, None, str(error)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Not forked: this process may have threads.
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=begin)


def begin() -> None:
    """First in a process that reads sound: Ctrl+C is for the process that waits; where that is
    killed, this one ends too. What decoders print of bad files goes nowhere: errors come back as
    results.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
