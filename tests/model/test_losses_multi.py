"""The losses of several labels against handmade values, a plain NumPy version, the loss of one
label, and finite differences; whole, split and in blocks.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from eacl_jax.model import losses, losses_multi
from eacl_jax.model.mesh import batch_shardings, make_mesh
from eacl_jax.model.score_rows import ScoreRows

DEVICES = 4
TAU = 0.2
contrastive = jax.jit(
    losses_multi.shared_contrastive,
    static_argnames=("temperature", "anchors_per_label"),
)


def draw(n=12, c=4, d=8, seed=0):
    """Representations, which labels each has (the first none), and anchors."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, c)) < 0.4).astype(np.float32)
    targets[0] = 0
    return (
        rng.normal(size=(n, d)).astype(np.float32),
        targets,
        rng.normal(size=(c, d)).astype(np.float32),
    )


def by_numpy(reps, targets, anchors, weights=None):
    """The loss as METHOD-BEYOND writes it, a pair at a time."""
    vectors = np.concatenate([reps, anchors]).astype(np.float64)
    labels = np.concatenate([targets, np.eye(len(anchors))])
    valid = np.ones(len(vectors), bool)
    if weights is not None:
        valid[: len(weights)] = weights > 0
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    s = ((1 + unit @ unit.T) / 2 + 1e-8) / TAU
    found = []
    for i in np.flatnonzero(valid):
        others = [j for j in np.flatnonzero(valid) if j != i]
        among = np.log(sum(np.exp(s[i, k]) for k in others))
        shares = []
        for j in others:
            either = np.maximum(labels[i], labels[j]).sum()
            common = np.minimum(labels[i], labels[j]).sum()
            shares.append(common / either if either else 0.0)
        if sum(shares) > 0:
            terms = [w * (s[i, j] - among) for w, j in zip(shares, others, strict=True)]
            found.append(-sum(terms) / sum(shares))
    return np.mean(found)


@pytest.mark.parametrize("soft", [False, True])
def test_contrastive_is_the_plain_version(soft):
    reps, targets, anchors = draw()
    if soft:
        targets = targets * np.random.default_rng(1).random(targets.shape).astype(np.float32)
    weights = np.array([1.0] * 10 + [0.0] * 2, np.float32)
    for given_weights in (None, weights):
        value = contrastive(reps, targets, anchors, temperature=TAU, weights=given_weights)
        np.testing.assert_allclose(
            value, by_numpy(reps, targets, anchors, given_weights), rtol=1e-5
        )


def test_with_one_label_each_it_is_form_out():
    reps, _, anchors = draw(c=6)
    labels = (np.arange(12) % 3).astype(np.int32)
    targets, weights = np.eye(3, dtype=np.float32)[labels], np.float32([1] * 10 + [0] * 2)

    def pair(reps, anchors):
        how = {"temperature": TAU, "anchors_per_label": 2, "weights": weights}
        return (
            losses_multi.shared_contrastive(reps, targets, anchors, **how),
            losses.supervised_contrastive(reps, labels, anchors, form="out", **how),
        )

    ours, theirs = jax.jit(pair)(reps, anchors)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    ours, theirs = jax.jit(jax.jacobian(pair, argnums=(0, 1)))(reps, anchors)
    chex.assert_trees_all_close(ours, theirs, atol=1e-6)


def test_joy_and_joy_with_surprise_attract_each_other():
    # Equal label *sets* alone as positives would push these two apart.
    reps = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]])
    targets = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    gradient = jax.grad(lambda r: contrastive(r, targets, temperature=TAU))(reps)
    assert np.dot(gradient[0], reps[1] - reps[0]) < 0
    assert np.dot(gradient[1], reps[0] - reps[1]) < 0


def test_contrastive_by_hand():
    # Two utterances, one with both labels, on orthogonal anchors: overlaps 1/2, and 1 with a's.
    reps, targets = np.eye(2, dtype=np.float32), np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)
    s = np.array([[2, 1, 2, 1], [1, 2, 1, 2], [2, 1, 2, 1], [1, 2, 1, 2]]) / (2 * 0.5)
    w = np.array([[0, 0.5, 1, 0], [0.5, 0, 0.5, 0.5], [1, 0.5, 0, 0], [0, 0.5, 0, 0]])
    np.fill_diagonal(s, -np.inf)
    log_share = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    expected = np.mean([-(w[i][w[i] > 0] @ log_share[i][w[i] > 0]) / w[i].sum() for i in range(4)])
    np.testing.assert_allclose(
        contrastive(reps, targets, reps, temperature=0.5), expected, rtol=1e-5
    )


