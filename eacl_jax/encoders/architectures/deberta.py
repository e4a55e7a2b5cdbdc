"""DeBERTa (arXiv 2006.03654): attention between what tokens are and how far apart they stand."""

import abc
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.encoders.attention import attend, segment_mask
from eacl_jax.encoders.dropout import dropout
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import Norm, PostNormLayer, Shape
from eacl_jax.encoders.relative import by_key, distances
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import Name, NameTable, linear, norm, prefixes, table

Heads = Float[Array, "rows length heads width"]
Positions = Float[Array, "positions heads width"] | None


_FAR = 2**60  # a distance beyond any


class Span(NamedTuple):
    """How distances become rows of the table of relative positions.

    Attributes:
      types: "c2p" (content to position), "p2c" (position to content), both or none.
      farthest: distances beyond it share the outermost rows, but see `settled`; 0: there is no
        table.
      buckets: 0 for a row a distance; else half the number of rows, of which the farther half widen
        with the logarithm.
    """

    types: tuple[str, ...]
    farthest: int
    buckets: int = 0

    @classmethod
    def read(cls, fields: Fields, *, buckets: int = 0) -> Self:
        """Reads the fields under their Hugging Face names."""
        types = fields.words("pos_att_type", ("c2p", "p2c"))
        farthest = fields.integer("max_relative_positions", -1, at_least=-1)
        if farthest < 1:
            farthest = fields.integer("max_position_embeddings")
        return cls(types, farthest if fields.boolean("relative_attention", False) else 0, buckets)

    @property
    def table_rows(self) -> int:
        """Rows of the table."""
        return 2 * (self.buckets or self.farthest)

    @property
    def settled(self) -> int:
        """A distance from which on all share the outermost rows: `farthest`, or more where the
        number of buckets is odd, as the logarithm then comes to the last rows only beyond it.
        """
        distance, outermost = self.farthest, self.rows(np.array([-_FAR, _FAR])).tolist()
        while self.rows(np.array([-distance, distance])).tolist() != outermost:
            distance *= 2
        return distance

    def rows(self, behind: np.ndarray) -> np.ndarray:
        """The table's row for keys that stand so many columns behind their query."""
        if self.buckets:
            middle = self.buckets // 2
            distance = np.maximum(np.abs(behind), middle).astype(np.float32)
            octaves = np.log(distance / np.float32(middle)) / np.log(
                np.float32((self.farthest - 1) / middle)
            )
            far = np.sign(behind) * (np.ceil(octaves * np.float32(middle - 1)) + middle)
            behind = np.where(np.abs(behind) <= middle, behind, far).astype(np.int64)
        half = self.table_rows // 2
        return np.clip(behind + half, 0, 2 * half - 1)


class Context(NamedTuple):
    """What DeBERTa's layers are given beside the hidden states. `table`: of relative positions."""

    mask: Bool[Array, "rows length length"]
    table: Float[Array, "positions hidden"] | None
    segment_ids: Int[Array, "rows length"]


