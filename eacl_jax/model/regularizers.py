"""What is added to an objective so that it holds for more than the weights and inputs at hand."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def divergence(
    one: Float[Array, "N C"],
    other: Float[Array, "N C"],
    *,
    weights: Float[Array, " N"] | None = None,
    binary: bool = False,
) -> Float[Array, ""]:
    """Mean of both Kullback-Leibler divergences between two answers to the same examples, as R-Drop
    adds it (arXiv 2106.14448, eq. 2); weighted mean over the examples.

    Args:
      one, other: [N, C] logits.
      weights: [N] non-negative, 0 for padding rows; None means all 1.
      binary: each label's probability is a sigmoid of its logit, and the labels' divergences are
        added up; else the labels' probabilities are the softmax.

    Returns:
      Scalar, in nats; 0 where both are the same.

    Raises:
      ValueError: the shapes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> one, other = jnp.array([[0.0, 0.0]]), jnp.array([[jnp.log(3.0), 0.0]])
      >>> round(float(divergence(one, other)), 4)  # (0.75 - 0.5) log(3) / 2
      0.1373
    """
    if one.ndim != 2 or one.shape != other.shape:
        raise ValueError(f"one and other must both be [N, C], got {one.shape} and {other.shape}")
    if weights is not None and weights.shape != one.shape[:1]:
        raise ValueError(f"weights must be [N], of {one.shape[0]} examples; got {weights.shape}")
    one, other = one.astype(jnp.float32), other.astype(jnp.float32)
    if binary:
        parts = (jax.nn.sigmoid(one) - jax.nn.sigmoid(other)) * (one - other)
    else:
        log_p, log_q = jax.nn.log_softmax(one), jax.nn.log_softmax(other)
        parts = (jnp.exp(log_p) - jnp.exp(log_q)) * (log_p - log_q)
    each = parts.sum(axis=1) / 2
    if weights is None:
        return each.mean()
    return jnp.sum(weights * each) / jnp.maximum(jnp.sum(weights), 1e-12)


def along_gradient(gradient: Float[Array, "V D"], size: float) -> Float[Array, "V D"]:
    """A step of this length (Frobenius norm) along a gradient; zeros where that is zero.

    Source: arXiv 1605.07725, eq. 3.
    """
    norm = jnp.linalg.norm(gradient)
    return jnp.where(norm > 0, size / jnp.where(norm > 0, norm, 1.0), 0.0) * gradient
