"""A file of named tensors, whatever its format.

The layout and the names are PyTorch's. An opened file knows each tensor's shape and type; `read`
gets the values of one, so that a checkpoint is never in memory as a whole (the exception: .bin
files in the format before PyTorch 1.6).
"""

import abc
import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from eacl_jax.files.local import error_number, unreadable

# As safetensors calls them.
TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
# Rows of a tensor, and their values.
Piece = tuple[slice, np.ndarray]


class TensorFile(abc.ABC):
    """A file of named tensors.

    Attributes:
      described: shape and type ("F32", "BF16", "I64", ...) of each tensor, by name.
    """

    described: Mapping[str, tuple[tuple[int, ...], str]]

    @abc.abstractmethod
    def __init__(self, file: Path) -> None:
        """Raises UserError for a file that is damaged, of another format, or cannot be read
        here.
        """

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """A tensor; call it once for each. The array may be a view of the file, so it cannot be
        written to.
        """

    def pieces(self, name: str) -> Iterator[Piece]:
        """A tensor in pieces, where its values must be copied from the file; call it once for
        each.
        """
        yield slice(None), self.read(name)


def damaged(file: Path, expected: str, reason: Exception | str) -> str:
    with contextlib.suppress(OSError), file.open("rb") as stream:
        if stream.read(23) == b"version https://git-lfs":
            return (
                f"{file} is only git-lfs's pointer to the file; run `git lfs pull` in its folder,"
                " or fetch it from the hub."
            )
    if isinstance(reason, Exception) and error_number(reason) in (
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
    ):
        return f"{unreadable(file, reason)}."
    text = " ".join(str(reason).split()) or type(reason).__name__
    return f"{file} is damaged or no {expected} ({text[:300]}); fetch or save it again."
