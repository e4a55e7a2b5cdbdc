"""LoRA's matrices as PEFT writes them: `adapter_model.safetensors` and `adapter_config.json`.

A map that Hugging Face calls `encoder.layer.0.attention.self.query` has `lora_A` [r, in] and
`lora_B` [out, r] there; the matrices here are `a` [in, r] and `b` [r, out], stacked by layer where
the encoder's parameters are. XLNet's maps are no modules in PyTorch but parameters: their matrices
are written under the same names, and PEFT itself does not know what to do with them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.encoders.weights.names import Named, Slot
from eacl_jax.encoders.weights.parameters import parameters_of, tensor_slots, write_tensors
from eacl_jax.errors import UserError
from eacl_jax.files.records import read_json
from eacl_jax.files.tensors import load_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BEFORE = "base_model.model."
_ADVICE = "copy the adapter's folder again, or train it again"
# What would make other weights of the matrices than W + alpha / r B A.
_UNKNOWN = (
    "use_rslora",
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
# Others begin with another base than the one that is named.
_BEGUN = (None, True, False, "gaussian", "orthogonal")


def write(
    folder: Path,
    encoder: Named,
    matrices: Mapping[str, Mapping[str, Any]],
    *,
    scale: float,
    base: str,
    revision: str,
) -> None:
    """Writes both files.

    Args:
      folder: that is there.
      encoder: the one that the matrices are of; its weights are not looked at.
      matrices: `a` and `b` by the names of maps.
      scale: alpha / r.
      base: what to load the encoder from: a hub id or a folder.
      revision: of a hub id.
    """
    tensors = {
        name: np.ascontiguousarray(value, np.float32)
        for module, slot in _modules(encoder).items()
        if (pair := matrices.get(_map_of(slot))) is not None
        for name, value in zip(_names(module), _halves(pair, slot.row), strict=True)
    }
    rank = next(len(value) for name, value in tensors.items() if name.endswith("lora_A.weight"))
    config = {
        "auto_mapping": None,
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": _whole(scale * rank),
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "revision": revision,
        "target_modules": sorted(m for m in _modules(encoder) if _names(m)[0] in tensors),
        "task_type": "FEATURE_EXTRACTION",
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_tensors(tensors, folder / WEIGHTS, readable_as=folder / CONFIG)


def read_config(folder: Path) -> tuple[str, str, float]:
    """The base's name, its revision, and alpha / r.

    Raises:
      UserError: the file is missing or damaged, or asks for something else than LoRA.
    """
    file = folder / CONFIG
    config = read_json(file, _ADVICE)
    base, rank, alpha = (
        config.get(name) for name in ("base_model_name_or_path", "r", "lora_alpha")
    )
    other = [name for name in _UNKNOWN if config.get(name)]
    other += ["bias"] * (config.get("bias", "none") != "none")
    other += ["init_lora_weights"] * (config.get("init_lora_weights") not in _BEGUN)
    if other:
        raise UserError(
            f"{file}: {other[0]} is {config[other[0]]!r:.60}; only plain LoRA, W + alpha / r B A,"
            " is known here."
        )
    if (
        config.get("peft_type") != "LORA"
        or not (isinstance(base, str) and base)
        or not (isinstance(rank, int) and not isinstance(rank, bool) and rank > 0)
        or not isinstance(alpha, int | float)
        or isinstance(alpha, bool)
    ):
        raise UserError(
            f"{file}: expected peft_type 'LORA', and base_model_name_or_path, r and lora_alpha;"
            f" {_ADVICE}."
        )
    return base, str(config.get("revision") or "main"), alpha / rank


def read(folder: Path, encoder: Named) -> dict[str, dict[str, np.ndarray]]:
    """The matrices for an encoder; layers of a stack that have none get zeros.

    Raises:
      UserError: the file is missing or damaged, or does not fit the encoder.
    """
    file = folder / WEIGHTS
    tensors = load_tensors(file, _ADVICE)
    given = read_json(folder / CONFIG, _ADVICE).get("r")
    shapes = {path: tuple(value.shape) for path, value in parameters_of(encoder).items()}
    found: dict[str, dict[str, np.ndarray]] = {}
    wrong = []
    for module, slot in _modules(encoder).items():
        pair = [tensors.pop(name, None) for name in _names(module)]
        if all(half is None for half in pair):
            continue
        shape = shapes[slot.path] if slot.row is None else shapes[slot.path][1:]
        halves = [None if half is None else np.asarray(half, np.float32).T for half in pair]
        rank = 0 if halves[0] is None else halves[0].shape[-1]
        expected = [(shape[0], rank), (rank, int(np.prod(shape[1:])))]
        if [None if half is None else half.shape for half in halves] != expected:
            wrong.append(f"those of {module} do not fit its {list(shape)}")
        elif rank != given:
            wrong.append(f"those of {module} have the rank {rank}, and {CONFIG} says {given}")
        elif not all(np.isfinite(half).all() for half in halves if half is not None):
            wrong.append(f"those of {module} hold NaN or infinity")
        else:
            _put(found, slot, halves, shapes[slot.path])
    wrong += [f"{name} is of no linear map of the encoder" for name in tensors]
    if wrong or not found:
        raise UserError(
            f"{file} does not fit its base: {'; '.join(wrong[:3]) or 'it is empty'}; {_ADVICE}."
        )
    return found


def _put(
    found: dict[str, dict[str, np.ndarray]],
    slot: Slot,
    halves: list[Any],
    shape: tuple[int, ...],
) -> None:
    if slot.row is None:
        found[_map_of(slot)] = dict(zip("ab", halves, strict=True))
        return
    stack = found.setdefault(
        _map_of(slot),
        {
            name: np.zeros((shape[0], *half.shape), np.float32)
            for name, half in zip("ab", halves, strict=True)
        },
    )
    for name, half in zip("ab", halves, strict=True):
        stack[name][slot.row] = half


def _modules(encoder: Named) -> dict[str, Slot]:
    """The linear maps, by Hugging Face's names."""
    return {
        name.removesuffix(".weight"): slot
        for name, slot in tensor_slots(encoder).items()
        if slot.path.endswith(".kernel")
    }


def _map_of(slot: Slot) -> str:
    return slot.path.removesuffix(".kernel")


def _names(module: str) -> tuple[str, str]:
    return f"{_BEFORE}{module}.lora_A.weight", f"{_BEFORE}{module}.lora_B.weight"


def _halves(pair: Mapping[str, Any], row: int | None) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.asarray(pair[name]) for name in "ab")
    return (a.T, b.T) if row is None else (a[row].T, b[row].T)


def _whole(number: float) -> float:
    """An int where it is one: PEFT declares alpha so."""
    return int(number) if number == int(number) else number
