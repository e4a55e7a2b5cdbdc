"""Scores of answers, beside scikit-learn's."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.calibration import expected_calibration_error
from eacl_jax.model.decisions import calibration_error
from eacl_jax.recognizer.prediction import Prediction
from eacl_jax.recognizer.scoring import Tally

LABELS = ("joy", "anger", "[red] neutral")


def answered(count: int, seed: int = 0) -> tuple[list[Dialogue], list[Prediction]]:
    """Dialogues of one to four utterances, some without an emotion, and answers with random
    probabilities.
    """
    rng = np.random.default_rng(seed)
    dialogues, answers = [], []
    for number in range(count):
        turns = []
        for turn in range(int(rng.integers(1, 5))):
            probabilities = dict(zip(LABELS, rng.dirichlet([1, 1, 1]).tolist(), strict=True))
            emotion = (
                None
                if rng.random() < 0.2
                else LABELS[int(rng.integers(2 if number < count // 2 else 3))]
            )
            turns.append(Utterance("Ann", f"text {turn}", emotion))
            best = max(probabilities, key=probabilities.__getitem__)
            answers.append(
                Prediction("Ann", f"text {turn}", best, probabilities, {}, truncated=turn == 3)
            )
        dialogues.append(Dialogue(str(number), tuple(turns)))
    return dialogues, answers


def test_scores_are_those_of_scikit_learn_however_they_are_counted() -> None:
    dialogues, answers = answered(60)
    tally = Tally(LABELS)
    first = sum(len(dialogue.utterances) for dialogue in dialogues[:7])
    tally.add(dialogues[:7], answers[:first])
    tally.add(dialogues[7:], answers[first:])
    scores = tally.scores(excluded_label="joy")
    assert (scores.excluded_label, scores.to_json()["excluded_label"]) == ("joy", "joy")
    assert "excluded_label" not in tally.scores().to_json()
    pairs = list(
        zip(
            (utterance for dialogue in dialogues for utterance in dialogue.utterances),
            answers,
            strict=True,
        )
    )
    scored = [(u.emotion, a) for u, a in pairs if u.emotion is not None]
    gold, given = [emotion for emotion, _ in scored], [answer.emotion for _, answer in scored]
    assert (scores.dialogues, scores.utterances, scores.context) == (
        sum(any(u.annotated for u in each.utterances) for each in dialogues),
        len(scored),
        len(pairs) - len(scored),
    )
    assert scores.dialogues < 60
    assert scores.truncated == sum(len(dialogue.utterances) == 4 for dialogue in dialogues)
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(gold, given, labels=LABELS))
    expected = precision_recall_fscore_support(gold, given, labels=LABELS)
    for index, label in enumerate(LABELS):
        found = scores.by_label[label]
        np.testing.assert_allclose(
            [found["precision"], found["recall"], found["f1"]],
            [100 * e[index] for e in expected[:3]],
        )
        assert (found["support"], found["answered"]) == (gold.count(label), given.count(label))
    assert scores.summary["accuracy"] == pytest.approx(100 * accuracy_score(gold, given))
    assert set(scores.summary) == {"weighted_f1", "accuracy", "macro_f1", "micro_f1"}
    probabilities = np.array([list(answer.probabilities.values()) for _, answer in scored])
    assert scores.confidence == pytest.approx(100 * probabilities.max(axis=1).mean())
    right = np.array([LABELS.index(emotion) for emotion in gold])
    assert scores.calibration_error == pytest.approx(
        expected_calibration_error(probabilities, right)
    )
    count, annotated, answer = scores.confused()[0]
    assert count == scores.confusion[LABELS.index(annotated), LABELS.index(answer)] > 0
    assert annotated != answer


def test_nothing_to_compare_with() -> None:
    with pytest.raises(UserError, match="no utterance has an emotion"):
        Tally(LABELS).scores()


def test_several_labels_are_scored_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    gold, probabilities = rng.random((40, 3)) < 0.4, rng.random((40, 3)).round(2)
    answers = probabilities > 0.5
    tally = Tally(LABELS, several=True)
    for row, p, answer in zip(gold, probabilities, answers, strict=True):
        labels = tuple(label for label, there in zip(LABELS, row, strict=True) if there)
        given = tuple(label for label, there in zip(LABELS, answer, strict=True) if there)
        turns = Utterance("Ann", "text", None, labels), Utterance("Bob", "context")
        of = Prediction(
            "Ann", "text", None, dict(zip(LABELS, p.tolist(), strict=True)), {}, emotions=given
        )
        tally.add([Dialogue("1", turns)], [of, of])
    scores = tally.scores(levels={"mood": ("good", "bad", "bad")})
    assert (scores.utterances, scores.context, scores.several) == (40, 40, True)
    assert (scores.confidence, scores.confusion) == (None, None)
    expected = precision_recall_fscore_support(gold, answers, zero_division=0)
    for index, label in enumerate(LABELS):
        found = scores.by_label[label]
        np.testing.assert_allclose(
            [found["precision"], found["recall"], found["f1"]],
            [100 * e[index] for e in expected[:3]],
        )
        assert (found["support"], found["answered"]) == (
            gold[:, index].sum(),
            answers[:, index].sum(),
        )
    assert scores.summary["jaccard"] == pytest.approx(
        100 * np.mean([jaccard_of(a, b) for a, b in zip(gold, answers, strict=True)])
    )
    assert scores.summary["accuracy"] == pytest.approx(100 * accuracy_score(gold, answers))
    assert scores.levels is not None
    bad = [each[:, 1:].any(axis=1) for each in (gold, answers)]
    good = [each[:, 0] for each in (gold, answers)]
    f1 = [f1_score(*each) for each in (good, bad)]
    assert scores.levels["mood"]["macro_f1"] == pytest.approx(100 * np.mean(f1))
    assert scores.co_occurrence is not None
    assert scores.co_occurrence[0, 1] == (gold[:, 0] & answers[:, 1]).sum()
    assert scores.sizes is not None
    assert scores.sizes["annotated"][0] == (~gold.any(axis=1)).sum()
    assert sum(scores.sizes["answered"]) == 40
    assert scores.calibration_error == pytest.approx(calibration_error(probabilities, gold))
    plain = json.loads(json.dumps(scores.to_json()))
    assert "confusion" not in plain
    assert plain["co_occurrence"] == scores.co_occurrence.tolist()


def jaccard_of(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0
