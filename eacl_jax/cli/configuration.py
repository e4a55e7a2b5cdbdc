"""`--config=FILE` and its overrides, from a command line to a checked configuration."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from eacl_jax.cli.process import fail
from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.files import local


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
