"""Tells where a run stands when nothing has come from it for long."""

import faulthandler
import sys
import threading
import time

from eacl_jax.training import processes


class Watchdog:
    """Prints the last step and every thread's stack to standard error when no step came for some
    minutes, once for each pause.

    A run may wait for ever for another process, a disk or a device, and says nothing while it
    does: this is what to look at then.
    """

    def __init__(self, minutes: float) -> None:
        """`minutes`: 0 for never."""
        self._seconds = 60 * minutes
        self._last, self._since = "before the first step", time.monotonic()
        self._printed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def start(self) -> None:
        """Begins to watch."""
        if self._seconds:
            self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def step(self, words: str) -> None:
        """A step was done; `words` name it."""
        self._last, self._since, self._printed = words, time.monotonic(), False

    def _watch(self) -> None:
        while not self._ended.wait(min(self._seconds / 4, 5.0)):
            pause = time.monotonic() - self._since
            if pause < self._seconds or self._printed:
                continue
            self._printed = True
            who = f" of {processes.names([processes.index()])}" if processes.count() > 1 else ""
            print(
                f"no step came for {pause / 60:.1f} minutes; the last{who}: {self._last}."
                " What each thread does, the innermost call first:",
                file=sys.stderr,
                flush=True,
            )
            faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
