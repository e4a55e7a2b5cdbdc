"""BERT, and those built like it: RoBERTa, ELECTRA and MPNet."""

from typing import Any

import numpy as np

from eacl_jax.encoders.architectures.mpnet import BUCKETS, FARTHEST
from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import (
    array,
    attend,
    by_head,
    dense,
    inverse_root,
    linear,
    norm,
    scaled,
    seen,
    segment_mask,
    side_by_side,
    take_columns,
)
from eacl_jax.onnx.relative import bias_by_bucket
from eacl_jax.onnx.stack import Given, layers_of, post_norm


def encode(encoder: Any, given: Given) -> Value:
    """Hidden states at the columns that are read."""
    hidden = _embed(encoder, given)
    mask = segment_mask(given.segment_ids)
    bias = None
    if hasattr(encoder, "distance_bias"):
        bias = bias_by_bucket(encoder.distance_bias, given, buckets=BUCKETS, farthest=FARTHEST)
    prefixes = None if encoder.prefix is None else np.asarray(encoder.per_layer(), np.float32)
    shift = _with_prefix(seen(mask, bias), prefixes)
    *lower, last = layers_of(encoder)
    for number, layer in enumerate(lower):
        prefix = None if prefixes is None else prefixes[number]
        attended = _attend(layer.attention, hidden, hidden, shift, prefix)
        hidden = post_norm(layer, hidden, attended)
    queries, graph = hidden, hidden.graph
    if given.read is not None:
        # The last layer is left out for tokens that nobody reads.
        queries, mask = (take_columns(each, given.read) for each in (hidden, mask))
        if bias is not None:
            bias = bias.take(given.read, axis=1).transpose(1, 0, 2, 3)
        shift = _with_prefix(seen(mask, bias), prefixes)
    graph.exact = given.read is not None
    attended = _attend(
        last.attention, queries, hidden, shift, None if prefixes is None else prefixes[-1]
    )
    return post_norm(last, queries, attended)


def _embed(encoder: Any, given: Given) -> Value:
    tables = encoder.embeddings
    positions = array(tables.positions.embedding)[tables.position_offset :]
    if tables.types is not None:
        positions = positions + array(tables.types.embedding)[0]
    graph = given.tokens.graph
    tokens = graph.constant(array(tables.tokens.embedding)).take(given.tokens)
    hidden = norm(tokens + graph.constant(positions).take(given.positions), tables.norm)
    return hidden if encoder.projection is None else linear(hidden, encoder.projection)


def _attend(
    layer: Any, queries: Value, hidden: Value, shift: Value, prefix: np.ndarray | None
) -> Value:
    """`prefix`: float32 [2, P, D], keys and values beside those of the tokens."""
    heads = layer.num_heads
    hidden_size = layer.query.kernel.shape[1]
    width = hidden_size // heads
    query = by_head(dense(queries, *scaled(layer.query, inverse_root(width))), heads, width)
    graph, exact = hidden.graph, hidden.graph.exact
    graph.exact = False  # these are of all tokens
    keys, values = (
        by_head(linear(hidden, each), heads, width) for each in (layer.key, layer.value)
    )
    graph.exact = exact
    if prefix is not None:
        keys, values = (
            _before(each.reshape(1, -1, heads, width).transpose(0, 2, 1, 3), tokens)
            for each, tokens in zip(prefix, (keys, values), strict=True)
        )
    attended = side_by_side(attend(query, keys, values, shift), hidden_size)
    return linear(attended, layer.output)


def _before(prefix: np.ndarray, tokens: Value) -> Value:
    """float32 [1, H, P, w] in each row before [R, H, L, w]."""
    op = tokens.graph.op
    sizes = tokens.graph.sizes(tokens.size(0), *prefix.shape[1:])
    return op("Concat", op("Expand", prefix, sizes), tokens, axis=2)


def _with_prefix(shift: Value, prefixes: np.ndarray | None) -> Value:
    """Every query sees the prefix."""
    if prefixes is None:
        return shift
    pads = np.array([0, 0, 0, prefixes.shape[2], 0, 0, 0, 0], np.int64)
    return shift.graph.op("Pad", shift, pads, np.float32(0))
