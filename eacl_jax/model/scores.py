"""The score of a representation with an anchor, unit vectors, and the decision. Nothing else has a
formula of its own. What works on arrays of JAX imports it when it is called: a program may answer
without it.

Source: arXiv 2403.20289, Sec. 3.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.model.calibration import probabilities

if TYPE_CHECKING:
    from jaxtyping import Array


def unit_vectors(x: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """Unit vectors. A zero vector stays zero and has a zero gradient, where x / |x| would give
    NaN.
    """
    import jax
    import jax.numpy as jnp

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
    return scores_of_cosines(cosines(x, y), temperature=temperature)


def cosines(x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
    """Cosines in float32; a zero vector has cosine 0 with everything."""
    import jax
    import jax.numpy as jnp

    x, y = unit_vectors(x.astype(jnp.float32)), unit_vectors(y.astype(jnp.float32))
    return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)


def scores_of_cosines(cosines: Any, *, temperature: float) -> Any:
    """The formula of `scores`, for an array of cosines of JAX or NumPy."""
    return ((1.0 + cosines) / 2.0 + 1e-8) / temperature


def cosine_temperature(temperature: float) -> float:
    """The T for which `softmax(cosines / T)` is the softmax of the scores, for programs that know
    nothing of them: what `scores` adds to all, the softmax takes out again.
    """
    return 2 * temperature


def label_cosines(
    cosines: Float[Array, "N A"], *, anchors_per_label: int, temperature: float
) -> Float[Array, "N C"]:
    """A cosine a label, of the cosines with the k anchors of each, which stand side by side.

    A label's score is logsumexp over its anchors' scores minus log k. What is answered is the
    cosine with which one anchor alone would have that score, so that all that knows one anchor a
    label goes on from there.

    Args:
      cosines: [N, C k], from `cosines`.
      anchors_per_label: k.
      temperature: of the scores.
    """
    if anchors_per_label == 1:
        return cosines
    import jax

    scale = cosine_temperature(temperature)
    rows, anchors = cosines.shape  # rows may be a symbol: see export
    grouped = cosines.reshape(rows, anchors // anchors_per_label, anchors_per_label) / scale
    return scale * (jax.nn.logsumexp(grouped, axis=-1) - np.log(anchors_per_label))


def label_scores(
    x: Float[Array, "N D"],
    anchors: Float[Array, "A D"],
    *,
    temperature: float,
    anchors_per_label: int = 1,
) -> Float[Array, "N C"]:
    """A score a label: `scores`, with k anchors a label those of `label_cosines`."""
    return scores_of_cosines(
        label_cosines(
            cosines(x, anchors), anchors_per_label=anchors_per_label, temperature=temperature
        ),
        temperature=temperature,
    )


def host_cosines(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "N M"]:
    """Cosines by NumPy in float64; a zero vector has cosine 0 with everything."""

    def unit(vectors: np.ndarray) -> np.ndarray:
        norm = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return vectors / np.where(norm < 1e-12, 1.0, norm)

    return unit(x) @ unit(y).T


@dataclasses.dataclass(frozen=True)
class Answering:
    """How representations and anchors become cosines and scores of labels, by NumPy in float64.

    Attributes:
      temperature: of the scores, tau.
      anchors_per_label: k; anchors [C k, m] hold each label's side by side.
      offsets: what is added to each label's score, C of them; empty: nothing.
    """

    temperature: float
    anchors_per_label: int = 1
    offsets: tuple[float, ...] = ()

    def cosines(
        self, x: Float[np.ndarray, "N m"], anchors: Float[np.ndarray, "A m"]
    ) -> Float[np.ndarray, "N C"]:
        """See `label_cosines`; offsets are not in them."""
        found = host_cosines(x, anchors)
        if self.anchors_per_label == 1:
            return found
        scale = cosine_temperature(self.temperature)
        grouped = found.reshape(len(found), -1, self.anchors_per_label) / scale
        return scale * (_logsumexp(grouped) - np.log(self.anchors_per_label))

    def scores(self, cosines: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
        """Of `cosines`, with the offsets: what probabilities are made of."""
        found = scores_of_cosines(cosines, temperature=self.temperature)
        return found + np.asarray(self.offsets) if self.offsets else found

    def probabilities(
        self, scores: Float[np.ndarray, "N C"], temperature: float
    ) -> Float[np.ndarray, "N C"]:
        """Of the labels, from their scores, calibrated by a temperature; rows sum to 1."""
        return probabilities(scores, temperature)

    def decide(self, cosines: Float[np.ndarray, "N C"]) -> Any:
        """The answers [N], from `cosines`; see `decide`."""
        return decide(self.ranked(cosines))

    def ranked(self, cosines: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
        """What the decision goes by: scores where there are offsets, else the cosines as they
        are.
        """
        return self.scores(cosines) if self.offsets else cosines


def _logsumexp(x: Float[np.ndarray, "*rows k"]) -> Float[np.ndarray, "*rows"]:
    """Over the last axis: SciPy's, which takes its time to import. The largest stands apart, as
    what the others add to it may be far smaller.
    """
    largest = x.max(axis=-1, keepdims=True)
    equal = x == largest
    count = equal.sum(axis=-1)
    others = np.where(equal, 0.0, np.exp(x - largest)).sum(axis=-1)
    return np.log1p(others / count) + np.log(count) + largest[..., 0]


def decide(cosines: Float[np.ndarray, "N C"]) -> Int[np.ndarray, " N"]:
    """The answer to each utterance, from its cosines with the labels (or its scores, where offsets
    are in them): the index of the largest, of equal ones the first.

    Everything that answers or scores answers calls this, so that none disagrees with another on a
    near tie.
    """
    return np.argmax(cosines, axis=1)