class DisentangledAttention(nnx.Module):
    """Attention whose scores add those of tokens to relative positions, and of relative positions
    to tokens.

    A subclass sets the projections that its two methods use.
    """

    def __init__(self, shape: Shape, span: Span, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.output = nnx.Linear(shape.hidden_size, shape.hidden_size, dtype=dtype, rngs=rngs)
        self.num_heads, self.span, self.dtype = shape.num_heads, span, dtype
        self.dropout, self.position_dropout = shape.attention_dropout, shape.hidden_dropout

    @abc.abstractmethod
    def project(self, hidden: Float[Array, "rows length hidden"]) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values."""

    @abc.abstractmethod
    def project_positions(
        self, table: Float[Array, "positions hidden"]
    ) -> tuple[Positions, Positions]:
        """Keys (for c2p) and queries (for p2c) of relative positions; None for what `span.types`
        leaves out.
        """

    def talking_heads(self) -> tuple[Array, Array] | None:
        """See `attend`."""
        return None

    def __call__(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Context,
        per_layer: None,
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        query, keys, values = self.project(hidden)
        scale = 1 / math.sqrt(query.shape[-1] * (1 + len(self.span.types)))
        bias = None
        if context.table is not None and self.span.types:
            position_key = None if key is None else jax.random.fold_in(key, 1)
            table = dropout(context.table, self.position_dropout, position_key, rows_axis=None)
            bias = scale * self._by_distance(query, keys, table.astype(self.dtype))
        attended = attend(
            query,
            keys,
            values,
            context.mask,
            bias=bias,
            scale=scale,
            talking_heads=self.talking_heads(),
            dropout_rate=self.dropout,
            dropout_key=key,
        )
        return self.output(attended.reshape(hidden.shape))

    def _by_distance(
        self, query: Heads, keys: Heads, table: Float[Array, "positions hidden"]
    ) -> Float[Array, "rows heads length length"]:
        ahead = distances(query.shape[1])
        rows = self.span.rows(-ahead)
        # Short rows reach only the middle of the table.
        lowest = int(rows.min())
        position_keys, position_queries = self.project_positions(
            table[lowest : int(rows.max()) + 1]
        )
        score = partial(jnp.einsum, "rlhw,mhw->rhlm", preferred_element_type=jnp.float32)
        bias: Any = 0.0
        if position_keys is not None:
            bias = by_key(score(query, position_keys[rows - lowest]))
        if position_queries is not None:
            # Laid out by key, then query: the distance axis runs the other way.
            bias = bias + by_key(score(keys, position_queries[rows[::-1] - lowest])).swapaxes(2, 3)
        return bias


class DebertaAttention(DisentangledAttention):
    """DeBERTa's: queries, keys and values from one product, and own projections of positions."""

    def __init__(
        self,
        shape: Shape,
        span: Span,
        *,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        talking_heads: bool = False,
    ) -> None:
        super().__init__(shape, span, dtype=dtype, rngs=rngs)
        width, heads = shape.hidden_size, shape.num_heads
        self.all = nnx.Linear(width, 3 * width, use_bias=False, dtype=dtype, rngs=rngs)
        self.query_bias, self.value_bias = nnx.Param(jnp.zeros(width)), nnx.Param(jnp.zeros(width))
        project = partial(nnx.Linear, width, width, dtype=dtype, rngs=rngs)
        self.position_key = (
            project(use_bias=False) if span.farthest and "c2p" in span.types else None
        )
        self.position_query = project() if span.farthest and "p2c" in span.types else None
        mix = partial(nnx.Linear, heads, heads, use_bias=False, rngs=rngs)
        self.scores_mix = mix() if talking_heads else None
        self.probabilities_mix = mix() if talking_heads else None

    def project(self, hidden: Float[Array, "rows length hidden"]) -> tuple[Heads, Heads, Heads]:
        # Each head's query, key and value lie side by side.
        parted = self.all(hidden).reshape(*hidden.shape[:2], self.num_heads, 3, -1)
        query_bias, value_bias = (
            bias[...].astype(self.dtype).reshape(self.num_heads, -1)
            for bias in (self.query_bias, self.value_bias)
        )
        return parted[..., 0, :] + query_bias, parted[..., 1, :], parted[..., 2, :] + value_bias

    def project_positions(
        self, table: Float[Array, "positions hidden"]
    ) -> tuple[Positions, Positions]:
        by_head = (table.shape[0], self.num_heads, -1)
        return (
            None if self.position_key is None else self.position_key(table).reshape(by_head),
            None if self.position_query is None else self.position_query(table).reshape(by_head),
        )

    def talking_heads(self) -> tuple[Array, Array] | None:
        if self.scores_mix is None or self.probabilities_mix is None:
            return None
        return self.scores_mix.kernel[...], self.probabilities_mix.kernel[...]


class DebertaEmbeddings(nnx.Module):
    """LayerNorm(token + position + token type 0), of which the last two may be missing, with
    dropout.

    Args:
      shape: sizes and rates.
      width: of the tables; projected where it is not the hidden size.
      positions: there is a table of absolute positions.
    """

    def __init__(
        self, shape: Shape, *, width: int, positions: bool, dtype: jnp.dtype, rngs: nnx.Rngs
    ) -> None:
        hidden = shape.hidden_size
        self.tokens = nnx.Embed(shape.vocab_size, width, rngs=rngs)
        self.positions = nnx.Embed(shape.position_rows, width, rngs=rngs) if positions else None
        self.types = nnx.Embed(shape.token_types, width, rngs=rngs) if shape.token_types else None
        self.projection = (
            nnx.Linear(width, hidden, use_bias=False, rngs=rngs) if width != hidden else None
        )
        self.norm = Norm(hidden, shape.norm_epsilon, rngs=rngs)
        self.dropout, self.dtype = shape.hidden_dropout, dtype

    def __call__(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        summed = self.tokens(tokens)
        if self.positions is not None:
            summed = summed + self.positions(positions)
        if self.types is not None:
            summed = summed + self.types.embedding[0]
        if self.projection is not None:
            summed = self.projection(summed)
        return dropout(self.norm(summed).astype(self.dtype), self.dropout, key)


def deberta_names(*attention: Name) -> NameTable:
    """The names that DeBERTa's versions share, beside those of their attention's projections."""
    layer, ours = "encoder.layer.{layer}", "layers.{layer}"
    return NameTable(
        pairs=(
            *table("embeddings.word_embeddings", "embeddings.tokens"),
            *table("embeddings.position_embeddings", "embeddings.positions"),
            *table("embeddings.token_type_embeddings", "embeddings.types"),
            *linear("embeddings.embed_proj", "embeddings.projection"),
            *norm("embeddings.LayerNorm", "embeddings.norm"),
            *table("encoder.rel_embeddings", "relative"),
            *attention,
            *linear(f"{layer}.attention.output.dense", f"{ours}.attention.output"),
            *norm(f"{layer}.attention.output.LayerNorm", f"{ours}.attention_norm"),
            *linear(f"{layer}.intermediate.dense", f"{ours}.feed_forward.up"),
            *linear(f"{layer}.output.dense", f"{ours}.feed_forward.down"),
            *norm(f"{layer}.output.LayerNorm", f"{ours}.feed_forward_norm"),
        ),
        anchor="embeddings.word_embeddings.weight",
        prefixes=prefixes("deberta"),
        ignored=(
            r"(pooler|cls|classifier|lm_predictions|lm_head|mask_predictions)\..+",
            # Published files carry positions that their config.json leaves unused.
            r"embeddings\.(position_embeddings\.weight|position_ids)",
        ),
    )


_SELF, _OURS = "encoder.layer.{layer}.attention.self", "layers.{layer}.attention"


class DebertaEncoder(Encoder):
    """DeBERTa; version 2 is this with another attention.

    Args:
      shape: sizes and rates.
      span: of relative positions.
      attention: makes a layer's, from `rngs`.
      embedding_size: width of the tables of embeddings.
      positions: there is a table of absolute positions.
      dtype, scan_layers, frozen_layers, rngs: see `encoders.build`.
    """

    names: ClassVar[NameTable] = deberta_names(
        *linear(f"{_SELF}.in_proj", f"{_OURS}.all"),
        Name(f"{_SELF}.q_bias", f"{_OURS}.query_bias"),
        Name(f"{_SELF}.v_bias", f"{_OURS}.value_bias"),
        *linear(f"{_SELF}.pos_proj", f"{_OURS}.position_key"),
        *linear(f"{_SELF}.pos_q_proj", f"{_OURS}.position_query"),
        *linear(f"{_SELF}.head_logits_proj", f"{_OURS}.scores_mix"),
        *linear(f"{_SELF}.head_weights_proj", f"{_OURS}.probabilities_mix"),
    )
    below: ClassVar[tuple[str, ...]] = ("embeddings", "relative")

    def __init__(
        self,
        shape: Shape,
        span: Span,
        attention: Callable[[nnx.Rngs], nnx.Module],
        *,
        embedding_size: int,
        positions: bool,
        dtype: jnp.dtype,
        scan_layers: bool,
        frozen_layers: int,
        rngs: nnx.Rngs,
    ) -> None:
        self.set_sizes(
            shape,
            max_length=shape.position_rows if positions else None,
            frozen_layers=frozen_layers,
        )
        self.span = span
        self.embeddings = DebertaEmbeddings(
            shape, width=embedding_size, positions=positions, dtype=dtype, rngs=rngs
        )
        self.relative = (
            nnx.Embed(span.table_rows, shape.hidden_size, rngs=rngs) if span.farthest else None
        )
        self.layers = stack_layers(
            lambda rngs: PostNormLayer(shape, attention(rngs), dtype=dtype, rngs=rngs),
            shape.num_layers,
            scan=scan_layers,
            rngs=rngs,
        )

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape, span = read_shape(fields), Span.read(fields)
        talking_heads = fields.boolean("talking_head", False)
        common = read_embeddings(fields, shape)
        fields.check()
        dtype = options["dtype"]
        return cls(
            shape,
            span,
            lambda rngs: DebertaAttention(
                shape, span, dtype=dtype, rngs=rngs, talking_heads=talking_heads
            ),
            **common,
            **options,
        )

    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Context:
        table = None if self.relative is None else self.relative.embedding[...]
        return Context(segment_mask(segment_ids), table, segment_ids)


def read_shape(fields: Fields) -> Shape:
    """What DeBERTa's versions have in common with BERT, with their own defaults."""
    return Shape.read(fields, pad_token_id=0, default_types=0, epsilon=1e-7)


def read_embeddings(fields: Fields, shape: Shape) -> dict[str, Any]:
    """`embedding_size` and `positions` of the constructor."""
    return {
        "embedding_size": fields.integer("embedding_size", shape.hidden_size),
        "positions": fields.boolean("position_biased_input", True),
    }
