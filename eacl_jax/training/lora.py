"""LoRA: the encoder stays as it is, and learns by matrices of low rank beside some of its linear
maps (arXiv 2106.09685).

The model itself knows nothing of it: before each pass its weights are made of the base's and the
matrices. So all architectures have it alike, and a finished stage leaves plain weights.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eacl_jax.config import EncoderConfig
from eacl_jax.errors import UserError
from eacl_jax.model.names import path_name

ADAPTERS = "lora"
"""The branch of parameters that stands in the encoder's place."""
BASE = "base"
"""Among the constants, the encoder's weights."""


def adapters(
    encoder: Any, stacked: Any, config: EncoderConfig, seed: int
) -> dict[str, dict[str, jax.Array]]:
    """The matrices before the first step, by the names of the maps: `a` [in, r] random, `b` [r,
    out] zero, so that the encoder is the base to the bit.

    Args:
      encoder: its parameters.
      stacked: a tree like them, of arrays for parameters that are stacked by layer, and of numbers
        for others; `Encoder.depths` is one.
      config: `lora_rank` and `lora_maps`.
      seed: of `a`, which has a deviation of 1 / sqrt(in).

    Raises:
      UserError: no linear map has such a name, or the rank is no lower than its width.
    """
    found: dict[str, dict[str, jax.Array]] = {}
    kernels = []
    leading = {path_name(p): int(np.ndim(x) > 0) for p, x in _leaves(stacked)}
    for number, (path, weights) in enumerate(_leaves(encoder)):
        name = path_name(path)
        if not name.endswith("/kernel"):
            continue
        kernels.append(name)
        if not re.fullmatch(config.lora_maps, name.removesuffix("/kernel")):
            continue
        axes = leading[name]
        layers, width = weights.shape[:axes], weights.shape[axes]
        out = int(np.prod(weights.shape[axes + 1 :]))
        if config.lora_rank >= min(width, out):
            raise UserError(
                f"config.encoder.lora_rank is {config.lora_rank}, and {name} maps {width} numbers"
                f" to {out}; the rank must be below both."
            )
        key = jax.random.fold_in(jax.random.key(seed), number)
        a = jax.random.normal(key, (*layers, width, config.lora_rank)) / np.sqrt(width)
        found[_key(name)] = {"a": a, "b": jnp.zeros((*layers, config.lora_rank, out))}
    if not found:
        raise UserError(
            f"config.encoder.lora_maps: no linear map of the encoder is called like"
            f" {config.lora_maps!r}; they are, without /kernel,"
            f" {', '.join(kernels[:8])}{', ...' if len(kernels) > 8 else ''}."
        )
    return found


def merged(
    encoder: Any, matrices: Mapping[str, Mapping[str, jax.Array]], config: EncoderConfig
) -> Any:
    """The encoder's parameters with `(alpha / r) a b` added to the maps that have matrices.

    Args:
      encoder: the base's.
      matrices: from `adapters`, trained.
      config: `lora_alpha` and `lora_rank`.
    """
    scale = config.lora_alpha / config.lora_rank

    def leaf(path: tuple[Any, ...], weights: jax.Array) -> jax.Array:
        pair = matrices.get(_key(path_name(path)))
        if pair is None:
            return weights
        product = jnp.matmul(pair["a"], pair["b"], precision=jax.lax.Precision.HIGHEST)
        return weights + scale * product.reshape(weights.shape)

    return jax.tree_util.tree_map_with_path(leaf, encoder)


def whole(params: Any, constants: Any, config: EncoderConfig) -> Any:
    """The model's parameters: those that are trained, with the encoder that they and the base make;
    without LoRA the same ones.
    """
    if ADAPTERS not in params:
        return params
    rest = {name: branch for name, branch in params.items() if name != ADAPTERS}
    return {**rest, "encoder": merged(constants[BASE], params[ADAPTERS], config)}


def lora_value_and_grad(
    value_and_grad: Callable[..., Any], config: EncoderConfig
) -> Callable[..., Any]:
    """The gradients by what is trained, of a function that has them by all parameters.

    Args:
      value_and_grad: `(params, constants, batch, key) -> ((value, terms), gradients)`.
      config: of the encoder.
    """

    def by_matrices(params: Any, constants: Any, batch: Any, key: jax.Array) -> Any:
        full, pull = jax.vjp(lambda params: whole(params, constants, config), params)
        found, gradients = value_and_grad(full, constants, batch, key)
        return found, pull(gradients)[0]

    return by_matrices


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _key(name: str) -> str:
    """A map's name as files may hold it."""
    return name.removesuffix("/kernel").replace("/", ".")
