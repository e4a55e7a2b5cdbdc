"""Checkpoint files to parameters and back. Only safetensors: reading a file runs none of its contents."""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.names import Slot
from eacl_jax.errors import UserError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_FLOATS = ("F64", "F32", "F16", "BF16")


class Checkpoint:
    """The tensors of a folder's model.safetensors, or of the shards that its index lists.

    Args:
      folder: where they are.
      sha256: of model.safetensors, checked before anything of it is parsed; empty: not checked.

    Raises:
      UserError: no such file, another checksum, or a file that is damaged or no safetensors.
    """

    def __init__(self, folder: Path, sha256: str = "") -> None:
        if (folder / SINGLE).is_file():
            self.path, files = folder / SINGLE, [folder / SINGLE]
            _verify(self.path, sha256)
        elif (folder / INDEX).is_file():
            self.path = folder / INDEX
            if sha256:
                raise UserError(
                    f"{folder}: encoder.sha256 is that of one {SINGLE}, but the weights are in shards; leave it empty."
                )
            files = _shards(self.path)
        else:
            raise UserError(_without_weights(folder))
        self._files: dict[str, Any] = {}
        for file in files:
            try:
                opened = safe_open(file, framework="numpy")
            except (SafetensorError, OSError) as error:
                raise UserError(f"{file} is damaged or no safetensors file ({error}); fetch or save it again.") from error
            for key in opened.keys():  # noqa: SIM118 -- not a mapping
                if key in self._files:
                    raise UserError(f"{self.path}: tensor {key!r} is in two shards; save the checkpoint again.")
                self._files[key] = opened

    def keys(self) -> list[str]:
        """Names of all tensors."""
        return list(self._files)

    def describe(self, key: str) -> tuple[tuple[int, ...], str]:
        """A tensor's shape and type; nothing of it is read."""
        view = self._files[key].get_slice(key)
        return tuple(view.get_shape()), view.get_dtype()

    def read(self, key: str) -> np.ndarray:
        """A tensor."""
        return self._files[key].get_tensor(key)


def load_parameters(encoder: Encoder, checkpoint: Checkpoint) -> Encoder:
    """An abstract encoder (`nnx.eval_shape`) with a checkpoint's weights.

    Raises:
      UserError: lists every tensor that is missing, of another architecture, or of the wrong shape or type.
    """
    slots = tensor_slots(encoder)
    shapes = tensor_shapes(encoder)
    problems: list[str] = []
    found = encoder.names.find(checkpoint.keys(), slots, problems)
    for name, key in found.items():
        shape, dtype = checkpoint.describe(key)
        if shape != shapes[name] or dtype not in _FLOATS:
            expected = f"{list(shapes[name])} of {' or '.join(_FLOATS)}"
            problems.append(f"{key!r} is {list(shape)} of {dtype}, config.json makes it {expected}")
    if problems:
        raise UserError(
            f"{checkpoint.path} does not fit its config.json ({type(encoder).__name__}):\n  " + "\n  ".join(problems)
        )
    return _fill(encoder, slots, lambda name: checkpoint.read(found[name]))


def draw_parameters(encoder: Encoder, *, seed: int, deviation: float) -> Encoder:
    """An abstract encoder with random weights: normal, biases 0 and LayerNorm scales 1.

    Each tensor is drawn by its name, so that the same seed gives the same weights stacked or not.
    """
    slots = tensor_slots(encoder)
    shapes = tensor_shapes(encoder)

    def draw(name: str) -> np.ndarray:
        leaf = slots[name].path.rpartition(".")[2]
        if leaf in ("scale", "bias"):
            return np.full(shapes[name], leaf == "scale", np.float32)
        return np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shapes[name], np.float32) * np.float32(
            deviation
        )

    return _fill(encoder, slots, draw)


def to_checkpoint(encoder: Encoder) -> dict[str, np.ndarray]:
    """All parameters, float32, under the names that Hugging Face gives them in the bare encoder (no prefix)."""
    values = {path: np.asarray(parameter[...]) for path, parameter in _parameters(encoder).items()}
    tensors = {}
    for name, slot in tensor_slots(encoder).items():
        value = values[slot.path] if slot.row is None else values[slot.path][slot.row]
        tensors[name] = np.ascontiguousarray(value.T if slot.transpose else value)
    return tensors


