"""A checkpoint's tensors to parameters and back."""

import gc
import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from flax import nnx
from safetensors.numpy import save_file

from eacl_jax.encoders.weights.checkpoint import SINGLE, Checkpoint
from eacl_jax.encoders.weights.names import Named, Slot
from eacl_jax.encoders.weights.tensor_file import Piece
from eacl_jax.errors import UserError

_Encoder = TypeVar("_Encoder", bound=Named)
_FLOATS = ("F64", "F32", "F16", "BF16")


def load_parameters(
    encoder: _Encoder, checkpoint: Checkpoint, *, ignored: Sequence[str] = ()
) -> _Encoder:
    """An abstract encoder (`nnx.eval_shape`) with a checkpoint's weights.

    Args:
      encoder: shapes only.
      checkpoint: every tensor of it is used, or one that is known not to be part of the encoder.
      ignored: regular expressions of further tensors that may be there.

    Raises:
      UserError: lists every tensor that is missing, of another architecture, or of the wrong shape
        or type.
    """
    slots = tensor_slots(encoder)
    shapes = tensor_shapes(encoder)
    problems: list[str] = []
    found = encoder.names.find(checkpoint.keys(), slots, problems, ignored=ignored)
    for name, key in found.items():
        shape, dtype = checkpoint.describe(key)
        if shape != shapes[name] or dtype not in _FLOATS:
            expected = f"{list(shapes[name])} of {' or '.join(_FLOATS)}"
            problems.append(f"{key!r} is {list(shape)} of {dtype}, config.json makes it {expected}")
    if problems:
        raise UserError(
            f"{checkpoint.path} does not fit its config.json ({type(encoder).__name__}):\n  "
            + "\n  ".join(problems)
        )
    return _fill(encoder, slots, lambda name: _finite(checkpoint, found[name]))


def _finite(checkpoint: Checkpoint, key: str) -> Iterator[Piece]:
    """A tensor's pieces. Raises `UserError` at one with NaN or infinity: each answer and loss would
    be NaN.
    """
    for rows, piece in checkpoint.pieces(key):
        if not np.isfinite(np.sum(piece, dtype=np.float64)):
            raise UserError(
                f"{checkpoint.path}: tensor {key!r} holds NaN or infinity: the file is damaged, or"
                " its training went wrong; fetch or save it again."
            )
        yield rows, piece


def draw_parameters(encoder: _Encoder, *, seed: int, deviation: float) -> _Encoder:
    """An abstract encoder with random weights: normal, biases 0 and LayerNorm scales 1.

    Each tensor is drawn by its name, so that the same seed gives the same weights stacked or not.
    """
    slots = tensor_slots(encoder)
    shapes = tensor_shapes(encoder)

    def draw(name: str) -> np.ndarray:
        leaf = slots[name].path.rpartition(".")[2]
        if leaf == "scale" or leaf.endswith("bias"):
            return np.full(shapes[name], leaf == "scale", np.float32)
        return np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(
            shapes[name], np.float32
        ) * np.float32(deviation)

    return _fill(encoder, slots, lambda name: [(slice(None), draw(name))])


def to_checkpoint(encoder: Named) -> dict[str, np.ndarray]:
    """All parameters, float32, under the names that Hugging Face gives them in the bare encoder (no
    prefix).
    """
    values = {
        path: np.asarray(parameter[...]) for path, parameter in parameters_of(encoder).items()
    }
    tensors = {}
    for name, slot in tensor_slots(encoder).items():
        value = values[slot.path] if slot.row is None else values[slot.path][slot.row]
        tensors[name] = np.ascontiguousarray(value.T if slot.transpose else value)
    return tensors


