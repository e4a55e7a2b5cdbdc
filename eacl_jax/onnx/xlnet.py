"""XLNet."""

from typing import Any

import numpy as np

from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import (
    activation,
    array,
    attend,
    inverse_root,
    linear,
    norm,
    seen,
    segment_mask,
    side_by_side,
)
from eacl_jax.onnx.relative import by_key, distances
from eacl_jax.onnx.stack import Given, layers_of, read_from


def encode(encoder: Any, given: Given) -> Value:
    """Hidden states at the columns that are read."""
    shape = encoder.shape
    heads, hidden_size = shape.num_heads, shape.hidden_size
    width = hidden_size // heads
    graph = given.tokens.graph
    hidden = graph.constant(array(encoder.embeddings.tokens.embedding)).take(given.tokens)
    shift = seen(segment_mask(given.segment_ids))
    features = _features(encoder, given)
    scale = np.float32(inverse_root(width))

    def project(x: Value, kernel: np.ndarray) -> Value:
        return (x @ kernel.reshape(hidden_size, -1)).reshape(0, 0, heads, width)

    for layer in layers_of(encoder):
        query = project(hidden, array(layer.query.kernel) * scale)
        keys, values = (
            project(hidden, array(each.kernel)).transpose(0, 2, 1, 3)
            for each in (layer.key, layer.value)
        )
        by_content, by_distance = (
            (query + scale * array(bias)).transpose(0, 2, 1, 3)
            for bias in (layer.content_bias, layer.distance_bias)
        )
        # [H, w, distances]
        positions = (features @ array(layer.distance.kernel).reshape(hidden_size, -1)).reshape(
            -1, heads, width
        )
        bias = by_key(by_distance @ positions.transpose(1, 2, 0), 0, heads)
        attended = attend(by_content, keys, values, shift, bias=bias)
        back = array(layer.output.kernel).reshape(hidden_size, -1).T
        attended = side_by_side(attended, hidden_size) @ np.ascontiguousarray(back)
        hidden = norm(hidden + attended, layer.attention_norm)
        wide = activation(linear(hidden, layer.up), shape.activation)
        hidden = norm(hidden + linear(wide, layer.down), layer.feed_forward_norm)
    return read_from(hidden, given.read)


def _features(encoder: Any, given: Given) -> Value:
    """[2 L - 1, D], see `distance_features`."""
    width = encoder.shape.hidden_size
    graph = given.tokens.graph
    behind = np.float32(-1) * distances(graph, given.length, encoder.shape.farthest).cast("float32")
    rates = 1 / np.power(
        np.float32(10000), np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    )
    angles = behind.expand(1) * rates
    return graph.op("Concat", graph.op("Sin", angles), graph.op("Cos", angles), axis=1)
