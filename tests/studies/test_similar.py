"""Pairs of similar emotions, by hand."""

import dataclasses

import numpy as np
import pytest

from eacl_jax.studies import similar as module
from eacl_jax.studies.pairs import pairs_among
from eacl_jax.studies.seed_answers import SeedAnswers, estimates
from eacl_jax.studies.similar import (
    anchor_angles,
    pair_counts,
    pairs_f1,
    similar,
    smallest_angle,
)

LABELS = ("anger", "disgust", "joy")
GOLD = np.array([0, 0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 0, 1, 2, 1, 0, 0])
SCORES = np.array(
    [[3, 1, 0], [3, 1, 0], [1, 2, 0], [2, 1, 9], [0, 1, 0], [4, 2, 0], [5, 0, 0]], np.float32
)


def test_pairs_are_those_whose_labels_are_both_there():
    assert pairs_among(("fear", "disgust", "anger", "neutral")) == (("anger", "disgust"),)
    assert pairs_among(("mad", "sad", "joyful", "peaceful")) == (
        ("joyful", "peaceful"),
        ("mad", "sad"),
    )


def test_confusion_and_f1_of_a_pair():
    found = similar(LABELS, ("anger", "disgust"), gold=GOLD, answers=ANSWERS, scores=SCORES)
    assert found.first_as_second == 25
    assert found.second_as_first == 50
    # Anger: 3 right, 1 as disgust; disgust: 1 right, 1 as anger; "joy" can be no answer here.
    assert found.f1 == pytest.approx(100 * (2 * 3 / 8 + 2 * 1 / 4) / 2)
    assert (found.angle, found.silhouette, found.silhouette_before) == (None, None, None)


def test_angle_is_the_smallest_of_several_anchors():
    degrees = np.radians([0, 10, 40, 90, 200, 181])
    anchors = 3 * np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    assert anchor_angles(anchors, 3)[0, 1] == pytest.approx(30)
    assert anchor_angles(anchors, 3)[1, 2] == pytest.approx(91)
    assert anchor_angles(anchors, 6)[0, 4] == pytest.approx(160)
    assert smallest_angle(anchors, 3) == pytest.approx(30)
    assert smallest_angle(anchors, 6) == pytest.approx(10)
    assert smallest_angle(anchors[:2], 1) is None
    assert smallest_angle(np.full((2, 2), np.nan), 2) is None
    found = similar(LABELS, ("joy", "disgust"), gold=GOLD, answers=ANSWERS, anchors=anchors)
    assert found.angle == pytest.approx(91)


def test_silhouette_before_and_after(monkeypatch):
    rng = np.random.default_rng(0)
    gold = np.repeat([0, 1, 2], 40)
    apart = np.eye(3)[gold] + 0.1 * rng.normal(size=(120, 3))
    mixed = rng.normal(size=(120, 5))
    given = {"gold": gold, "answers": gold, "representations": apart, "before": mixed}
    found = similar(LABELS, ("anger", "disgust"), **given)
    assert found.silhouette > 0.8
    assert abs(found.silhouette_before) < 0.1
    monkeypatch.setattr(module, "MOST", 30)
    fewer = similar(LABELS, ("anger", "disgust"), **given)
    assert fewer == similar(LABELS, ("anger", "disgust"), **given)
    assert fewer.silhouette == pytest.approx(found.silhouette, abs=0.1)
    assert fewer.silhouette != found.silhouette


def test_a_pair_without_utterances_of_one_label_has_no_f1():
    found = similar(
        LABELS, ("anger", "disgust"), gold=GOLD[:4], answers=ANSWERS[:4], scores=SCORES[:4]
    )
    assert (found.first_as_second, found.second_as_first, found.f1) == (25, None, None)


def test_few_utterances_have_no_silhouette():
    rng = np.random.default_rng(0)
    gold = np.repeat([0, 1], [9, 4])
    given = {"gold": gold, "answers": gold, "representations": rng.normal(size=(13, 3))}
    assert similar(LABELS, ("anger", "disgust"), **given).silhouette is None
    given["gold"] = np.repeat([0, 1], [8, 5])
    assert similar(LABELS, ("anger", "disgust"), **given).silhouette is not None


