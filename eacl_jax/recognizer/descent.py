"""What `few_shot` minimizes, by JAX."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from eacl_jax.model import losses, losses_multi
from eacl_jax.model.decisions import Affine
from eacl_jax.model.scores import label_scores

# Enough to reach the minimum.
STEPS = 300
RATE = 1e-2


@functools.partial(
    jax.jit, static_argnames=("temperature", "anchors_per_label", "classifies", "pull")
)
def minimize(
    start: Float[Array, "A m"],
    present: Array,
    reps: Float[Array, "N m"],
    labels: Array,
    weights: Float[Array, " N"],
    affine: Affine | None,
    *,
    temperature: float,
    anchors_per_label: int,
    classifies: bool,
    pull: float,
) -> Float[Array, "A m"]:
    """The anchors after `STEPS` of Adam; unit vectors.

    Args:
      start: unit vectors.
      present: whether each anchor moves, [A, 1].
      reps: representations.
      labels: as of `adapt_anchors`.
      weights: 0 for examples to leave out.
      affine: as of `adapt_anchors`, like what follows.
      temperature: of the scores.
      anchors_per_label: k.
      classifies: see `losses_multi.label_logits`.
      pull: of each anchor towards its start.
    """

    def loss(anchors: Array) -> Array:
        unit = anchors / jnp.linalg.norm(anchors, axis=1, keepdims=True)
        away = jnp.sum(1.0 - jnp.sum(unit * start, axis=1))
        how: dict[str, Any] = {
            "temperature": temperature,
            "anchors_per_label": anchors_per_label,
        }
        if affine is None:
            scores = label_scores(reps, anchors, **how)
            objective = losses.cross_entropy(scores, labels, weights=weights)
        else:
            how |= {"classifies": classifies, "weights": weights}
            scale, biases = jnp.asarray(affine.scale), jnp.asarray(affine.biases)
            objective, _ = losses_multi.stage_two(reps, labels, anchors, scale, biases, **how)
        return objective + pull * away / jnp.sum(weights)

    optimizer = optax.adam(RATE)

    def step(
        state: tuple[Array, optax.OptState], _: None
    ) -> tuple[tuple[Array, optax.OptState], None]:
        anchors, moments = state
        updates, moments = optimizer.update(jax.grad(loss)(anchors) * present, moments)
        return (anchors + jnp.asarray(updates), moments), None

    (anchors, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), None, length=STEPS)
    return anchors / jnp.linalg.norm(anchors, axis=1, keepdims=True)
