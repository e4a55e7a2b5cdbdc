"""An encoder's layers one by one, and what the architectures' programs have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx

from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import activation, linear, norm, take_columns


class Given(NamedTuple):
    """What an encoder is given.

    Attributes:
      tokens, positions, segment_ids: int32 [R, L].
      read: int64 [R, S], the columns whose hidden states are wanted; None: all.
    """

    tokens: Value
    positions: Value
    segment_ids: Value
    read: Value | None

    @property
    def length(self) -> Value:
        """int64 [1]: L."""
        return self.tokens.size(1)


Encode = Callable[[Any, Given], Value]


def layers_of(encoder: Any) -> list[Any]:
    """The layers, whether stacked or not."""
    if isinstance(encoder.layers, nnx.List):
        return list(encoder.layers)
    graphdef, stacked = nnx.split(encoder.layers)
    return [
        nnx.merge(graphdef, jax.tree.map(lambda leaf, at=number: leaf[at], stacked))
        for number in range(encoder.num_layers)
    ]


def read_from(hidden: Value, read: Value | None) -> Value:
    """The columns that are read."""
    return hidden if read is None else take_columns(hidden, read)


def post_norm(layer: Any, hidden: Value, attended: Value) -> Value:
    """What follows attention in `encoders.layers.PostNormLayer`."""
    hidden = norm(hidden + attended, layer.attention_norm)
    widen = layer.feed_forward
    wide = activation(linear(hidden, widen.up), widen.activation)
    return norm(hidden + linear(wide, widen.down), layer.feed_forward_norm)
