"""DeBERTa, versions 1 to 3."""

from typing import Any

import numpy as np

from eacl_jax.encoders.architectures.deberta_v2 import DebertaV2Attention
from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import (
    activation,
    array,
    attend,
    by_head,
    dense,
    linear,
    norm,
    scaled,
    seen,
    segment_mask,
    side_by_side,
)
from eacl_jax.onnx.relative import by_key, distances
from eacl_jax.onnx.stack import Given, layers_of, post_norm, read_from


def encode(encoder: Any, given: Given) -> Value:
    """Hidden states at the columns that are read."""
    hidden = embedded = _embed(encoder, given)
    shift = seen(segment_mask(given.segment_ids))
    table = None if encoder.relative is None else np.asarray(_table(encoder), np.float32)
    rows = None if table is None else _rows(encoder.span, given)
    convolution = getattr(encoder, "convolution", None)
    for number, layer in enumerate(layers_of(encoder)):
        attended = _attend(layer.attention, hidden, shift, table, rows)
        hidden = post_norm(layer, hidden, attended)
        if number == 0 and convolution is not None:
            hidden = _convolved(convolution, embedded, hidden, given.segment_ids)
    return read_from(hidden, given.read)


def _embed(encoder: Any, given: Given) -> Value:
    tables, graph = encoder.embeddings, given.tokens.graph
    hidden = graph.constant(array(tables.tokens.embedding)).take(given.tokens)
    if tables.positions is not None:
        hidden = hidden + graph.constant(array(tables.positions.embedding)).take(given.positions)
    if tables.types is not None:
        hidden = hidden + array(tables.types.embedding)[0]
    if tables.projection is not None:
        hidden = linear(hidden, tables.projection)
    return norm(hidden, tables.norm)


def _table(encoder: Any) -> Any:
    """Of relative positions, [positions, D]."""
    table = encoder.relative.embedding[...]
    relative_norm = getattr(encoder, "relative_norm", None)
    return table if relative_norm is None else relative_norm(table)


def _rows(span: Any, given: Given) -> tuple[Value, Value]:
    """int64 [2 L - 1]: the table's row by distance, for keys seen from a query and for queries seen
    from a key.
    """
    # From there on all distances are alike.
    farthest = span.settled
    known = span.rows(-np.arange(-farthest, farthest + 1)).astype(np.int64)
    graph = given.tokens.graph
    ahead = distances(graph, given.length, farthest)
    table = graph.constant(known)
    return (
        table.take(ahead + np.int64(farthest)),
        table.take(np.int64(farthest) - ahead),
    )


def _attend(layer: Any, hidden: Value, shift: Value, table: np.ndarray | None, rows: Any) -> Value:
    heads, span = layer.num_heads, layer.span
    hidden_size = layer.output.kernel.shape[0]
    width = hidden_size // heads
    scale = 1 / np.sqrt(width * (1 + len(span.types)))
    query, keys, values = _project(layer, hidden, heads, width, scale)

    def by_distance(x: Value, positions: Any, which: Value, by: float) -> Value:
        of_positions = np.transpose(np.asarray(positions, np.float32) * np.float32(by), (1, 2, 0))
        return by_key(x @ hidden.graph.constant(of_positions).take(which, axis=2), 0, heads)

    bias: Any = None
    if table is not None and span.types:
        position_keys, position_queries = layer.project_positions(table)
        if position_keys is not None:
            # The query is scaled already, the key is not.
            bias = by_distance(query, position_keys, rows[0], 1.0)
        if position_queries is not None:
            turned = by_distance(keys, position_queries, rows[1], scale).transpose(0, 1, 3, 2)
            bias = turned if bias is None else bias + turned
    mix = layer.talking_heads()
    attended = attend(
        query,
        keys,
        values,
        shift,
        bias=bias,
        talking_heads=mix and tuple(np.asarray(each, np.float32) for each in mix),
    )
    return linear(side_by_side(attended, hidden_size), layer.output)


def _project(
    layer: Any, hidden: Value, heads: int, width: int, scale: float
) -> tuple[Value, Value, Value]:
    """Queries, scaled, keys and values by head."""
    if isinstance(layer, DebertaV2Attention):
        query = dense(hidden, *scaled(layer.query, scale))
        keys, values = linear(hidden, layer.key), linear(hidden, layer.value)
    else:
        # Each head's query, key and value lie side by side.
        kernel = array(layer.all.kernel).reshape(-1, heads, 3, width)
        parts = [
            np.ascontiguousarray(kernel[:, :, part].reshape(len(kernel), -1)) for part in range(3)
        ]
        query = dense(
            hidden, parts[0] * np.float32(scale), array(layer.query_bias) * np.float32(scale)
        )
        keys, values = dense(hidden, parts[1]), dense(hidden, parts[2], array(layer.value_bias))
    return tuple(by_head(each, heads, width) for each in (query, keys, values))  # type: ignore[return-value]


def _convolved(layer: Any, embedded: Value, hidden: Value, segment_ids: Value) -> Value:
    """See `encoders.architectures.deberta_v2.Convolution`."""
    graph = embedded.graph
    size, groups, bend = layer.conv
    kernel = array(layer.kernel)  # [out, in of a group, size]
    width = kernel.shape[0]
    before = (size - 1) // 2
    after = size - 1 - before
    near = graph.op("Pad", embedded, np.array([0, before, 0, 0, after, 0]), np.float32(0))
    segments = graph.op("Pad", segment_ids, np.array([0, before, 0, after]), np.int32(-1))
    length = embedded.size(1)
    total: Any = None
    for offset in range(size):
        stop = length + np.array([offset], np.int64)
        same = graph.op("Equal", segments.cut(1, offset, stop), segment_ids)
        shifted = same.expand(2).where(near.cut(1, offset, stop), np.float32(0))
        # [R, L, groups, 1, in] [groups, in, out]
        parts = shifted.reshape(0, 0, groups, 1, width // groups)
        of_group = kernel[..., offset].reshape(groups, width // groups, -1).transpose(0, 2, 1)
        product = (parts @ np.ascontiguousarray(of_group)).reshape(0, 0, width)
        total = product if total is None else total + product
    mixed = activation(total + array(layer.bias), bend)
    return norm(hidden + mixed, layer.norm)
