"""Processes that do nothing but agree."""

import os
import subprocess
import sys

from tests.stubs.cluster import free_port
from tests.stubs.root import ROOT


def run_together(script: str, processes: int, seconds: float = 180) -> list[tuple[int, str]]:
    """Runs a script in several processes; of each its exit status and what it printed. It finds
    `ADDRESS`, `N` and `I` in `sys.argv`.
    """
    address = f"localhost:{free_port()}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, address, str(processes), str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "XLA_FLAGS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, text) for process, text in zip(running, outputs, strict=True)]
