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
    """The anchors after `STEPS` of Adam: they turn, and stay as long as they are.

    Args:
      start: where they begin.
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

    lengths = jnp.maximum(jnp.linalg.norm(start, axis=1, keepdims=True), 1e-12)
    begun = start / lengths

    def directions(anchors: Array) -> Array:
        return anchors / jnp.linalg.norm(anchors, axis=1, keepdims=True)

    def loss(anchors: Array) -> Array:
        unit = directions(anchors)
        away = jnp.sum(1.0 - jnp.sum(unit * begun, axis=1))
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
            axes = unit * lengths  # a classifier's logits grow with their lengths
            objective, _ = losses_multi.stage_two(reps, labels, axes, scale, biases, **how)
        return objective + pull * away / jnp.sum(weights)

    optimizer = optax.adam(RATE)

    def step(
        state: tuple[Array, optax.OptState], _: None
    ) -> tuple[tuple[Array, optax.OptState], None]:
        anchors, moments = state
        updates, moments = optimizer.update(jax.grad(loss)(anchors) * present, moments)
        return (anchors + jnp.asarray(updates), moments), None

    (anchors, _), _ = jax.lax.scan(step, (begun, optimizer.init(begun)), None, length=STEPS)
    return jnp.where(present > 0, directions(anchors) * lengths, start)
