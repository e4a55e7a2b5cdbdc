"""The losses against printed numbers, handmade values and their own symmetries."""

import functools
import itertools
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eacl_jax.model import losses
from eacl_jax.model.mesh import batch_shardings, make_mesh, replicated
from eacl_jax.model.score_rows import ScoreRows
from eacl_jax.model.scores import scores
from tests.stubs.hlo import collective_bytes

DEVICES = 4
GOLDEN = Path(__file__).parents[1] / "golden" / "reference"
contrastive = jax.jit(
    losses.supervised_contrastive,
    static_argnames=(
        *("temperature", "form", "balanced", "anchors_per_label"),
        "constant_for_no_positive",
    ),
)


def draw(n=12, c=4, d=8, seed=0):
    rng = np.random.default_rng(seed)
    reps, anchors = (
        rng.normal(size=(n, d)).astype(np.float32),
        rng.normal(size=(c, d)).astype(np.float32),
    )
    return reps, (np.arange(n) % c).astype(np.int32), anchors


@pytest.mark.parametrize("number", range(4))
def test_values_and_gradients_are_those_the_reference_printed(number):
    golden = np.load(GOLDEN / f"loss_{number}.npz")

    def loss(logits, reps, anchors):
        return losses.stage_one(
            logits,
            reps,
            golden["labels"].astype(np.int32),
            anchors,
            temperature=float(golden["temperature"]),
            ce_weight=float(golden["ce_weight"]),
            angle_weight=float(golden["angle_weight"]),
            use_anchors=bool(golden["use_anchors"]),
            constant_for_no_positive=True,
        )

    (value, terms), gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(
        *(golden[name] for name in ("logits", "reps", "anchors"))
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(value, golden["total"])
    for name, term in terms.items():
        close(term, golden[name])
    for name, gradient in zip(("grad_logits", "grad_reps", "grad_anchors"), gradients, strict=True):
        close(gradient, golden[name])


def test_contrastive_by_hand():
    # Two utterances on two orthogonal anchors: a positive at cosine 1, two negatives at cosine 0.
    reps = np.eye(2, dtype=np.float32)
    value = contrastive(reps, np.array([0, 1]), reps, temperature=0.5)
    np.testing.assert_allclose(value, np.log(1 + 2 * np.exp(1.0 - 2.0)), rtol=1e-5)


def test_form_in_and_out_agree_for_single_positives_and_differ_for_more():
    reps, labels, anchors = draw(n=4)
    both = [
        contrastive(reps, labels, anchors, temperature=0.3, form=form) for form in ("in", "out")
    ]
    np.testing.assert_allclose(*both, rtol=1e-5)
    reps, labels, anchors = draw(n=12)
    both = [
        contrastive(reps, labels, anchors, temperature=0.3, form=form) for form in ("in", "out")
    ]
    assert abs(both[0] - both[1]) > 0.01


def test_form_out_is_the_mean_log_softmax_over_positives():
    reps, labels, anchors = draw()
    vectors, names = np.concatenate([reps, anchors]), np.concatenate([labels, np.arange(4)])
    s = np.asarray(scores(vectors, vectors, temperature=0.2))
    rows = []
    for i in range(len(s)):
        others = [k for k in range(len(s)) if k != i]
        normalizer = np.log(np.exp(s[i, others]).sum())
        rows.append(-np.mean([s[i, j] - normalizer for j in others if names[j] == names[i]]))
    value = contrastive(reps, labels, anchors, temperature=0.2, form="out")
    np.testing.assert_allclose(value, np.mean(rows), rtol=1e-5)


@pytest.mark.parametrize("per_label", [0, 1, 3])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("form", ["in", "out"])
def test_contrastive_equals_its_formula_row_by_row(form, balanced, per_label):
    """In plain loops, with a padding row; `per_label` 0: without anchors."""
    reps, labels, anchors = draw(n=9, c=3 * max(per_label, 1))
    labels, weights = labels % 3, np.array([1.0] * 8 + [0.0], np.float32)
    value = contrastive(
        reps,
        labels,
        anchors if per_label else None,
        temperature=0.3,
        form=form,
        balanced=balanced,
        anchors_per_label=max(per_label, 1),
        weights=weights,
    )
    vectors, names = reps[:8], list(labels[:8])
    if per_label:
        vectors = np.concatenate([vectors, anchors])
        names += [c // per_label for c in range(len(anchors))]
    s = np.asarray(scores(vectors, vectors, temperature=0.3), np.float64)
    rows = []
    for i, name in enumerate(names):
        others = [j for j in range(len(names)) if j != i]
        positives = [j for j in others if names[j] == name]
        share = [1 / names.count(names[j]) if balanced else 1 for j in others]
        everyone = np.sum(share * np.exp(s[i, others]))
        if not positives:
            continue
        if form == "out":
            rows.append(np.mean([np.log(everyone) - s[i, j] for j in positives]))
            continue
        row = -np.log(np.exp(s[i, positives]).sum() / everyone / len(positives) + 1e-8)
        if balanced or row > 0:
            rows.append(row)
    np.testing.assert_allclose(value, np.mean(rows), rtol=1e-5)


@pytest.mark.parametrize(("focal", "smoothing"), [(0.0, 0.0), (0.5, 0.0), (2.0, 0.0), (0.0, 0.2)])
def test_cross_entropy_equals_its_formula_example_by_example(focal, smoothing):
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(7, 4)).astype(np.float32), rng.integers(0, 4, 7)
    weights = np.array([1.0] * 6 + [0.0], np.float32)
    class_weights, offsets = rng.uniform(0.5, 2, 4), rng.normal(size=4)
    total = 0.0
    for row, label, weight in zip(logits, labels, weights, strict=True):
        shifted = np.exp(row + offsets)
        p = shifted[label] / shifted.sum()
        lost = (1 - smoothing) * -np.log(p) - smoothing * np.log(shifted / shifted.sum()).mean()
        total += weight * class_weights[label] * (1 - p) ** focal * lost
    value = losses.cross_entropy(
        logits,
        labels.astype(np.int32),
        weights=weights,
        class_weights=class_weights.astype(np.float32),
        focal=focal,
        offsets=offsets.astype(np.float32),
        smoothing=smoothing,
    )
    np.testing.assert_allclose(value, total / 6, rtol=1e-5)


def test_cross_entropy_of_soft_targets_equals_its_formula():
    """By hand, with offsets; of certain ones it is that of labels, to the bit."""
    logits = np.log([[1.0, 2, 1], [3, 1, 4]]).astype(np.float32)
    soft, labels = np.array([[0.5, 0.5, 0], [0, 0.25, 0.75]], np.float32), np.array([0, 2])
    offsets = np.log([1.0, 1, 2]).astype(np.float32)  # p: 1, 2, 2 of 5; 3, 1, 8 of 12
    expected = -(np.log(1 / 5) / 2 + np.log(2 / 5) / 2 + np.log(1 / 12) / 4 + np.log(2 / 3) * 3 / 4)
    value = losses.cross_entropy(logits, labels, offsets=offsets, soft=soft)
    np.testing.assert_allclose(value, expected / 2, rtol=1e-5)
    alone = losses.cross_entropy(
        logits, labels, offsets=offsets, soft=soft, weights=jnp.array([1.0, 0.0])
    )
    np.testing.assert_allclose(alone, -(np.log(1 / 5) + np.log(2 / 5)) / 2, rtol=1e-5)
    plain, certain = (
        losses.cross_entropy(logits, labels, soft=each) for each in (None, np.eye(3)[labels])
    )
    assert plain == certain


@pytest.mark.parametrize("what", [{"focal": 1.0}, {"smoothing": 0.1}, {"class_weights": [1.0] * 3}])
def test_soft_targets_have_no_one_label(what):
    with pytest.raises(ValueError, match=r"soft targets .* without class_weights"):
        losses.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), soft=np.ones((2, 3)) / 3, **what)
    with pytest.raises(ValueError, match="soft targets"):
        losses.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), soft=np.ones((2, 2)) / 2)


