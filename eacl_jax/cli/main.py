"""`eacl` as a process: it is ready for Ctrl+C before the first slow import."""

import sys
from typing import NoReturn

from eacl_jax.cli import process


def main(*first: str) -> NoReturn:
    """Runs the command line, and exits.

    Args:
      first: arguments to put before it.
    """

    def command() -> int:
        from eacl_jax.cli.app import run

        return run([*first, *sys.argv[1:]])

    process.run(command)
