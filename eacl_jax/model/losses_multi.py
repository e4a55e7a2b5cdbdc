"""The objective where an utterance has several labels, or shares of them: pure functions of arrays,
computed in float32, finite for any finite input.

Targets are [N, C] in [0, 1]: 1 for each label that an utterance has, or the share of the annotators
that gave it. A row of zeros is an utterance that has none of them.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.model.checks import (
    check_anchors,
    check_between,
    check_each_label,
    check_temperature,
)
from eacl_jax.model.losses import anchor_angle, masked_logsumexp
from eacl_jax.model.score_rows import ScoreRows, sum_by_rows
from eacl_jax.model.scores import label_scores, scores


def _check(targets: Array, weights: Array | None, **vectors: Array) -> None:
    """Raises `ValueError` unless targets are [N, C], weights [N] and each of `vectors` [N, _]."""
    count = targets.shape[:1]
    rows = {name: v.shape for name, v in vectors.items()}
    if weights is not None:
        rows["weights"] = (*weights.shape, 1)
    if targets.ndim != 2 or any(len(r) != 2 or r[:1] != count for r in rows.values()):
        raise ValueError(
            f"expected targets [N, C], weights [N] or None, and {' [N, .], '.join(vectors)} [N, .];"
            f" got {targets.shape}, {rows}"
        )
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        raise ValueError(f"targets must be floating, got {targets.dtype}")


def _check_logits(logits: Array, targets: Array, weights: Array | None) -> None:
    """`_check`, and a logit for each target."""
    _check(targets, weights, logits=logits)
    if logits.shape != targets.shape:
        raise ValueError(f"logits must be {targets.shape}, as targets are; got {logits.shape}")


def _check_anchors(reps: Array, targets: Array, anchors: Array, per_label: int) -> None:
    """Raises `ValueError` unless anchors are those of the targets' labels, as wide as `reps`."""
    if anchors.ndim != 2 or anchors.shape[1] != reps.shape[1]:
        raise ValueError(
            f"anchors must be [C k, D], as wide as reps {reps.shape}; got {anchors.shape}"
        )
    check_anchors(anchors, per_label, targets.shape[1])


def _mean(values: Float[Array, " N"], weights: Array | None) -> Float[Array, ""]:
    weights = jnp.ones_like(values) if weights is None else weights.astype(jnp.float32)
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1e-12)


def binary_cross_entropy(
    logits: Float[Array, "N C"],
    targets: Float[Array, "N C"],
    *,
    weights: Float[Array, " N"] | None = None,
) -> Float[Array, ""]:
    """Weighted mean over the utterances of `-sum_c y_c log p_c + (1 - y_c) log(1 - p_c)`, p the
    sigmoid of the logits.

    Args:
      logits: [N, C].
      targets: [N, C] in [0, 1].
      weights: [N] non-negative, 0 for padding rows; None means all 1.

    Returns:
      Scalar, in nats; 0 if all weights are 0.

    Example:
      >>> import jax.numpy as jnp
      >>> round(float(binary_cross_entropy(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]))), 4)
      1.3863
    """
    _check_logits(logits, targets, weights)
    logits = logits.astype(jnp.float32)
    each = jax.nn.softplus(logits) - targets * logits
    return _mean(jnp.sum(each, axis=1), weights)


def soft_cross_entropy(
    logits: Float[Array, "N C"],
    targets: Float[Array, "N C"],
    *,
    weights: Float[Array, " N"] | None = None,
) -> Float[Array, ""]:
    """Weighted mean of `-sum_c y_c log p_c`, p the softmax of the logits; arguments as of
    `binary_cross_entropy`, each row of the targets with a sum of 1.

    Example:
      >>> import jax.numpy as jnp
      >>> round(float(soft_cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.5, 0.5]]))), 4)
      0.6931
    """
    _check_logits(logits, targets, weights)
    picked = jnp.sum(targets * jax.nn.log_softmax(logits.astype(jnp.float32)), axis=1)
    return _mean(-picked, weights)


