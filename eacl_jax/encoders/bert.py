"""BERT (arXiv 1810.04805)."""

from typing import Any, ClassVar, Self

import jax.numpy as jnp
from flax import nnx

from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Embeddings, PostNormLayer, Shape
from eacl_jax.encoders.names import NameTable, linear, norm, table
from eacl_jax.encoders.stack import stack_layers


def bert_names(model: str) -> NameTable:
    """The names that BERT and its descendants share. `model`: the name under which task models hold the encoder."""
    layer, ours = "encoder.layer.{layer}", "layers.{layer}"
    return NameTable(
        pairs=(
            *table("embeddings.word_embeddings", "embeddings.tokens"),
            *table("embeddings.position_embeddings", "embeddings.positions"),
            *table("embeddings.token_type_embeddings", "embeddings.types"),
            *norm("embeddings.LayerNorm", "embeddings.norm"),
            *linear(f"{layer}.attention.self.query", f"{ours}.attention.query"),
            *linear(f"{layer}.attention.self.key", f"{ours}.attention.key"),
            *linear(f"{layer}.attention.self.value", f"{ours}.attention.value"),
            *linear(f"{layer}.attention.output.dense", f"{ours}.attention.output"),
            *norm(f"{layer}.attention.output.LayerNorm", f"{ours}.attention_norm"),
            *linear(f"{layer}.intermediate.dense", f"{ours}.feed_forward.up"),
            *linear(f"{layer}.output.dense", f"{ours}.feed_forward.down"),
            *norm(f"{layer}.output.LayerNorm", f"{ours}.feed_forward_norm"),
        ),
        anchor="embeddings.word_embeddings.weight",
        prefixes=("", f"{model}.", "0.auto_model.", f"0.auto_model.{model}."),
        ignored=HEADS,
    )


# Tensors of task heads, and buffers that older checkpoints carry.
HEADS = (r"pooler\..+", r"lm_head\..+", r"cls\..+", r"classifier\..+", r"embeddings\.(position_ids|token_type_ids)")


class BertEncoder(Encoder):
    """BERT; RoBERTa and MPNet are this with another offset, names and bias.

    Args:
      shape: sizes and rates.
      position_offset: row of the position table for position 0.
      dtype: of activations and matrix products.
      scan_layers, frozen_layers: see `encoders.build`.
      rngs: draws the first values of the parameters.
    """

    names: ClassVar[NameTable] = bert_names("bert")

    def __init__(
        self, shape: Shape, *, position_offset: int, dtype: jnp.dtype, scan_layers: bool, frozen_layers: int, rngs: nnx.Rngs
    ) -> None:
        self.hidden_size = shape.hidden_size
        self.num_layers = shape.num_layers
        self.vocab_size = shape.vocab_size
        self.max_length = shape.position_rows - position_offset
        self.frozen_layers = frozen_layers
        self.embeddings = Embeddings(shape, position_offset=position_offset, dtype=dtype, rngs=rngs)
        self.layers = stack_layers(
            lambda rngs: PostNormLayer(shape, dtype=dtype, rngs=rngs), shape.num_layers, scan=scan_layers, rngs=rngs
        )

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=0)
        fields.check()
        return cls(shape, position_offset=0, **options)
