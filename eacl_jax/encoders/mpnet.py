"""MPNet (arXiv 2004.09297)."""

import math
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from eacl_jax.encoders.bert import HEADS, BertEncoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Shape
from eacl_jax.encoders.names import NameTable, linear, norm, table

# Fixed in the architecture, whatever config.json says of the table's rows and of the padding token.
BUCKETS = 32
FARTHEST = 128
POSITION_OFFSET = 2


def distance_buckets(length: int) -> np.ndarray:
    """Bucket of each query (axis 0) and key (axis 1): half of them for keys behind the query, half for keys ahead.

    Distances below 8 have their own; from 8 to 128 buckets widen with the logarithm; all that is farther shares the last.
    """
    half = BUCKETS // 2
    exact = half // 2
    ahead = np.arange(length)[None, :] - np.arange(length)[:, None]
    distance = np.abs(ahead)
    octaves = np.log(np.maximum(distance, exact).astype(np.float32) / exact) / np.float32(math.log(FARTHEST / exact))
    wide = np.minimum(exact + (octaves * (half - exact)).astype(np.int32), half - 1)
    return np.where(ahead > 0, half, 0) + np.where(distance < exact, distance, wide)


class MPNetEncoder(BertEncoder):
    """BERT without token types, with RoBERTa's positions and a bias by distance that all layers share."""

    names: ClassVar[NameTable] = NameTable(
        pairs=(
            *table("embeddings.word_embeddings", "embeddings.tokens"),
            *table("embeddings.position_embeddings", "embeddings.positions"),
            *norm("embeddings.LayerNorm", "embeddings.norm"),
            *table("encoder.relative_attention_bias", "distance_bias"),
            *linear("encoder.layer.{layer}.attention.attn.q", "layers.{layer}.attention.query"),
            *linear("encoder.layer.{layer}.attention.attn.k", "layers.{layer}.attention.key"),
            *linear("encoder.layer.{layer}.attention.attn.v", "layers.{layer}.attention.value"),
            *linear("encoder.layer.{layer}.attention.attn.o", "layers.{layer}.attention.output"),
            *norm("encoder.layer.{layer}.attention.LayerNorm", "layers.{layer}.attention_norm"),
            *linear("encoder.layer.{layer}.intermediate.dense", "layers.{layer}.feed_forward.up"),
            *linear("encoder.layer.{layer}.output.dense", "layers.{layer}.feed_forward.down"),
            *norm("encoder.layer.{layer}.output.LayerNorm", "layers.{layer}.feed_forward_norm"),
        ),
        anchor="embeddings.word_embeddings.weight",
        prefixes=("", "mpnet.", "0.auto_model.", "0.auto_model.mpnet."),
        ignored=HEADS,
    )
    below: ClassVar[tuple[str, ...]] = ("embeddings", "distance_bias")

    def __init__(self, shape: Shape, *, bias_rows: int, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(shape, position_offset=POSITION_OFFSET, rngs=rngs, **options)
        self.distance_bias = nnx.Embed(bias_rows, shape.num_heads, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=1, token_types=0)
        bias_rows = fields.integer("relative_attention_num_buckets", BUCKETS, at_least=BUCKETS)
        fields.need(shape.position_rows > POSITION_OFFSET, f"'max_position_embeddings' must be above {POSITION_OFFSET}")
        fields.check()
        return cls(shape, bias_rows=bias_rows, **options)

    def attention_bias(self, length: int) -> Float[Array, "heads length length"]:
        """The bias by distance between columns, which inside a segment is that between positions."""
        # A product with one-hot rows, because its gradient is a product too and not a scatter.
        chosen = jax.nn.one_hot(distance_buckets(length), self.distance_bias.num_embeddings, dtype=jnp.float32)
        return jnp.einsum("qkb,bh->hqk", chosen, self.distance_bias.embedding[...], precision=lax.Precision.HIGHEST)
