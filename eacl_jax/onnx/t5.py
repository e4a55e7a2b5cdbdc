"""T5's encoder."""

from typing import Any

from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import (
    activation,
    array,
    attend,
    by_head,
    linear,
    rms_norm,
    seen,
    segment_mask,
    side_by_side,
)
from eacl_jax.onnx.relative import bias_by_bucket
from eacl_jax.onnx.stack import Given, layers_of, read_from


def encode(encoder: Any, given: Given) -> Value:
    """Hidden states at the columns that are read."""
    shape = encoder.shape
    heads, width = shape.num_heads, shape.head_width
    graph = given.tokens.graph
    hidden = graph.constant(array(encoder.embeddings.tokens.embedding)).take(given.tokens)
    bias = bias_by_bucket(
        encoder.distance_bias, given, buckets=shape.buckets, farthest=shape.farthest
    )
    shift = seen(segment_mask(given.segment_ids), bias)
    for layer in layers_of(encoder):
        normalized = rms_norm(hidden, layer.attention_norm)
        query, keys, values = (
            by_head(linear(normalized, each), heads, width)
            for each in (layer.query, layer.key, layer.value)
        )
        attended = side_by_side(attend(query, keys, values, shift), heads * width)
        hidden = hidden + linear(attended, layer.output)
        normalized = rms_norm(hidden, layer.feed_forward_norm)
        if shape.gated:
            wide = activation(linear(normalized, layer.bent), shape.activation)
            wide = wide * linear(normalized, layer.gate)
        else:
            wide = activation(linear(normalized, layer.up), shape.activation)
        hidden = hidden + linear(wide, layer.down)
    return rms_norm(read_from(hidden, given.read), encoder.norm)
