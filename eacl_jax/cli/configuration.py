"""`--config=FILE` and its overrides, from a command line to a checked configuration."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.files import local

_CHECKOUT = Path(__file__).resolve().parents[2]


def parse_config(name: str, overrides: Sequence[str]) -> Config:
    """The checked configuration of `--config=NAME` and its overrides.

    Args:
      name: `FILE[:ARGUMENT]`. The file may import what stands beside it as its folder's modules, as
        `configs.base`, and in a checkout of this project `configs.base` from wherever it lies.
      overrides: `--config.SETTING=VALUE`.

    Raises:
      UserError: the file is missing, its values cannot be used, or something else than overrides is
        given.
    """
    from ml_collections import config_flags

    name = str(local.expand(name, "--config"))
    sys.path.insert(0, str(Path(name.partition(":")[0]).resolve().parent.parent))
    if (_CHECKOUT / "configs" / "base.py").is_file():
        sys.path.append(str(_CHECKOUT))
    arguments = ["eacl train", f"--config={name}", *overrides]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        "config", None, "", lock_config=True, flag_values=values, sys_argv=arguments
    )
    problem = "the command line cannot be used:"
    try:
        rest = values(arguments)[1:]
    # What ml_collections raises for the override of a setting that does not exist.
    except (KeyError, AttributeError) as error:
        raise UserError(
            f"{problem} there is no setting {str(error).strip()}; eacl_jax/config.py lists them."
        ) from error
    except (UserError, flags.Error, TypeError, ValueError, SyntaxError, ImportError) as error:
        raise UserError(f"{problem} {str(error).strip()}") from error
    if rest:
        raise UserError(
            f"{problem} {' '.join(rest)} is neither an option nor --config.SETTING=VALUE."
        )
    try:
        return Config.from_mapping(holder.value)
    except OSError as error:
        raise UserError(f"--config: {' '.join(str(error.__cause__ or error).split())}") from error


def overrides_of(config: Config) -> list[str]:
    """All settings as overrides that a shell takes: `--config.stage_one.epochs=8`."""
    return [shlex.quote(f"--config.{name}={value}") for name, value in _flat(config.to_dict())]


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
