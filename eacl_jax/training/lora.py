"""LoRA: the encoder stays as it is, and learns by matrices of low rank beside some of its linear
maps (arXiv 2106.09685).

The model itself knows nothing of it: before each pass its weights are made of the base's and the
matrices. So all architectures have it alike, and a finished stage leaves plain weights.
"""

import dataclasses
import functools
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eacl_jax.config import EncoderConfig
from eacl_jax.errors import SettingsError
from eacl_jax.model.low_rank import map_name, mean_of_products, merged
from eacl_jax.model.names import path_name
from eacl_jax.training.layer_layout import names_by_layer
from eacl_jax.training.loop import TrainState
from eacl_jax.training.soup import BestEpochs, mean_with

ADAPTERS = "lora"
"""The branch of parameters that stands in the encoder's place."""
BASE = "base"
"""Among the constants, the encoder's weights."""
_LAYERS = "layers/"


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
      seed: of `a`, which has a deviation of 1 / sqrt(in). A layer's is the same whether layers are
        stacked or not.

    Raises:
      SettingsError: no linear map has such a name, only some of stacked layers have it, or the rank
        is no lower than its width.
    """
    found: dict[str, dict[str, jax.Array]] = {}
    kernels = []
    depths = {path_name(path): depth for path, depth in _leaves(stacked)}
    for path, weights in _leaves(encoder):
        name = path_name(path)
        if not name.endswith("/kernel"):
            continue
        maps = names_by_layer(name.removesuffix("/kernel"), depths[name], _LAYERS)
        kernels.append(maps[0])
        if not _asked(maps, config.lora_maps):
            continue
        axes = int(np.ndim(depths[name]) > 0)
        layers, width = weights.shape[:axes], weights.shape[axes]
        out = int(np.prod(weights.shape[axes + 1 :]))
        if config.lora_rank >= min(width, out):
            raise SettingsError(
                f"config.encoder.lora_rank is {config.lora_rank}, and {name} maps {width} numbers"
                f" to {out}; the rank must be below both."
            )
        draw = functools.partial(_drawn, seed, name, (width, config.lora_rank))
        a = jnp.stack([draw((layer,)) for layer in range(layers[0])]) if layers else draw(())
        found[map_name(name)] = {"a": a, "b": jnp.zeros((*layers, config.lora_rank, out))}
    if not found:
        raise SettingsError(
            f"config.encoder.lora_maps: no linear map of the encoder is called like"
            f" {config.lora_maps!r}; they are, without /kernel,"
            f" {', '.join(kernels[:8])}{', ...' if len(kernels) > 8 else ''}."
        )
    return found


def _asked(names: Sequence[str], regex: str) -> bool:
    """Whether `encoder.lora_maps` is of a map, which has several names where layers are stacked.

    Raises:
      SettingsError: it is of some of these names alone.
    """
    asked = [name for name in names if re.fullmatch(regex, name)]
    if 0 < len(asked) < len(names):
        other = next(name for name in names if name not in asked)
        raise SettingsError(
            f"config.encoder.lora_maps: {regex!r} names single layers, {asked[0]} but not {other},"
            " while layers are stacked here, where a map has matrices in all of them or in none;"
            " set encoder.scan_layers=never."
        )
    return bool(asked)


def whole(params: Any, constants: Any, config: EncoderConfig) -> Any:
    """The model's parameters: those that are trained, with the encoder that they and the base make;
    without LoRA the same ones.
    """
    if ADAPTERS not in params:
        return params
    rest = {name: branch for name, branch in params.items() if name != ADAPTERS}
    scale = config.lora_alpha / config.lora_rank
    return {**rest, "encoder": merged(constants[BASE], params[ADAPTERS], scale)}


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


class BaseLeftOut:
    """A checkpoint holds what is trained: the base is in the encoder's files, and each run reads it
    from there. So it says which base it is that its matrices belong to.
    """

    def __init__(self, config: EncoderConfig, seed: int, identity: Mapping[str, str]) -> None:
        """Args:
        config: of the encoder.
        seed: of its weights, where they are random.
        identity: of its files, see `encoders.identify`.
        """
        settings = ("lora_rank", "lora_alpha", "lora_maps")
        base = f"drawn with seed {seed}" if config.random_weights else dict(identity)
        self.belongs: Mapping[str, Any] = {
            **{f"config.encoder.{name}": getattr(config, name) for name in settings},
            "the encoder's files": base,
        }

    def saved(self, state: TrainState) -> TrainState:
        """The state without the base."""
        rest = {name: value for name, value in state.constants.items() if name != BASE}
        return dataclasses.replace(state, constants=rest)

    def restored(self, state: TrainState, saved: TrainState) -> TrainState:
        """What was saved, with the base of the run's own state."""
        return dataclasses.replace(
            saved, constants={**saved.constants, BASE: state.constants[BASE]}
        )


class AdaptedEpochs(BestEpochs):
    """What is trained, of the epochs that rank highest or of the last ones. The mean of their
    encoders' weights is the base with matrices of so many times the rank, so that none of them is
    ever made whole.
    """

    def __init__(self, like: Any, size: int, *, last: bool) -> None:
        """`last`: keep the last epochs, whatever they rank."""
        super().__init__(like, size)
        self._last = last

    def add(self, epoch: int, rank: Sequence[float], weights: Any) -> None:
        """An epoch's weights."""
        super().add(epoch, [float(epoch)] if self._last else rank, weights)

    def mean(self) -> Any:
        """Matrices whose product is the mean of the products, and the mean of all else."""
        kept = [weights for _, weights in self._ordered()]
        rests = [{n: branch for n, branch in w.items() if n != ADAPTERS} for w in kept]
        found = rests[0]
        for count, rest in enumerate(rests, start=1):
            found = mean_with(found, rest, count)
        return {**found, ADAPTERS: mean_of_products([weights[ADAPTERS] for weights in kept])}


def _drawn(seed: int, name: str, shape: tuple[int, int], layer: tuple[int, ...]) -> jax.Array:
    """`a` of one map: by its name without numbers, and these, the layer's first."""
    parts = name.split("/")
    numbers = (*layer, *(int(part) for part in parts if part.isdigit()))
    plain = "/".join(part for part in parts if not part.isdigit())
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(plain.encode()))
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return jax.random.normal(key, shape) / np.sqrt(shape[0])


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]
