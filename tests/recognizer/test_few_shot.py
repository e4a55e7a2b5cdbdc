"""Anchors on a few examples."""

import dataclasses

import numpy as np
import pytest

from eacl_jax.model.decisions import LEAST, Affine, Decisions, SeveralAnswering
from eacl_jax.model.scores import Answering, host_cosines
from eacl_jax.recognizer import few_shot
from eacl_jax.recognizer.few_shot import (
    PULL,
    adapt_anchors,
    held_out_cosines,
    report,
    report_several,
)

TAU = 0.1


def problem(per_class, noise=0.6, seed=0):
    """Three directions in eight dimensions, examples about them, and anchors that begin off the
    mark.
    """
    rng = np.random.default_rng(seed)
    truth = np.eye(3, 8)
    labels = np.repeat(np.arange(3), per_class)
    reps = truth[labels] + noise * rng.normal(size=(len(labels), 8)) / np.sqrt(8)
    start = truth + 0.8 * rng.normal(size=(3, 8)) / np.sqrt(8)
    return reps.astype(np.float32), labels, start.astype(np.float32)


def scores_of(reps, anchors):
    return Answering(TAU).scores(host_cosines(reps, anchors))


def objective(anchors, reps, labels, start):
    score = scores_of(reps, anchors)
    log_p = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
    away = (1 - np.diag(host_cosines(anchors, start))).sum()
    return -log_p[np.arange(len(labels)), labels].mean() + PULL * away / len(labels)


def test_the_objective_is_minimized():
    reps, labels, start = problem(50)
    adapted = adapt_anchors(reps, labels, start, temperature=TAU)
    lengths = np.linalg.norm(start, axis=1)
    np.testing.assert_allclose(np.linalg.norm(adapted, axis=1), lengths, rtol=1e-5)
    least = objective(adapted, reps, labels, start)
    rng = np.random.default_rng(1)
    for scale in (0.3, 0.03):
        nearby = [
            objective(adapted + scale * rng.normal(size=(3, 8)), reps, labels, start)
            for _ in range(50)
        ]
        assert min(nearby) > least