def test_overlap_is_the_jaccard_similarity_of_sets():
    _, targets, _ = draw(n=6)
    found = np.asarray(losses_multi.overlap(jnp.asarray(targets), jnp.asarray(targets)))
    expected = [[jaccard_score(a, b, zero_division=0) for b in targets] for a in targets]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def objective(logits, reps, anchors, scale, biases, targets, *, binary=True):
    first, _ = losses_multi.stage_one(
        logits,
        reps,
        targets,
        anchors,
        temperature=TAU,
        ce_weight=0.3,
        angle_weight=0.1,
        binary=binary,
    )
    second, _ = losses_multi.stage_two(reps, targets, anchors, scale, biases, temperature=TAU)
    by_axes, _ = losses_multi.stage_two(
        logits, targets, anchors[:, :4], scale, biases, temperature=TAU, classifies=True
    )
    return first + second + by_axes


@pytest.mark.parametrize("binary", [True, False])
def test_gradients_are_finite_differences(binary):
    reps, targets, anchors = draw(n=5)
    if not binary:
        targets = (targets + 0.5) / (targets + 0.5).sum(axis=1, keepdims=True)
    rng = np.random.default_rng(2)
    arguments = (rng.normal(size=(5, 4)), reps, anchors, np.asarray(1.5), rng.normal(size=4))
    loss = functools.partial(objective, targets=jnp.asarray(targets, jnp.float32), binary=binary)
    # In float32, in which losses are computed.
    jax.test_util.check_grads(
        jax.jit(loss),
        tuple(jnp.asarray(a, jnp.float32) for a in arguments),
        order=1,
        modes=["rev"],
        eps=1e-2,
        atol=1e-2,
        rtol=1e-2,
    )


def test_cross_entropies_by_hand():
    logits, targets = np.array([[0.0, 2.0]]), np.array([[1.0, 0.25]])
    p = 1 / (1 + np.exp(-2.0))
    expected = np.log(2) - (0.25 * np.log(p) + 0.75 * np.log(1 - p))
    np.testing.assert_allclose(
        losses_multi.binary_cross_entropy(jnp.asarray(logits), jnp.asarray(targets)),
        expected,
        rtol=1e-6,
    )
    # Of one-hot targets the soft one is the cross-entropy.
    logits, labels = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 0])
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(
        losses_multi.soft_cross_entropy(jnp.asarray(logits), jnp.eye(3)[labels], weights=weights),
        losses.cross_entropy(jnp.asarray(logits), jnp.asarray(labels), weights=weights),
        rtol=1e-6,
    )


def test_padding_counts_nowhere():
    reps, targets, anchors = draw()
    biases, scale = np.zeros(4, np.float32), np.float32(1)
    padded = [np.concatenate([a, np.full_like(a[:3], 7)]) for a in (reps, targets)]
    weights = np.float32([1] * 12 + [0] * 3)

    @jax.jit
    def both(reps, targets, weights):
        how = {"temperature": TAU, "weights": weights}
        return (
            losses_multi.shared_contrastive(reps, targets, anchors, **how),
            losses_multi.stage_two(reps, targets, anchors, scale, biases, **how)[0],
        )

    np.testing.assert_allclose(
        both(*padded, weights), both(reps, targets, np.ones(12, np.float32)), rtol=1e-6
    )


