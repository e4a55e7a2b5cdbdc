"""Processes that do what this command does, beside it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

from eacl_jax.cli.distributed import WORKER
from eacl_jax.training.loop import StopRequest

_MEMORY = "XLA_PYTHON_CLIENT_MEM_FRACTION"
_PATIENCE = 30.0  # seconds for a worker to end after it was stopped at once


class Workers(StopRequest):
    """The workers of a command; a request to stop is passed on to them. Use as a context
    manager.
    """

    def __init__(self, number: int, since: float, told: Callable[[str], bool]) -> None:
        """Args:
        number: of workers, beside this process.
        since: when this command began, see `WORKER`.
        told: whether this process has told a line, which is then not passed on.
        """
        super().__init__()
        self._told = told
        self._number, self._since = number, since
        self._running: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Asks this process' run and the workers."""
        super().ask(number)
        self._send(signal.SIGTERM)

    def __enter__(self) -> "Workers":
        if self._number:
            # Each process would else take three quarters of a GPU's memory.
            os.environ.setdefault(_MEMORY, f"{0.9 / (self._number + 1):.3f}")
        for number in range(1, self._number + 1):
            # Not in this process' group: Ctrl+C in a terminal is passed on, once, by `ask`.
            worker = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, WORKER: repr(self._since)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            self._running.append(worker)
            assert worker.stdout is not None
            reader = threading.Thread(
                target=self._pass_on, args=(worker.stdout, f"[worker {number}] "), daemon=True
            )
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for the workers; where this process ends early, stops them."""
        if kind is not None and not self.requested:
            self._send(signal.SIGTERM)
        try:
            for worker in self._running:
                worker.wait()
        except KeyboardInterrupt:
            self._send(signal.SIGINT)
            self._send(signal.SIGINT)
            self._end()
            raise
        for reader in self._readers:
            reader.join()

    def _end(self) -> None:
        for worker in self._running:
            try:
                worker.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                worker.kill()

    def _send(self, number: int) -> None:
        for worker in self._running:
            with contextlib.suppress(OSError):
                worker.send_signal(number)

    def _pass_on(self, stream: IO[str], prefix: str) -> None:
        for line in stream:
            if not self._told(line.rstrip("\n")):
                with contextlib.suppress(OSError, ValueError):
                    print(f"{prefix}{line}", end="", flush=True)