def test_f1_of_pairs_is_of_dialogues_that_add_up():
    dialogues = np.array([5, 5, 7, 7, 7, 9, 9])
    counts = pair_counts([(0, 1), (1, 2)], GOLD, SCORES, dialogues)
    assert counts.shape == (3, 2, 2, 2)
    assert counts.sum(axis=0)[0].tolist() == [[3, 1], [1, 1]]
    assert counts[:, 0].sum(axis=(1, 2)).tolist() == [2, 3, 1]
    assert counts.sum(axis=0)[1].tolist() == [[2, 0], [1, 0]]
    first, second = (
        similar(LABELS, pair, gold=GOLD, answers=ANSWERS, scores=SCORES).f1
        for pair in (("anger", "disgust"), ("disgust", "joy"))
    )
    assert pairs_f1(counts.sum(axis=0)) == pytest.approx((first + second) / 2)
    # A draw without any joy has no mean over both pairs.
    assert np.isnan(pairs_f1(counts[:2].sum(axis=0)))
    assert pairs_f1(counts[:2, :1].sum(axis=0)) == pytest.approx(
        similar(
            LABELS, ("anger", "disgust"), gold=GOLD[:5], answers=ANSWERS[:5], scores=SCORES[:5]
        ).f1
    )
    assert np.isnan(pairs_f1(np.zeros((2, 2, 2))))
    assert np.isnan(pairs_f1(np.zeros((0, 2, 2))))
    assert np.isnan(pairs_f1(np.zeros((5, 0, 2, 2)))).tolist() == [True] * 5


def test_f1_of_pairs_is_drawn_as_other_measures_are():
    rng = np.random.default_rng(1)
    gold, dialogues = rng.integers(0, 3, 300), np.arange(300) // 10
    scores = rng.normal(size=(300, 3)) + 2 * np.eye(3)[gold]
    made = SeedAnswers(
        "", "", 0, ("fear", "surprise", "joy"), gold, dialogues, scores.argmax(1), scores
    )
    drawn = made.drawn("similar_pairs_f1")
    assert drawn.shape == made.drawn("macro_f1").shape
    assert drawn.mean() == pytest.approx(float(made.score("similar_pairs_f1")), abs=1)
    assert 1 < drawn.std() < 10
    without = dataclasses.replace(made, scores=None)
    assert "similar_pairs_f1" not in without.measures
    assert made.measures[:4] == ("weighted_f1", "macro_f1", "accuracy", "similar_pairs_f1")


def test_pairs_are_those_of_the_whole_test_whichever_dialogues_are_drawn():
    """Disgust is in two of thirty dialogues, and joy in none."""
    dialogues = np.repeat(np.arange(30), 4)
    gold = np.where(np.arange(120) % 4, 0, 2)
    labels = ("anger", "disgust", "sad", "mad")  # anger and disgust; mad and sad
    gold[[1, 60]] = 1
    made = SeedAnswers("", "", 0, labels, gold, dialogues, gold, np.eye(4)[gold])
    assert made.pairs.shape == (30, 1, 2, 2)
    assert made.score("similar_pairs_f1") == 100
    drawn = made.drawn("similar_pairs_f1")
    assert 0.05 < np.isnan(drawn).mean() < 0.2
    assert set(drawn[~np.isnan(drawn)]) == {100}
    none = dataclasses.replace(made, gold=np.where(gold == 1, 0, gold))
    assert np.isnan(none.score("similar_pairs_f1"))
    (found,) = estimates([none], "similar_pairs_f1")
    assert (found.mean, found.low, found.undefined) == (None, None, 100)


def test_labels_without_utterances():
    none = np.zeros(0, np.int64)
    found = similar(
        LABELS,
        ("anger", "disgust"),
        gold=none,
        answers=none,
        scores=SCORES[:0],
        representations=np.zeros((0, 4)),
    )
    assert (found.first_as_second, found.f1, found.silhouette) == (None, None, None)


def test_a_study_may_name_other_pairs():
    asked = {"gold": GOLD, "dialogues": np.arange(len(GOLD)), "answers": ANSWERS, "scores": SCORES}
    named = SeedAnswers("", "", 0, LABELS, **asked, asked_pairs=(("joy", "anger"), ("joy", "calm")))
    found = similar(LABELS, ("joy", "anger"), gold=GOLD, answers=ANSWERS, scores=SCORES)
    assert float(named.score("similar_pairs_f1")) == pytest.approx(found.f1)
    assert float(named.score("similar_pairs_f1")) != pytest.approx(
        float(SeedAnswers("", "", 0, LABELS, **asked).score("similar_pairs_f1"))
    )
