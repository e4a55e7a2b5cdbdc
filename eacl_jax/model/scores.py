"""The score of a representation with an anchor, unit vectors, and the decision. Nothing else has a
formula of its own.

Source: arXiv 2403.20289, Sec. 3.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def unit_vectors(x: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """Unit vectors. A zero vector stays zero and has a zero gradient, where x / |x| would give
    NaN.
    """
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    tiny = square < 1e-24
    return jnp.where(tiny, 0.0, x * jax.lax.rsqrt(jnp.where(tiny, 1.0, square)))


def scores(
    x: Float[Array, "N D"], y: Float[Array, "M D"], *, temperature: float
) -> Float[Array, "N M"]:
    """`s(x, y) = ((1 + cos(x, y)) / 2 + 1e-8) / temperature`, in [0, 1/temperature].

    Args:
      x: [N, D] vectors, not necessarily of unit length.
      y: [M, D] vectors.
      temperature: positive.

    Returns:
      [N, M] float32 scores. The prediction for an utterance is the argmax over the anchors.

    Example:
      >>> import jax.numpy as jnp
      >>> x, anchors = jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> same, orthogonal = scores(x, anchors, temperature=0.1)[0]
      >>> round(float(same), 4), round(float(orthogonal), 4)
      (10.0, 5.0)
    """
    x, y = unit_vectors(x.astype(jnp.float32)), unit_vectors(y.astype(jnp.float32))
    cosine = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return scores_of_cosines(cosine, temperature=temperature)


def scores_of_cosines(cosines: Any, *, temperature: float) -> Any:
    """The formula of `scores`, for an array of cosines of JAX or NumPy."""
    return ((1.0 + cosines) / 2.0 + 1e-8) / temperature


def host_cosines(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "N M"]:
    """Cosines by NumPy in float64; a zero vector has cosine 0 with everything."""

    def unit(vectors: np.ndarray) -> np.ndarray:
        norm = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return vectors / np.where(norm < 1e-12, 1.0, norm)

    return unit(x) @ unit(y).T


def host_scores(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], *, temperature: float
) -> Float[np.ndarray, "N M"]:
    """`scores` by NumPy in float64: where each call has another N, JAX would compile each anew."""
    return scores_of_cosines(host_cosines(x, y), temperature=temperature)


def decide(cosines: Float[np.ndarray, "N C"]) -> Int[np.ndarray, " N"]:
    """The answer to each utterance, from `host_cosines` with the anchors: the index of the nearest,
    of equal ones the first.

    Everything that answers or scores answers calls this, so that none disagrees with another on a
    near tie.
    """
    return np.argmax(cosines, axis=1)