def test_soft_targets_are_of_the_cross_entropy_alone():
    rng = np.random.default_rng(8)
    logits, reps, anchors = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 4, 3))
    labels, soft = np.array([0, 1, 2, 0]), rng.dirichlet(np.ones(3), 4).astype(np.float32)
    how = {"temperature": 0.3, "ce_weight": 0.4, "angle_weight": 0.1}
    _, plain = losses.stage_one(logits, reps, labels, anchors, **how)
    value, terms = losses.stage_one(logits, reps, labels, anchors, soft=soft, **how)
    assert terms["ce"] == losses.cross_entropy(logits, labels, soft=soft) != plain["ce"]
    assert {**plain, "ce": 0} == {**terms, "ce": 0}
    expected = 0.4 * terms["ce"] + 0.6 * (terms["contrastive"] + 0.1 * terms["angle"])
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_focal_cross_entropy_of_a_sure_answer_has_a_finite_slope():
    slope = jax.grad(lambda x: losses.cross_entropy(x[None], jnp.array([0]), focal=0.5))(
        jnp.array([200.0, 0.0])
    )
    assert np.isfinite(slope).all()


def test_the_angle_is_between_anchors_of_different_labels():
    """A label's anchors may be as near each other as they like."""
    rng = np.random.default_rng(6)
    anchors = rng.normal(size=(6, 5)).astype(np.float32)
    unit = anchors - anchors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = [max(unit[i] @ unit[j] for j in range(6) if i // 2 != j // 2) for i in range(6)]
    value = losses.anchor_angle(anchors, anchors_per_label=2)
    np.testing.assert_allclose(value, -np.mean(np.arccos(nearest)), rtol=1e-4)


def test_padding_rows_change_nothing():
    reps, labels, anchors = draw()
    padding = np.full((3, 8), 7.0, np.float32)
    padded = np.concatenate([reps, padding]), np.concatenate([labels, [0, 0, 0]]), anchors
    weights = np.array([1.0] * 12 + [0.0] * 3, np.float32)
    logits = np.random.default_rng(1).normal(size=(15, 4)).astype(np.float32)

    def total(logits, reps, labels, weights):
        return losses.stage_one(
            logits,
            reps,
            labels,
            anchors,
            temperature=0.1,
            ce_weight=0.3,
            angle_weight=0.1,
            weights=weights,
        )[0]

    both = jax.jit(jax.value_and_grad(total, argnums=1))
    expected, expected_gradient = both(logits[:12], reps, labels, None)
    value, gradient = both(logits, *padded[:2], weights)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient[:12], expected_gradient, atol=1e-7)
    assert not np.any(gradient[12:])


def test_row_without_positive_is_left_out_or_counts_a_constant():
    reps, _, anchors = draw(n=3, c=5)
    labels = np.array([0, 0, 1])  # anchors 2, 3 and 4 have no utterance
    kept = contrastive(reps, labels, anchors, temperature=0.1)
    constant = contrastive(reps, labels, anchors, temperature=0.1, constant_for_no_positive=True)
    np.testing.assert_allclose(constant, (5 * kept + 3 * -np.log(1e-8)) / 8, rtol=1e-5)


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1))
def any_loss(reps, anchors, labels, temperature):
    return losses.stage_one(
        reps[:, :3], reps, labels, anchors, temperature=temperature, ce_weight=0.1, angle_weight=0.1
    )[0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([0.0, 1e-20, 1.0, 1e6]),
    st.sampled_from([1e-3, 0.1, 10.0]),
    st.booleans(),
    st.booleans(),
)
def test_finite_whatever_the_input(seed, scale, temperature, same_label, collapsed):
    reps, labels, anchors = draw(n=6, c=3, seed=seed)
    if same_label:
        labels = np.zeros_like(labels)
    if collapsed:
        anchors = np.ones_like(anchors)
    chex.assert_tree_all_finite(
        any_loss(np.float32(scale) * reps, anchors, labels, np.float32(temperature))
    )


