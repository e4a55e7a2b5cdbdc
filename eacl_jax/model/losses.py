"""The objective: pure functions of arrays, computed in float32, finite for any finite input.

Source of the formulas: arXiv 2403.20289 (Sec. 3), with the details of the public implementation
where it says more.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from eacl_jax.model.scores import scores, unit_vectors

LOG_FLOOR = 1e-8  # keeps the logarithm of "form in" finite; part of the published loss
COSINE_LIMIT = 0.99999  # arccos has an infinite slope at +-1

Form = Literal["in", "out"]


def _check(labels: Array, weights: Array | None, **vectors: Array | None) -> None:
    """Raises `ValueError` unless labels and weights are [N], the first of `vectors` is [N, D] and
    the others are [_, D].
    """
    shapes = {name: v.shape for name, v in vectors.items() if v is not None}
    first = next(iter(shapes.values()))
    fits = all(len(shape) == 2 and shape[1] == first[1] for shape in shapes.values())
    rows = [a.shape for a in (labels, weights) if a is not None]
    if not fits or any(shape != first[:1] for shape in rows):
        raise ValueError(
            f"expected labels [N], weights [N] or None, and {' [., D], '.join(shapes)} [., D]; got"
            f" {rows}, {shapes}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be integers, got {labels.dtype}")


def cross_entropy(
    logits: Float[Array, "N C"],
    labels: Int[Array, " N"],
    *,
    weights: Float[Array, " N"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Weighted mean of `-log softmax(logits)[label]`.

    Args:
      logits: [N, C].
      labels: [N] in 0..C-1.
      weights: [N] non-negative, 0 for padding rows; None means all 1.
      axis_name: of the mapped axis over which N is split, in per-device code.

    Returns:
      Scalar, in nats; 0 if all weights are 0.
    """
    _check(labels, weights, logits=logits)
    weights = (
        jnp.ones(labels.shape[0], jnp.float32) if weights is None else weights.astype(jnp.float32)
    )
    picked = jnp.take_along_axis(
        jax.nn.log_softmax(logits.astype(jnp.float32)), labels[:, None], axis=1
    )[:, 0]
    total, count = jnp.sum(-weights * picked), jnp.sum(weights)
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    return total / jnp.maximum(count, 1e-12)


def supervised_contrastive(
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "C D"] | None = None,
    *,
    temperature: float,
    form: Form = "in",
    weights: Float[Array, " N"] | None = None,
    constant_for_no_positive: bool = False,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    r"""Supervised contrastive loss over utterances and anchors together.

    With K = N + C vectors (anchor c has label c), P_i the other vectors of i's label and s the
    score of `scores`:

    * form "in": `loss_i = -log( sum_{j in P_i} e^{s_ij} / sum_{j != i} e^{s_ij} / |P_i| + 1e-8 )`,
      averaged over the rows with `loss_i > 0`;
    * form "out": `loss_i = -1/|P_i| sum_{j in P_i} log( e^{s_ij} / sum_{k != i} e^{s_ik} )`,
      averaged over the rows with a positive
      (arXiv 2004.11362, eq. 2).

    A row without a positive is left out.

    Args:
      reps: [N, D] representations of the global batch.
      labels: [N] in 0..C-1.
      anchors: [C, D], or None for the utterances alone.
      temperature: positive.
      form: "in" or "out".
      weights: [N], 0 removes a padding row from every sum; other values count as 1.
      constant_for_no_positive: form "in" only: such a row counts with the constant `-log(1e-8)`, as
        in the public implementation.
      axis_name: name of the mapped axis in per-device code (`jax.pmap`, `jax.shard_map`), where
        `reps`, `labels`, `weights` are this device's part and `anchors` is the same everywhere. The
        others' are gathered. The value equals the global loss on every device. Gradients: under
        `shard_map` equal to the global ones; under `pmap`, whose transpose of a sum over devices is
        again that sum, equal after the usual `lax.pmean` over the gradients of shared parameters.

    Returns:
      Scalar; 0 where no row counts.

    Example:
      >>> import jax.numpy as jnp
      >>> reps = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> loss = supervised_contrastive(reps, jnp.array([0, 1]), reps, temperature=1.0)
      >>> round(float(loss), 4)  # log(1 + 2 / e^0.5)
      0.7944
    """
    _check(labels, weights, reps=reps, anchors=anchors)
    weights = jnp.ones(labels.shape[0], jnp.float32) if weights is None else weights
    if axis_name is not None:
        reps, labels, weights = (
            jax.lax.all_gather(a, axis_name, tiled=True) for a in (reps, labels, weights)
        )
    if anchors is not None:
        classes = anchors.shape[0]
        reps = jnp.concatenate([reps.astype(jnp.float32), anchors.astype(jnp.float32)])
        labels = jnp.concatenate([labels.astype(jnp.int32), jnp.arange(classes, dtype=jnp.int32)])
        weights = jnp.concatenate([weights, jnp.ones(classes, weights.dtype)])
    valid = weights > 0
    others = valid[None, :] & ~jnp.eye(labels.shape[0], dtype=bool)
    positive = others & (labels[:, None] == labels[None, :])
    positives = jnp.sum(positive, axis=1)
    s = scores(reps, reps, temperature=temperature)
    log_all = _masked_logsumexp(s, others)
    if form == "in":
        log_share = _masked_logsumexp(s, positive) - log_all - jnp.log(jnp.maximum(positives, 1))
        share = jnp.where(positives > 0, jnp.exp(jnp.where(positives > 0, log_share, 0.0)), 0.0)
        loss = -jnp.log(share + LOG_FLOOR)
        counted = valid & (loss > 0) & ((positives > 0) | constant_for_no_positive)
    elif form == "out":
        loss = jnp.sum(jnp.where(positive, log_all[:, None] - s, 0.0), axis=1) / jnp.maximum(
            positives, 1
        )
        counted = valid & (positives > 0)
    else:
        raise ValueError(f'form must be "in" or "out", got {form!r}')
    value = jnp.sum(jnp.where(counted, loss, 0.0)) / jnp.maximum(jnp.sum(counted), 1)
    # Every device has computed the same value: the mean tells JAX so, and shares the gradient out
    # among them.
    return value if axis_name is None else jax.lax.pmean(value, axis_name)


