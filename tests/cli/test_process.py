"""How a command ends: whatever happens to its process, a status and at most one line."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eacl_jax.cli import process
from eacl_jax.training.loop import StopRequest
from tests.stubs.root import ROOT

STOP = "import os, signal; os.kill(os.getpid(), signal.{signal}); [None for _ in range(10)]"
START = """
import os, signal, sys
from pathlib import Path
from eacl_jax.cli import process

class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

def command():
    try:
        {body}
        return 0
    finally:
        Path("cleaned").touch()

process.run(command)
"""


def start(folder: Path, body: str, end: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command of these lines in a folder, in a shell where `end` follows it."""
    (folder / "command.py").write_text(START.format(body=body.replace("\n", "\n        ")))
    shell = f"{sys.executable} command.py {end}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{folder}"}
    return subprocess.run(
        ["bash", "-c", shell], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_command_that_is_stopped_finishes_its_files(
    name: str, status: int, tmp_path: Path
) -> None:
    done = start(tmp_path, STOP.format(signal=name))
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "stopped.\n")
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_command_that_is_stopped_while_it_imports_ends_at_once(
    name: str, status: int, tmp_path: Path
) -> None:
    """Whatever the library does with an exception in the middle of it."""
    stop = STOP.format(signal=name)
    (tmp_path / "library.py").write_text(f"try:\n    {stop}\nexcept BaseException:\n    pass\n")
    done = start(tmp_path, "import library\nprint('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "stopped.\n")


def test_ctrl_c_where_python_drops_exceptions(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        "callback = Callback()\ndel callback\nimport time\ntime.sleep(5)\nprint('went on')",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped.\n")


@pytest.mark.parametrize(
    ("body", "end", "status", "errors"),
    [
        ("print('x' * 10**6)", "| head -c1 >/dev/null; exit ${PIPESTATUS[0]}", 141, ""),
        (
            "print('x')",
            ">/dev/full",
            2,
            "error: cannot write to standard output: No space left on device.\n",
        ),
        (
            "print('x' * 10**6)",
            ">/dev/full",
            2,
            "error: cannot read or write a file or stream: No space left on device.\n",
        ),
        ("open('none/file')", "", 2, "error: none/file: No such file or directory.\n"),
        (
            "from eacl_jax.errors import UserError\nraise UserError('A [b] c.')",
            "",
            2,
            "error: A [b] c.\n",
        ),
        ("sys.exit(5)", "", 5, ""),
        # The number of a closed stream is not given to the next file, where libraries would print
        # into it.
        (
            (
                "print('x')\nassert open('command.py').fileno() > 2 and sys.stdin is sys.stdout is"
                " None"
            ),
            "<&- >&-",
            0,
            "",
        ),
        ("raise OSError(5, 'Input/output error', 'file')", "2>&- >out; cat out", 0, ""),
    ],
)
def test_streams_and_errors(body: str, end: str, status: int, errors: str, tmp_path: Path) -> None:
    done = start(tmp_path, body, end)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", errors)


def test_a_run_is_asked_to_stop_and_a_second_interrupt_stops_at_once() -> None:
    stop, before = StopRequest(), signal.getsignal(signal.SIGINT)
    with process.asking(stop), stop.heeding():
        signal.raise_signal(signal.SIGINT)
        assert (stop.requested, stop.number) == (True, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_where_a_run_has_nothing_to_save_it_stops_as_other_commands(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = StopRequest()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(process, "_received", [])
    try:
        process.start()
        with process.asking(stop), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert (stop.requested, process._received) == (False, [number])
        # A signal that the command ignores.
        signal.signal(number, signal.SIG_IGN)
        with process.asking(stop):
            signal.raise_signal(number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_outside_the_main_thread_no_signal_is_taken() -> None:
    before, taken = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with process.asking(StopRequest()), process.ending_at_once("at all"):
            taken.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert taken == [before]
