"""ModernBERT."""

from typing import Any

import numpy as np

from eacl_jax.onnx.graph import Value
from eacl_jax.onnx.layers import (
    activation,
    array,
    attend,
    by_head,
    dense,
    inverse_root,
    linear,
    norm,
    seen,
    segment_mask,
    side_by_side,
)
from eacl_jax.onnx.stack import Given, layers_of, read_from


def encode(encoder: Any, given: Given) -> Value:
    """Hidden states at the columns that are read."""
    shape = encoder.shape
    heads, hidden_size = shape.num_heads, shape.hidden_size
    width = hidden_size // heads
    graph = given.tokens.graph
    op = graph.op
    tables = encoder.embeddings
    hidden = norm(graph.constant(array(tables.tokens.embedding)).take(given.tokens), tables.norm)
    mask = segment_mask(given.segment_ids)
    columns = graph.columns(given.length)
    away = op("Abs", columns.expand(0) - columns.expand(1))
    near = op("And", mask, op("LessOrEqual", away, np.int64(shape.window)))
    views = {
        True: (seen(mask), _turns(given, shape.global_theta, width)),
        False: (seen(near), _turns(given, shape.local_theta, width)),
    }
    for number, layer in enumerate(layers_of(encoder)):
        shift, turns = views[shape.is_global[number]]
        normalized = hidden if number == 0 else norm(hidden, layer.attention_norm)
        query, keys, values = (
            by_head(dense(normalized, *each), heads, width) for each in _parts(layer.all)
        )
        query = _turned(query, turns) * np.float32(inverse_root(width))
        attended = attend(query, _turned(keys, turns), values, shift)
        hidden = hidden + linear(side_by_side(attended, hidden_size), layer.output)
        wide = linear(norm(hidden, layer.feed_forward_norm), layer.up)
        bent, gate = graph.ops("Split", 2, wide, axis=-1, num_outputs=2)
        hidden = hidden + linear(activation(bent, shape.activation) * gate, layer.down)
    return norm(read_from(hidden, given.read), encoder.norm)


def _parts(layer: Any) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Kernels and biases of queries, keys and values."""
    kernels = np.split(array(layer.kernel), 3, axis=1)
    biases = [None] * 3 if layer.bias is None else np.split(array(layer.bias), 3)
    return list(zip(map(np.ascontiguousarray, kernels), biases, strict=True))


def _turns(given: Given, theta: float, width: int) -> tuple[Value, Value]:
    """Cosines and sines [R, 1, L, w / 2] of each token's angles."""
    rates = theta ** -(np.arange(0, width, 2, dtype=np.float32) / width)
    angles = given.positions.cast("float32").expand(2).expand(1) * rates.astype(np.float32)
    return angles.graph.op("Cos", angles), angles.graph.op("Sin", angles)


def _turned(heads: Value, turns: tuple[Value, Value]) -> Value:
    """See `encoders.architectures.modernbert.rotate`; [R, H, L, w]."""
    cosine, sine = turns
    first, second = heads.graph.ops("Split", 2, heads, axis=-1, num_outputs=2)
    return heads.graph.op(
        "Concat", first * cosine - second * sine, second * cosine + first * sine, axis=-1
    )