@pytest.mark.parametrize("form", ["in", "out"])
def test_nan_is_seen(form):
    reps = jnp.array([[jnp.nan, 0], [0, 1], [1, 1]])
    labels, anchors = jnp.array([0, 1, 0]), jnp.eye(2)
    value = losses.supervised_contrastive(reps, labels, anchors, temperature=0.1, form=form)
    assert np.isnan(value)


def test_empty_batch_is_zero():
    reps, labels, anchors = draw()
    for use in (anchors, None):
        value = contrastive(
            reps,
            labels,
            None if use is None else use[:0],
            temperature=0.1,
            weights=np.zeros(12, np.float32),
        )
        assert value == 0


def test_anchor_angle_of_a_simplex_and_its_direction():
    simplex = np.eye(4, dtype=np.float32)  # seen from their mean: cosine -1/3 between any two
    np.testing.assert_allclose(losses.anchor_angle(simplex), -np.arccos(-1 / 3), rtol=1e-5)
    close = simplex + np.array([[3.0, 3.0, 0.0, 0.0]])[:, [2, 3, 0, 1]] * np.array(
        [[0], [0], [1], [1]]
    )
    assert losses.anchor_angle(close.astype(np.float32)) > losses.anchor_angle(simplex)


WAYS = list(itertools.product(("in", "out"), (False, True), (0, 2)))
# Between them they have both values of each.
_ALWAYS = ("in", False, 2), ("out", True, 0)