def save(encoder: Encoder, config: Mapping[str, Any], folder: Path) -> None:
    """Writes model.safetensors and config.json, which `load` and PyTorch transformers read.

    Args:
      encoder: with its parameters.
      config: the decoded config.json that it was built from.
      folder: made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "config.json"
    described.write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(to_checkpoint(encoder), folder / SINGLE, readable_as=described)


def write_tensors(tensors: Mapping[str, np.ndarray], file: Path, *, readable_as: Path) -> None:
    """Writes a safetensors file that whoever may read `readable_as` may read too; by itself the library lets only the owner."""
    save_file(dict(tensors), file, metadata={"format": "pt"})
    shutil.copymode(readable_as, file)


def tensor_slots(encoder: Encoder) -> dict[str, Slot]:
    """Where each tensor of the encoder's checkpoint goes; checks that together they are all of its parameters."""
    slots = encoder.names.slots(encoder.num_layers, stacked=not isinstance(encoder.layers, nnx.List))
    wanted, named = set(_parameters(encoder)), {slot.path for slot in slots.values()}
    if wanted != named:
        raise ValueError(f"{type(encoder).__name__}.names leaves out {wanted - named} and makes up {named - wanted}.")
    return slots


def tensor_shapes(encoder: Encoder) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of the encoder's checkpoint, as PyTorch lays it out."""
    parameters = _parameters(encoder)
    shapes = {}
    for name, slot in tensor_slots(encoder).items():
        shape = parameters[slot.path].shape if slot.row is None else parameters[slot.path].shape[1:]
        shapes[name] = tuple(reversed(shape)) if slot.transpose else tuple(shape)
    return shapes


def _parameters(encoder: Encoder) -> dict[str, nnx.Variable]:
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(encoder, nnx.Param))}


def _fill(encoder: Encoder, slots: Mapping[str, Slot], read: Callable[[str], np.ndarray]) -> Encoder:
    graphdef, abstract = nnx.split(encoder, nnx.Param)
    names: dict[str, list[str]] = {}
    for name, slot in slots.items():
        names.setdefault(slot.path, []).append(name)
    filled = {}
    # The largest first: what is on the host twice, for a moment, is then largest while the rest is not there yet.
    for path, leaf in sorted(nnx.to_flat_state(abstract), key=lambda item: -item[1].size):
        value = np.empty(leaf.shape, np.float32)
        for name in names[".".join(map(str, path))]:
            row = value if slots[name].row is None else value[slots[name].row]
            row[...] = read(name).T if slots[name].transpose else read(name)
        # Copied and waited for: a transfer that is still under way keeps the host's array alive.
        filled[path] = leaf.replace(jnp.array(value, copy=True).block_until_ready())
        del value
    return nnx.merge(graphdef, nnx.from_flat_state(filled.items()))


def _verify(file: Path, sha256: str) -> None:
    if not sha256:
        return
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.lower():
        raise UserError(
            f"{file} has sha256 {found}, but encoder.sha256 says {sha256}: it is another file or was damaged; "
            "fetch it again or correct the setting."
        )


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        inside = bool(names) and all(name == Path(name).name for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is no index of safetensors shards ({error!r}); fetch or save it again.") from error
    if not inside:
        raise UserError(f"{index} must list files of its own folder, got {names}.")
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise UserError(f"{index} lists shards that are not there: {', '.join(missing)}; fetch them too.")
    return [index.parent / name for name in names]


def _without_weights(folder: Path) -> str:
    others = [name for name in ("pytorch_model.bin", "flax_model.msgpack", "tf_model.h5") if (folder / name).is_file()]
    return (
        f"{folder} holds no {SINGLE} and no {INDEX}"
        + (f", only {', '.join(others)}, and only safetensors is read" if others else "")
        + ". Where PyTorch is installed, transformers' AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER) writes them. "
        "Or set encoder.random_weights to try the size out."
    )
