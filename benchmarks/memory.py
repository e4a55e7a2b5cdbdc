"""Memory of this process, and separate processes to measure it in."""

import contextlib
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def status(field: str) -> int:
    """A line of this process' /proc status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024


def begin_peak_anew() -> None:
    """Has the process' peak, `VmHWM`, be what it uses now, where the system can (proc(5))."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


class Peak:
    """The greatest anonymous memory of the process while the block runs, beyond what it used
    before, in bytes.

    Pages of a file that the kernel may drop at any time (RssFile) are not counted.
    """

    def __enter__(self) -> "Peak":
        self._before = self._most = status("RssAnon")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self._most = max(self._most, status("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.size = self._most - self._before


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result, from a separate process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)
