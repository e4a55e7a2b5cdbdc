"""What the commands share: flags, logging, and one line instead of a traceback for a user's mistake."""

import contextlib
import functools
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from eacl_jax import local
from eacl_jax.config import Config, DataConfig
from eacl_jax.errors import UserError


def define_config(**options: Any) -> flags.FlagHolder:
    """The flag `--config=FILE[:ARGUMENT]` with overrides `--config.NAME=VALUE`; options are absl's."""
    from ml_collections import config_flags

    help_text = "Configuration file, with an optional :ARGUMENT."
    return config_flags.DEFINE_config_file("config", None, help_text, lock_config=True, **options)


def parse_flags(arguments: list[str], values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """absl's flag parsing for `app.run`; a mistake is told in one line. A shell leaves the ~ of --config=~/FILE as it is."""
    option = "--config="
    try:
        return values(
            [
                f"{option}{local.expand(each.removeprefix(option), '--config')}" if each.startswith(f"{option}~") else each
                for each in arguments
            ]
        )
    except (KeyError, AttributeError) as error:  # what ml_collections raises for the override of a setting that does not exist
        fail(f"the command line cannot be used: there is no setting {str(error).strip()}; eacl_jax/config.py lists them.")
    except (UserError, flags.Error, TypeError, ValueError, SyntaxError, ImportError) as error:
        fail(f"the command line cannot be used: {str(error).strip()}")
    raise AssertionError("fail() exits")


def read_config(holder: flags.FlagHolder) -> Config:
    """The checked configuration.

    Raises:
      UserError: the file is missing, or its values cannot be used.
    """
    try:
        return Config.from_mapping(holder.value)
    except OSError as error:
        raise UserError(f"--config: {' '.join(str(error.__cause__ or error).split())}") from error


def parse_config(name: str, overrides: Sequence[str]) -> Config:
    """The checked configuration of `--config=NAME` and its overrides.

    Args:
      name: `FILE[:ARGUMENT]`. The file may import what stands beside it as its folder's modules: `configs.base`.
      overrides: `--config.SETTING=VALUE`.

    Raises:
      UserError: as `read_config`, or something else than overrides is given.
    """
    name = str(local.expand(name, "--config"))
    sys.path.insert(0, str(Path(name.partition(":")[0]).resolve().parents[1]))
    arguments = ["eacl train", f"--config={name}", *overrides]
    values = flags.FlagValues()
    holder = define_config(flag_values=values, sys_argv=arguments)
    if rest := parse_flags(arguments, values)[1:]:
        raise UserError(f"the command line cannot be used: {' '.join(rest)} is neither an option nor --config.SETTING=VALUE.")
    return read_config(holder)


def keep_compiled(data: DataConfig | None = None) -> None:
    """Spares later commands the compilations of this one; see `caches.keep_compiled`. Call it before JAX compiles anything.

    Args:
      data: names the cache folder, as `corpora.cache_folder` reads it; the usual one where a command has no configuration.
    """
    from eacl_jax import caches, corpora

    try:
        caches.keep_compiled(corpora.cache_folder(data or DataConfig()))
    except UserError as error:
        logging.getLogger(__name__).warning("compiled programs are not kept for later runs: %s", error)


def fail(message: str) -> None:
    """Prints `error: ...` and exits with status 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def quiet_libraries() -> None:
    """Warnings of this project only, a line each."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, force=True)  # in place of absl's handler
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("transformers", "jax"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("absl", "orbax", "asyncio"):  # where orbax repeats what it raises, with tracebacks of its threads
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning, module="orbax")


@contextlib.contextmanager
def guard(program: str) -> Iterator[None]:
    """Quiet libraries, and an end that tells: a user's mistake in one message and status 2; what was stopped before it was
    done, a word on how to go on and 128 + the signal's number.

    Args:
      program: what the user began the command line with, before the arguments.
    """
    quiet_libraries()
    from eacl_jax.training import Interrupted

    try:
        yield
    except UserError as error:
        fail(str(error))
    except Interrupted as error:
        again = f"{program} {shlex.join(sys.argv[1:])}"
        print(f"{error} before it was done; the state is saved. To go on from there, run the same command again:\n  {again}")
        sys.exit(128 + error.number)
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def guarded(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Wraps a script's `main` in `guard`."""

    @functools.wraps(main)
    def wrapper(arguments: list[str]) -> None:
        with guard(f"python {shlex.quote(sys.argv[0])}"):
            main(arguments)

    return wrapper
