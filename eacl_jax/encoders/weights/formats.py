"""The formats of weights that a folder may hold: safetensors, Flax's msgpack and PyTorch's pickle,
in order of preference.
"""

import contextlib
import dataclasses
import importlib.util
import logging
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from eacl_jax.encoders.weights.flax_msgpack import MsgpackFile
from eacl_jax.encoders.weights.pytorch_bin import TorchFile, needs_torch
from eacl_jax.encoders.weights.tensor_file import Piece, TensorFile, damaged
from eacl_jax.errors import UserError

_LOG = logging.getLogger(__name__)
_PIECE = 32 * 2**20  # bytes of a tensor to copy at once


class SafetensorsFile(TensorFile):
    """Opened anew for each tensor: else the pages of all that was read stay mapped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._open() as opened:
            views = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 -- not a mapping
            self.described = {
                name: (tuple(view.get_shape()), view.get_dtype()) for name, view in views.items()
            }

    def read(self, name: str) -> np.ndarray:
        with self._open() as opened:
            return opened.get_tensor(name)

    def pieces(self, name: str) -> Iterator[Piece]:
        shape = self.described[name][0]
        rows = max(1, _PIECE // (4 * math.prod(shape[1:]) or 1))
        if not shape or shape[0] <= rows:
            yield slice(None), self.read(name)
            return
        for start in range(0, shape[0], rows):
            these = slice(start, min(start + rows, shape[0]))
            with self._open() as opened:
                piece = opened.get_slice(name)[these]
            yield these, piece

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with safe_open(self._file, framework="numpy") as opened:
                yield opened
        except (SafetensorError, OSError) as error:
            raise UserError(damaged(self._file, "safetensors file", error)) from error


@dataclasses.dataclass(frozen=True)
class Format:
    """How a folder's weights may be kept: in one file, or in shards that an index lists."""

    single: str
    opener: type[TensorFile]

    @property
    def index(self) -> str:
        """The index's name."""
        return f"{self.single}.index.json"

    @property
    def shards(self) -> str:
        """A pattern of the shards' names."""
        stem, dot, suffix = self.single.rpartition(".")
        return f"{stem}-*-of-*{dot}{suffix}"

    def patterns(self, names: Collection[str]) -> tuple[str, ...]:
        """The files to fetch of a repository that holds `names`: the weights in this format. Empty
        where it has none.
        """
        if self.single in names:
            return (self.single,)
        return (self.index, self.shards) if self.index in names else ()


# In order of preference.
FORMATS = (
    Format("model.safetensors", SafetensorsFile),
    Format("flax_model.msgpack", MsgpackFile),
    Format("pytorch_model.bin", TorchFile),
)


def tell_of_unread(read: Format, names: Collection[str], where: str) -> None:
    """Says that a folder's files hold weights in other formats too, which may be others. Not beside
    safetensors, which every program prefers.
    """
    there = {each: kept for each in FORMATS if (kept := each.patterns(names))}
    if read is FORMATS[0] or len(there) < 2:
        return
    _LOG.warning(
        "%s: weights are read from %s; %s is not read",
        where,
        there.pop(read)[0],
        " and ".join(kept[0] for kept in there.values()),
    )


def find_format(names: Collection[str], where: str) -> Format:
    """The first of FORMATS that is among a folder's files.

    Raises:
      UserError: none is, or only PyTorch's and it is not installed.
    """
    for found in FORMATS:
        if found.patterns(names):
            if found.opener is TorchFile and importlib.util.find_spec("torch") is None:
                raise UserError(needs_torch(where, "which is not installed here"))
            return found
    others = sorted({"tf_model.h5", "rust_model.ot"} & set(names))
    raise UserError(
        f"{where} holds no {', no '.join(each.single for each in FORMATS)} and no index of their"
        " shards"
        + (f"; {' and '.join(others)} cannot be read here" if others else "")
        + ". Transformers' AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER) writes"
        " model.safetensors (version 4, with from_tf=True, also from tf_model.h5). Or set"
        " encoder.random_weights to try the size out."
    )
