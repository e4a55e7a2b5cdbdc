"""Huge pages are asked for once, and only where asking helps."""

import subprocess
import sys
from pathlib import Path

import pytest

from eacl_jax.cli.huge_pages import TUNABLE, wanted
from tests.stubs.root import ROOT

GLIBC = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("tunables", "libc", "text", "expected"),
    [
        ("", GLIBC, "always [madvise] never", True),
        ("glibc.malloc.check=1", GLIBC, "always [madvise] never", True),
        (f"{TUNABLE}=0", GLIBC, "always [madvise] never", False),
        ("", GLIBC, "[always] madvise never", False),
        ("", GLIBC, "always madvise [never]", False),
        ("", ("glibc", "2.31"), "always [madvise] never", False),
        ("", ("", ""), "always [madvise] never", False),
    ],
)
def test_asked_for_where_it_helps(
    tunables: str, libc: tuple[str, str], text: str, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "enabled").write_text(text)
    assert wanted(tunables, libc, tmp_path / "enabled") is expected
    assert not wanted(tunables, libc, tmp_path / "missing")


def test_the_program_starts_anew_once_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "enabled").write_text("always [madvise] never")
    program = (
        "import os, signal, sys, pathlib; from eacl_jax.cli import huge_pages; print('start',"
        " os.getpid()); sys.stdout.flush();"
        "kill = lambda: os.kill(os.getpid(), signal.SIGTERM); signal.signal(signal.SIGTERM, lambda"
        " *_: print('stopped'));"
        # As if it came while Python starts anew: it is not lost, and nothing ends.
        "os.environ.get('GLIBC_TUNABLES', '').endswith('1') and (kill(), print('waits'));"
        f"huge_pages._ENABLED = pathlib.Path({str(tmp_path / 'enabled')!r});"
        "huge_pages.platform.libc_ver = lambda: ('glibc', '2.36');"
        "huge_pages.use_huge_pages(); print(sys.argv[1:], os.environ['GLIBC_TUNABLES'])"
    )
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "GLIBC_TUNABLES": "glibc.malloc.check=0"}
    done = subprocess.run(
        [sys.executable, "-c", program, "a b", "--c"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, *waited, last = done.stdout.splitlines()
    assert first == second  # the same process
    assert waited == ["waits", "stopped"]
    assert last == f"['a b', '--c'] glibc.malloc.check=0:{TUNABLE}=1"
