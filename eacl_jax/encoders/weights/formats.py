"""Files of named tensors: safetensors, Flax's msgpack and PyTorch's pickle. Reading a file runs none of its contents.

The layout and the names are PyTorch's, whatever the file. An opened file knows each tensor's shape and type; `read` gets the
values of one, so that a checkpoint is never in memory as a whole (the exception: .bin files in the format before PyTorch 1.6).
"""

import abc
import contextlib
import dataclasses
import errno
import importlib.util
import math
import mmap
import pickle
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import msgpack
import numpy as np
from safetensors import SafetensorError, safe_open

from eacl_jax.errors import UserError
from eacl_jax.files.local import error_number, unreadable

# As safetensors calls them.
_TYPES = {
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
_PIECE = 32 * 2**20  # bytes of a tensor to copy at once


class TensorFile(abc.ABC):
    """A file of named tensors.

    Attributes:
      described: shape and type ("F32", "BF16", "I64", ...) of each tensor, by name.
    """

    described: Mapping[str, tuple[tuple[int, ...], str]]

    @abc.abstractmethod
    def __init__(self, file: Path) -> None:
        """Raises UserError for a file that is damaged, of another format, or cannot be read here."""

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """A tensor; call it once for each. The array may be a view of the file, so it cannot be written to."""

    def pieces(self, name: str) -> Iterator[Piece]:
        """A tensor in pieces, where its values must be copied from the file; call it once for each."""
        yield slice(None), self.read(name)


class SafetensorsFile(TensorFile):
    """Opened anew for each tensor: else the pages of all that was read stay mapped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._open() as opened:
            views = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 -- not a mapping
            self.described = {name: (tuple(view.get_shape()), view.get_dtype()) for name, view in views.items()}

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
            raise UserError(_damaged(self._file, "safetensors file", error)) from error


class MsgpackFile(TensorFile):
    """What flax.serialization.to_bytes wrote: maps in maps, down to arrays. Transformers 4 saved Flax models so.

    Only the headers are parsed. flax.serialization.msgpack_restore holds the whole file twice.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._arrays: dict[str, _Array] = {}
        try:
            with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                tree = _Headers(content).tree()
            for path, array in _leaves(tree):
                name, array = _as_pytorch(path, array)
                if name in self._arrays:
                    raise ValueError(f"two arrays are {name!r}")
                self._arrays[name] = array
        except (OSError, LookupError, TypeError, ValueError, msgpack.UnpackException) as error:
            raise UserError(_damaged(file, "msgpack file of arrays as Flax writes it", error)) from error
        self.described = {name: (array.shape, _TYPES[array.dtype.name]) for name, array in self._arrays.items()}

    def read(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        pieces = [
            np.memmap(self._file, array.dtype, "r", offset, (size // array.dtype.itemsize,)) for offset, size in array.pieces
        ]
        flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return flat.reshape(array.shape[::-1]).T if array.transposed else flat.reshape(array.shape)


class TorchFile(TensorFile):
    """What torch.save wrote, through PyTorch's reader of tensors alone. Needs PyTorch, which nothing else here does."""

    def __init__(self, file: Path) -> None:
        torch = _import_torch(file)
        try:
            # Before PyTorch 1.6 the format was no zip archive; it cannot be mapped and is read into memory.
            with file.open("rb") as stream:
                mapped = stream.read(4) == b"PK\3\4"
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # what a damaged file raises is not documented: RuntimeError, EOFError, KeyError, ...
            raise UserError(_refused(file, error)) from error
        if not isinstance(loaded, dict):
            raise UserError(f"{file} holds a {type(loaded).__name__}, expected tensors by name (a state_dict); save it again.")
        # Others are skipped: deberta-large's file has an entry 'config'. What is then missing, the caller says.
        self._tensors = {
            name: value.detach()
            for name, value in loaded.items()
            if isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided and value.is_cpu
        }
        self.described = {
            name: (tuple(tensor.shape), _TYPES.get(dtype := str(tensor.dtype).removeprefix("torch."), dtype))
            for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> np.ndarray:
        # Let go of, so that as ours are made those that are in memory go.
        tensor = self._tensors.pop(name)
        # NumPy has no bfloat16, and every bfloat16 is a float32.
        return (tensor.float() if self.described[name][1] == "BF16" else tensor).numpy()


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
        """The files to fetch of a repository that holds `names`: the weights in this format. Empty where it has none."""
        if self.single in names:
            return (self.single,)
        return (self.index, self.shards) if self.index in names else ()


# In order of preference.
FORMATS = (
    Format("model.safetensors", SafetensorsFile),
    Format("flax_model.msgpack", MsgpackFile),
    Format("pytorch_model.bin", TorchFile),
)


def find_format(names: Collection[str], where: str) -> Format:
    """The first of FORMATS that is among a folder's files.

    Raises:
      UserError: none is, or only PyTorch's and it is not installed.
    """
    for found in FORMATS:
        if found.patterns(names):
            if found.opener is TorchFile and importlib.util.find_spec("torch") is None:
                raise UserError(_needs_torch(where, "which is not installed here"))
            return found
    others = sorted({"tf_model.h5", "rust_model.ot"} & set(names))
    raise UserError(
        f"{where} holds no {', no '.join(each.single for each in FORMATS)} and no index of their shards"
        + (f"; {' and '.join(others)} cannot be read here" if others else "")
        + ". Transformers' AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER) writes model.safetensors (version 4, with "
        "from_tf=True, also from tf_model.h5). Or set encoder.random_weights to try the size out."
    )


def _damaged(file: Path, expected: str, reason: Exception | str) -> str:
    with contextlib.suppress(OSError), file.open("rb") as stream:
        if stream.read(23) == b"version https://git-lfs":
            return f"{file} is only git-lfs's pointer to the file; run `git lfs pull` in its folder, or fetch it from the hub."
    if isinstance(reason, Exception) and error_number(reason) in (errno.EACCES, errno.EPERM, errno.EIO):
        return f"{unreadable(file, reason)}."
    text = " ".join(str(reason).split()) or type(reason).__name__
    return f"{file} is damaged or no {expected} ({text[:300]}); fetch or save it again."


# A tensor of a msgpack file.


class _Array(NamedTuple):
    dtype: np.dtype
    shape: tuple[int, ...]
    # Where the values are in the file, and how many bytes: several pieces, one after the other, where Flax cut a large array.
    pieces: tuple[tuple[int, int], ...]
    # The file has the values in the order of the transpose.
    transposed: bool = False


# How many bytes of its header tell the size of a byte string or an extension, by type; and the extensions of fixed size.
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
# Flax's numbers for an array and for a NumPy scalar, which it writes as an array without axes.
_ARRAY_EXTENSIONS = (1, 3)
_CHUNKED = "__msgpack_chunked_array__"


class _Headers:
    """Reads a msgpack file's structure and passes over the arrays' values.

    msgpack.Unpacker must have a whole object in memory even to skip it, up to gigabytes for an array. So it gets small pieces
    here, for names, maps and shapes; only the sizes that arrays begin with are taken apart by hand. Anything that is amiss
    raises one of the exceptions that MsgpackFile catches.
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
        if dtype not in _TYPES:
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
    if not all(isinstance(axis, int) and axis >= 0 for axis in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array of shape {list(shape)} and type {dtype} has {size} bytes")
    return _Array(dtype, tuple(shape), pieces)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], _Array]]:
    for name, node in tree.items():
        here = (*path, name)
        if isinstance(node, _Array):
            yield here, node
        elif not isinstance(node, dict):
            raise ValueError(f"{'.'.join(here)!r} is {type(node).__name__}, expected an array")
        elif _CHUNKED in node:
            shape, chunks = ([node[part][str(i)] for i in range(len(node[part]))] for part in ("shape", "chunks"))
            if not all(isinstance(chunk, _Array) and chunk.dtype == chunks[0].dtype for chunk in chunks):
                raise ValueError(f"{'.'.join(here)!r} is not in chunks of one type")
            yield here, _checked(chunks[0].dtype, shape, tuple(piece for chunk in chunks for piece in chunk.pieces))
        else:
            yield from _leaves(node, here)


def _as_pytorch(path: tuple[str, ...], array: _Array) -> tuple[str, _Array]:
    *scopes, leaf = path
    if scopes and scopes[0] == "params":
        del scopes[0]
    if leaf == "kernel" and len(array.shape) == 2:
        array = array._replace(shape=array.shape[::-1], transposed=True)
    return ".".join([*scopes, "weight" if leaf in ("kernel", "embedding", "scale") else leaf]), array


# PyTorch's part.


def _import_torch(file: Path) -> Any:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise UserError(_needs_torch(str(file), f"which cannot be imported here ({error})")) from error
    if torch.__version__ < "2.6":
        raise UserError(
            _needs_torch(str(file), f"not {torch.__version__}, whose reader of tensors alone could run code (CVE-2025-32434)")
        )
    return torch


def _needs_torch(where: str, problem: str) -> str:
    return (
        f"{where}: to read pytorch_model.bin takes PyTorch 2.6 or newer, {problem}. Install it; or write "
        "model.safetensors on any machine that has it, with transformers' "
        "AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER), and give that folder."
    )


def _refused(file: Path, error: Exception) -> str:
    # PyTorch goes on to advise loading it all the same.
    reason = str(error).partition("In PyTorch 2.6")[0] or type(error).__name__
    if isinstance(error, pickle.UnpicklingError) and (other := re.search(r"GLOBAL (\S+)", str(error))):
        return (
            f"{file} holds a {other[1]}, and only tensors are read, since anything else may run code when it is loaded. "
            "Fetch the weights as model.safetensors, or save their state_dict alone."
        )
    return _damaged(file, "PyTorch checkpoint", error if error_number(error) else reason)
