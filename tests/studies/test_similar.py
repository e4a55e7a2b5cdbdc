"""Pairs of similar emotions, by hand."""

import numpy as np
import pytest

from eacl_jax.studies import similar as module
from eacl_jax.studies.similar import anchor_angles, default_pairs, similar, smallest_angle

LABELS = ("anger", "disgust", "joy")
GOLD = np.array([0, 0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 0, 1, 2, 1, 0, 0])
SCORES = np.array(
    [[3, 1, 0], [3, 1, 0], [1, 2, 0], [2, 1, 9], [0, 1, 0], [4, 2, 0], [5, 0, 0]], np.float32
)


def test_pairs_are_those_whose_labels_are_both_there():
    assert default_pairs(("fear", "disgust", "anger", "neutral")) == (("anger", "disgust"),)
    assert default_pairs(("mad", "sad", "joyful", "peaceful")) == (
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
