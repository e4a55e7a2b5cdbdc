"""The pieces that encoders are made of."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from eacl_jax.encoders.attention import attend
from eacl_jax.encoders.dropout import dropout
from eacl_jax.encoders.encoder import Sizes
from eacl_jax.encoders.fields import Fields


def _recomputed(function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """The same function of one array; its backward pass keeps nothing but the input.

    Left to itself, the derivative keeps several arrays as large as the input, which is a layer's
    widest: writing them costs more than computing them again.
    """

    @jax.custom_vjp
    def apply(x: jax.Array) -> jax.Array:
        return function(x)

    apply.defvjp(lambda x: (function(x), x), lambda x, gradient: jax.vjp(function, x)[1](gradient))
    return apply


@_recomputed
def _gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    # Not jax.nn.gelu: its erfc is costlier than erf, and only differs where x * erfc(-x) is below
    # float32's 1e-7 of x.
    return 0.5 * x * (1 + jax.lax.erf(x * np.sqrt(0.5).astype(x.dtype)))


_gelu_tanh = _recomputed(partial(jax.nn.gelu, approximate=True))

# By the names that config.json uses. "gelu" is the exact one, through erf; the others of its kind
# are the tanh approximation.
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": _gelu,
    "gelu_python": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}


@dataclasses.dataclass(frozen=True)
class Shape(Sizes):
    """What config.json says of an encoder of BERT's family. `pad_token_id`'s default is the
    architecture's.
    """

    num_heads: int
    intermediate_size: int
    position_rows: int
    token_types: int
    pad_token_id: int
    activation: str
    norm_epsilon: float
    hidden_dropout: float
    attention_dropout: float

    @classmethod
    def read(
        cls,
        fields: Fields,
        *,
        pad_token_id: int,
        token_types: int | None = None,
        default_types: int = 2,
        epsilon: float = 1e-12,
    ) -> Self:
        """Reads the fields under their Hugging Face names.

        Args:
          fields: config.json.
          pad_token_id: default of this field.
          token_types: where given, the field is not looked up.
          default_types: default of the number of token types.
          epsilon: default of LayerNorm's.
        """
        shape = cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=fields.integer("hidden_size"),
            num_layers=fields.integer("num_hidden_layers"),
            num_heads=fields.integer("num_attention_heads"),
            intermediate_size=fields.integer("intermediate_size"),
            position_rows=fields.integer("max_position_embeddings"),
            token_types=(
                fields.integer("type_vocab_size", default_types, at_least=0)
                if token_types is None
                else token_types
            ),
            pad_token_id=fields.integer("pad_token_id", pad_token_id, at_least=0),
            activation=fields.choice("hidden_act", tuple(ACTIVATIONS), "gelu"),
            norm_epsilon=fields.number("layer_norm_eps", epsilon),
            hidden_dropout=fields.number("hidden_dropout_prob", 0.1, below=1),
            attention_dropout=fields.number("attention_probs_dropout_prob", 0.1, below=1),
        )
        fields.multiple("hidden_size", "num_attention_heads")
        fields.choice("position_embedding_type", ("absolute",), "absolute")
        fields.choice("is_decoder", (False,), False)
        return shape


class Norm(nnx.LayerNorm):
    """LayerNorm computed in float32 from end to end; the result has the input's type."""

    def __init__(
        self, width: int, epsilon: float, *, rngs: nnx.Rngs, use_bias: bool = True
    ) -> None:
        # The fast variance E[x^2] - E[x]^2 loses digits where the mean is large.
        super().__init__(
            width,
            epsilon=epsilon,
            dtype=jnp.float32,
            use_fast_variance=False,
            use_bias=use_bias,
            rngs=rngs,
        )

    def __call__(self, x: Float[Array, "... hidden"], **_: Any) -> Float[Array, "... hidden"]:
        return super().__call__(x).astype(x.dtype)


class RMSNorm(nnx.RMSNorm):
    """Division by the root mean square, without centring (arXiv 1910.07467), in float32; the result
    has the input's type.
    """

    def __init__(self, width: int, epsilon: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, epsilon=epsilon, dtype=jnp.float32, rngs=rngs)

    def __call__(
        self, x: Float[Array, "... hidden"], mask: Array | None = None
    ) -> Float[Array, "... hidden"]:
        return super().__call__(x).astype(x.dtype)


