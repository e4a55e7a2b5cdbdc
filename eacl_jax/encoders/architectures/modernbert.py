"""ModernBERT (arXiv 2412.13663): rotary positions, gated feed-forward, local and global attention
by turns.
"""

import dataclasses
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
from eacl_jax.encoders.layers import ACTIVATIONS, Norm
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import NameTable, linear, norm, prefixes, table

_KINDS = ("full_attention", "sliding_attention")


@dataclasses.dataclass(frozen=True)
class Shape(Sizes):
    """What config.json says of a ModernBERT. `is_global`: of each layer; `window`: how far a local
    layer sees either way.
    """

    num_heads: int
    intermediate_size: int
    max_length: int
    activation: str
    norm_epsilon: float
    norm_bias: bool
    attention_bias: bool
    feed_forward_bias: bool
    embedding_dropout: float
    attention_dropout: float
    feed_forward_dropout: float
    window: int
    is_global: tuple[bool, ...]
    global_theta: float
    local_theta: float

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Reads the fields under their Hugging Face names, those of before and after transformers
        5.
        """
        num_layers = fields.integer("num_hidden_layers")
        every = fields.integer("global_attn_every_n_layers", 3)
        kinds = fields.sequence("layer_types", _KINDS) or tuple(
            _KINDS[min(i % every, 1)] for i in range(num_layers)
        )
        fields.need(
            len(kinds) == num_layers,
            f"'layer_types' must name {num_layers} layers, got {len(kinds)}",
        )
        fields.multiple("hidden_size", "num_attention_heads")
        width = fields.integer("hidden_size") // fields.integer("num_attention_heads")
        fields.need(width % 2 == 0, f"heads must have an even width, got {width}")
        window = fields.integer("local_attention", 128, at_least=0)
        # Another name that transformers takes for half of it.
        fields.choice("sliding_window", (window // 2,), window // 2)
        ropes = fields.mapping("rope_parameters")
        fields.need(
            ropes.names <= set(_KINDS),
            f"'rope_parameters' must be of {' and '.join(_KINDS)}, got"
            f" {', '.join(sorted(ropes.names))}",
        )
        thetas = []
        for kind, old, default in zip(
            _KINDS, ("global_rope_theta", "local_rope_theta"), (160_000.0, 10_000.0), strict=True
        ):
            rope = ropes.mapping(kind)
            for name in ("rope_type", "type"):
                rope.choice(name, ("default",), "default")
            thetas.append(rope.number("rope_theta", fields.number(old, default)))
        fields.need(min(thetas) > 0, f"'rope_theta' must be positive, got {min(thetas)}")
        fields.choice("rope_scaling", (None,), None)
        return cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=fields.integer("hidden_size"),
            num_layers=num_layers,
            num_heads=fields.integer("num_attention_heads"),
            intermediate_size=fields.integer("intermediate_size"),
            max_length=fields.integer("max_position_embeddings", 8192),
            activation=fields.choice("hidden_activation", tuple(ACTIVATIONS), "gelu"),
            norm_epsilon=fields.number("norm_eps", 1e-5),
            norm_bias=fields.boolean("norm_bias", False),
            attention_bias=fields.boolean("attention_bias", False),
            feed_forward_bias=fields.boolean("mlp_bias", False),
            embedding_dropout=fields.number("embedding_dropout", 0.0, below=1),
            attention_dropout=fields.number("attention_dropout", 0.0, below=1),
            feed_forward_dropout=fields.number("mlp_dropout", 0.0, below=1),
            window=window // 2,
            is_global=tuple(kind == "full_attention" for kind in kinds),
            global_theta=thetas[0],
            local_theta=thetas[1],
        )


Angles = Float[Array, "rows length half"]


class View(NamedTuple):
    """Which tokens a layer's tokens see, and the angles by which queries and keys are turned."""

    mask: Bool[Array, "rows length length"]
    angles: Angles


class Context(NamedTuple):
    """The views of global and of local layers."""

    everywhere: View
    nearby: View


class Kind(NamedTuple):
    """In what layers differ."""

    is_global: Bool[np.ndarray, " layers"]
    is_first: Bool[np.ndarray, " layers"]


def rotate(
    heads: Float[Array, "rows length heads width"], angles: Angles
) -> Float[Array, "rows length heads width"]:
    """Turns each pair of a head's first and second half by its angle (arXiv 2104.09864), in
    float32.
    """
    first, second = jnp.split(heads.astype(jnp.float32), 2, axis=-1)
    cosine, sine = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    turned = jnp.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine], axis=-1
    )
    return turned.astype(heads.dtype)