def save(
    encoder: Named,
    config: Mapping[str, Any],
    folder: Path,
    *,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Writes model.safetensors and config.json, which `load` and PyTorch transformers read.

    Args:
      encoder: with its parameters.
      config: the decoded config.json that it was built from.
      folder: made where it is missing.
      dtype: of the weights in the file.

    Keys and values of a prefix are written too; transformers has no place for them and leaves them
    out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "config.json"
    # Transformers loads in the type that is named there, and what was float16 is float32 now.
    types = {name: dtype for name in ("dtype", "torch_dtype") if name in config}
    described.write_text(
        json.dumps({**config, **types}, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    tensors = {
        name: tensor.astype(dtype, copy=False) for name, tensor in to_checkpoint(encoder).items()
    }
    write_tensors(tensors, folder / SINGLE, readable_as=described)


def write_tensors(tensors: Mapping[str, np.ndarray], file: Path, *, readable_as: Path) -> None:
    """Writes a safetensors file that whoever may read `readable_as` may read too; by itself the
    library lets only the owner.
    """
    save_file(dict(tensors), file, metadata={"format": "pt"})
    shutil.copymode(readable_as, file)


def tensor_slots(encoder: Named) -> dict[str, Slot]:
    """Where each tensor of the encoder's checkpoint goes; checks that together they are all of its
    parameters.
    """
    parameters = set(parameters_of(encoder))
    slots = encoder.names.slots(
        encoder.num_layers, parameters, stacked=not isinstance(encoder.layers, nnx.List)
    )
    if unnamed := parameters - {slot.path for slot in slots.values()} - encoder.names.unread():
        raise ValueError(f"{type(encoder).__name__}.names leaves out {unnamed}.")
    return slots


def tensor_shapes(encoder: Named) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of the encoder's checkpoint, as PyTorch lays it out."""
    parameters = parameters_of(encoder)
    shapes = {}
    for name, slot in tensor_slots(encoder).items():
        shape = parameters[slot.path].shape if slot.row is None else parameters[slot.path].shape[1:]
        shapes[name] = tuple(reversed(shape)) if slot.transpose else tuple(shape)
    return shapes


def parameters_of(encoder: Named) -> dict[str, nnx.Variable]:
    """An encoder's parameters by their dotted paths."""
    return {
        ".".join(map(str, path)): leaf
        for path, leaf in nnx.to_flat_state(nnx.state(encoder, nnx.Param))
    }


def _fill(
    encoder: _Encoder, slots: Mapping[str, Slot], read: Callable[[str], Iterable[Piece]]
) -> _Encoder:
    graphdef, abstract = nnx.split(encoder, nnx.Param)
    names: dict[str, list[str]] = {}
    for name, slot in slots.items():
        names.setdefault(slot.path, []).append(name)
    filled = {}
    # The largest first: what is in memory twice, for a moment, is then largest while the rest is
    # not there yet.
    for path, leaf in sorted(nnx.to_flat_state(abstract), key=lambda item: -item[1].size):
        tensors = names.get(".".join(map(str, path)), ())
        value = _assemble(leaf.shape, {name: slots[name] for name in tensors}, read)
        filled[path] = leaf.replace(jax.device_put(value).block_until_ready())
        # What was copied to another device, jaxlib holds until its next garbage collection.
        del value
        gc.collect(0)
    return nnx.merge(graphdef, nnx.from_flat_state(filled.items()))


def _assemble(
    shape: tuple[int, ...], slots: Mapping[str, Slot], read: Callable[[str], Iterable[Piece]]
) -> np.ndarray:
    """A parameter from the tensors that fill it. A row that none fills is never read: see
    `Name.first`.
    """
    value = _aligned_ones(shape)
    for name, slot in slots.items():
        layer = value if slot.row is None else value[slot.row]
        tensor = layer.T if slot.transpose else layer
        for rows, piece in read(name):
            tensor[rows] = piece
    return value


def _aligned_ones(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array at a multiple of 64 bytes: on a CPU, JAX takes such memory over without a
    copy.
    """
    size = math.prod(shape) * 4
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    value = memory[start : start + size].view(np.float32).reshape(shape)
    value[...] = 1
    return value