@pytest.mark.parametrize(
    ("form", "balanced", "per_label"),
    [pytest.param(*way, marks=() if way in _ALWAYS else pytest.mark.slow) for way in WAYS],
)
def test_rows_in_blocks_on_several_devices_give_the_whole_loss(form, balanced, per_label):
    reps, labels, anchors = draw(n=21, c=3 * max(per_label, 1))
    labels, weights = labels % 3, np.array([1.0] * 19 + [0.0] * 2, np.float32)

    def loss(rows):
        def contrast(reps, anchors):
            return losses.supervised_contrastive(
                reps,
                labels,
                anchors if per_label else None,
                temperature=0.2,
                form=form,
                balanced=balanced,
                anchors_per_label=max(per_label, 1),
                weights=weights,
                rows=rows,
            )

        return jax.jit(jax.value_and_grad(contrast, argnums=(0, 1)))(reps, anchors)

    expected = loss(None)
    over = batch_shardings(make_mesh(DEVICES)).tokens
    for rows in (ScoreRows(block=4, whole=20), ScoreRows(over, block=4, whole=20)):
        chex.assert_trees_all_close(loss(rows), expected, rtol=1e-5, atol=1e-6)
    # Up to `whole` utterances nothing is different, to the last digit.
    chex.assert_trees_all_equal(loss(ScoreRows(over, block=4, whole=21)), expected)


def lowered(size, width, devices, **how):
    """The compiled loss and gradient of so many representations, which is never run."""
    mesh = make_mesh(devices)
    rows = ScoreRows(batch_shardings(mesh).tokens, **how)

    def contrast(reps, anchors, labels):
        return losses.supervised_contrastive(reps, labels, anchors, temperature=0.1, rows=rows)

    arguments = [
        jax.ShapeDtypeStruct(shape, dtype, sharding=replicated(mesh))
        for shape, dtype in (
            ((size, width), np.float32),
            ((7, width), np.float32),
            ((size,), np.int32),
        )
    ]
    step = jax.jit(jax.value_and_grad(contrast, argnums=(0, 1)), out_shardings=replicated(mesh))
    return step.lower(*arguments).compile()


def temporary(program):
    return program.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_of_the_scores_falls_with_the_devices():
    one, eight = (temporary(lowered(8192, 16, devices, block=10_000)) for devices in (1, 8))
    assert one > 4 * 8192**2
    assert eight < 1.1 * one / 8


@pytest.mark.slow
def test_a_pods_batch_fits_where_its_scores_would_not():
    size, width = 65_536, 768
    whole, shared = lowered(size, width, 1, whole=size), lowered(size, width, 8)
    assert temporary(shared) < temporary(whole) / 8
    # A device's rows of one matrix of scores would take more.
    assert temporary(shared) < 4 * size**2 / 8
    # The blocks send nothing to each other: each vector's gradient is summed up once.
    assert collective_bytes(shared.as_text()) < 1.01 * 4 * size * width


def test_vmap_equals_a_loop():
    batches = [draw(seed=seed) for seed in range(3)]
    reps, labels, anchors = (np.stack(arrays) for arrays in zip(*batches, strict=True))
    loss = functools.partial(contrastive, temperature=0.1)
    np.testing.assert_allclose(
        jax.vmap(loss)(reps, labels, anchors), [loss(*b) for b in batches], rtol=1e-6
    )


def test_bfloat16_inputs_are_computed_in_float32():
    reps, labels, anchors = draw()
    halves = jnp.asarray(reps, jnp.bfloat16), jnp.asarray(anchors, jnp.bfloat16)
    value = contrastive(halves[0], labels, halves[1], temperature=0.1)
    assert value.dtype == jnp.float32
    again = contrastive(
        np.asarray(halves[0], np.float32),
        labels,
        np.asarray(halves[1], np.float32),
        temperature=0.1,
    )
    np.testing.assert_allclose(value, again, rtol=1e-6)


