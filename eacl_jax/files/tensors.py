"""Safetensors files -> arrays."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from eacl_jax.errors import UserError


def load_tensors(file: Path, advice: str) -> dict[str, np.ndarray]:
    """The tensors of a file by name.

    Args:
      file: a safetensors file.
      advice: what to do where it cannot be used, for the message.

    Raises:
      UserError: it is missing or damaged, or holds numbers that NumPy does not have.
    """
    try:
        return load_file(file)
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; {advice}.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged or no safetensors file ({error}); {advice}.") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} holds numbers of a type that NumPy does not have ({error}); save it in"
            " float32."
        ) from error


def is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as it says that it is; its numbers are not read."""
    try:
        with safe_open(file, "numpy"):
            return True
    except (SafetensorError, OSError):
        return False
