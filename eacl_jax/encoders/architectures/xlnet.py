"""XLNet (arXiv 1906.08237) as a bidirectional encoder: its content stream, each token seeing all
others.
"""

import dataclasses
import math
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.encoders.attention import attend, segment_mask
from eacl_jax.encoders.dropout import dropout
from eacl_jax.encoders.encoder import Encoder, Sizes
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import ACTIVATIONS, Norm, TokenEmbeddings
from eacl_jax.encoders.relative import by_key, distances
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import Name, NameTable, linear, norm, prefixes, table


@dataclasses.dataclass(frozen=True)
class Shape(Sizes):
    """What config.json says of an XLNet. `farthest`: distances beyond it count as this one; 0: none
    does.
    """

    num_heads: int
    intermediate_size: int
    activation: str
    norm_epsilon: float
    dropout: float
    farthest: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Reads the fields under their Hugging Face names."""
        fields.multiple("d_model", "n_head")
        # Half of the features of a distance are sines, half cosines.
        fields.need(fields.integer("d_model") % 2 == 0, "'d_model' must be even")
        fields.choice("attn_type", ("bi",), "bi")
        fields.choice("bi_data", (False,), False)
        return cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=fields.integer("d_model"),
            num_layers=fields.integer("n_layer"),
            num_heads=fields.integer("n_head"),
            intermediate_size=fields.integer("d_inner"),
            activation=fields.choice("ff_activation", tuple(ACTIVATIONS), "gelu"),
            norm_epsilon=fields.number("layer_norm_eps", 1e-12),
            dropout=fields.number("dropout", 0.1, below=1),
            farthest=max(fields.integer("clamp_len", -1, at_least=-1), 0),
        )


class Context(NamedTuple):
    """Whom a token sees, and the features of each distance."""

    mask: Bool[Array, "rows length length"]
    features: Float[Array, "distances hidden"]


class Project(nnx.Module):
    """A product without a bias, its kernel [hidden, heads, width] as the checkpoint has it."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        sizes = (shape.hidden_size, shape.num_heads, shape.hidden_size // shape.num_heads)
        self.kernel = nnx.Param(
            nnx.initializers.lecun_normal(out_axis=(1, 2))(rngs.params(), sizes)
        )
        self.dtype = dtype

    def __call__(self, hidden: Float[Array, "*batch hidden"]) -> Float[Array, "*batch heads width"]:
        return jnp.einsum(
            "...d,dhw->...hw", hidden.astype(self.dtype), self.kernel[...].astype(self.dtype)
        )

    def back(self, heads: Float[Array, "*batch heads width"]) -> Float[Array, "*batch hidden"]:
        """The product with the same kernel the other way round."""
        return jnp.einsum("...hw,dhw->...d", heads, self.kernel[...].astype(self.dtype))


class TypeTable(nnx.Module):
    """A row for tokens of the query's type, and one for others."""

    def __init__(self, by_head: tuple[int, int]) -> None:
        self.embedding = nnx.Param(jnp.zeros((2, *by_head)))


