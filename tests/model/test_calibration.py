"""One temperature, and how far confidence is from accuracy."""

import numpy as np
import pytest
from scipy.special import log_softmax

from eacl_jax.model.calibration import (
    HOLD,
    expected_calibration_error,
    fit_temperature,
    probabilities,
)


def drawn(temperature, count=20000):
    """Scores, and labels drawn from softmax(scores / temperature)."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(count, 4)) * 3
    labels = np.array([rng.choice(4, p=p) for p in probabilities(scores, temperature)])
    return scores, labels


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(true):
    scores, labels = drawn(true)
    assert fit_temperature(scores, labels) == pytest.approx(true, rel=0.05)


def test_scores_that_hardly_differ_are_calibrated_too():
    scores, labels = drawn(1.0)
    assert fit_temperature(scores / 1000, labels) == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize(("count", "spread"), [(300, 1e-3), (1000, 1e-4), (3000, 1e-4)])
def test_scores_that_hardly_differ_need_no_many_utterances(count, spread):
    """Near the temperature before there is another minimum, where all labels are as likely."""
    rng = np.random.default_rng(0)
    labels = rng.integers(7, size=count)
    scores = rng.normal(size=(count, 7)) + 1.8 * np.eye(7)[labels]
    found = fit_temperature(5 + spread * scores, labels)
    answers = probabilities(5 + spread * scores, found)
    assert found == pytest.approx(0.6 * spread, rel=0.3)
    assert expected_calibration_error(answers, labels) < 10


def test_no_temperature_makes_the_labels_likelier():
    scores, labels = drawn(1.7, count=500)

    def loss(temperature):
        likelihood = log_softmax(scores / temperature, axis=1)[np.arange(500), labels].sum()
        return HOLD * np.log(temperature / 1.2) ** 2 - likelihood

    found = fit_temperature(scores, labels, near=1.2)
    assert all(loss(found) <= loss(other) + 1e-6 for other in np.geomspace(0.1, 10, 200))


def test_a_handful_of_examples_moves_it_little():
    for count in (1, 2, 5):
        right = np.tile([3.0, 0.0, 0.0], (count, 1))
        assert 0.75 < fit_temperature(right, np.zeros(count, int), near=1.5) < 1.5


def test_expected_calibration_error_by_hand():
    # In two of the bins: two answers at 0.95, one of them right; two at 0.65, both right.
    probability = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])
    labels = np.array([0, 1, 0, 0])
    assert expected_calibration_error(probability, labels) == pytest.approx(
        100 * (0.9 / 4 + 0.7 / 4)
    )
    assert (
        expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0
    )  # full confidence falls into the last bin


def test_fitting_calibrates():
    scores, labels = drawn(3.0)
    before = expected_calibration_error(probabilities(scores, 1.0), labels)
    after = expected_calibration_error(
        probabilities(scores, fit_temperature(scores, labels)), labels
    )
    assert before > 20
    assert after < 2


def test_without_examples_nothing_is_changed():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int), near=1.3) == 1.3
    assert expected_calibration_error(np.zeros((0, 3)), np.zeros(0, int)) == 0.0


@pytest.mark.parametrize(("answer", "gap"), [(None, 0.5), (0, 0.5), (1, 1 - 0.3), (2, 0.2)])
def test_confidence_is_of_what_is_answered(answer, gap):
    answers = None if answer is None else np.array([answer])
    found = expected_calibration_error(np.array([[0.5, 0.3, 0.2]]), np.array([1]), answers=answers)
    assert found == pytest.approx(100 * gap)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 1), int), r"one for each of 4 rows; got \(4, 1\)"),
        (np.zeros(3, int), r"one for each of 4 rows; got \(3,\)"),
        (np.full(4, -1), "from 0 to 2, got -1 to -1"),
        (np.full(4, 3), "from 0 to 2, got 3 to 3"),
    ],
)
def test_labels_have_to_fit_the_rows(labels, message):
    rows = probabilities(np.eye(4, 3), 1.0)
    with pytest.raises(ValueError, match=message):
        fit_temperature(rows, labels)
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(rows, labels)
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(rows, np.zeros(4, int), answers=labels)
