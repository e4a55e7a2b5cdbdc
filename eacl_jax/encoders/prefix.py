"""Keys and values that every layer attends to beside the tokens: PromCSE's prompts (arXiv
2203.06875), after P-tuning v2.

A checkpoint says by its tensors whether it has them; config.json is silent.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.names import linear, table

PREFIX_NAMES = (
    *table("prefix_encoder.embedding", "prefix.table"),
    *linear("prefix_encoder.trans.0", "prefix.up"),
    *linear("prefix_encoder.trans.2", "prefix.down"),
)
PREFIX_TENSORS = r"prefix_encoder\..+"


class PrefixShape(NamedTuple):
    """Length of a prefix, and the width of the two-layer network that makes it of a smaller table;
    0: there is none.
    """

    length: int
    projection: int = 0

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "PrefixShape | None":
        """The prefix that a checkpoint holds, or None."""
        names = set(checkpoint.keys())
        if "prefix_encoder.embedding.weight" not in names:
            return None
        shape, _ = checkpoint.describe("prefix_encoder.embedding.weight")
        length = shape[0] if shape else 0
        projection = "prefix_encoder.trans.0.weight"
        return cls(length, checkpoint.describe(projection)[0][0] if projection in names else 0)


class Prefix(nnx.Module):
    """The prefix of all layers, from one table."""

    def __init__(
        self, shape: PrefixShape, hidden_size: int, num_layers: int, *, rngs: nnx.Rngs
    ) -> None:
        everything = num_layers * 2 * hidden_size
        self.table = nnx.Embed(
            shape.length, hidden_size if shape.projection else everything, rngs=rngs
        )
        self.up = nnx.Linear(hidden_size, shape.projection, rngs=rngs) if shape.projection else None
        self.down = (
            nnx.Linear(shape.projection, everything, rngs=rngs) if shape.projection else None
        )
        self.num_layers = num_layers

    def __call__(self) -> Float[Array, "layers 2 prefix hidden"]:
        """Each layer's keys and values, before they are parted into heads."""
        rows = self.table.embedding[...]
        if self.up is not None and self.down is not None:
            rows = self.down(jnp.tanh(self.up(rows)))
        return rows.reshape(rows.shape[0], self.num_layers, 2, -1).transpose(1, 2, 0, 3)
