"""Scores against scikit-learn, and their corners."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    label_ranking_average_precision_score,
)

from eacl_jax.model.metrics import (
    co_occurrence,
    confusion_matrix,
    summarize,
    summarize_several,
    title,
)

LABELS = ("a", "b", "c", "d")


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    gold, predicted = rng.choice(4, 200, p=[0.6, 0.2, 0.15, 0.05]), rng.integers(0, 4, 200)
    scores = summarize(confusion_matrix(gold, predicted, 4), LABELS, excluded_label="a")
    assert scores["weighted_f1"] == pytest.approx(
        100 * f1_score(gold, predicted, average="weighted")
    )
    assert scores["macro_f1"] == pytest.approx(100 * f1_score(gold, predicted, average="macro"))
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(gold, predicted))
    assert scores["micro_f1"] == pytest.approx(
        100 * f1_score(gold, predicted, labels=[1, 2, 3], average="micro")
    )
    np.testing.assert_allclose(
        list(scores["per_class_f1"].values()), 100 * f1_score(gold, predicted, average=None)
    )


def test_confusion_matrices_add_up():
    gold, predicted = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1])
    whole = confusion_matrix(gold, predicted, 3)
    np.testing.assert_array_equal(whole, [[1, 0, 0], [0, 0, 1], [0, 1, 1]])
    parts = confusion_matrix(gold[:2], predicted[:2], 3) + confusion_matrix(
        gold[2:], predicted[2:], 3
    )
    np.testing.assert_array_equal(parts, whole)


def test_a_class_that_never_occurs_does_not_lower_the_macro_mean():
    gold = np.array([0, 0, 1])
    scores = summarize(confusion_matrix(gold, gold, 4), LABELS)
    assert scores["macro_f1"] == scores["weighted_f1"] == 100
    assert scores["per_class_f1"] == {"a": 100, "b": 100, "c": 0, "d": 0}
    assert (scores["support"]["c"], scores["answered"]["c"]) == (0, 0)
    assert sum(scores["support"].values()) == sum(scores["answered"].values()) > 0
    assert "micro_f1" not in scores


def test_nothing_to_score_is_zero():
    assert summarize(np.zeros((4, 4), int), LABELS)["weighted_f1"] == 0


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_matrix(np.zeros(3, int), np.zeros(2, int), 2)


def several(n=60, c=4, seed=0):
    rng = np.random.default_rng(seed)
    gold, scores = rng.random((n, c)) < 0.3, rng.random((n, c))
    return gold, scores > 0.6, scores


def test_scores_of_several_labels_are_scikit_learns():
    gold, answers, ranked = several()
    gold[:, 3] = answers[:, 3] = False  # occurs nowhere: no part of the macro mean
    found = summarize_several(gold, answers, LABELS, ranked)
    for name, average in (("weighted_f1", "weighted"), ("micro_f1", "micro")):
        expected = f1_score(gold, answers, average=average, zero_division=0)
        assert found[name] == pytest.approx(100 * expected)
    expected = f1_score(gold[:, :3], answers[:, :3], average="macro")
    assert found["macro_f1"] == pytest.approx(100 * expected)
    assert found["accuracy"] == pytest.approx(100 * accuracy_score(gold, answers))
    # An utterance without labels that is answered none is right.
    expected = jaccard_score(gold, answers, average="samples", zero_division=1)
    assert found["jaccard"] == pytest.approx(100 * expected)
    some = gold.any(axis=1)
    expected = label_ranking_average_precision_score(gold[some], ranked[some])
    assert found["ranking_precision"] == pytest.approx(100 * expected)
    assert "ranking_precision" not in summarize_several(gold, answers, LABELS)
    nothing = summarize_several(gold[:0], answers[:0], LABELS, ranked[:0])
    assert nothing["weighted_f1"] == nothing["jaccard"] == 0


def test_co_occurrence_counts_pairs():
    gold = np.array([[True, True, False], [True, False, False], [False, False, False]])
    answers = np.array([[True, False, True], [True, False, False], [False, True, False]])
    expected = [[2, 0, 1], [1, 0, 1], [0, 0, 0]]
    assert co_occurrence(gold, answers).tolist() == expected


@pytest.mark.parametrize("wrong", [[3, 1, 2], [-1, 1, 2]])
def test_what_is_no_label_falls_into_no_cell(wrong):
    right = np.array([0, 1, 2])
    with pytest.raises(ValueError, match="gold must be from 0 to 2"):
        confusion_matrix(np.array(wrong), right, 3)
    with pytest.raises(ValueError, match="predicted must be from 0 to 2"):
        confusion_matrix(right, np.array(wrong), 3)


def test_the_name_of_micro_f1_says_what_it_leaves_out():
    assert title("dev_micro_f1", "neutral") == "dev micro F1 without neutral"
    assert title("micro_f1") == "micro F1"
    assert title("macro_f1", "neutral") == "macro F1"


def test_only_a_label_can_be_excluded():
    with pytest.raises(ValueError, match="excluded_label must be one of a, b, got 'c'"):
        summarize(np.eye(2, dtype=int), ["a", "b"], "c")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64])
def test_small_integers_count_alike(kind):
    labels = np.arange(28).astype(kind)
    np.testing.assert_array_equal(confusion_matrix(labels, labels, 28), np.eye(28))