def test_of_several_anchors_a_label_each_is_pulled_to_where_it_began():
    reps, labels, first = problem(20)
    start = np.stack([first, np.roll(first, 3, axis=1)], axis=1).reshape(6, 8)

    def pooled(anchors):
        score = np.exp(scores_of(reps, anchors)).reshape(-1, 3, 2).mean(axis=2)
        log_p = np.log(score / score.sum(axis=1, keepdims=True))
        away = (1 - np.diag(host_cosines(anchors, start))).sum()
        return -log_p[np.arange(len(labels)), labels].mean() + PULL * away / len(labels)

    adapted = adapt_anchors(reps, labels, start, temperature=TAU, anchors_per_label=2)
    rng = np.random.default_rng(1)
    for scale in (0.3, 0.03):
        nearby = [pooled(adapted + scale * rng.normal(size=(6, 8))) for _ in range(50)]
        assert min(nearby) > pooled(adapted)
    some = labels != 1
    partly = adapt_anchors(reps[some], labels[some], start, temperature=TAU, anchors_per_label=2)
    stayed = np.diag(host_cosines(partly, start)) > 1 - 1e-6
    assert stayed.tolist() == [False, False, True, True, False, False]
    scores = held_out_cosines(reps, labels, np.arange(60) // 2, start, Answering(TAU, 2), seed=0)
    assert scores.shape == (60, 3)


def test_the_more_examples_the_farther_anchors_go():
    moved = []
    for per_class in (1, 10, 100):
        reps, labels, start = problem(per_class)
        moved.append(
            (
                1
                - np.diag(host_cosines(adapt_anchors(reps, labels, start, temperature=TAU), start))
            ).sum()
        )
    assert 0 < moved[0] < moved[1] < moved[2]


def test_a_label_without_examples_keeps_its_anchor():
    reps, labels, start = problem(10)
    some = labels != 2
    adapted = adapt_anchors(reps[some], labels[some], start, temperature=TAU)
    cosines = np.diag(host_cosines(adapted, start))
    assert cosines[2] == pytest.approx(1, abs=1e-6)
    assert cosines[:2].max() < 0.9999


def test_examples_of_weight_zero_do_not_count():
    reps, labels, start = problem(10)
    kept = np.arange(30) % 3 != 1
    weighted = adapt_anchors(reps, labels, start, temperature=TAU, weights=kept)
    np.testing.assert_allclose(
        weighted, adapt_anchors(reps[kept], labels[kept], start, temperature=TAU), atol=1e-5
    )


def test_held_out_answers_come_from_other_dialogues(monkeypatch):
    reps, labels, start = problem(10)
    dialogues = np.arange(30) // 2
    seen = []

    def noted(reps, labels, anchors, *, weights, **how):
        seen.append(np.asarray(weights))
        return adapt_anchors(reps, labels, anchors, weights=weights, **how)

    monkeypatch.setattr(few_shot, "adapt_anchors", noted)
    scores = Answering(TAU).scores(
        held_out_cosines(reps, labels, dialogues, start, Answering(TAU), seed=0)
    )
    out = ~np.array(seen)
    assert out.sum(axis=0).tolist() == [1] * 30  # each is held out once
    assert all(
        len({fold[i] for i in np.flatnonzero(dialogues == number)}) == 1
        for fold in out
        for number in range(15)
    )
    assert (
        report(
            ("a", "b", "c"),
            labels,
            scores_of(reps, start),
            scores,
            temperature=1.0,
        )[1]
        > 0
    )


def test_a_single_dialogue_is_not_divided():
    reps, labels, start = problem(2)
    assert held_out_cosines(reps, labels, np.zeros(6, int), start, Answering(TAU), seed=0) is None
    adaptation, temperature = report(
        ("a", "b", "c"), labels, scores_of(reps, start), None, temperature=1.3
    )
    assert temperature == 1.3
    assert not adaptation.kept
    assert adaptation.cross_validated is None
    assert "Nothing says whether that is better" in str(adaptation)


def test_anchors_that_held_out_dialogues_do_not_favour_are_kept_and_why_is_said():
    _, labels, _ = problem(4)
    right = np.eye(3)[labels]
    better, worse = right, np.roll(right, 1, axis=1)
    for held_out, kept in ((better, True), (worse, True), (right, True)):
        adaptation, _ = report(("a", "b", "c"), labels, right, held_out, temperature=1.0, folds=2)
        assert adaptation.kept is kept
    assert "on held-out dialogues (2-fold), which is no better: the anchors were kept" in str(
        adaptation
    )
    assert "All were answered right before" in str(adaptation)
    one_wrong = np.concatenate([worse[:1], right[1:]])
    adaptation, _ = report(("a", "b", "c"), labels, one_wrong, worse, temperature=1.0, folds=2)
    assert "What may help: more annotated dialogues" in str(adaptation)
    adaptation, _ = report(("a", "b", "c"), labels, worse, right, temperature=1.0, folds=2)
    assert not adaptation.kept
    assert "What may help" not in str(adaptation)


def test_axes_of_a_classifier_keep_their_lengths_which_its_logits_grow_with():
    rng = np.random.default_rng(0)
    axes = 2 * np.eye(3, 5, dtype=np.float32) + 0.3 * rng.normal(size=(3, 5)).astype(np.float32)
    reps = rng.normal(size=(60, 5)).astype(np.float32)
    labels = reps[:, :3] + 0.3 * rng.normal(size=(60, 3)) > 0.2
    labels[:, 1] = False

    def entropy(axes):
        logits = reps @ axes.T
        return np.sum(np.logaddexp(0, logits) - labels * logits, axis=1).mean()

    adapted = adapt_anchors(
        reps,
        labels,
        axes,
        temperature=TAU,
        affine=Affine(1.0, np.zeros(3)),
        classifies=True,
    )
    lengths = np.linalg.norm(axes, axis=1)
    np.testing.assert_allclose(np.linalg.norm(adapted, axis=1), lengths, rtol=1e-5)
    np.testing.assert_array_equal(adapted[1], axes[1])  # of which there are no examples
    assert entropy(adapted) < entropy(axes) - 0.01


@pytest.mark.parametrize("common", [False, True])
def test_where_training_was_asked_for_one_threshold_adapting_keeps_to_one(common):
    rng = np.random.default_rng(0)
    labels = rng.random((200, 3)) < (0.2, 0.4, 0.6)
    cosines = np.where(labels, 0.4, 0.0) + rng.normal(0, 0.3, labels.shape)
    before = SeveralAnswering(
        temperature=1.0,
        decisions=Decisions(
            scale=1.0,
            biases=(0.0,) * 3,
            thresholds=(0.9,) * 3,
            bias=0,
            threshold=0.9,
            common=common,
        ),
    )
    folds = np.arange(200) % 4
    report, found = report_several(("a", "b", "c"), labels, cosines, cosines, before, folds=folds)
    assert report.refitted
    assert found.common == common
    assert len(set(found.thresholds)) == (1 if common else 3)


@pytest.mark.parametrize("count", [14, 40])
def test_answers_that_change_are_told_also_where_thresholds_stay(count):
    rng = np.random.default_rng(1)
    labels = rng.random((count, 3)) < 0.5
    cosines = np.where(labels, 0.9, -0.9) + rng.normal(0, 0.05, labels.shape)
    # All labels are answered to everything.
    high = Decisions(scale=3.0, biases=(3.0,) * 3, thresholds=(0.5,) * 3, bias=3, threshold=0.5)
    before = SeveralAnswering(temperature=1.0, decisions=high)
    folds = np.arange(count) % 4
    adaptation, found = report_several(
        ("a", "b", "c"), labels, cosines, cosines, before, folds=folds
    )
    assert adaptation.kept
    assert adaptation.decided > adaptation.before
    assert found.biases != high.biases
    few = labels.sum(axis=0).max() < LEAST
    assert few == (count == 14)
    assert (found.thresholds == high.thresholds) == few
    after = dataclasses.replace(before, decisions=found)
    assert (after.decide(cosines) != before.decide(cosines)).any()
    assert adaptation.refitted
    what = "only probabilities and thresholds were fitted, by which answers change"
    assert f"the anchors were kept as they are, and {what};" in str(adaptation)


def test_answers_that_stay_are_told():
    rng = np.random.default_rng(1)
    labels = rng.random((40, 3)) < 0.5
    cosines = np.where(labels, 0.9, -0.9)
    middle = float(Answering(1.0).scores(np.array([[-0.9, 0.9]])).mean())
    right = Decisions(
        scale=3.0,
        biases=(-3 * middle,) * 3,
        thresholds=(0.5,) * 3,
        bias=-3 * middle,
        threshold=0.5,
    )
    before = SeveralAnswering(temperature=1.0, decisions=right)
    np.testing.assert_array_equal(before.decide(cosines), labels)
    folds = np.arange(40) % 4
    adaptation, found = report_several(
        ("a", "b", "c"), labels, cosines, cosines, before, folds=folds
    )
    after = dataclasses.replace(before, decisions=found)
    np.testing.assert_array_equal(after.decide(cosines), before.decide(cosines))
    assert not adaptation.refitted
    told = "the anchors were kept as they are, and only the probabilities were calibrated;"
    assert told in str(adaptation)