def test_unknown_form_is_refused():
    reps, labels, anchors = draw()
    with pytest.raises(ValueError, match="form must be"):
        contrastive(reps, labels, anchors, temperature=0.1, form="middle")


def test_shapes_that_do_not_fit_are_refused():
    reps, labels, anchors = draw()
    whole = {"temperature": 0.1, "ce_weight": 0.1, "angle_weight": 0.1}
    logits = reps[:, :4]
    losses.stage_one(logits, reps, labels, anchors, **whole)
    for wrong in (
        (logits[:5], reps, labels, anchors),
        (logits, reps, labels[:, None], anchors),
        (logits, reps, labels.astype(np.float32), anchors),
        (logits, reps, labels, anchors[:, :5]),
        (logits, reps[:5], labels, anchors),
    ):
        with pytest.raises(ValueError, match=r"expected labels \[N\]|labels must be integers"):
            losses.stage_one(*wrong, **whole)
    with pytest.raises(ValueError, match=r"C >= 2"):
        losses.anchor_angle(anchors[:1])


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"logits": np.zeros((12, 6), np.float32)}, "anchors must be .* of each of 6 labels"),
        ({"anchors": draw(c=3)[2]}, "anchors must be .* of each of 4 labels"),
        ({"anchors": draw(c=7)[2], "anchors_per_label": 2}, "anchors must be a multiple of"),
        ({"anchors_per_label": 0}, "anchors_per_label must be at least 1|C >= 2"),
        ({"class_weights": np.ones(1)}, r"class_weights must be \[C\]"),
        ({"class_weights": np.ones(9)}, r"class_weights must be \[C\]"),
        ({"offsets": np.ones(1)}, r"offsets must be \[C\]"),
        ({"offsets": np.ones((12, 1))}, r"offsets must be \[C\]"),
        ({"weights": np.ones(1)}, r"weights \[N\]"),
        ({"focal": 1.0, "smoothing": 0.1}, "smoothing must be 0 with focal"),
        ({"smoothing": 3.0}, "smoothing must be from 0 to 1"),
        ({"focal": -1.0}, "focal must be at least 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temperature": -1}, "temperature must be positive"),
        ({"temperature": float("nan")}, "temperature must be positive"),
        ({"ce_weight": 2.0}, "ce_weight must be from 0 to 1"),
        ({"angle_weight": -0.1}, "angle_weight must be at least 0"),
        ({"labels": np.full(12, 4)}, "labels must be from 0 to 3, got 4 to 4"),
        ({"labels": np.full(12, -1)}, "labels must be from 0 to 3"),
    ],
)
def test_what_would_answer_another_question_is_refused(what, complaint):
    reps, labels, anchors = draw()
    given = {"logits": reps[:, :4], "reps": reps, "labels": labels, "anchors": anchors}
    how = {"temperature": 0.1, "ce_weight": 0.1, "angle_weight": 0.1}
    with pytest.raises(ValueError, match=complaint):
        losses.stage_one(**{**given, **how, **what})


def test_each_loss_looks_at_its_own_arguments():
    reps, labels, anchors = draw()
    with pytest.raises(ValueError, match="labels must be from 0 to 3"):
        losses.cross_entropy(reps[:, :4], labels + 1)
    with pytest.raises(ValueError, match="labels must be from 0 to 2"):
        losses.supervised_contrastive(reps, labels, anchors[:3], temperature=0.1)
    with pytest.raises(ValueError, match="anchors must be a multiple"):
        losses.supervised_contrastive(
            reps, labels, anchors[:3], temperature=0.1, anchors_per_label=2
        )
    with pytest.raises(ValueError, match="anchors must be a multiple"):
        losses.anchor_angle(np.concatenate([anchors, anchors[:3]]), anchors_per_label=2)
    losses.stage_two(reps, labels, anchors, temperature=0.1, biases=np.zeros(4))
    for what, complaint in (
        ({"biases": np.ones(1)}, r"biases must be \[C\]"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"anchors_per_label": 3}, "anchors must be a multiple"),
        ({"anchors_per_label": 2}, "labels must be from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=complaint):
            losses.stage_two(reps, labels, anchors, **{"temperature": 0.1, **what})


def test_numbers_that_are_traced_are_taken_as_they_are():
    """Only plain ones can be looked at; compiled code has no check in it."""
    reps, labels, anchors = draw()
    jax.jit(losses.supervised_contrastive)(reps, labels + 9, anchors, temperature=-1.0)