class Embeddings(nnx.Module):
    """LayerNorm(token + position + token type 0), with dropout.

    Args:
      shape: sizes and rates.
      width: of the tables.
      position_offset: row of the position table for position 0.
      dtype: of the result.
    """

    def __init__(
        self, shape: Shape, *, width: int, position_offset: int, dtype: jnp.dtype, rngs: nnx.Rngs
    ) -> None:
        self.tokens = nnx.Embed(shape.vocab_size, width, rngs=rngs)
        self.positions = nnx.Embed(shape.position_rows, width, rngs=rngs)
        self.types = nnx.Embed(shape.token_types, width, rngs=rngs) if shape.token_types else None
        self.norm = Norm(width, shape.norm_epsilon, rngs=rngs)
        self.position_offset = position_offset
        self.dropout = shape.hidden_dropout
        self.dtype = dtype

    def __call__(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length width"]:
        summed = self.tokens(tokens) + self.positions(positions + self.position_offset)
        if self.types is not None:
            summed = summed + self.types.embedding[0]
        return dropout(self.norm(summed).astype(self.dtype), self.dropout, key)


class TokenEmbeddings(nnx.Module):
    """A token's row of the table, with dropout: positions come in elsewhere."""

    def __init__(
        self, vocab_size: int, width: int, rate: float, *, dtype: jnp.dtype, rngs: nnx.Rngs
    ) -> None:
        self.tokens = nnx.Embed(vocab_size, width, rngs=rngs)
        self.dropout, self.dtype = rate, dtype

    def __call__(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        return dropout(self.tokens(tokens).astype(self.dtype), self.dropout, key)


class Context(NamedTuple):
    """What plain attention is given beside the hidden states."""

    mask: Bool[Array, "rows length length"]
    bias: Float[Array, "heads length length"] | None


class SelfAttention(nnx.Module):
    """Multi-head attention with its output projection."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        project = partial(nnx.Linear, shape.hidden_size, shape.hidden_size, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value, self.output = project(), project(), project(), project()
        self.num_heads = shape.num_heads
        self.dropout = shape.attention_dropout
        self.prefix_dropout = shape.hidden_dropout

    def __call__(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Context,
        prefix: Array | None,
        *,
        key: Array | None,
        read: Int[Array, "rows slots"] | None = None,
    ) -> Float[Array, "rows length hidden"] | Float[Array, "rows slots hidden"]:
        """`prefix`: keys and values, [2, prefix, hidden], that every query may attend to; or None.

        `read`: columns that queries are made for; None: all.
        """

        def by_head(x: Array) -> Array:
            return x.reshape(*x.shape[:2], self.num_heads, -1)

        query = by_head(self.query(hidden if read is None else take_columns(hidden, read)))
        keys, values = by_head(self.key(hidden)), by_head(self.value(hidden))
        mask, bias = context
        if read is not None:
            mask = take_columns(mask, read)
            bias = None if bias is None else jnp.moveaxis(bias[:, read], 0, 1)
        if prefix is not None:
            (rows, _, heads, width), length = keys.shape, prefix.shape[1]
            prefix = jnp.broadcast_to(
                prefix.reshape(2, 1, length, heads, width), (2, rows, length, heads, width)
            )
            prefix_key = None if key is None else jax.random.fold_in(key, 1)
            prefix = dropout(
                prefix.astype(keys.dtype), self.prefix_dropout, prefix_key, rows_axis=1
            )
            keys, values = (
                jnp.concatenate(pair, axis=1) for pair in ((prefix[0], keys), (prefix[1], values))
            )
            mask = jnp.pad(mask, ((0, 0), (0, 0), (length, 0)), constant_values=True)
        attended = attend(
            query, keys, values, mask, bias=bias, dropout_rate=self.dropout, dropout_key=key
        )
        return self.output(attended.reshape(*attended.shape[:2], -1))


def take_columns(
    values: Shaped[Array, "rows length width"], read: Int[Array, "rows slots"]
) -> Shaped[Array, "rows slots width"]:
    """`values[r, read[r, s]]`."""
    return jnp.take_along_axis(values, read[:, :, None], axis=1)


class FeedForward(nnx.Module):
    """Widen, bend, narrow."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.up = nnx.Linear(shape.hidden_size, shape.intermediate_size, dtype=dtype, rngs=rngs)
        self.down = nnx.Linear(shape.intermediate_size, shape.hidden_size, dtype=dtype, rngs=rngs)
        self.activation = shape.activation

    def __call__(self, hidden: Float[Array, "... hidden"]) -> Float[Array, "... hidden"]:
        return self.down(ACTIVATIONS[self.activation](self.up(hidden)))


class PostNormLayer(nnx.Module):
    """Attention, then feed-forward, each added to its input and normalized after.

    Args:
      shape: sizes and rates.
      attention: called as `attention(hidden, context, per_layer, key=key)`, with `read` where
        columns are chosen.
      dtype: of matrix products.
    """

    def __init__(
        self, shape: Shape, attention: nnx.Module, *, dtype: jnp.dtype, rngs: nnx.Rngs
    ) -> None:
        self.attention = attention
        self.attention_norm = Norm(shape.hidden_size, shape.norm_epsilon, rngs=rngs)
        self.feed_forward = FeedForward(shape, dtype=dtype, rngs=rngs)
        self.feed_forward_norm = Norm(shape.hidden_size, shape.norm_epsilon, rngs=rngs)
        self.dropout = shape.hidden_dropout

    def __call__(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Any,
        per_layer: Any,
        *,
        key: Array | None,
        read: Int[Array, "rows slots"] | None = None,
    ) -> Float[Array, "rows length hidden"] | Float[Array, "rows slots hidden"]:
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        if read is None:
            attended = self.attention(hidden, context, per_layer, key=keys[0])
        else:
            attended = self.attention(hidden, context, per_layer, key=keys[0], read=read)
            hidden = take_columns(hidden, read)
        hidden = self.attention_norm(hidden + dropout(attended, self.dropout, keys[1]))
        return self.feed_forward_norm(
            hidden + dropout(self.feed_forward(hidden), self.dropout, keys[2])
        )
