"""What depends on the distance of a key from its query, for rows of any length; see
`encoders.relative`.
"""

from typing import Any

import numpy as np

from eacl_jax.encoders.relative import logarithmic_buckets
from eacl_jax.onnx.graph import Graph, Value
from eacl_jax.onnx.layers import array
from eacl_jax.onnx.stack import Given


def bias_by_bucket(table: Any, given: Given, *, buckets: int, farthest: int) -> Value:
    """[H, L, L], what is added to all queries' scores, from a table [buckets, H]."""
    # From `farthest` on all distances are alike.
    known = logarithmic_buckets(
        np.arange(-farthest, farthest + 1), buckets=buckets, farthest=farthest
    )
    graph = given.tokens.graph
    columns = graph.columns(given.length)
    ahead = graph.op("Clip", columns.expand(0) - columns.expand(1), *_ends(farthest))
    rows = ahead + np.int64(farthest)
    return graph.constant(np.ascontiguousarray(array(table.embedding)[known].T)).take(rows, axis=1)


def distances(graph: Graph, length: Value, farthest: int = 0) -> Value:
    """int64 [2 L - 1]: see `encoders.relative.distances`; at most `farthest`, if given."""
    end = graph.op("Squeeze", length)
    columns = graph.op("Range", np.int64(1) - end, end, np.int64(1))
    return graph.op("Clip", columns, *_ends(farthest)) if farthest else columns


def by_key(scores: Value, *batch: Any) -> Value:
    """[..., L, 2 L - 1] by distance -> [..., L, L] by key, see `encoders.relative.by_key`.

    `batch`: the sizes before the last two axes, as for `Value.reshape`.
    """
    graph, axes = scores.graph, len(batch) + 2
    length, distance = scores.size(axes - 2), scores.size(axes - 1)
    one = np.zeros(2 * axes, np.int64)
    one[-1] = 1
    flat = graph.op("Pad", scores, one, np.float32(0)).reshape(*batch, -1)
    flat = flat.cut(axes - 2, 0, length * distance)
    return flat.reshape(*batch, length, distance).cut(
        axes - 1, length - np.array([1], np.int64), distance
    )


def _ends(farthest: int) -> tuple[np.int64, np.int64]:
    return np.int64(-farthest), np.int64(farthest)
