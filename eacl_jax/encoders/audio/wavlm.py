"""WavLM (arXiv 2110.13900): HuBERT whose attention knows distances, and frames that say how much
they matter.
"""

import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import segment_mask
from eacl_jax.encoders.audio.encoder import AudioEncoder, Layer, audio_names
from eacl_jax.encoders.audio.shape import Shape
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Context
from eacl_jax.encoders.relative import bias_by_bucket, distances, logarithmic_buckets
from eacl_jax.encoders.weights.names import Name, NameTable, linear, table


@dataclasses.dataclass(frozen=True)
class WavLMShape(Shape):
    """`buckets`: of distances; all from `farthest` frames on share one, in either direction."""

    buckets: int = 0
    farthest: int = 0


class GatedLayer(Layer):
    """A layer in which each frame gates, by head, what the distances add to its scores."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        super().__init__(shape, dtype=dtype, rngs=rngs)
        width = shape.hidden_size // shape.num_heads
        self.gates = nnx.Linear(width, 8, dtype=dtype, rngs=rngs)
        self.gate_scale = nnx.Param(jnp.ones((1, shape.num_heads, 1, 1)))

    def bias(
        self, hidden: Float[Array, "rows frames hidden"], context: Context
    ) -> Float[Array, "rows heads frames frames"]:
        """The distances' part of the scores, by the query's gate (section 3.1 of the paper)."""
        assert context.bias is not None
        rows, length = hidden.shape[:2]
        by_head = jnp.swapaxes(hidden.reshape(rows, length, self.shape.num_heads, -1), 1, 2)
        sums = jnp.sum(self.gates(by_head).reshape(*by_head.shape[:3], 2, 4), axis=-1)
        update, reset = jnp.split(jax.nn.sigmoid(sums.astype(jnp.float32)), 2, axis=-1)
        return (update * (reset * self.gate_scale[...] - 1) + 2) * context.bias


_ATTENTION = "encoder.layers.{layer}.attention"


class WavLMEncoder(AudioEncoder):
    """HuBERT with gated distances; their table belongs to the first layer, and all use it."""

    names: ClassVar[NameTable] = audio_names(
        "wavlm",
        *table("encoder.layers.0.attention.rel_attn_embed", "distance_bias"),
        *linear(f"{_ATTENTION}.gru_rel_pos_linear", "layers.{layer}.gates"),
        Name(f"{_ATTENTION}.gru_rel_pos_const", "layers.{layer}.gate_scale"),
    )
    layer_type: ClassVar[type[Layer]] = GatedLayer

    def __init__(self, shape: WavLMShape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        super().__init__(shape, dtype=dtype, rngs=rngs)
        self.buckets, self.farthest = shape.buckets, shape.farthest
        self.distance_bias = nnx.Embed(shape.buckets, shape.num_heads, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        buckets = fields.integer("num_buckets", 320, at_least=4)
        farthest = fields.integer("max_bucket_distance", 800)
        fields.need(
            farthest > buckets // 4,
            f"'max_bucket_distance' ({farthest}) must be above a quarter of 'num_buckets'"
            f" ({buckets})",
        )
        shape = WavLMShape(
            **dataclasses.asdict(Shape.read(fields)), buckets=buckets, farthest=farthest
        )
        fields.check()
        return cls(shape, **options)

    def context(self, segment_ids: Int[Array, "rows frames"]) -> Context:
        rows = logarithmic_buckets(
            distances(segment_ids.shape[1]), buckets=self.buckets, farthest=self.farthest
        )
        return Context(
            segment_mask(segment_ids), bias_by_bucket(self.distance_bias.embedding[...], rows)
        )
