"""A stack of like layers: stacked parameters under one scan, or one module a layer. Same numbers
either way.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int


def stack_layers(
    make: Callable[[nnx.Rngs], nnx.Module], num_layers: int, *, scan: bool, rngs: nnx.Rngs
) -> Any:
    """`num_layers` layers made by `make`: one module whose parameters have a leading layer axis, or
    an `nnx.List`.
    """
    if not scan:
        return nnx.List([make(rngs) for _ in range(num_layers)])
    return nnx.split_rngs(splits=num_layers)(nnx.vmap(make, in_axes=0, out_axes=0))(rngs)


def without_gradients(module: nnx.Module) -> Any:
    """The same module with parameters that no gradient reaches.

    What it makes of tokens, or of hidden states that no gradient reaches either, costs nothing in a
    backward pass.
    """
    graphdef, params = nnx.split(module)
    return nnx.merge(graphdef, lax.stop_gradient(params))


def run_layers(
    layers: Any,
    hidden: Float[Array, "..."],
    context: Any,
    per_layer: Any,
    keys: Array | None,
    *,
    frozen: int,
    start: int,
    stop: int,
    remat: bool = False,
) -> Float[Array, "..."]:
    """Runs `layer(hidden, context, per_layer, key=key)` through layers `start` to `stop`
    (exclusive) of the stack.

    Args:
      layers: what `stack_layers` returned.
      hidden: what goes into the first of them.
      context: the same for every layer.
      per_layer: a tree of arrays with a leading layer axis, over the whole stack, of which each
        layer gets its row; or None.
      keys: one dropout key a layer, over the whole stack, or None.
      frozen: the parameters of this many lower layers are frozen.
      remat: keep only each layer's input for the backward pass, which runs the layer again.
    """
    recomputed = jax.checkpoint if remat else lambda function: function

    def row(index: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[index], (per_layer, keys))

    if isinstance(layers, nnx.List):
        for index in range(start, stop):
            mine, key = row(index)
            graphdef, params = nnx.split(
                without_gradients(layers[index]) if index < frozen else layers[index]
            )
            layer = recomputed(
                lambda params, *inputs, key, graphdef=graphdef: nnx.merge(graphdef, params)(
                    *inputs, key=key
                )
            )
            hidden = layer(params, hidden, context, mine, key=key)
        return hidden

    graphdef, stacked = nnx.split(layers)

    @recomputed
    def step(hidden: Array, layer: tuple[Any, Any, Array | None]) -> tuple[Array, None]:
        params, mine, key = layer
        return nnx.merge(graphdef, params)(hidden, context, mine, key=key), None

    edge = min(max(frozen, start), stop)
    for first, last in ((start, edge), (edge, stop)):
        if first < last:
            params, mine, some = jax.tree.map(
                lambda leaf, run=slice(first, last): leaf[run], (stacked, per_layer, keys)
            )
            hidden, _ = lax.scan(
                step, hidden, (lax.stop_gradient(params) if last <= frozen else params, mine, some)
            )
    return hidden


def run_last_layer(
    layers: Any,
    hidden: Float[Array, "rows length hidden"],
    context: Any,
    per_layer: Any,
    keys: Array | None,
    *,
    frozen: bool,
    read: Int[Array, "rows slots"],
) -> Float[Array, "rows slots hidden"]:
    """Runs the stack's last layer as `layer(hidden, context, per_layer, key=key, read=read)`: for
    the tokens in columns `read`.

    Arguments as for `run_layers`; `frozen`: the layer's parameters are frozen.
    """
    if isinstance(layers, nnx.List):
        layer = layers[-1]
    else:
        graphdef, stacked = nnx.split(layers)
        layer = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[-1], stacked))
    of_layer, key = jax.tree.map(lambda leaf: leaf[-1], (per_layer, keys))
    return (without_gradients(layer) if frozen else layer)(
        hidden, context, of_layer, key=key, read=read
    )
