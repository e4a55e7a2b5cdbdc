"""How frequent labels are in training, as what makes up for it: weights, offsets of scores,
probabilities of being drawn.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.config import LossConfig


def class_weights(counts: Int[np.ndarray, " C"], power: float) -> Float[np.ndarray, " C"]:
    """`(N / (C n_c)) ** power`, normalized to a mean of 1 over the N examples; float32.

    Args:
      counts: n_c, training examples of each label. A label without any has the weight that one
        example would give it.
      power: in [0, 1]; 0 gives all 1.

    Example:
      >>> class_weights(np.array([3, 1]), 1.0).round(4)
      array([0.6667, 2.    ], dtype=float32)
    """
    total = counts.sum()
    weights = (total / (len(counts) * np.maximum(counts, 1))) ** power
    return (weights * total / np.sum(weights * counts)).astype(np.float32)


def log_prior(counts: Int[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Logarithm of each label's share of the training examples; of a label without any, of the
    share that one example would have; float32.

    Example:
      >>> log_prior(np.array([3, 1])).round(4)
      array([-0.2877, -1.3863], dtype=float32)
    """
    return np.log(np.maximum(counts, 1) / counts.sum()).astype(np.float32)


def draw_probabilities(labels: Int[np.ndarray, " N"], power: float) -> Float[np.ndarray, " N"]:
    """Probability of each example, proportional to `n_label ** -power`; the sum is 1.

    Args:
      labels: of the training examples.
      power: 0 gives all the same, 1 every label the same.

    Example:
      >>> draw_probabilities(np.array([0, 0, 0, 1]), 1.0).round(4).tolist()
      [0.1667, 0.1667, 0.1667, 0.5]
    """
    weights = np.bincount(labels)[labels].astype(np.float64) ** -power
    return weights / weights.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class Rarity:
    """What a cross-entropy is given for labels that are rare; see `losses.cross_entropy`."""

    class_weights: Float[np.ndarray, " C"] | None = None
    offsets: Float[np.ndarray, " C"] | None = None

    @classmethod
    def of(cls, settings: LossConfig, counts: Int[np.ndarray, " C"]) -> "Rarity":
        """What the settings ask for, with so many training examples of each label."""
        weight, adjustment = settings.class_weight, settings.logit_adjustment
        return cls(
            class_weights(counts, weight) if weight else None,
            adjustment * log_prior(counts) if adjustment else None,
        )
