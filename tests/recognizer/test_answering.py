"""Several anchors a label, offsets of scores and a classifier's logits: what is answered is what
NumPy finds by hand, of whatever becomes of the recognizer.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp, softmax

from eacl_jax import Dialogue, EmotionRecognizer, Utterance
from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from tests.stubs.recognizers import (
    ANSWERINGS,
    CLASSIFIER,
    DIALOGUES,
    LABELS,
    SHIFTED,
    THREE_EACH,
    recognizer,
)
from tests.stubs.toys import make_recognizer


def probabilities(asked: EmotionRecognizer, **how: Any) -> np.ndarray:
    found = [each for dialogue in asked.predict(DIALOGUES, **how) for each in dialogue]
    assert all(
        each.emotion == max(each.probabilities, key=each.probabilities.get) for each in found
    )
    return np.array([list(each.probabilities.values()) for each in found])


def by_hand(asked: EmotionRecognizer, stage: str) -> np.ndarray:
    settings, reps = asked.settings, asked.encode(DIALOGUES)
    anchors = asked.anchors[stage]
    norms = np.linalg.norm(reps, axis=1)[:, None] * np.linalg.norm(anchors, axis=1)
    scores = ((1 + reps @ anchors.T / norms) / 2 + 1e-8) / settings.temperature
    each = settings.anchors_per_label
    pooled = logsumexp(scores.reshape(len(reps), -1, each), axis=2) - np.log(each)
    shifted = pooled + np.array(settings.offsets.get(stage, [0.0] * len(LABELS)))
    return softmax(shifted / settings.calibration[stage], axis=1)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("answering", ANSWERINGS)
def test_answers_are_those_by_hand_and_saved_with_the_model(answering, tmp_path):
    original = recognizer(**answering)
    for stage in ("stage_one", "stage_two"):
        found = probabilities(original, stage=stage)
        np.testing.assert_allclose(found, by_hand(original, stage), atol=1e-6)
    original.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    assert again.settings == original.settings
    np.testing.assert_allclose(probabilities(again), probabilities(original), atol=1e-6)


@pytest.mark.slow
def test_a_runs_classifier_answers_by_the_axes_of_its_labels(tmp_path):
    axes = np.eye(3, dtype=np.float32)
    original = make_recognizer(
        tmp_path / "encoder",
        anchors={"stage_one": axes, "stage_two": axes},
        offsets={"stage_two": (0.5, -1.0, 0.0)},
        classifies=True,
    )
    logits = original.encode(DIALOGUES)
    first = [a.emotion for d in original.predict(DIALOGUES, stage="stage_one") for a in d]
    assert first == [original.labels[index] for index in logits.argmax(axis=1)]
    np.testing.assert_allclose(probabilities(original), by_hand(original, "stage_two"), atol=1e-6)
    original.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "label_encoder").exists()
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    np.testing.assert_allclose(probabilities(again), probabilities(original), atol=1e-6)


def test_a_labels_cosine_is_between_those_of_its_anchors():
    original = recognizer(**THREE_EACH)
    reps = original.encode(DIALOGUES)
    answers = original.answer(reps, [u for d in DIALOGUES for u in d.utterances])
    anchors = original.anchors["stage_two"].reshape(3, 3, -1)
    for number, label in enumerate(LABELS):
        norms = np.linalg.norm(reps, axis=1)[:, None] * np.linalg.norm(anchors[number], axis=1)
        of_anchors = reps @ anchors[number].T / norms
        found = np.array([answer.cosines[label] for answer in answers])
        assert (of_anchors.min(axis=1) < found).all()
        assert (found < of_anchors.max(axis=1)).all()


def test_other_labels_have_an_anchor_each_and_no_offsets():
    other = recognizer(**THREE_EACH, **SHIFTED).with_labels({"up": "joy", "down": "anger"})
    assert other.anchors["stage_two"].shape[0] == 2
    assert (other.settings.anchors_per_label, other.settings.offsets) == (1, {})
    np.testing.assert_allclose(probabilities(other).sum(axis=1), 1)


@pytest.mark.parametrize("offsets", [{}, {"stage_two": (2.0, -1.5, 0.25)}])
def test_other_labels_have_the_temperature_of_stage_ones_scores(offsets):
    plain = recognizer()
    calibration = {"stage_one": 0.6, "stage_two": 1.7}
    settings = dataclasses.replace(plain.settings, calibration=calibration, offsets=offsets)
    own = plain.changed(settings, plain.anchors).with_labels({"up": "joy", "down": "anger"})
    assert own.settings.calibration == dict.fromkeys(Stage, 0.6)


def with_offsets() -> EmotionRecognizer:
    plain = recognizer()
    settings = dataclasses.replace(
        plain.settings,
        calibration=dict.fromkeys(Stage, 0.6),
        offsets=dict.fromkeys(Stage, (2.0, -1.5, 0.25)),
        calibration_without_offsets=dict.fromkeys(Stage, 0.9),
    )
    return plain.changed(settings, plain.anchors)


def test_other_labels_have_the_temperature_of_scores_without_offsets(tmp_path):
    original = with_offsets()
    original.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    assert again.settings == original.settings
    for asked in original, again:
        own = asked.with_labels({"up": "joy", "down": "anger"})
        assert own.settings.calibration == dict.fromkeys(Stage, 0.9)
        assert own.settings.calibration_without_offsets == {}
    fitted = again.calibrate(annotated(6))
    own = fitted.with_labels({"up": "joy", "down": "anger"})
    assert 0.9 != own.settings.calibration["stage_one"] != fitted.settings.calibration["stage_one"]


@pytest.mark.parametrize("answering", [{"anchor_encoding": "none"}, CLASSIFIER])
def test_labels_need_anchors_of_words(answering):
    original = recognizer(**answering)
    with pytest.raises(UserError, match=r"not made of words .*use_anchors=False.* Train one with"):
        original.with_labels(["joy", "anger"])
    unknown = Dialogue("1", (Utterance("Ann", "great", "up"),))
    with pytest.raises(UserError, match=r"emotions 'up' are not among .*; correct them\.$"):
        original.adapt([unknown])


TEXTS = {"joy": "wonderful lovely", "Wut | Ärger": "awful rude", "neutral": "table window"}


def annotated(count: int) -> list[Dialogue]:
    return [
        Dialogue(
            str(number),
            tuple(
                Utterance("Ann", f"{text} day{' now' * (number % 4)}", label)
                for label, text in TEXTS.items()
            ),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("of_stage_one", "without", "temperature"),
    [
        ((), {}, 0.7),
        ((), {"stage_two": 0.9}, 0.9),
        ((1.0, 0.0, 0.0), {"stage_one": 0.6}, 0.6),
    ],
)
def test_one_dialogue_leaves_no_temperature_of_scores_with_offsets(
    of_stage_one, without, temperature
):
    original = recognizer(**SHIFTED)
    calibration = {"stage_one": 0.7, "stage_two": 5.0}
    offsets = {**original.settings.offsets, "stage_one": of_stage_one}
    settings = dataclasses.replace(
        original.settings,
        calibration=calibration,
        offsets=offsets,
        calibration_without_offsets=without,
    )
    adapted = original.changed(settings, original.anchors).adapt(annotated(1))
    assert "stage_two" not in adapted.settings.offsets
    assert adapted.settings.calibration == {"stage_one": 0.7, "stage_two": temperature}
    report = str(adapted.adaptation)
    assert "the confidence is not calibrated" in report
    assert report.endswith("Adapted anchors answer without the offsets of its scores.")
    plain = recognizer().adapt(annotated(1))
    assert plain.settings.calibration == recognizer().settings.calibration
    assert "without" not in str(plain.adaptation)


def test_a_frame_s_labels_are_found_by_their_usual_names():
    rows = [
        {"dialogue": d.id, "speaker": u.speaker, "text": u.text, "label": u.emotion}
        for d in annotated(2)
        for u in d.utterances
    ]
    original, frame = with_offsets(), pd.DataFrame(rows)
    settings = original.calibrate(annotated(2)).settings
    assert original.calibrate(frame).settings == settings != original.settings
    with pytest.raises(UserError, match="more than one column for the emotion: 'emotion', 'label'"):
        original.adapt(frame.assign(emotion="joy"))


@pytest.mark.slow
def test_adapted_anchors_answer_without_the_offsets():
    original = recognizer(**THREE_EACH, **SHIFTED)
    adapted = original.adapt(annotated(60))
    assert not adapted.adaptation.kept
    assert adapted.adaptation.cross_validated > adapted.adaptation.before
    assert adapted.settings.offsets == {}
    assert adapted.anchors["stage_two"].shape == original.anchors["stage_two"].shape
    np.testing.assert_allclose(probabilities(adapted), by_hand(adapted, "stage_two"), atol=1e-6)


def test_anchors_adapted_to_one_dialogue_leave_the_temperature_of_the_offsets():
    adapted = with_offsets().adapt(annotated(1))
    assert adapted.settings.calibration == {"stage_one": 0.6, "stage_two": 0.9}
    assert adapted.settings.calibration_without_offsets == {"stage_one": 0.9}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("answering", [THREE_EACH, {**CLASSIFIER, **THREE_EACH}])
def test_anchors_that_are_kept_keep_their_offsets(answering):
    original = recognizer(**answering, **SHIFTED)
    right = [
        Dialogue(d.id, tuple(Utterance(p.speaker, p.text, p.emotion) for p in d))
        for d in original.predict(annotated(6))
    ]
    adapted = original.adapt(right)
    assert adapted.adaptation.kept
    assert adapted.adaptation.before == 100
    assert adapted.settings.offsets == original.settings.offsets
    calibrated = original.calibrate(right)
    assert calibrated.settings.calibration["stage_two"] < 1.3
    np.testing.assert_allclose(
        probabilities(calibrated), by_hand(calibrated, "stage_two"), atol=1e-6
    )
