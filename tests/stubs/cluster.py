"""Several processes of the training command on this machine, each with simulated devices."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.stubs.root import ROOT
from tests.stubs.xla import flags


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def training(settings: Mapping[str, Any], workdir: Path) -> list[str]:
    """The training command's arguments, from settings by dotted name."""
    overrides = [f"--config.{k}={v}" for k, v in settings.items() if k != "data.corpus"]
    named = ["--config=configs/meld.py", "--config.data.corpus=custom"]
    return [*named, *overrides, f"--workdir={workdir}"]


def with_arguments(given: Sequence[str], other: Sequence[str]) -> list[str]:
    """Arguments `--NAME=VALUE`, of which some are others: each may be there once."""
    names = {each.partition("=")[0] for each in other}
    return [*(each for each in given if each.partition("=")[0] not in names), *other]


class Together:
    """Processes of one run. Use as a context manager, which ends what still runs."""

    def __init__(
        self,
        arguments: Sequence[str],
        logs: Path,
        *,
        processes: int,
        devices: int = 1,
        only: Mapping[int, Sequence[str]] | None = None,
        script: Sequence[str] = ("launch/train.py",),
    ) -> None:
        """Args:
        arguments: of the command, in all processes.
        logs: where each process' output goes.
        processes: how many.
        devices: of each.
        only: arguments of single processes, by number, in place of those of the same name.
        script: what to run, after Python.
        """
        logs.mkdir(parents=True, exist_ok=True)
        address = f"localhost:{free_port()}"
        self.outputs = [logs / f"{number}.txt" for number in range(processes)]
        self.running = []
        for number, output in enumerate(self.outputs):
            joining = f"--distributed={address},{processes},{number}"
            with output.open("w") as stream:
                process = subprocess.Popen(
                    [
                        *(sys.executable, *script),
                        *with_arguments([*arguments, joining], (only or {}).get(number, ())),
                    ],
                    cwd=ROOT,
                    env={
                        **os.environ,
                        "XLA_FLAGS": flags(devices),
                        "PYTHONUNBUFFERED": "1",
                        "PYTHONPATH": str(ROOT),
                        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
                    },
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                )
            self.running.append(process)

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()

    def text(self, number: int) -> str:
        """What a process has printed so far."""
        return self.outputs[number].read_text(errors="replace")

    def wait_for(self, text: str, number: int = 0, seconds: float = 400) -> None:
        """Waits until a process has printed a text."""
        deadline = time.monotonic() + seconds
        while text not in self.text(number):
            ended = self.running[number].poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} did not come:\n{self.text(number)}")
            time.sleep(0.02)

    def statuses(self, seconds: float = 600) -> list[int]:
        """Waits for the ends of all; their exit statuses."""
        deadline = time.monotonic() + seconds
        for process in self.running:
            process.wait(max(deadline - time.monotonic(), 0.1))
        return [process.returncode for process in self.running]