class Embeddings(nnx.Module):
    """LayerNorm(token), with dropout."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(shape.vocab_size, shape.hidden_size, rngs=rngs)
        self.norm = Norm(shape.hidden_size, shape.norm_epsilon, use_bias=shape.norm_bias, rngs=rngs)
        self.dropout, self.dtype = shape.embedding_dropout, dtype

    def __call__(
        self, tokens: Int[Array, "rows length"], *, key: Array | None
    ) -> Float[Array, "rows length hidden"]:
        return dropout(self.norm(self.tokens(tokens)).astype(self.dtype), self.dropout, key)


class Layer(nnx.Module):
    """Attention and gated feed-forward, each normalized before and added to its input.

    The first layer's input is normalized already: it has no attention norm. Its row of a stacked
    one is there and not used.
    """

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        hidden, wide = shape.hidden_size, shape.intermediate_size
        make_norm = partial(Norm, hidden, shape.norm_epsilon, use_bias=shape.norm_bias, rngs=rngs)
        dense = partial(nnx.Linear, dtype=dtype, rngs=rngs)
        self.attention_norm, self.feed_forward_norm = make_norm(), make_norm()
        self.all = dense(hidden, 3 * hidden, use_bias=shape.attention_bias)
        self.output = dense(hidden, hidden, use_bias=shape.attention_bias)
        self.up = dense(hidden, 2 * wide, use_bias=shape.feed_forward_bias)
        self.down = dense(wide, hidden, use_bias=shape.feed_forward_bias)
        self.shape = shape

    def __call__(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Context,
        kind: Kind,
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        normalized = jnp.where(kind.is_first, hidden, self.attention_norm(hidden))
        mask, angles = jax.tree.map(
            partial(jnp.where, kind.is_global), context.everywhere, context.nearby
        )
        parts = self.all(normalized).reshape(*hidden.shape[:2], 3, self.shape.num_heads, -1)
        query, key_heads, values = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
        rate = self.shape.attention_dropout
        attended = attend(
            rotate(query, angles),
            rotate(key_heads, angles),
            values,
            mask,
            dropout_rate=rate,
            dropout_key=keys[0],
        )
        hidden = hidden + dropout(self.output(attended.reshape(hidden.shape)), rate, keys[1])
        bent, gate = jnp.split(self.up(self.feed_forward_norm(hidden)), 2, axis=-1)
        gated = ACTIVATIONS[self.shape.activation](bent) * gate
        return hidden + self.down(dropout(gated, self.shape.feed_forward_dropout, keys[2]))


class ModernBertEncoder(Encoder):
    """ModernBERT.

    Args:
      shape: sizes, rates and the layers' kinds.
      dtype, scan_layers, frozen_layers, rngs: see `encoders.build`.
    """

    names: ClassVar[NameTable] = NameTable(
        pairs=(
            *table("embeddings.tok_embeddings", "embeddings.tokens"),
            *norm("embeddings.norm", "embeddings.norm"),
            *norm("layers.{layer}.attn_norm", "layers.{layer}.attention_norm", first=1),
            *linear("layers.{layer}.attn.Wqkv", "layers.{layer}.all"),
            *linear("layers.{layer}.attn.Wo", "layers.{layer}.output"),
            *norm("layers.{layer}.mlp_norm", "layers.{layer}.feed_forward_norm"),
            *linear("layers.{layer}.mlp.Wi", "layers.{layer}.up"),
            *linear("layers.{layer}.mlp.Wo", "layers.{layer}.down"),
            *norm("final_norm", "norm"),
        ),
        anchor="embeddings.tok_embeddings.weight",
        prefixes=prefixes("model"),
        ignored=(r"(head|decoder|classifier)\..+",),
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
        self.set_sizes(shape, max_length=shape.max_length, frozen_layers=frozen_layers)
        self.shape = shape
        self.embeddings = Embeddings(shape, dtype=dtype, rngs=rngs)
        self.layers = stack_layers(
            lambda rngs: Layer(shape, dtype=dtype, rngs=rngs),
            shape.num_layers,
            scan=scan_layers,
            rngs=rngs,
        )
        self.norm = Norm(shape.hidden_size, shape.norm_epsilon, use_bias=shape.norm_bias, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = Shape.read(fields)
        fields.check()
        return cls(shape, **options)

    def embed(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        return self.embeddings(tokens, key=key)

    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Context:
        width = self.hidden_size // self.shape.num_heads

        def angles(theta: float) -> Angles:
            rates = theta ** -(np.arange(0, width, 2, dtype=np.float32) / width)
            return positions[:, :, None].astype(jnp.float32) * rates.astype(np.float32)

        columns = np.arange(positions.shape[1])
        near = np.abs(columns[:, None] - columns[None, :]) <= self.shape.window
        mask = segment_mask(segment_ids)
        return Context(
            View(mask, angles(self.shape.global_theta)),
            View(mask & near, angles(self.shape.local_theta)),
        )

    def per_layer(self) -> Kind:
        return Kind(np.array(self.shape.is_global), np.arange(self.num_layers) == 0)

    def finish(
        self, hidden: Float[Array, "rows length hidden"], *, key: Array | None
    ) -> Float[Array, "rows length hidden"]:
        return self.norm(hidden)
