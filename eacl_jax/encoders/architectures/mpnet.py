"""MPNet (arXiv 2004.09297)."""

from typing import Any, ClassVar, Self

from flax import nnx
from jaxtyping import Array, Float

from eacl_jax.encoders.architectures.bert import HEADS, BertEncoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Shape
from eacl_jax.encoders.relative import bias_by_bucket, distances, logarithmic_buckets
from eacl_jax.encoders.weights.names import NameTable, linear, norm, prefixes, table

# Fixed in the architecture, whatever config.json says of the table's rows and of the padding token.
BUCKETS = 32
FARTHEST = 128
POSITION_OFFSET = 2


class MPNetEncoder(BertEncoder):
    """BERT without token types, with RoBERTa's positions and a bias by distance that all layers
    share.
    """

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
        prefixes=prefixes("mpnet"),
        ignored=HEADS,
    )
    below: ClassVar[tuple[str, ...]] = ("embeddings", "distance_bias")
    takes_prefix: ClassVar[bool] = False

    def __init__(self, shape: Shape, *, bias_rows: int, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(shape, position_offset=POSITION_OFFSET, rngs=rngs, **options)
        self.distance_bias = nnx.Embed(bias_rows, shape.num_heads, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields, pad_token_id=1, token_types=0)
        bias_rows = fields.integer("relative_attention_num_buckets", BUCKETS, at_least=BUCKETS)
        fields.need(
            shape.position_rows > POSITION_OFFSET,
            f"'max_position_embeddings' must be above {POSITION_OFFSET}",
        )
        fields.check()
        return cls(shape, bias_rows=bias_rows, **options)

    def attention_bias(self, length: int) -> Float[Array, "heads length length"]:
        """The bias by distance."""
        buckets = logarithmic_buckets(distances(length), buckets=BUCKETS, farthest=FARTHEST)
        return bias_by_bucket(self.distance_bias.embedding[...], buckets)
