"""The objective: pure functions of arrays, computed in float32, finite for any finite input.

Source of the formulas: arXiv 2403.20289 (Sec. 3), with the details of the public implementation
where it says more. Labels in NumPy's arrays have to be there; those in JAX's are not looked at, and
-1 is taken for the last.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.model.checks import (
    check_anchors,
    check_between,
    check_each_label,
    check_labels,
    check_temperature,
)
from eacl_jax.model.score_rows import ScoreRows, sum_by_rows
from eacl_jax.model.scores import label_scores, scores, unit_vectors

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
    class_weights: Float[Array | np.ndarray, " C"] | None = None,
    focal: float = 0.0,
    offsets: Float[Array | np.ndarray, " C"] | None = None,
    smoothing: float = 0.0,
    soft: Float[Array, "N C"] | None = None,
) -> Float[Array, ""]:
    """Weighted mean of `-log p`, p the softmax of the logits at the label; with soft targets y of
    `-sum_c y_c log p_c`, the Kullback-Leibler divergence from y to p up to a constant, y's entropy.

    Args:
      logits: [N, C].
      labels: [N] in 0..C-1.
      weights: [N] non-negative, 0 for padding rows; None means all 1.
      class_weights: [C], what a label's examples count; it is no part of what the mean is divided
        by. None means all 1.
      focal: g of focal cross-entropy, `-(1 - p)^g log p` (arXiv 1708.02002); 0 is the plain one.
      offsets: [C], added to the logits: `a log prior` is logit adjustment (arXiv 2007.07314).
      smoothing: s of label smoothing: `(1 - s)` times the label's, and `s` times the mean over all
        labels of what would be lost if each were right (arXiv 1512.00567). Not with `focal`.
      soft: [N, C], rows with a sum of 1, in place of the labels (arXiv 1503.02531); None: labels.
        Not with `class_weights`, `focal` or `smoothing`, which are of one label.

    Returns:
      Scalar, in nats; 0 if all weights are 0.

    Raises:
      ValueError: shapes do not fit, or a number is none that it can be; so of what follows here.

    Example:
      >>> import jax.numpy as jnp
      >>> even = jnp.zeros((1, 2))
      >>> round(float(cross_entropy(even, jnp.array([0]))), 4)
      0.6931
      >>> round(float(cross_entropy(even, jnp.array([0]), focal=1.0)), 4)  # half of it
      0.3466
    """
    _check(labels, weights, logits=logits)
    check_labels(labels, logits.shape[1])
    check_each_label(logits.shape[1], class_weights=class_weights, offsets=offsets)
    check_between(0, focal=focal)
    check_between(0, 1, smoothing=smoothing)
    if focal and smoothing:
        raise ValueError(f"smoothing must be 0 with focal, got {smoothing}")
    logits = logits.astype(jnp.float32)
    if offsets is not None:
        logits = logits + offsets
    weights = (
        jnp.ones(labels.shape[0], jnp.float32) if weights is None else weights.astype(jnp.float32)
    )
    log_p = jax.nn.log_softmax(logits)
    if soft is None:
        picked = jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    else:
        picked = _of_soft(soft, log_p, plain=class_weights is None and not (focal or smoothing))
    if smoothing:
        picked = (1 - smoothing) * picked + smoothing * log_p.mean(axis=1)
    if focal:
        # From the logarithm, so that 1 - p is exact where p is nearly 1; the floor keeps the slope
        # of a root finite.
        picked = picked * jnp.maximum(-jnp.expm1(picked), 1e-12) ** focal
    if class_weights is not None:
        picked = picked * jnp.asarray(class_weights)[labels]
    return jnp.sum(-weights * picked) / jnp.maximum(jnp.sum(weights), 1e-12)


def _of_soft(
    soft: Float[Array, "N C"], log_p: Float[Array, "N C"], *, plain: bool
) -> Float[Array, " N"]:
    """`sum_c y_c log p_c`. Raises `ValueError` unless there is a target for each probability, and
    nothing else is asked of them.
    """
    if soft.shape != log_p.shape or not plain:
        raise ValueError(
            f"expected soft targets {log_p.shape} without class_weights, focal and smoothing; got"
            f" {soft.shape}"
        )
    return jnp.sum(soft * log_p, axis=1)


def supervised_contrastive(
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "A D"] | None = None,
    *,
    temperature: float,
    form: Form = "in",
    balanced: bool = False,
    anchors_per_label: int = 1,
    weights: Float[Array, " N"] | None = None,
    constant_for_no_positive: bool = False,
    rows: ScoreRows | None = None,
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

    Balanced (arXiv 2207.09052), each `e^{s_ij}` of the denominators is divided by the number of
    members that j's label has among the K, so that labels weigh alike however frequent they are.
    Form "in" then counts every row with a positive, as a loss below 0 is possible.

    Args:
      reps: [N, D] representations of the global batch.
      labels: [N] in 0..C-1.
      anchors: [C k, D], a label's k side by side and positives of each other; None for the
        utterances alone.
      temperature: positive.
      form: "in" or "out".
      balanced: whether labels weigh alike.
      anchors_per_label: k.
      weights: [N], 0 removes a padding row from every sum; other values count as 1.
      constant_for_no_positive: form "in" only: such a row counts with the constant `-log(1e-8)`, as
        in the public implementation.
      rows: which scores a device computes, and how many at once, with many utterances; None: the
        defaults. It changes the result by rounding alone.

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
    check_temperature(temperature)
    if anchors is not None:
        check_labels(labels, check_anchors(anchors, anchors_per_label))
    if form not in ("in", "out"):
        raise ValueError(f'form must be "in" or "out", got {form!r}')
    rows = rows or ScoreRows()
    weights = jnp.ones(labels.shape[0], jnp.float32) if weights is None else weights
    whole = labels.shape[0] <= rows.whole
    if anchors is not None:
        count = anchors.shape[0]
        reps = jnp.concatenate([reps.astype(jnp.float32), anchors.astype(jnp.float32)])
        of_anchors = jnp.arange(count, dtype=jnp.int32) // anchors_per_label
        labels = jnp.concatenate([labels.astype(jnp.int32), of_anchors])
        weights = jnp.concatenate([weights, jnp.ones(count, weights.dtype)])
    valid = weights > 0
    members = _members(labels, valid, whole=whole) if balanced else None
    everyone = _Vectors(reps, jnp.arange(labels.shape[0]), labels, valid, members)

    sum_of = functools.partial(
        _sum_of_rows,
        temperature=temperature,
        form=form,
        constant_for_no_positive=constant_for_no_positive,
    )
    if whole:
        total, counted = sum_of(everyone, everyone)
    else:
        total, counted = sum_by_rows(sum_of, everyone, rows)
    return total / jnp.maximum(counted, 1)


class _Vectors(NamedTuple):
    """Utterances and anchors, or some of them.

    Attributes:
      vectors: [K, D].
      numbers: int32 [K], which of all they are.
      labels: [K].
      valid: [K], whether they are no padding.
      members: [K], how many of all have their label, without padding; None unless balanced.
    """

    vectors: Float[Array, "K D"]
    numbers: Int[Array, " K"]
    labels: Int[Array, " K"]
    valid: Bool[Array, " K"]
    members: Int[Array, " K"] | None


def _members(
    labels: Int[Array, " K"], valid: Bool[Array, " K"], *, whole: bool
) -> Int[Array, " K"]:
    """How many valid ones have each one's label, by sorting unless `whole`."""
    if whole:
        # Fused with the scores, whose last digits change with what they are fused with.
        return jnp.sum((labels[:, None] == labels[None, :]) & valid[None, :], axis=1)
    ordered = jnp.sort(jnp.where(valid, labels, jnp.iinfo(labels.dtype).max))
    first, last = (jnp.searchsorted(ordered, labels, side=side) for side in ("left", "right"))
    return last - first


