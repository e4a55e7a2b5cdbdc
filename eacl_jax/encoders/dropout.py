"""Dropout as a function of its key: modules hold parameters and nothing else."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, UInt32

Randomness = nnx.Rngs | nnx.RngStream | jax.Array


def dropout_key(rngs: Randomness | None) -> jax.Array:
    """The key that a call's dropout starts from.

    Args:
      rngs: an `nnx.Rngs` (its stream `dropout`, else its default), a stream, or a key.

    Raises:
      ValueError: there is none.
    """
    if rngs is None:
        raise ValueError(
            "deterministic=False needs rngs: an nnx.Rngs, a stream of one, or a jax.random key."
        )
    if isinstance(rngs, nnx.Rngs):
        return rngs.dropout()
    return rngs() if isinstance(rngs, nnx.RngStream) else rngs


def dropout_seed(key: jax.Array) -> UInt32[Array, "2"]:
    """The two words that a key's masks are made of."""
    return jax.random.bits(key, (2,), jnp.uint32)


def keep_mask(
    seed: UInt32[Array, "2"],
    rate: float,
    shape: Sequence[int],
    *,
    rows_axis: int | None = 0,
    row: Array | None = None,
) -> Bool[Array, "*shape"]:
    """True with probability `1 - rate`, independently for each element.

    Inside `jax.shard_map` rows are this device's: their mask is the part that they have in the mask
    of all devices' rows, so that devices draw what one alone would draw.

    An element's bits are a hash of its index: a 32-bit mixer of two multiplications and three
    shifts, with one word of the seed added before and the other mixed in between. JAX's own
    generators cost ten times as much on a CPU, where masks of attention probabilities were a third
    of a training step; and a hash fuses into whatever uses the mask, so that a backward pass makes
    it again instead of reading it from memory.

    Args:
      seed: from `dropout_seed`.
      rate: the share that is False.
      shape: of the mask.
      rows_axis: the axis that counts the batch's rows; None: there is none.
      row: the mask of this row of the first axis alone, [*shape[1:]]; None: of all.
    """
    shown = shape if row is None else shape[1:]
    index = jnp.zeros(shown, jnp.uint32)
    mesh, whole = jax.sharding.get_abstract_mesh(), list(shape)
    split_axis = rows_axis if mesh.manual_axes else None
    if split_axis is not None:
        whole[split_axis] *= math.prod(mesh.shape[name] for name in mesh.manual_axes)
    for axis in range(len(shape)):
        # Not one iota reshaped: along each axis by itself, so that devices that share the array
        # each make their own part.
        stride = np.uint32(math.prod(whole[axis + 1 :]) % 2**32)
        if row is None:
            along = lax.broadcasted_iota(jnp.uint32, shown, axis)
        elif axis:
            along = lax.broadcasted_iota(jnp.uint32, shown, axis - 1)
        else:
            along = row.astype(jnp.uint32)
        if axis == split_axis:
            device = lax.axis_index(mesh.manual_axes).astype(jnp.uint32)
            along = along + device * np.uint32(shape[axis])
        index = index + along * stride
    bits = index + seed[0]
    bits = (bits ^ (bits >> 16)) * np.uint32(0x7FEB352D) ^ seed[1]
    bits = (bits ^ (bits >> 15)) * np.uint32(0x846CA68B)
    return (bits ^ (bits >> 16)) >= np.uint32(round(rate * 2**32))


def dropout(
    values: Float[Array, "*shape"],
    rate: float,
    key: jax.Array | None,
    *,
    rows_axis: int | None = 0,
) -> Float[Array, "*shape"]:
    """Zeroes each value with probability `rate` and divides the others by `1 - rate`; does nothing
    without a key. `rows_axis`: see `keep_mask`.
    """
    if key is None or rate == 0.0:
        return values
    return _drop(values, dropout_seed(key), rate, rows_axis)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _drop(values: jax.Array, seed: jax.Array, rate: float, rows_axis: int | None) -> jax.Array:
    return jnp.where(
        keep_mask(seed, rate, values.shape, rows_axis=rows_axis),
        values * (1.0 / (1.0 - rate)),
        jnp.zeros_like(values),
    )


def _drop_forward(
    values: jax.Array, seed: jax.Array, rate: float, rows_axis: int | None
) -> tuple[jax.Array, jax.Array]:
    return _drop(values, seed, rate, rows_axis), seed


def _drop_backward(
    rate: float, rows_axis: int | None, seed: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, None]:
    return _drop(gradient, seed, rate, rows_axis), None


_drop.defvjp(_drop_forward, _drop_backward)
