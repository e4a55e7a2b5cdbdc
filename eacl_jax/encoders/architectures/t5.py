"""T5's encoder (arXiv 1910.10683), of versions 1.0 and 1.1, and mT5's."""

import dataclasses
from functools import partial
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import attend, segment_mask
from eacl_jax.encoders.dropout import dropout
from eacl_jax.encoders.encoder import Encoder, Sizes
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import ACTIVATIONS, Context, RMSNorm, TokenEmbeddings
from eacl_jax.encoders.relative import bias_by_bucket, distances, logarithmic_buckets
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import Name, NameTable, linear, table


@dataclasses.dataclass(frozen=True)
class Shape(Sizes):
    """What config.json says of a T5's encoder."""

    num_heads: int
    head_width: int
    intermediate_size: int
    buckets: int
    farthest: int
    gated: bool
    activation: str
    norm_epsilon: float
    dropout: float

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Reads the fields under their Hugging Face names."""
        known = ("relu", "gelu", "gelu_new", "silu")
        kind = fields.choice(
            "feed_forward_proj", (*known, *(f"gated-{name}" for name in known)), "relu"
        )
        plain = kind.removeprefix("gated-")
        # The name of old: what "gated-gelu" stands for is the tanh approximation.
        implied = "gelu_new" if kind == "gated-gelu" else plain
        buckets = fields.integer("relative_attention_num_buckets", 32, at_least=4)
        farthest = fields.integer("relative_attention_max_distance", 128)
        fields.need(
            farthest > buckets // 4,
            f"'relative_attention_max_distance' ({farthest}) must be above a quarter of the buckets"
            f" ({buckets})",
        )
        return cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=fields.integer("d_model"),
            num_layers=fields.integer("num_layers"),
            num_heads=fields.integer("num_heads"),
            head_width=fields.integer("d_kv"),
            intermediate_size=fields.integer("d_ff"),
            buckets=buckets,
            farthest=farthest,
            gated=kind != plain,
            activation=fields.choice("dense_act_fn", known, implied),  # which wins
            norm_epsilon=fields.number("layer_norm_epsilon", 1e-6),
            dropout=fields.number("dropout_rate", 0.1, below=1),
        )


class Layer(nnx.Module):
    """Attention without scaling and feed-forward, each normalized before and added to its input; no
    biases.
    """

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        hidden, inner, wide = (
            shape.hidden_size,
            shape.num_heads * shape.head_width,
            shape.intermediate_size,
        )
        dense = partial(nnx.Linear, use_bias=False, dtype=dtype, rngs=rngs)
        self.attention_norm = RMSNorm(hidden, shape.norm_epsilon, rngs=rngs)
        self.query, self.key, self.value = (dense(hidden, inner) for _ in range(3))
        self.output = dense(inner, hidden)
        self.feed_forward_norm = RMSNorm(hidden, shape.norm_epsilon, rngs=rngs)
        # Either one product up, or two: one that is bent and one that gates it.
        self.up = None if shape.gated else dense(hidden, wide)
        self.bent = dense(hidden, wide) if shape.gated else None
        self.gate = dense(hidden, wide) if shape.gated else None
        self.down = dense(wide, hidden)
        self.shape = shape

    def __call__(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Context,
        per_layer: None,
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        keys = (None,) * 4 if key is None else jax.random.split(key, 4)
        rate = self.shape.dropout
        normalized = self.attention_norm(hidden)
        by_head = (*hidden.shape[:2], self.shape.num_heads, self.shape.head_width)
        query, key_heads, values = (
            project(normalized).reshape(by_head) for project in (self.query, self.key, self.value)
        )
        attended = attend(
            query,
            key_heads,
            values,
            context.mask,
            bias=context.bias,
            scale=1.0,
            dropout_rate=rate,
            dropout_key=keys[0],
        )
        hidden = hidden + dropout(
            self.output(attended.reshape(*hidden.shape[:2], -1)), rate, keys[1]
        )
        normalized = self.feed_forward_norm(hidden)
        return hidden + dropout(
            self.down(dropout(self._widen(normalized), rate, keys[2])), rate, keys[3]
        )

    def _widen(
        self, normalized: Float[Array, "rows length hidden"]
    ) -> Float[Array, "rows length wide"]:
        activation = ACTIVATIONS[self.shape.activation]
        if self.up is not None:
            return activation(self.up(normalized))
        assert self.bent is not None
        assert self.gate is not None
        return activation(self.bent(normalized)) * self.gate(normalized)


_BLOCK, _OURS = "encoder.block.{layer}.layer", "layers.{layer}"


class T5Encoder(Encoder):
    """The encoder of a T5, or a T5 that is an encoder only.

    Args:
      shape: sizes and rates.
      dtype, scan_layers, frozen_layers, rngs: see `encoders.build`.
    """

    names: ClassVar[NameTable] = NameTable(
        pairs=(
            *table("shared", "embeddings.tokens"),
            # The first layer's tensor, which all layers use.
            *table(
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias", "distance_bias"
            ),
            Name(f"{_BLOCK}.0.layer_norm.weight", f"{_OURS}.attention_norm.scale"),
            *linear(f"{_BLOCK}.0.SelfAttention.q", f"{_OURS}.query"),
            *linear(f"{_BLOCK}.0.SelfAttention.k", f"{_OURS}.key"),
            *linear(f"{_BLOCK}.0.SelfAttention.v", f"{_OURS}.value"),
            *linear(f"{_BLOCK}.0.SelfAttention.o", f"{_OURS}.output"),
            Name(f"{_BLOCK}.1.layer_norm.weight", f"{_OURS}.feed_forward_norm.scale"),
            *linear(f"{_BLOCK}.1.DenseReluDense.wi", f"{_OURS}.up"),
            *linear(f"{_BLOCK}.1.DenseReluDense.wi_0", f"{_OURS}.bent"),
            *linear(f"{_BLOCK}.1.DenseReluDense.wi_1", f"{_OURS}.gate"),
            *linear(f"{_BLOCK}.1.DenseReluDense.wo", f"{_OURS}.down"),
            Name("encoder.final_layer_norm.weight", "norm.scale"),
        ),
        anchor="shared.weight",
        prefixes=("", "transformer.", "0.auto_model."),
        ignored=(r"decoder\..+", r"(lm_head|classifier|classification_head)\..+"),
        aliases={"encoder.embed_tokens.weight": "shared.weight"},
    )
    below: ClassVar[tuple[str, ...]] = ("embeddings", "distance_bias")

    def __init__(
        self,
        shape: Shape,
        *,
        dtype: jnp.dtype,
        scan_layers: bool,
        frozen_layers: int,
        rngs: nnx.Rngs,
    ) -> None:
        self.set_sizes(shape, max_length=None, frozen_layers=frozen_layers)
        self.shape = shape
        self.embeddings = TokenEmbeddings(
            shape.vocab_size, shape.hidden_size, shape.dropout, dtype=dtype, rngs=rngs
        )
        self.distance_bias = nnx.Embed(shape.buckets, shape.num_heads, rngs=rngs)
        self.layers = stack_layers(
            lambda rngs: Layer(shape, dtype=dtype, rngs=rngs),
            shape.num_layers,
            scan=scan_layers,
            rngs=rngs,
        )
        self.norm = RMSNorm(shape.hidden_size, shape.norm_epsilon, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields)
        fields.check()
        return cls(shape, **options)

    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Context:
        buckets = logarithmic_buckets(
            distances(positions.shape[1]), buckets=self.shape.buckets, farthest=self.shape.farthest
        )
        return Context(
            segment_mask(segment_ids), bias_by_bucket(self.distance_bias.embedding[...], buckets)
        )

    def finish(
        self, hidden: Float[Array, "rows length hidden"], *, key: Array | None
    ) -> Float[Array, "rows length hidden"]:
        return dropout(self.norm(hidden), self.shape.dropout, key)
