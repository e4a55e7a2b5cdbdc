"""This machine's processors, and the process that this is."""

import contextlib
import os
import platform
from pathlib import Path

from eacl_jax.errors import UserError


def processors() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The model of its processors, "AMD EPYC 9B14"; their kind, "aarch64", where that is not
    told.
    """
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


class Threads:
    """Threads that something waits for, made in this process. `os.fork` leaves them behind, and
    what waits for them in its child waits forever.
    """

    def __init__(self) -> None:
        self._process = os.getpid()

    def check(self) -> None:
        """Raises `UserError` in a child of `os.fork`."""
        if os.getpid() != self._process:
            raise UserError(
                "this recognizer was loaded before os.fork, which leaves its threads behind: load"
                " it in the process that uses it, or have processes begun by 'spawn'"
                " (multiprocessing.get_context('spawn'))."
            )
