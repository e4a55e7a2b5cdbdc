"""A stack of like layers: stacked parameters under one scan, or one module a layer. Same numbers either way."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float


def stack_layers(make: Callable[[nnx.Rngs], nnx.Module], num_layers: int, *, scan: bool, rngs: nnx.Rngs) -> Any:
    """`num_layers` layers made by `make`: one module whose parameters have a leading layer axis, or an `nnx.List`."""
    if not scan:
        return nnx.List([make(rngs) for _ in range(num_layers)])
    return nnx.split_rngs(splits=num_layers)(nnx.vmap(make, in_axes=0, out_axes=0))(rngs)


def held(module: nnx.Module) -> Any:
    """The same module with parameters that no gradient reaches.

    What it makes of tokens, or of hidden states that no gradient reaches either, costs nothing in a backward pass.
    """
    graphdef, params = nnx.split(module)
    return nnx.merge(graphdef, lax.stop_gradient(params))


def run_layers(
    layers: Any, hidden: Float[Array, "..."], shared: tuple[Any, ...], keys: Array | None, *, frozen: int
) -> Float[Array, "..."]:
    """Runs `layer(hidden, *shared, key=key)` through the stack.

    Args:
      layers: what `stack_layers` returned.
      hidden: what goes into the first layer.
      shared: arguments that are the same for every layer.
      keys: one dropout key a layer, or None.
      frozen: the parameters of this many lower layers are held.
    """
    if isinstance(layers, nnx.List):
        for index, layer in enumerate(layers):
            layer = held(layer) if index < frozen else layer
            hidden = layer(hidden, *shared, key=None if keys is None else keys[index])
        return hidden

    graphdef, stacked = nnx.split(layers)

    def step(hidden: Array, layer: tuple[Any, Array | None]) -> tuple[Array, None]:
        params, key = layer
        return nnx.merge(graphdef, params)(hidden, *shared, key=key), None

    if frozen:
        below, stacked = (jax.tree.map(lambda p, part=part: p[part], stacked) for part in (slice(frozen), slice(frozen, None)))
        hidden, _ = lax.scan(step, hidden, (lax.stop_gradient(below), None if keys is None else keys[:frozen]))
        keys = None if keys is None else keys[frozen:]
    if jax.tree.leaves(stacked)[0].shape[0]:
        hidden, _ = lax.scan(step, hidden, (stacked, keys))
    return hidden
