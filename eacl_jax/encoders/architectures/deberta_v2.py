"""DeBERTa-v2 and v3 (arXiv 2006.03654, 2111.09543)."""

from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.architectures.deberta import (
    Context,
    DebertaEncoder,
    DisentangledAttention,
    Heads,
    Positions,
    Span,
    deberta_names,
    read_embeddings,
    read_shape,
)
from eacl_jax.encoders.dropout import dropout
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import ACTIVATIONS, Norm, Shape
from eacl_jax.encoders.stack import without_gradients
from eacl_jax.encoders.weights.names import Name, NameTable, linear, norm


class DebertaV2Attention(DisentangledAttention):
    """Separate projections, which positions may share with tokens."""

    def __init__(
        self, shape: Shape, span: Span, *, shared: bool, dtype: jnp.dtype, rngs: nnx.Rngs
    ) -> None:
        """`shared`: positions go through the tokens' projections."""
        super().__init__(shape, span, dtype=dtype, rngs=rngs)
        project = partial(nnx.Linear, shape.hidden_size, shape.hidden_size, dtype=dtype, rngs=rngs)
        self.query, self.key, self.value = project(), project(), project()
        separate = bool(span.farthest) and not shared
        self.position_key = project() if separate and "c2p" in span.types else None
        self.position_query = project() if separate and "p2c" in span.types else None
        self.shared = shared

    def project(self, hidden: Float[Array, "rows length hidden"]) -> tuple[Heads, Heads, Heads]:
        by_head = (*hidden.shape[:2], self.num_heads, -1)
        return (
            self.query(hidden).reshape(by_head),
            self.key(hidden).reshape(by_head),
            self.value(hidden).reshape(by_head),
        )

    def project_positions(
        self, table: Float[Array, "positions hidden"]
    ) -> tuple[Positions, Positions]:
        key, query = (
            (self.key, self.query) if self.shared else (self.position_key, self.position_query)
        )
        by_head = (table.shape[0], self.num_heads, -1)
        return (
            key(table).reshape(by_head) if key is not None and "c2p" in self.span.types else None,
            (
                query(table).reshape(by_head)
                if query is not None and "p2c" in self.span.types
                else None
            ),
        )


class ConvShape(NamedTuple):
    """The convolution beside the first layer."""

    size: int
    groups: int
    activation: str


