import dataclasses

import numpy as np
import pytest

from eacl_jax import EmotionRecognizer
from eacl_jax.errors import UserError
from eacl_jax.model.abstention import COVERAGES, LabelSets, fit_sets
from eacl_jax.model.calibration import probabilities
from eacl_jax.recognizer import few_shot
from eacl_jax.recognizer.abstaining import least_probability
from tests.stubs.recognizers import DIALOGUES, LABELS, SEVERAL
from tests.stubs.recognizers import recognizer as untrained

SETS = LabelSets(examples=99, thresholds=tuple(np.linspace(0.5, 0.01, len(COVERAGES)).tolist()))


@pytest.fixture(scope="module")
def recognizer():
    plain = untrained()
    return plain.changed(dataclasses.replace(plain.settings, sets=SETS), plain.anchors)


def test_a_coverage_gives_the_labels_that_are_as_probable(recognizer):
    plain = recognizer.predict(DIALOGUES)
    found = recognizer.predict(DIALOGUES, coverage=0.9)
    threshold = SETS.threshold(90)
    for before, after in zip(plain, found, strict=True):
        for one, other in zip(before, after, strict=True):
            assert one.possible is None
            likely = [label for label, p in one.probabilities.items() if p >= threshold]
            assert list(other.possible) == sorted(likely, key=lambda x: -one.probabilities[x])
            assert dataclasses.replace(other, possible=None) == one
    first = found[0][0]
    assert first.to_json()["possible"] == list(first.possible)
    assert "possible" not in plain[0][0].to_json()
    assert found[0].to_rows()[0]["possible"] == ";".join(first.possible)
    none = dataclasses.replace(found[0], predictions=(first.with_possible(1.0),))
    assert none.to_rows()[0]["possible"] == "[]"


def test_an_answer_that_is_asked_again_has_its_new_labels(recognizer):
    asked = recognizer.predict(DIALOGUES[0], coverage=0.5).to_json()
    for utterance in asked["utterances"]:
        utterance["possible"] = ["of before"]
    for answer in recognizer.predict(asked):
        assert "possible" not in answer.to_json()
    for answer in recognizer.predict(asked, coverage=0.9):
        assert answer.to_json()["possible"] == list(answer.possible)


def test_sets_are_saved_and_checked(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "model")
    assert loaded.settings.sets == SETS
    file = tmp_path / "model" / "config.json"
    written = file.read_text()
    file.write_text(written.replace(f"{SETS.thresholds[0]}", "0.0", 1))
    with pytest.raises(
        UserError, match=r"config\.sets\.thresholds: expected 50 numbers, the largest"
    ):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize("coverage", [0.9, 0.5, 0.99, 0.57])
def test_coverages_in_whole_percent(recognizer, coverage):
    expected = SETS.threshold(round(100 * coverage))
    assert least_probability(recognizer.settings, coverage) == expected


@pytest.mark.parametrize("coverage", [0.49, 1.0, 90, 0.905, float("nan"), "0.9", True])
def test_other_coverages_are_refused(recognizer, coverage):
    with pytest.raises(UserError, match=r"coverage must be from 0\.5 to 0\.99, in whole percent"):
        recognizer.predict(DIALOGUES, coverage=coverage)


def test_what_dev_did_not_show_is_refused(recognizer):
    with pytest.raises(UserError, match="is known of stage two's answers alone"):
        recognizer.predict(DIALOGUES, coverage=0.9, stage="stage_one")
    with pytest.raises(UserError, match="answers several labels"):
        untrained(**SEVERAL).predict(DIALOGUES, coverage=0.9)
    other = recognizer.with_labels("fear,anger")
    with pytest.raises(UserError, match="was not measured with these labels and anchors"):
        other.predict(DIALOGUES, coverage=0.9)


def annotated():
    return [
        dataclasses.replace(
            dialogue,
            utterances=tuple(
                dataclasses.replace(each, emotion=LABELS[(row + number) % 3] if number else None)
                for number, each in enumerate(dialogue.utterances)
            ),
        )
        for row, dialogue in enumerate(DIALOGUES)
    ]


def fitted_to(recognizer, dialogues):
    """Sets that suit what is answered to them."""
    return fit_sets(
        np.array(
            [
                answer.probabilities[turn.emotion]
                for dialogue, found in zip(dialogues, recognizer.predict(dialogues), strict=True)
                for turn, answer in zip(dialogue.utterances, found, strict=True)
                if turn.emotion
            ]
        )
    )


def assert_alike(sets, expected):
    assert sets.examples == expected.examples
    assert sets.thresholds == pytest.approx(expected.thresholds, abs=1e-5)


def test_calibrating_fits_them_anew(recognizer):
    dialogues = annotated()
    calibrated = recognizer.calibrate(dialogues)
    assert_alike(calibrated.settings.sets, fitted_to(calibrated, dialogues))


@pytest.mark.parametrize("kept", [True, False])
def test_adapting_fits_them_to_held_out_answers(recognizer, kept, monkeypatch):
    dialogues, right = annotated(), 0.0 if kept else 1.0
    targets = [LABELS.index(u.emotion) for d in dialogues for u in d.utterances if u.emotion]
    held_out = np.where(np.eye(3)[targets] > 0, right, 0.5)
    held_out[0] = 1 - held_out[0]  # one is not like the others
    monkeypatch.setattr(few_shot, "held_out_cosines", lambda *_, **__: held_out)
    adapted = recognizer.adapt(dialogues)
    assert adapted.adaptation.kept is kept
    if kept:
        expected = fitted_to(adapted, dialogues)
    else:
        scores = adapted.settings.answering("stage_two").scores(held_out)
        found = probabilities(scores, adapted.settings.calibration["stage_two"])
        expected = fit_sets(found[np.arange(len(targets)), targets])
    assert_alike(adapted.settings.sets, expected)
    assert adapted.predict(dialogues[0], coverage=0.5)[0].possible is not None


def test_adapting_to_one_dialogue_forgets_them(recognizer):
    assert recognizer.settings.sets is not None
    assert recognizer.adapt(annotated()[:1]).settings.sets is None
