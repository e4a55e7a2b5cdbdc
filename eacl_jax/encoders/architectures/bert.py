"""BERT (arXiv 1810.04805)."""

from typing import Any, ClassVar, Self

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import segment_mask
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Context, Embeddings, PostNormLayer, SelfAttention, Shape
from eacl_jax.encoders.prefix import PREFIX_NAMES, Prefix, PrefixShape
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import NameTable, linear, norm, prefixes, table

# Tensors of task heads, and buffers that older checkpoints carry.
HEADS = (
    r"(pooler|lm_head|cls|classifier|mlp)\..+",
    r"(discriminator|generator)_predictions\..+",
    r"generator_lm_head\..+",
    r"embeddings\.(position_ids|token_type_ids)",
)


def bert_names(model: str) -> NameTable:
    """The names that BERT and its descendants share. `model`: the name under which task models hold
    the encoder.
    """
    layer, ours = "encoder.layer.{layer}", "layers.{layer}"
    return NameTable(
        pairs=(
            *table("embeddings.word_embeddings", "embeddings.tokens"),
            *table("embeddings.position_embeddings", "embeddings.positions"),
            *table("embeddings.token_type_embeddings", "embeddings.types"),
            *norm("embeddings.LayerNorm", "embeddings.norm"),
            *linear("embeddings_project", "projection"),
            *linear(f"{layer}.attention.self.query", f"{ours}.attention.query"),
            *linear(f"{layer}.attention.self.key", f"{ours}.attention.key"),
            *linear(f"{layer}.attention.self.value", f"{ours}.attention.value"),
            *linear(f"{layer}.attention.output.dense", f"{ours}.attention.output"),
            *norm(f"{layer}.attention.output.LayerNorm", f"{ours}.attention_norm"),
            *linear(f"{layer}.intermediate.dense", f"{ours}.feed_forward.up"),
            *linear(f"{layer}.output.dense", f"{ours}.feed_forward.down"),
            *norm(f"{layer}.output.LayerNorm", f"{ours}.feed_forward_norm"),
            *PREFIX_NAMES,
        ),
        anchor="embeddings.word_embeddings.weight",
        prefixes=prefixes(model),
        ignored=HEADS,
    )


class BertEncoder(Encoder):
    """BERT; ELECTRA, RoBERTa and MPNet are this with another width, offset, names and bias.

    Args:
      shape: sizes and rates.
      position_offset: row of the position table for position 0.
      dtype: of activations and matrix products.
      scan_layers, frozen_layers, prefix: see `encoders.build`.
      rngs: draws the first values of the parameters.
      embedding_size: of the tables, where it is not the hidden size: they are then projected to it.
    """

    names: ClassVar[NameTable] = bert_names("bert")
    below: ClassVar[tuple[str, ...]] = ("embeddings", "projection", "prefix")
    takes_prefix: ClassVar[bool] = True
    reads_last: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        *,
        position_offset: int,
        dtype: jnp.dtype,
        scan_layers: bool,
        frozen_layers: int,
        rngs: nnx.Rngs,
        prefix: PrefixShape | None = None,
        embedding_size: int | None = None,
    ) -> None:
        # Positions count on from the prefix, as if its keys and values had been tokens.
        position_offset += prefix.length if prefix else 0
        self.set_sizes(
            shape, max_length=shape.position_rows - position_offset, frozen_layers=frozen_layers
        )
        width = embedding_size or shape.hidden_size
        self.embeddings = Embeddings(
            shape, width=width, position_offset=position_offset, dtype=dtype, rngs=rngs
        )
        narrow = width != shape.hidden_size
        self.projection = (
            nnx.Linear(width, shape.hidden_size, dtype=dtype, rngs=rngs) if narrow else None
        )
        self.prefix = (
            Prefix(prefix, shape.hidden_size, shape.num_layers, rngs=rngs) if prefix else None
        )
        self.layers = stack_layers(
            lambda rngs: PostNormLayer(
                shape, SelfAttention(shape, dtype=dtype, rngs=rngs), dtype=dtype, rngs=rngs
            ),
            shape.num_layers,
            scan=scan_layers,
            rngs=rngs,
        )

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=0)
        fields.check()
        return cls(shape, position_offset=0, **options)

    def embed(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        embedded = self.embeddings(tokens, positions, key=key)
        return embedded if self.projection is None else self.projection(embedded)

    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Context:
        return Context(segment_mask(segment_ids), self.attention_bias(positions.shape[1]))

    def attention_bias(self, length: int) -> Float[Array, "heads length length"] | None:
        """What is added to all layers' attention scores: nothing, unless an architecture says
        otherwise.
        """
        return None

    def per_layer(self) -> Float[Array, "layers 2 prefix hidden"] | None:
        return None if self.prefix is None else self.prefix()