def _sum_of_rows(
    part: _Vectors,
    everyone: _Vectors,
    *,
    temperature: float,
    form: Form,
    constant_for_no_positive: bool,
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Sum of the losses of `part` among `everyone`, and how many count."""
    others = everyone.valid[None, :] & (part.numbers[:, None] != everyone.numbers[None, :])
    positive = others & (part.labels[:, None] == everyone.labels[None, :])
    positives = jnp.sum(positive, axis=1)
    s = scores(part.vectors, everyone.vectors, temperature=temperature)
    balanced = everyone.members is not None
    if everyone.members is not None:
        log_all = masked_logsumexp(s - jnp.log(jnp.maximum(everyone.members, 1))[None, :], others)
    else:
        log_all = masked_logsumexp(s, others)
    if form == "in":
        log_share = masked_logsumexp(s, positive) - log_all - jnp.log(jnp.maximum(positives, 1))
        share = jnp.where(positives > 0, jnp.exp(jnp.where(positives > 0, log_share, 0.0)), 0.0)
        loss = -jnp.log(share + LOG_FLOOR)
        some = (positives > 0) | constant_for_no_positive
        counted = part.valid & (balanced | ~(loss <= 0)) & some  # NaN counts, so that it is seen
    else:
        loss = jnp.sum(jnp.where(positive, log_all[:, None] - s, 0.0), axis=1) / jnp.maximum(
            positives, 1
        )
        counted = part.valid & (positives > 0)
    return jnp.sum(jnp.where(counted, loss, 0.0)), jnp.sum(counted)


def masked_logsumexp(s: Float[Array, "K K"], mask: Array) -> Float[Array, " K"]:
    """Row-wise log-sum-exp over the entries in the mask; 0, with zero gradient, for an empty
    row.
    """
    some = jnp.any(mask, axis=1)
    top = jax.lax.stop_gradient(jnp.max(jnp.where(mask, s, -jnp.inf), axis=1))
    top = jnp.where(some, top, 0.0)
    total = jnp.sum(jnp.where(mask, jnp.exp(jnp.where(mask, s - top[:, None], 0.0)), 0.0), axis=1)
    return jnp.where(some, top + jnp.log(jnp.where(some, total, 1.0)), 0.0)


def anchor_angle(anchors: Float[Array, "A D"], *, anchors_per_label: int = 1) -> Float[Array, ""]:
    """Negative mean, over the anchors, of the smallest angle to another label's anchor, seen from
    the anchors' mean.

    Minimizing it maximizes every anchor's smallest angle.

    Args:
      anchors: [C k, D], C >= 2, a label's k side by side.
      anchors_per_label: k.

    Returns:
      Scalar in radians, in (-pi, 0).

    Example:
      >>> import jax.numpy as jnp
      >>> round(float(anchor_angle(jnp.eye(3))), 4)  # 120 degrees apart, seen from their mean
      -2.0944
    """
    if anchors.ndim != 2 or anchors.shape[0] < 2 * anchors_per_label:
        raise ValueError(f"anchors must be [C k, D] with C >= 2, got {anchors.shape}")
    check_anchors(anchors, anchors_per_label)
    anchors = anchors.astype(jnp.float32)
    unit = unit_vectors(anchors - jnp.mean(anchors, axis=0, keepdims=True))
    cosine = jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)
    label = np.arange(anchors.shape[0]) // anchors_per_label
    nearest = jnp.max(jnp.where(label[:, None] == label, -jnp.inf, cosine), axis=1)
    return -jnp.mean(jnp.arccos(jnp.clip(nearest, -COSINE_LIMIT, COSINE_LIMIT)))


def stage_one(
    logits: Float[Array, "N C"],
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "A D"],
    *,
    temperature: float,
    ce_weight: float,
    angle_weight: float,
    form: Form = "in",
    use_anchors: bool = True,
    balanced: bool = False,
    anchors_per_label: int = 1,
    class_weights: Float[Array | np.ndarray, " C"] | None = None,
    focal: float = 0.0,
    offsets: Float[Array | np.ndarray, " C"] | None = None,
    smoothing: float = 0.0,
    soft: Float[Array, "N C"] | None = None,
    weights: Float[Array, " N"] | None = None,
    constant_for_no_positive: bool = False,
    rows: ScoreRows | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`ce_weight * CE + (1 - ce_weight) * (contrastive + angle_weight * angle)`.

    Args:
      logits: [N, C] of the classifier.
      reps: [N, D] mapped representations.
      labels: [N] in 0..C-1.
      anchors: [C k, D] mapped label encodings; with `use_anchors=False` they enter the angle term
        alone.
      temperature, form, balanced, anchors_per_label, weights, rows: see
        `supervised_contrastive`.
      constant_for_no_positive: likewise.
      class_weights, focal, offsets, smoothing, soft: see `cross_entropy`.
      ce_weight: share of the cross-entropy, in [0, 1].
      angle_weight: non-negative.

    Returns:
      The loss and its terms `ce`, `contrastive` (nats) and `angle` (radians), unweighted.
    """
    _check(labels, weights, logits=logits)
    _check(labels, weights, reps=reps, anchors=anchors)
    check_anchors(anchors, anchors_per_label, logits.shape[1])
    check_between(0, 1, ce_weight=ce_weight)
    check_between(0, angle_weight=angle_weight)
    terms = {
        "ce": cross_entropy(
            logits,
            labels,
            weights=weights,
            class_weights=class_weights,
            focal=focal,
            offsets=offsets,
            smoothing=smoothing,
            soft=soft,
        ),
        "contrastive": supervised_contrastive(
            reps,
            labels,
            anchors if use_anchors else None,
            temperature=temperature,
            form=form,
            balanced=balanced,
            anchors_per_label=anchors_per_label,
            weights=weights,
            constant_for_no_positive=constant_for_no_positive,
            rows=rows,
        ),
        "angle": anchor_angle(anchors, anchors_per_label=anchors_per_label),
    }
    total = ce_weight * terms["ce"] + (1 - ce_weight) * (
        terms["contrastive"] + angle_weight * terms["angle"]
    )
    return total, terms


def stage_two(
    reps: Float[Array, "N D"],
    labels: Int[Array, " N"],
    anchors: Float[Array, "A D"],
    *,
    temperature: float,
    anchors_per_label: int = 1,
    class_weights: Float[Array | np.ndarray, " C"] | None = None,
    focal: float = 0.0,
    offsets: Float[Array | np.ndarray, " C"] | None = None,
    smoothing: float = 0.0,
    soft: Float[Array, "N C"] | None = None,
    biases: Float[Array, " C"] | None = None,
    weights: Float[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Cross-entropy of the labels' scores, by fixed representations and the anchors; arguments as
    of `stage_one`.

    `biases` [C] are added to the scores as `offsets` are, but are part of the model: it answers
    with them.

    Returns:
      The loss and its terms: none beside itself.
    """
    _check(labels, weights, reps=reps, anchors=anchors)
    check_each_label(check_anchors(anchors, anchors_per_label), biases=biases)
    check_temperature(temperature)
    scores = label_scores(
        reps, anchors, temperature=temperature, anchors_per_label=anchors_per_label
    )
    loss = cross_entropy(
        scores if biases is None else scores + biases,
        labels,
        weights=weights,
        class_weights=class_weights,
        focal=focal,
        offsets=offsets,
        smoothing=smoothing,
        soft=soft,
    )
    return loss, {}
