"""Relative positions without gathers: what depends on the distance of a key from its query, laid
out by query and key.

Everything here has one distance axis of `2 * length - 1` entries; entry m is for keys `m - (length
- 1)` columns ahead of their query. Inside a segment, distances between columns are those between
positions, so packed rows need nothing more.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


def distances(length: int) -> np.ndarray:
    """How far ahead of its query the key of each entry is: int64 [2 * length - 1], from `1 -
    length` to `length - 1`.
    """
    return np.arange(1 - length, length)


def by_key(scores: Float[Array, "*batch length distance"]) -> Float[Array, "*batch length length"]:
    """Turns the distance axis into one of keys: `result[..., q, k] = scores[..., q, k - q + length
    - 1]`.

    Pad, reshape and slice only, so that the backward pass is no scatter (the trick is
    Transformer-XL's, arXiv 1901.02860).
    """
    *batch, length, distance = scores.shape
    padded = jnp.pad(scores, [(0, 0)] * (len(batch) + 1) + [(0, 1)])
    flat = padded.reshape(*batch, length * (distance + 1))[..., : length * distance]
    return flat.reshape(*batch, length, distance)[..., length - 1 :]


def bias_by_bucket(
    table: Float[Array, "buckets heads"], buckets: np.ndarray
) -> Float[Array, "heads length length"]:
    """What is added to every query's scores, from a table with a row for each bucket of distances.

    Args:
      table: one value a head.
      buckets: int [2 * length - 1], the row for each distance.
    """
    # A product with one-hot rows, because its gradient is a product too and not a scatter.
    chosen = jax.nn.one_hot(buckets, table.shape[0], dtype=jnp.float32)
    values = jnp.einsum("mb,bh->hm", chosen, table, precision=lax.Precision.HIGHEST)
    heads, distance = values.shape
    return by_key(jnp.broadcast_to(values[:, None], (heads, (distance + 1) // 2, distance)))


def logarithmic_buckets(ahead: np.ndarray, *, buckets: int, farthest: int) -> np.ndarray:
    """Buckets of T5 (arXiv 1910.10683) and MPNet: half of them for keys behind the query, half for
    keys ahead.

    The nearer half of each half has a bucket a distance; from there buckets widen with the
    logarithm up to `farthest`, and all that is farther shares the last.
    """
    half = buckets // 2
    exact = half // 2
    distance = np.abs(ahead)
    octaves = np.log(np.maximum(distance, exact).astype(np.float32) / exact) / np.float32(
        math.log(farthest / exact)
    )
    wide = np.minimum(exact + (octaves * (half - exact)).astype(np.int32), half - 1)
    return np.where(ahead > 0, half, 0) + np.where(distance < exact, distance, wide)
