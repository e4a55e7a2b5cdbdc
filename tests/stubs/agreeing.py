"""Processes that do nothing but agree."""

import os
import subprocess
import sys

from tests.stubs.cluster import free_port
from tests.stubs.root import ROOT
from tests.stubs.xla import flags


def run_together(
    script: str, processes: int, *more: str, devices: int = 1, seconds: float = 180
) -> list[tuple[int, str]]:
    """Runs a script in several processes; of each its exit status and what it printed. It finds
    `ADDRESS`, `N`, `I` and `more` in `sys.argv`, and simulated devices.
    """
    address = f"localhost:{free_port()}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, address, str(processes), str(number), *more],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "XLA_FLAGS": flags(devices),
            },
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
