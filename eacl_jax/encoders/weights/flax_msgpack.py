"""Flax's msgpack files, of which only the headers are parsed."""

import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import msgpack
import numpy as np

from eacl_jax.encoders.weights.tensor_file import TYPES, TensorFile, damaged
from eacl_jax.errors import UserError

# How many bytes of its header tell the size of a byte string or an extension, by type; and the
# extensions of fixed size.
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
# Flax's numbers for an array and for a NumPy scalar, which it writes as an array without axes.
_ARRAY_EXTENSIONS = (1, 3)
_CHUNKED = "__msgpack_chunked_array__"


class MsgpackFile(TensorFile):
    """What flax.serialization.to_bytes wrote: maps in maps, down to arrays. Transformers 4 saved
    Flax models so.

    Only the headers are parsed. flax.serialization.msgpack_restore holds the whole file twice.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._arrays: dict[str, _Array] = {}
        try:
            with (
                file.open("rb") as stream,
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                tree = _Headers(content).tree()
            for path, array in _leaves(tree):
                name, array = _as_pytorch(path, array)
                if name in self._arrays:
                    raise ValueError(f"two arrays are {name!r}")
                self._arrays[name] = array
        except (OSError, LookupError, TypeError, ValueError, msgpack.UnpackException) as error:
            raise UserError(
                damaged(file, "msgpack file of arrays as Flax writes it", error)
            ) from error
        self.described = {
            name: (array.shape, TYPES[array.dtype.name]) for name, array in self._arrays.items()
        }

    def read(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        pieces = [
            np.memmap(self._file, array.dtype, "r", offset, (size // array.dtype.itemsize,))
            for offset, size in array.pieces
        ]
        flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return flat.reshape(array.shape[::-1]).T if array.transposed else flat.reshape(array.shape)


class _Array(NamedTuple):
    dtype: np.dtype
    shape: tuple[int, ...]
    # Where the values are in the file, and how many bytes: several pieces, one after the other,
    # where Flax cut a large array.
    pieces: tuple[tuple[int, int], ...]
    # The file has the values in the order of the transpose.
    transposed: bool = False


class _Headers:
    """Reads a msgpack file's structure and passes over the arrays' values.

    msgpack.Unpacker must have a whole object in memory even to skip it, up to gigabytes for an
    array. So it gets small pieces here, for names, maps and shapes; only the sizes that arrays
    begin with are taken apart by hand. Anything that is amiss raises one of the exceptions that
    MsgpackFile catches.
    """

    # Far more than a name or a shape takes.
    _WINDOW = 4096
    _DEEPEST = 64

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = 0

    def tree(self) -> dict[str, Any]:
        """The file's maps; arrays are described."""
        tree = self._node(0)
        if not isinstance(tree, dict):
            raise ValueError(f"it begins with {type(tree).__name__}, expected a map")
        if self._at != len(self._content):
            raise ValueError(f"{len(self._content) - self._at} bytes follow the end")
        return tree

    def _node(self, depth: int) -> Any:
        head = self._content[self._at]
        if head in _FIXED_EXTENSIONS or head in (0xC7, 0xC8, 0xC9):
            return self._array()
        if not (0x80 <= head <= 0x8F or head in (0xDE, 0xDF)):
            return self._take("unpack")
        if depth == self._DEEPEST:
            raise ValueError(f"maps are nested more than {depth} deep")
        tree: dict[str, Any] = {}
        for _ in range(self._take("read_map_header")):
            name = self._take("unpack")
            if not isinstance(name, str) or name in tree:
                raise ValueError(f"name {name!r} is no text or there twice")
            tree[name] = self._node(depth + 1)
        return tree

    def _array(self) -> _Array:
        size = self._size()
        kind, end = self._content[self._at], self._at + 1 + size
        self._at += 1
        if kind not in _ARRAY_EXTENSIONS or self._take("read_array_header") != 3:
            raise ValueError(f"an extension of type {kind} is no array")
        shape, dtype = self._take("unpack"), self._take("unpack")
        if dtype not in TYPES:
            raise ValueError(f"an array is of type {dtype!r}")
        size = self._size()
        if self._at + size != end:
            raise ValueError("an array's values are not its extension's end")
        array = _checked(jnp.dtype(dtype), shape, ((self._at, size),))
        self._at = end
        return array

    def _size(self) -> int:
        head = self._content[self._at]
        self._at += 1
        if head in _FIXED_EXTENSIONS:
            return _FIXED_EXTENSIONS[head]
        digits = self._content[self._at : self._at + _LENGTHS[head]]
        self._at += len(digits)
        return int.from_bytes(digits, "big")

    def _take(self, what: str) -> Any:
        unpacker = msgpack.Unpacker()
        unpacker.feed(self._content[self._at : self._at + self._WINDOW])
        taken = getattr(unpacker, what)()
        self._at += unpacker.tell()
        return taken


def _checked(dtype: np.dtype, shape: Sequence[Any], pieces: tuple[tuple[int, int], ...]) -> _Array:
    size = sum(size for _, size in pieces)
    if (
        not all(isinstance(axis, int) and axis >= 0 for axis in shape)
        or math.prod(shape) * dtype.itemsize != size
    ):
        raise ValueError(f"an array of shape {list(shape)} and type {dtype} has {size} bytes")
    return _Array(dtype, tuple(shape), pieces)


def _leaves(
    tree: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], _Array]]:
    for name, node in tree.items():
        here = (*path, name)
        if isinstance(node, _Array):
            yield here, node
        elif not isinstance(node, dict):
            raise ValueError(f"{'.'.join(here)!r} is {type(node).__name__}, expected an array")
        elif _CHUNKED in node:
            shape, chunks = (
                [node[part][str(i)] for i in range(len(node[part]))] for part in ("shape", "chunks")
            )
            if not all(
                isinstance(chunk, _Array) and chunk.dtype == chunks[0].dtype for chunk in chunks
            ):
                raise ValueError(f"{'.'.join(here)!r} is not in chunks of one type")
            yield (
                here,
                _checked(
                    chunks[0].dtype,
                    shape,
                    tuple(piece for chunk in chunks for piece in chunk.pieces),
                ),
            )
        else:
            yield from _leaves(node, here)


def _as_pytorch(path: tuple[str, ...], array: _Array) -> tuple[str, _Array]:
    *scopes, leaf = path
    if scopes and scopes[0] == "params":
        del scopes[0]
    # Of a dense layer [in, out], of a convolution over time [length, in, out].
    if leaf == "kernel" and len(array.shape) in (2, 3):
        array = array._replace(shape=array.shape[::-1], transposed=True)
    return ".".join(
        [*scopes, "weight" if leaf in ("kernel", "embedding", "scale") else leaf]
    ), array