def overlap(one: Float[Array, "K C"], other: Float[Array, "M C"]) -> Float[Array, "K M"]:
    """`sum_c min(y_c, y'_c) / sum_c max(y_c, y'_c)` of each pair of rows: of labels that are there
    or not, the Jaccard similarity of the two sets; 0 where both have none.

    Example:
      >>> import jax.numpy as jnp
      >>> joy, both = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 1.0]])
      >>> overlap(joy, both).tolist()
      [[0.5]]
    """

    def add(total: Array, label: tuple[Array, Array]) -> tuple[Array, None]:
        return total + jnp.minimum(label[0][:, None], label[1][None, :]), None

    # Label by label: [K, M, C] would be the largest array of all.
    start = jnp.minimum(one[:, :1], other[:, :1].T)
    common, _ = jax.lax.scan(add, start, (one.T[1:], other.T[1:]))
    either = jnp.sum(one, axis=1)[:, None] + jnp.sum(other, axis=1)[None, :] - common
    return jnp.where(either > 0, common / jnp.where(either > 0, either, 1.0), 0.0)


class _Vectors(NamedTuple):
    """Utterances and anchors, or some of them: vectors [K, D], which of all they are, targets
    [K, C], and whether they are no padding.
    """

    vectors: Float[Array, "K D"]
    numbers: Int[Array, " K"]
    targets: Float[Array, "K C"]
    valid: Bool[Array, " K"]


def shared_contrastive(
    reps: Float[Array, "N D"],
    targets: Float[Array, "N C"],
    anchors: Float[Array, "A D"] | None = None,
    *,
    temperature: float,
    anchors_per_label: int = 1,
    weights: Float[Array, " N"] | None = None,
    rows: ScoreRows | None = None,
) -> Float[Array, ""]:
    r"""Contrastive loss in which two utterances are positives of each other by as much as they have
    labels in common.

    With w_ij the `overlap` of i's and j's labels and s the score of `scores`:
    `loss_i = -sum_{j != i} w_ij log( e^{s_ij} / sum_{k != i} e^{s_ik} ) / sum_{j != i} w_ij`,
    averaged over the rows with a positive weight (arXiv 2212.00552). An anchor has its label alone.
    Where every utterance has one label, it is form "out" of `losses.supervised_contrastive`.

    Args:
      reps: [N, D] representations of the global batch.
      targets: [N, C] in [0, 1].
      anchors: [C k, D], a label's k side by side; None for the utterances alone.
      temperature: positive.
      anchors_per_label: k.
      weights: [N], 0 removes a padding row from every sum; other values count as 1.
      rows: see `losses.supervised_contrastive`.

    Returns:
      Scalar; 0 where no row counts.
    """
    _check(targets, weights, reps=reps)
    check_temperature(temperature)
    if anchors is not None:
        _check_anchors(reps, targets, anchors, anchors_per_label)
    rows = rows or ScoreRows()
    weights = jnp.ones(targets.shape[0], jnp.float32) if weights is None else weights
    whole = targets.shape[0] <= rows.whole
    reps, targets = reps.astype(jnp.float32), targets.astype(jnp.float32)
    if anchors is not None:
        of_anchors = jnp.repeat(jnp.eye(targets.shape[1]), anchors_per_label, axis=0)
        reps = jnp.concatenate([reps, anchors.astype(jnp.float32)])
        targets = jnp.concatenate([targets, of_anchors])
        weights = jnp.concatenate([weights, jnp.ones(anchors.shape[0], weights.dtype)])
    everyone = _Vectors(reps, jnp.arange(reps.shape[0]), targets, weights > 0)
    sum_of = functools.partial(_sum_of_rows, temperature=temperature)
    if whole:
        total, counted = sum_of(everyone, everyone)
    else:
        total, counted = sum_by_rows(sum_of, everyone, rows)
    return total / jnp.maximum(counted, 1)


