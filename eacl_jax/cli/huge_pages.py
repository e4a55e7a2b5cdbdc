"""Huge pages for the C allocator: on a CPU, a training step asks the kernel for gigabytes of fresh
memory each time.
"""

import os
import platform
import signal
import sys
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_huge_pages() -> None:
    """Starts this program anew, in the same process, with glibc's allocator set to ask for huge
    pages; once.

    XLA allocates a step's temporary memory as one piece and gives it back after the step, so the
    kernel hands out and clears the same gigabytes in every step, and with pages of 4 KiB most of
    that time goes into half a million page faults. Settings that keep the memory (`mallopt`) are no
    substitute: outside the main thread's arena, glibc maps large pieces afresh whatever they say,
    and with a single arena the freed piece is nibbled at by small allocations, so that memory
    doubles.

    Does nothing where it would not help: not Linux with glibc 2.35 or newer, huge pages off or on
    for everybody, or the tunable already set, to whatever value, in GLIBC_TUNABLES.
    """
    if wanted(os.environ.get("GLIBC_TUNABLES", ""), platform.libc_ver(), _ENABLED):
        tunables = [text for text in (os.environ.get("GLIBC_TUNABLES"), f"{TUNABLE}=1") if text]
        os.environ["GLIBC_TUNABLES"] = ":".join(tunables)
        # They wait until the program has come here again, or is ready for them: while Python
        # starts, they would end it with a traceback.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def wanted(tunables: str, libc: tuple[str, str], enabled: Path) -> bool:
    """Whether huge pages are to be had by asking, and nobody has asked or declined.

    Args:
      tunables: GLIBC_TUNABLES.
      libc: the C library's name and version.
      enabled: the kernel's file that says who gets huge pages: `always [madvise] never`.
    """
    name, version = libc
    if name != "glibc" or TUNABLE in tunables:
        return False
    try:
        recent = tuple(map(int, version.split(".")[:2])) >= (2, 35)
        return recent and "[madvise]" in enabled.read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
