"""Dropout as a function of its key: modules hold parameters and nothing else."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Randomness = nnx.Rngs | nnx.RngStream | jax.Array


def dropout_key(rngs: Randomness | None) -> jax.Array:
    """The key that a call's dropout starts from.

    Args:
      rngs: an `nnx.Rngs` (its stream `dropout`, else its default), a stream, or a key.

    Raises:
      ValueError: there is none.
    """
    if rngs is None:
        raise ValueError("deterministic=False needs rngs: an nnx.Rngs, a stream of one, or a jax.random key.")
    if isinstance(rngs, nnx.Rngs):
        return rngs.dropout()
    return rngs() if isinstance(rngs, nnx.RngStream) else rngs


def dropout(values: Float[Array, "*shape"], rate: float, key: jax.Array | None) -> Float[Array, "*shape"]:
    """Zeroes each value with probability `rate` and divides the others by `1 - rate`; does nothing without a key."""
    if key is None or rate == 0.0:
        return values
    keep = jax.random.bernoulli(key, 1.0 - rate, values.shape)
    return jnp.where(keep, values / (1.0 - rate), jnp.zeros_like(values))