class Convolution(nnx.Module):
    """What neighbours say, added to the first layer's output and normalized: v2-xlarge's
    convolution over tokens.
    """

    def __init__(self, conv: ConvShape, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        width = shape.hidden_size
        # As PyTorch lays it out.
        initial = nnx.initializers.lecun_normal(in_axis=(1, 2), out_axis=0)
        self.kernel = nnx.Param(initial(rngs.params(), (width, width // conv.groups, conv.size)))
        self.bias = nnx.Param(jnp.zeros(width))
        self.norm = Norm(width, shape.norm_epsilon, rngs=rngs)
        self.conv, self.dropout, self.dtype = conv, shape.hidden_dropout, dtype

    def __call__(
        self,
        embedded: Float[Array, "rows length hidden"],
        hidden: Float[Array, "rows length hidden"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        """`embedded`: what went into the first layer. `hidden`: what came out of it."""
        size, groups, activation = self.conv
        rows, length, width = embedded.shape
        before = (size - 1) // 2
        pad = ((before, size - 1 - before),)
        near = jnp.pad(embedded, ((0, 0), *pad, (0, 0)))
        segments = jnp.pad(segment_ids, ((0, 0), *pad), constant_values=-1)
        kernel = self.kernel[...].astype(self.dtype).reshape(groups, width // groups, -1, size)
        total: Any = 0.0
        for offset in range(size):
            # A library's convolution would reach over the border of a segment.
            same = segments[:, offset : offset + length] == segment_ids
            shifted = jnp.where(same[:, :, None], near[:, offset : offset + length], 0)
            parts = shifted.reshape(rows, length, groups, -1)
            total = total + jnp.einsum("rlgi,goi->rlgo", parts, kernel[..., offset])
        mixed = total.reshape(embedded.shape) + self.bias[...].astype(self.dtype)
        return self.norm(hidden + ACTIVATIONS[activation](dropout(mixed, self.dropout, key)))


_SELF, _OURS = "encoder.layer.{layer}.attention.self", "layers.{layer}.attention"


class DebertaV2Encoder(DebertaEncoder):
    """DeBERTa with buckets of distances, a normalized table of them, and, where asked for, a
    convolution.
    """

    names: ClassVar[NameTable] = deberta_names(
        *linear(f"{_SELF}.query_proj", f"{_OURS}.query"),
        *linear(f"{_SELF}.key_proj", f"{_OURS}.key"),
        *linear(f"{_SELF}.value_proj", f"{_OURS}.value"),
        *linear(f"{_SELF}.pos_key_proj", f"{_OURS}.position_key"),
        *linear(f"{_SELF}.pos_query_proj", f"{_OURS}.position_query"),
        *norm("encoder.LayerNorm", "relative_norm"),
        Name("encoder.conv.conv.weight", "convolution.kernel"),
        Name("encoder.conv.conv.bias", "convolution.bias"),
        *norm("encoder.conv.LayerNorm", "convolution.norm"),
    )
    below: ClassVar[tuple[str, ...]] = ("embeddings", "relative", "relative_norm")

    def __init__(
        self,
        shape: Shape,
        span: Span,
        *,
        shared: bool,
        normalized: bool,
        conv: ConvShape | None,
        **options: Any,
    ) -> None:
        dtype, rngs = options["dtype"], options["rngs"]
        super().__init__(
            shape,
            span,
            lambda rngs: DebertaV2Attention(shape, span, shared=shared, dtype=dtype, rngs=rngs),
            **options,
        )
        self.relative_norm = (
            Norm(shape.hidden_size, shape.norm_epsilon, rngs=rngs) if normalized else None
        )
        self.convolution = Convolution(conv, shape, dtype=dtype, rngs=rngs) if conv else None

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        shape = read_shape(fields)
        span = Span.read(
            fields, buckets=max(fields.integer("position_buckets", -1, at_least=-1), 0)
        )
        fields.need(
            not (span.buckets and span.farthest) or 1 <= span.buckets // 2 < span.farthest - 1,
            f"half of 'position_buckets' ({span.buckets}) must be at least 1 and less than the"
            f" farthest distance, {span.farthest}, minus 1",
        )
        conv = ConvShape(
            fields.integer("conv_kernel_size", 0, at_least=0),
            fields.integer("conv_groups", 1),
            fields.choice("conv_act", tuple(ACTIVATIONS), "tanh"),
        )
        fields.need(
            conv.size % 2 == 1 or not conv.size, f"'conv_kernel_size' must be odd, got {conv.size}"
        )
        fields.need(
            shape.hidden_size % conv.groups == 0,
            f"'hidden_size' ({shape.hidden_size}) must be a multiple of 'conv_groups'"
            f" ({conv.groups})",
        )
        common = read_embeddings(fields, shape)
        shared = fields.boolean("share_att_key", False)
        normalized = "layer_norm" in fields.words("norm_rel_ebd", ("layer_norm",))
        fields.check()
        return cls(
            shape,
            span,
            shared=shared,
            normalized=normalized and bool(span.farthest),
            conv=conv if conv.size else None,
            **common,
            **options,
        )

    def depths(self) -> nnx.State:
        depths = super().depths()
        if self.convolution is not None:
            # It works beside the first layer.
            depths["convolution"] = nnx.map_state(
                lambda _, leaf: leaf.replace(leaf[...] * 0 + 1), depths["convolution"]
            )
        return depths

    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Context:
        context = super().context(positions, segment_ids, key=key)
        if context.table is None or self.relative_norm is None:
            return context
        return context._replace(table=self.relative_norm(context.table))

    def run(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Context,
        per_layer: None,
        keys: Array | None,
    ) -> Array:
        if self.convolution is None:
            return super().run(hidden, context, per_layer, keys)
        first = self.run_between(0, 1, hidden, context, per_layer, keys)
        key = None if keys is None else jax.random.fold_in(keys[0], 1)
        convolution = (
            without_gradients(self.convolution) if self.frozen_layers else self.convolution
        )
        mixed = convolution(hidden, first, context.segment_ids, key=key)
        return self.run_between(1, self.num_layers, mixed, context, per_layer, keys)
