"""The pieces of encoders as nodes. Names and numbers are those of `encoders.layers`."""

import math
from typing import Any

import numpy as np

from eacl_jax.onnx.graph import Value

# What no key that is forbidden can win with, added to its score.
_FORBIDDEN = np.float32(-1e30)


def array(parameter: Any) -> np.ndarray:
    """A parameter as float32 of the host."""
    return np.asarray(parameter[...], np.float32)


def dense(x: Value, kernel: np.ndarray, bias: np.ndarray | None = None) -> Value:
    """`x kernel + bias`."""
    product = x @ kernel
    return product if bias is None else product + bias


def linear(x: Value, layer: Any) -> Value:
    """A dense layer, with or without a bias."""
    return dense(x, array(layer.kernel), None if layer.bias is None else array(layer.bias))


def norm(x: Value, layer: Any) -> Value:
    """LayerNorm over the last axis."""
    bias = None if layer.bias is None else array(layer.bias)
    return x.graph.op(
        "LayerNormalization", x, array(layer.scale), bias, axis=-1, epsilon=layer.epsilon
    )


def rms_norm(x: Value, layer: Any) -> Value:
    """Division by the root mean square over the last axis."""
    op = x.graph.op
    square = op("ReduceMean", x * x, np.array([-1], np.int64))
    return x / op("Sqrt", square + layer.epsilon) * array(layer.scale)


def activation(x: Value, name: str) -> Value:
    """One of `encoders.layers.ACTIVATIONS`."""
    op = x.graph.op
    if name in ("gelu", "gelu_python"):
        return op("Gelu", x)
    if name in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"):
        return op("Gelu", x, approximate="tanh")
    if name in ("silu", "swish"):
        return x * op("Sigmoid", x)
    return op({"relu": "Relu", "tanh": "Tanh"}[name], x)


def segment_mask(segment_ids: Value) -> Value:
    """bool [R, L, L], see `encoders.attention.segment_mask`."""
    return segment_ids.graph.op("Equal", segment_ids.expand(2), segment_ids.expand(1))


def seen(mask: Value, bias: Value | None = None) -> Value:
    """[R, 1, Q, K] of a mask bool [R, Q, K]: 0 where a query sees a key, else what no such key can
    win with; with a bias [H, Q, K] or [R, H, Q, K], added to it.
    """
    shift = mask.expand(1).where(np.float32(0), _FORBIDDEN)
    return shift if bias is None else shift + bias


def by_head(x: Value, heads: int, width: int) -> Value:
    """[R, L, H w] -> [R, H, L, w]."""
    return x.reshape(0, 0, heads, width).transpose(0, 2, 1, 3)


def side_by_side(x: Value, width: int) -> Value:
    """[R, H, L, w] -> [R, L, H w]; `width`: H w."""
    return x.transpose(0, 2, 1, 3).reshape(0, 0, width)


def attend(
    query: Value,
    key: Value,
    value: Value,
    shift: Value,
    *,
    bias: Value | None = None,
    talking_heads: tuple[np.ndarray, np.ndarray] | None = None,
) -> Value:
    """`softmax(query key^T + bias + shift) value`; all by head, the query scaled already.

    Args:
      query: [R, H, Q, w].
      key, value: [R, H, K, w].
      shift: from `seen`.
      bias: [R, H, Q, K], a row's own.
      talking_heads: see `encoders.attention.attend`; what they mix has no `shift` yet.
    """
    op, mixed = query.graph.op, "rhqk,hg->rgqk"
    scores = query @ key.transpose(0, 1, 3, 2)
    if bias is not None:
        scores = scores + bias
    if talking_heads is not None:
        scores = op("Einsum", scores, talking_heads[0], equation=mixed)
    probabilities = op("Softmax", scores + shift, axis=-1)
    if talking_heads is not None:
        probabilities = op("Einsum", probabilities, talking_heads[1], equation=mixed)
    return probabilities @ value


def scaled(layer: Any, by: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Kernel and bias of a dense layer whose result is multiplied by a number."""
    bias = None if layer.bias is None else array(layer.bias) * np.float32(by)
    return array(layer.kernel) * np.float32(by), bias


def inverse_root(width: int) -> float:
    """Attention's usual scale."""
    return 1 / math.sqrt(width)


def take_columns(x: Value, read: Value) -> Value:
    """`x[r, read[r, s]]`: [R, L, ...] at columns int64 [R, S]."""
    return x.graph.op("GatherND", x, read.expand(2), batch_dims=1)