def _masked_logsumexp(s: Float[Array, "K K"], mask: Array) -> Float[Array, " K"]:
    """Row-wise log-sum-exp over the entries in the mask; 0, with zero gradient, for an empty
    row.
    """
    some = jnp.any(mask, axis=1)
    top = jax.lax.stop_gradient(jnp.max(jnp.where(mask, s, -jnp.inf), axis=1))
    top = jnp.where(some, top, 0.0)
    total = jnp.sum(jnp.where(mask, jnp.exp(jnp.where(mask, s - top[:, None], 0.0)), 0.0), axis=1)
    return jnp.where(some, top + jnp.log(jnp.where(some, total, 1.0)), 0.0)


def anchor_angle(anchors: Float[Array, "C D"]) -> Float[Array, ""]:
    """Negative mean, over the anchors, of the smallest angle to another anchor, seen from the
    anchors' mean.

    Minimizing it maximizes every anchor's smallest angle.

    Args:
      anchors: [C, D], C >= 2.

    Returns:
      Scalar in radians, in (-pi, 0).

    Example:
      >>> import jax.numpy as jnp
      >>> round(float(anchor_angle(jnp.eye(3))), 4)  # 120 degrees apart, seen from their mean
      -2.0944
    """
    if anchors.ndim != 2 or anchors.shape[0] < 2:
        raise ValueError(f"anchors must be [C, D] with C >= 2, got {anchors.shape}")
    anchors = anchors.astype(jnp.float32)
    unit = unit_vectors(anchors - jnp.mean(anchors, axis=0, keepdims=True))
    cosine = jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)
    nearest = jnp.max(jnp.where(jnp.eye(anchors.shape[0], dtype=bool), -jnp.inf, cosine), axis=1)
    return -jnp.mean(jnp.arccos(jnp.clip(nearest, -COSINE_LIMIT, COSINE_LIMIT)))


def stage_one(
    logits: Float[Array, "N C"],
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "C D"],
    *,
    temperature: float,
    ce_weight: float,
    angle_weight: float,
    form: Form = "in",
    use_anchors: bool = True,
    weights: Float[Array, " N"] | None = None,
    constant_for_no_positive: bool = False,
    axis_name: str | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`ce_weight * CE + (1 - ce_weight) * (contrastive + angle_weight * angle)`.

    Args:
      logits: [N, C] of the predictor.
      reps: [N, D] mapped representations.
      labels: [N] in 0..C-1.
      anchors: [C, D] mapped label encodings; with `use_anchors=False` they enter the angle term
        alone.
      temperature, form, weights, constant_for_no_positive, axis_name: see `supervised_contrastive`.
      ce_weight: share of the cross-entropy, in [0, 1].
      angle_weight: non-negative.

    Returns:
      The loss and its terms `ce`, `contrastive` (nats) and `angle` (radians), unweighted.
    """
    terms = {
        "ce": cross_entropy(logits, labels, weights=weights, axis_name=axis_name),
        "contrastive": supervised_contrastive(
            reps,
            labels,
            anchors if use_anchors else None,
            temperature=temperature,
            form=form,
            weights=weights,
            constant_for_no_positive=constant_for_no_positive,
            axis_name=axis_name,
        ),
        "angle": anchor_angle(anchors),
    }
    total = ce_weight * terms["ce"] + (1 - ce_weight) * (
        terms["contrastive"] + angle_weight * terms["angle"]
    )
    return total, terms


def stage_two(
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "C D"],
    *,
    temperature: float,
    weights: Float[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Cross-entropy of the scores between fixed representations and the anchors; shapes as in
    `stage_one`.

    Returns:
      The loss and its terms: none beside itself.
    """
    return (
        cross_entropy(scores(reps, anchors, temperature=temperature), labels, weights=weights),
        {},
    )
