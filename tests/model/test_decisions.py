"""Scale, biases and thresholds: against what was put in, brute force, and scikit-learn."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from eacl_jax.model.decisions import (
    LEAST,
    Affine,
    SeveralAnswering,
    best_threshold,
    calibration_error,
    common_affine,
    fit,
    fit_affine,
    recalibrated,
)

BIASES = np.array([-6.0, -4.0, -7.0])


def drawn(n=4000, seed=0):
    """Scores, and labels that they have with probability sigmoid(1.5 s + bias)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 6, (n, 3))
    return scores, rng.random((n, 3)) < expit(1.5 * scores + BIASES)


def test_affine_finds_what_labels_were_drawn_by():
    scores, gold = drawn()
    found = fit_affine(scores, gold, near=common_affine(scores, gold))
    assert found.scale == pytest.approx(1.5, rel=0.05)
    np.testing.assert_allclose(found.biases, BIASES, atol=0.3)


def test_common_affine_is_logistic_regression_on_all_pairs():
    scores, gold = drawn(1000)
    found = common_affine(scores, gold)
    # Nothing but the weak hold on the scale is different.
    peer = LogisticRegression(C=1e6).fit(scores.reshape(-1, 1), gold.reshape(-1))
    assert found.scale == pytest.approx(peer.coef_[0, 0], rel=0.02)
    np.testing.assert_allclose(found.biases, np.full(3, peer.intercept_[0]), atol=0.1)


@pytest.mark.parametrize(("count", "spread"), [(300, 1e-3), (1000, 3e-4)])
def test_scores_that_hardly_differ_are_calibrated_too(count, spread):
    """Near scale 1 there is another minimum, where all utterances are as likely to have a label."""
    rng = np.random.default_rng(0)
    gold = rng.random((count, 5)) < 0.3
    scores = 5 + spread * (rng.normal(size=(count, 5)) + 2 * gold)
    found = fit(scores, gold)
    answers = expit(found.scale * scores + found.biases)
    assert found.scale == pytest.approx(2 / spread, rel=0.5)
    assert calibration_error(answers, gold) < 10
    assert answers.max() > 0.9


def test_a_label_without_utterances_keeps_near_the_others():
    scores, gold = drawn(200)
    gold[:, 2] = False
    start = common_affine(scores, gold)
    found = fit_affine(scores, gold, near=start)
    assert start.biases[2] - 10 < found.biases[2] < start.biases[2]
    nothing = fit_affine(scores[:0], gold[:0], near=start)
    assert nothing == start


def test_best_threshold_is_that_of_all():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.integers(0, 8, 30) / 8  # with ties
        gold = rng.random(30) < 0.3
        if not gold.any():
            continue
        best = max(f1_score(gold, p >= t) for t in np.unique(p))
        assert f1_score(gold, p >= best_threshold(p, gold)) == pytest.approx(best)
    assert best_threshold(np.array([0.2, 0.9]), np.array([False, False])) == 0.5


def test_rare_labels_have_the_common_threshold():
    scores, gold = drawn(400)
    gold[:, 1] = False
    gold[: LEAST - 1, 1] = True
    found = fit(scores, gold)
    assert found.thresholds[1] == found.threshold
    assert found.thresholds[0] != found.threshold
    assert set(fit(scores, gold, common=True).thresholds) == {found.threshold}


def test_answers_are_probabilities_that_reach_their_threshold():
    scores, gold = drawn(400)
    answering = SeveralAnswering(0.1, decisions=fit(scores, gold), classifies=True)
    axes = np.eye(3)
    cosines = answering.cosines(scores, axes)
    np.testing.assert_array_equal(cosines, scores)  # how large a logit is, is not lost
    decisions = answering.decisions
    expected = expit(decisions.scale * scores + decisions.biases) >= decisions.thresholds
    np.testing.assert_array_equal(answering.decide(cosines), expected)
    assert expected.any()
    assert not expected.all()
    nearest = dataclasses.replace(answering, classifies=False)
    assert nearest.cosines(scores, axes).max() <= 1


def test_calibrating_again_changes_probabilities_and_no_answer():
    scores, gold = drawn()
    before = dataclasses.replace(
        fit(scores, gold), scale=3.0, biases=(-11.0, -9.0, -12.0), bias=-10.7
    )
    after = recalibrated(before, scores, gold)
    for was, now, s in zip(before.thresholds, after.thresholds, scores.T, strict=True):
        index = before.thresholds.index(was)
        old = expit(before.scale * s + before.biases[index])
        new = expit(after.scale * s + after.biases[index])
        np.testing.assert_array_equal(old >= was, new >= now)
    # Nor to labels that training did not know.
    old, new = (expit(d.scale * scores + d.bias) >= d.threshold for d in (before, after))
    assert old.any()
    assert not old.all()
    np.testing.assert_array_equal(old, new)
    probability = [expit(d.scale * scores + d.biases) for d in (before, after)]
    assert calibration_error(probability[1], gold) < calibration_error(probability[0], gold) / 2
    # Without any utterance nothing is known better.
    assert recalibrated(before, scores[:0], gold[:0]).biases == before.biases


@pytest.mark.filterwarnings("error")
def test_thresholds_at_the_ends_stay_there():
    scores, gold = drawn()
    before = dataclasses.replace(fit(scores, gold), thresholds=(0.0, 1.0, 1e-14), threshold=0.0)
    after = recalibrated(before, scores, gold)
    assert (after.thresholds[:2], after.threshold) == ((0.0, 1.0), 0.0)
    old, new = (expit(d.scale * scores + d.biases) >= d.thresholds for d in (before, after))
    np.testing.assert_array_equal(old, new)


def test_calibration_error_by_hand():
    p, gold = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[True, False], [False, False]])
    assert calibration_error(p, gold) == pytest.approx(100 * (0.4 + 0.1) / 2)
    assert calibration_error(p[:0], gold[:0]) == 0


def test_other_labels_have_the_common_bias_and_threshold():
    scores, gold = drawn(400)
    found = fit(scores, gold).of_others(5)
    assert found.biases == (found.bias,) * 5
    assert found.thresholds == (found.threshold,) * 5
    near = fit(scores, gold, near=Affine(1.5, BIASES))
    assert near.bias == pytest.approx(np.mean(near.biases))
