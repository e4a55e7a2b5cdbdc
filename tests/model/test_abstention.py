import numpy as np
import pytest

from eacl_jax.model.abstention import (
    COVERAGES,
    confidences,
    fit_sets,
    selective_scores,
    set_scores,
    surest_right,
)


def test_thresholds_are_the_quantiles_of_split_conformal_prediction():
    likelihood = np.random.default_rng(0).uniform(size=57)
    found = fit_sets(likelihood)
    assert found.examples == 57
    for percent, threshold in zip(COVERAGES, found.thresholds, strict=True):
        rank = np.ceil(58 * percent / 100)
        expected = (
            1 - np.quantile(1 - likelihood, rank / 57, method="inverted_cdf") if rank <= 57 else 0
        )
        assert threshold == pytest.approx(expected, abs=1e-12)
    assert found.threshold(98) > 0 == found.threshold(99)  # 58 x 0.99 is more than 57


def test_ranks_are_not_off_by_rounding():
    assert fit_sets(np.linspace(0.9, 0.1, 9)).threshold(90) == 0.1  # the ninth; 10 x 0.9 > 9
    assert fit_sets(np.array([0.3])).threshold(50) == 0.3


def test_sets_hold_new_labels_as_often_as_they_say():
    rng = np.random.default_rng(1)
    kept: dict[int, list[float]] = {60: [], 90: []}
    for _ in range(400):
        scores = rng.normal(size=(300, 5))
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        gold = np.array([rng.choice(5, p=np.sqrt(p) / np.sqrt(p).sum()) for p in probabilities])
        sets = fit_sets(probabilities[np.arange(100), gold[:100]])
        for percent, found in kept.items():
            threshold = sets.threshold(percent)
            found.append(set_scores(probabilities[100:], gold[100:], threshold)["coverage"])
    for percent, found in kept.items():
        error = np.std(found) / np.sqrt(len(found))
        assert percent - 3 * error < np.mean(found) < percent + 1 + 3 * error


def test_scores_of_sets():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    found = set_scores(probabilities, np.array([0, 1, 2, 0]), 0.35)
    assert found == {"coverage": 75.0, "size": 1.25, "single": 75.0}


def test_the_surest_answers():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    assert confidences(confidence) == {
        **{10: 0.9, 20: 0.9, 30: 0.8, 40: 0.8, 50: 0.7},
        **{60: 0.7, 70: 0.6, 80: 0.6, 90: 0.5, 100: 0.0},
    }
    assert selective_scores(confidence, right, 0.65) == {
        "answered": 60.0,
        "right": pytest.approx(200 / 3),
    }
    assert selective_scores(confidence, right, 0.95) == {"answered": 0.0, "right": None}
    assert surest_right(confidence, right)[40] == 100.0
    assert surest_right(confidence, right)[100] == 60.0
