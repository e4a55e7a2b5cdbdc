"""The weights of a folder as named tensors, whichever of the known files they are in."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eacl_jax.encoders.weights.formats import FORMATS, Format, find_format, tell_of_unread
from eacl_jax.encoders.weights.tensor_file import Piece, TensorFile
from eacl_jax.errors import UserError
from eacl_jax.files.checksum import sha256_of
from eacl_jax.files.local import read_text, unreadable

# What is written here.
SINGLE = FORMATS[0].single


class Checkpoint:
    """The tensors of a folder's weight file, or of the shards that its index lists; names and
    layout are PyTorch's.

    The first that is there is used: model.safetensors, flax_model.msgpack or pytorch_model.bin,
    each before an index of its shards (model.safetensors.index.json, ...).

    Args:
      folder: where they are.
      sha256: of the weight file, checked before anything of it is parsed; empty: not checked.

    Attributes:
      path: the weight file, or the index, that is used.

    Raises:
      UserError: no such file, another checksum, a file that is damaged or of another format, or
        PyTorch's without PyTorch.
    """

    def __init__(self, folder: Path, sha256: str = "") -> None:
        found, self.path = _locate(folder)
        tell_of_unread(found, _names(folder), str(folder))
        files = _files(found, self.path)
        if self.path.name == found.single:
            _verify(self.path, sha256)
        elif sha256:
            raise UserError(
                f"{self.path}: encoder.sha256 is that of one {found.single}, but the weights are in"
                " shards; leave it empty."
            )
        self._holders: dict[str, TensorFile] = {}
        for file in files:
            holder = found.opener(file)
            if twice := self._holders.keys() & holder.described.keys():
                raise UserError(
                    f"{self.path}: tensor {min(twice)!r} is in two shards; save the checkpoint"
                    " again."
                )
            self._holders |= dict.fromkeys(holder.described, holder)

    def keys(self) -> list[str]:
        """Names of all tensors."""
        return list(self._holders)

    def describe(self, key: str) -> tuple[tuple[int, ...], str]:
        """A tensor's shape and type, such as "F32"; nothing of it is read."""
        return self._holders[key].described[key]

    def pieces(self, key: str) -> Iterator[Piece]:
        """A tensor, a few rows at a time: which, and their values. Call it once for each:
        pytorch_model.bin lets go.
        """
        return self._holders[key].pieces(key)

    def read(self, key: str) -> np.ndarray:
        """A tensor, perhaps a view of the file that cannot be written to. Call it once for each:
        pytorch_model.bin lets go.
        """
        return self._holders[key].read(key)


def weight_files(folder: Path) -> list[Path]:
    """The files that `Checkpoint` reads a folder's weights from: one, or its shards. Raises
    `UserError` as it does.
    """
    return _files(*_locate(folder))


def _locate(folder: Path) -> tuple[Format, Path]:
    """The format of a folder's weights, and the weight file or the index of its shards."""
    found = find_format(_names(folder), str(folder))
    single = folder / found.single
    return found, single if single.is_file() else folder / found.index


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*") if file.is_file()}


def _files(found: Format, path: Path) -> list[Path]:
    return [path] if path.name == found.single else _shards(path)


def _verify(file: Path, sha256: str) -> None:
    if not sha256:
        return
    try:
        found = sha256_of(file)
    except OSError as error:
        raise UserError(f"{unreadable(file, error)}.") from error
    if found != sha256.lower():
        raise UserError(
            f"{file} has sha256 {found}, but encoder.sha256 says {sha256}: it is another file or"
            " was damaged; fetch it again or correct the setting."
        )


def _shards(index: Path) -> list[Path]:
    text = read_text(index)
    try:
        names = sorted(set(json.loads(text)["weight_map"].values()))
        inside = bool(names) and all(name == Path(name).name for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index} is no index of shards ({error!r}); fetch or save it again."
        ) from error
    if not inside:
        raise UserError(f"{index} must list files of its own folder, got {names}.")
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise UserError(
            f"{index} lists shards that are not there: {', '.join(missing)}; fetch them too."
        )
    return [index.parent / name for name in names]