def _sum_of_rows(
    part: _Vectors, everyone: _Vectors, *, temperature: float
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Sum of the losses of `part` among `everyone`, and how many count."""
    others = everyone.valid[None, :] & (part.numbers[:, None] != everyone.numbers[None, :])
    share = jnp.where(others, overlap(part.targets, everyone.targets), 0.0)
    total = jnp.sum(share, axis=1)
    s = scores(part.vectors, everyone.vectors, temperature=temperature)
    log_all = masked_logsumexp(s, others)
    some = part.valid & (total > 0)
    loss = jnp.sum(share * (log_all[:, None] - s), axis=1) / jnp.where(some, total, 1.0)
    return jnp.sum(jnp.where(some, loss, 0.0)), jnp.sum(some)


def cross_entropy(binary: bool) -> Callable[..., Float[Array, ""]]:
    """`binary_cross_entropy`, or `soft_cross_entropy` where one label of several is right but
    annotators differ.
    """
    return binary_cross_entropy if binary else soft_cross_entropy


def stage_one(
    logits: Float[Array, "N C"],
    reps: Float[Array, "N D"],
    targets: Float[Array, "N C"],
    anchors: Float[Array, "A D"],
    *,
    temperature: float,
    ce_weight: float,
    angle_weight: float,
    binary: bool = True,
    use_anchors: bool = True,
    anchors_per_label: int = 1,
    soft: Float[Array, "N C"] | None = None,
    weights: Float[Array, " N"] | None = None,
    rows: ScoreRows | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`losses.stage_one` with `shared_contrastive` and one of `cross_entropy`.

    Args:
      logits, reps, anchors, temperature, ce_weight, angle_weight, use_anchors: see
        `losses.stage_one`.
      anchors_per_label, weights, rows: likewise.
      targets: [N, C] in [0, 1].
      binary: whether an utterance may have several labels.
      soft: [N, C] in [0, 1], what the cross-entropy learns in place of `targets`; None: these.

    Returns:
      The loss and its terms `ce`, `contrastive` (nats) and `angle` (radians), unweighted.
    """
    _check_logits(logits, targets, weights)
    _check(targets, weights, reps=reps)
    _check_anchors(reps, targets, anchors, anchors_per_label)
    check_between(0, 1, ce_weight=ce_weight)
    check_between(0, angle_weight=angle_weight)
    learnt = targets if soft is None else soft
    terms = {
        "ce": cross_entropy(binary)(logits, learnt, weights=weights),
        "contrastive": shared_contrastive(
            reps,
            targets,
            anchors if use_anchors else None,
            temperature=temperature,
            anchors_per_label=anchors_per_label,
            weights=weights,
            rows=rows,
        ),
        "angle": anchor_angle(anchors, anchors_per_label=anchors_per_label),
    }
    return ce_weight * terms["ce"] + (1 - ce_weight) * (
        terms["contrastive"] + angle_weight * terms["angle"]
    ), terms


def label_logits(
    reps: Float[Array, "N D"],
    anchors: Float[Array, "A D"],
    *,
    temperature: float,
    anchors_per_label: int = 1,
    classifies: bool = False,
) -> Float[Array, "N C"]:
    """What a label's probability is made of before scale and bias: its score, or with `classifies`,
    where representations are a classifier's logits and anchors its axes, the logit along the axis:
    a cosine would lose how large it is.
    """
    if classifies:
        return jnp.matmul(reps, anchors.T, precision=jax.lax.Precision.HIGHEST)
    return label_scores(reps, anchors, temperature=temperature, anchors_per_label=anchors_per_label)


def stage_two(
    reps: Float[Array, "N D"],
    targets: Float[Array, "N C"],
    anchors: Float[Array, "A D"],
    scale: Float[Array, ""],
    biases: Float[Array, " C"],
    *,
    temperature: float,
    anchors_per_label: int = 1,
    classifies: bool = False,
    weights: Float[Array, " N"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`binary_cross_entropy` of `scale * s_c + bias_c`, s_c of `label_logits`: a cosine has no zero
    of its own to tell labels from none by.

    Returns:
      The loss and its terms: none beside itself.
    """
    _check(targets, weights, reps=reps)
    _check_anchors(reps, targets, anchors, anchors_per_label)
    check_each_label(targets.shape[1], biases=biases)
    check_temperature(temperature)
    found = label_logits(
        reps,
        anchors,
        temperature=temperature,
        anchors_per_label=anchors_per_label,
        classifies=classifies,
    )
    return binary_cross_entropy(scale * found + biases, targets, weights=weights), {}