class Layer(nnx.Module):
    """Attention, then feed-forward, each added to its input and normalized after."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        hidden, heads = shape.hidden_size, shape.num_heads
        project = partial(Project, shape, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value, self.output, self.distance = (project() for _ in range(5))
        by_head = (heads, hidden // heads)
        self.content_bias, self.distance_bias = (
            nnx.Param(jnp.zeros(by_head)),
            nnx.Param(jnp.zeros(by_head)),
        )
        # Kept so that a checkpoint goes out as it came in. All tokens are of one type here, for
        # which these two add the same to all of a query's scores: the softmax takes it out again.
        self.type_bias = nnx.Param(jnp.zeros(by_head))
        self.types = TypeTable(by_head)
        self.attention_norm = Norm(hidden, shape.norm_epsilon, rngs=rngs)
        self.up = nnx.Linear(hidden, shape.intermediate_size, dtype=dtype, rngs=rngs)
        self.down = nnx.Linear(shape.intermediate_size, hidden, dtype=dtype, rngs=rngs)
        self.feed_forward_norm = Norm(hidden, shape.norm_epsilon, rngs=rngs)
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
        query, key_heads, values = self.query(hidden), self.key(hidden), self.value(hidden)
        scale = 1 / math.sqrt(query.shape[-1])
        by_distance = jnp.einsum(
            "rlhw,mhw->rhlm",
            query + self.distance_bias[...].astype(query.dtype),
            self.distance(context.features),
            preferred_element_type=jnp.float32,
        )
        attended = attend(
            query + self.content_bias[...].astype(query.dtype),
            key_heads,
            values,
            context.mask,
            bias=scale * by_key(by_distance),
            dropout_rate=rate,
            dropout_key=keys[0],
        )
        hidden = self.attention_norm(hidden + dropout(self.output.back(attended), rate, keys[1]))
        wide = dropout(ACTIVATIONS[self.shape.activation](self.up(hidden)), rate, keys[2])
        return self.feed_forward_norm(hidden + dropout(self.down(wide), rate, keys[3]))


def distance_features(
    length: int, width: int, farthest: int
) -> Float[np.ndarray, "distances hidden"]:
    """Sines, then cosines, of how far a key stands behind its query, at wavelengths from 2 pi to
    20000 pi; float32.
    """
    behind = -distances(length).astype(np.float32)
    if farthest:
        behind = np.clip(behind, -farthest, farthest)
    rates = 1 / np.power(
        np.float32(10000), np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    )
    angles = behind[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


_ATTENTION, _OURS = "layer.{layer}.rel_attn", "layers.{layer}"


class XLNetEncoder(Encoder):
    """XLNet.

    Args:
      shape: sizes and rates.
      dtype, scan_layers, frozen_layers, rngs: see `encoders.build`.
    """

    names: ClassVar[NameTable] = NameTable(
        pairs=(
            *table("word_embedding", "embeddings.tokens"),
            Name(f"{_ATTENTION}.q", f"{_OURS}.query.kernel"),
            Name(f"{_ATTENTION}.k", f"{_OURS}.key.kernel"),
            Name(f"{_ATTENTION}.v", f"{_OURS}.value.kernel"),
            Name(f"{_ATTENTION}.o", f"{_OURS}.output.kernel"),
            Name(f"{_ATTENTION}.r", f"{_OURS}.distance.kernel"),
            Name(f"{_ATTENTION}.r_w_bias", f"{_OURS}.content_bias"),
            Name(f"{_ATTENTION}.r_r_bias", f"{_OURS}.distance_bias"),
            Name(f"{_ATTENTION}.r_s_bias", f"{_OURS}.type_bias"),
            Name(f"{_ATTENTION}.seg_embed", f"{_OURS}.types.embedding"),
            *norm(f"{_ATTENTION}.layer_norm", f"{_OURS}.attention_norm"),
            *linear("layer.{layer}.ff.layer_1", f"{_OURS}.up"),
            *linear("layer.{layer}.ff.layer_2", f"{_OURS}.down"),
            *norm("layer.{layer}.ff.layer_norm", f"{_OURS}.feed_forward_norm"),
        ),
        anchor="word_embedding.weight",
        prefixes=prefixes("transformer"),
        # The second stream's start is for pretraining.
        ignored=(r"mask_emb", r"(lm_loss|logits_proj|sequence_summary|classifier|qa_outputs)\..+"),
    )

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
        self.shape, self.dtype = shape, dtype
        self.embeddings = TokenEmbeddings(
            shape.vocab_size, shape.hidden_size, shape.dropout, dtype=dtype, rngs=rngs
        )
        self.layers = stack_layers(
            lambda rngs: Layer(shape, dtype=dtype, rngs=rngs),
            shape.num_layers,
            scan=scan_layers,
            rngs=rngs,
        )

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
        features = jnp.asarray(
            distance_features(positions.shape[1], self.hidden_size, self.shape.farthest), self.dtype
        )
        return Context(
            segment_mask(segment_ids), dropout(features, self.shape.dropout, key, rows_axis=None)
        )

    def finish(
        self, hidden: Float[Array, "rows length hidden"], *, key: Array | None
    ) -> Float[Array, "rows length hidden"]:
        return dropout(hidden, self.shape.dropout, key)