@pytest.mark.slow
def test_rows_in_blocks_on_several_devices_give_the_whole_loss():
    reps, targets, anchors = draw(n=21)
    weights = np.array([1.0] * 19 + [0.0] * 2, np.float32)

    def loss(rows):
        def contrast(reps, anchors):
            return losses_multi.shared_contrastive(
                reps, targets, anchors, temperature=TAU, weights=weights, rows=rows
            )

        return jax.jit(jax.value_and_grad(contrast, argnums=(0, 1)))(reps, anchors)

    expected = loss(None)
    over = batch_shardings(make_mesh(DEVICES)).tokens
    for rows in (ScoreRows(block=4, whole=20), ScoreRows(over, block=4, whole=20)):
        chex.assert_trees_all_close(loss(rows), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    scale=st.sampled_from([0.0, 1e-12, 1.0, 1e12]),
    temperature=st.sampled_from([1e-2, 0.1, 10.0]),
    some=st.booleans(),
)
def test_finite_for_any_input(scale, temperature, some):
    reps, targets, anchors = draw(n=4)

    def loss(reps, anchors):
        return losses_multi.shared_contrastive(
            reps, targets * some, anchors, temperature=temperature
        )

    value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(np.float32(scale) * reps, anchors)
    chex.assert_tree_all_finite((value, gradients))


def test_wrong_shapes_are_refused():
    reps, targets, anchors = draw()
    with pytest.raises(ValueError, match=r"expected targets \[N, C\]"):
        losses_multi.shared_contrastive(reps, targets[:, 0], anchors, temperature=TAU)
    with pytest.raises(ValueError, match="targets must be floating"):
        losses_multi.binary_cross_entropy(reps[:, :4], targets.astype(np.int32))
    one = targets[:, :1]
    for loss in (losses_multi.binary_cross_entropy, losses_multi.soft_cross_entropy):
        with pytest.raises(ValueError, match="logits must be"):
            loss(reps[:, :4], one)
    with pytest.raises(ValueError, match="temperature must be positive"):
        losses_multi.shared_contrastive(reps, targets, anchors, temperature=0.0)
    with pytest.raises(ValueError, match="anchors must be"):
        losses_multi.shared_contrastive(reps, targets, anchors[1:], temperature=TAU)


@pytest.mark.parametrize("binary", [True, False])
def test_soft_targets_are_of_the_cross_entropy_alone(binary):
    """By hand: p is 3/4 of the first label and 1/4 of the second."""
    logits = np.log([[3.0, 1 / 3]]) if binary else np.log([[3.0, 1.0]])
    reps, anchors = np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32)
    targets, soft = (np.array([each], np.float32) for each in ([1.0, 0.0], [0.75, 0.25]))
    how = {"temperature": 0.3, "ce_weight": 0.5, "angle_weight": 0.1, "binary": binary}
    _, plain = losses_multi.stage_one(logits, reps, targets, anchors, **how)
    _, terms = losses_multi.stage_one(logits, reps, targets, anchors, soft=soft, **how)
    by_hand = (1 + binary) * (-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    np.testing.assert_allclose(terms["ce"], by_hand, rtol=1e-6)
    assert {**plain, "ce": 0} == {**terms, "ce": 0}


def test_each_stage_looks_at_its_arguments():
    reps, targets, anchors = draw()
    classes = targets.shape[1]
    logits, one = np.zeros_like(targets), np.float32(1)
    how = {"temperature": TAU, "ce_weight": 0.5, "angle_weight": 0.1}
    losses_multi.stage_one(logits, reps, targets, anchors, **how)
    for what, complaint in (
        ({"ce_weight": 2.0}, "ce_weight must be from 0 to 1"),
        ({"angle_weight": -1.0}, "angle_weight must be at least 0"),
        ({"anchors": anchors[1:]}, "anchors must be"),
        ({"anchors": anchors[:, 1:]}, "anchors must be .* as wide as reps"),
        ({"logits": logits[:, :1], "soft": targets[:, :1]}, "logits must be"),
        ({"soft": targets[:, :1]}, "logits must be"),
    ):
        given = {"logits": logits, "reps": reps, "targets": targets, "anchors": anchors}
        with pytest.raises(ValueError, match=complaint):
            losses_multi.stage_one(**{**given, **how, **what})
    losses_multi.stage_two(reps, targets, anchors, one, np.zeros(classes), temperature=TAU)
    for given, complaint in (
        ((anchors[1:], one, np.zeros(classes)), "anchors must be"),
        ((anchors, one, np.zeros(1)), r"biases must be \[C\]"),
    ):
        with pytest.raises(ValueError, match=complaint):
            losses_multi.stage_two(reps, targets, *given, temperature=TAU)
