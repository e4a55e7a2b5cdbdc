"""Several recognizers that answer together."""

import dataclasses

import numpy as np
import pytest

from eacl_jax import EmotionRecognizer, Ensemble
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from tests.stubs import sounds
from tests.stubs.featured import chances, make_featured, make_hearing
from tests.stubs.recognizers import DIALOGUES, LABELS, SEVERAL, SHIFTED, recognizer
from tests.stubs.toys import make_recognizer


def turned(member, order, **decisions):
    """With its labels in another order, answering otherwise."""
    settings = dataclasses.replace(
        member.settings,
        labels=tuple(member.labels[i] for i in order),
        words=tuple(member.settings.words[i] for i in order),
        **decisions,
    )
    anchors = {stage: found[order] for stage, found in member.anchors.items()}
    return member.changed(settings, anchors)


def probabilities(member):
    """[N, C] in the order of `LABELS`."""
    answers = [each for found in member.predict(DIALOGUES) for each in found]
    return np.array([[each.probabilities[label] for label in LABELS] for each in answers])


def test_the_mean_of_probabilities_answers():
    members = [recognizer(), recognizer(**SHIFTED), turned(recognizer("bert"), [2, 0, 1])]
    ensemble = Ensemble(members)
    expected = np.mean([probabilities(member) for member in members], axis=0)
    found = ensemble.predict(DIALOGUES)
    assert [len(each) for each in found] == [len(each.utterances) for each in DIALOGUES]
    np.testing.assert_allclose(probabilities(ensemble), expected, atol=1e-6)
    answers = [each for one in found for each in one]
    assert [each.emotion for each in answers] == [LABELS[i] for i in expected.argmax(axis=1)]
    # Not what the first alone would say.
    assert (expected.argmax(axis=1) != probabilities(members[0]).argmax(axis=1)).any()
    assert ensemble.answers(DIALOGUES) == answers
    assert ensemble.predict(DIALOGUES[0]).emotions == [each.emotion for each in found[0]]


def test_an_answer_is_alone_where_one_of_them_read_it_so():
    chat = [("Ann", "hello"), ("Bob", "rude day " * 90)]
    found = Ensemble([recognizer(), recognizer("bert")]).predict(chat)
    assert [each.alone for each in found] == [False, True]


def test_several_labels_are_those_above_the_mean_threshold():
    one = recognizer(**SEVERAL)
    decisions = dataclasses.replace(
        one.settings.decisions["stage_two"], biases=(-9.0, -11.0, -9.0), thresholds=(0.1, 0.3, 0.9)
    )
    # The labels of `decisions` are those of the order below.
    other = turned(one, [1, 2, 0], decisions=dict.fromkeys(("stage_one", "stage_two"), decisions))
    expected = (probabilities(one) + probabilities(other)) / 2
    thresholds = np.array([0.5 + 0.9, 0.6 + 0.1, 0.4 + 0.3]) / 2
    answers = [each for found in Ensemble([one, other]).predict(DIALOGUES) for each in found]
    for row, each in zip(expected, answers, strict=True):
        assert each.emotion is None
        assert {*each.emotions} == {
            n for n, yes in zip(LABELS, row >= thresholds, strict=True) if yes
        }
        assert [*each.emotions] == sorted(each.emotions, key=lambda n: -each.probabilities[n])
    assert 0 < sum(len(each.emotions) for each in answers) < len(answers) * len(LABELS)


def test_one_alone_is_an_ensemble_of_one():
    chat = "Ann: it is lovely"
    assert Ensemble(recognizer()).predict(chat) == recognizer().predict(chat)


def test_models_that_read_features_differently_are_refused():
    """Else the columns of the first would be read as those of the second."""
    first, made = recognizer(), []
    for columns in (("pitch", "loudness"), ("loudness", "pitch")):
        modality = Modality(2, 1, mean=(0.0, 0.0), deviation=(1.0, 1.0), columns=columns)
        settings = dataclasses.replace(first.settings, modalities={"voice": modality})
        made.append(first.changed(settings, first.anchors))
    with pytest.raises(UserError, match="model 2 of the ensemble reads other columns"):
        Ensemble(made)


def test_folders_are_loaded(tmp_path):
    make_recognizer(tmp_path / "encoder").save_pretrained(tmp_path / "model")
    alone = EmotionRecognizer.from_pretrained(tmp_path / "model").predict("Ann: it is lovely")
    twice = Ensemble.from_pretrained([tmp_path / "model"] * 2)
    assert twice.predict("Ann: it is lovely") == alone


def test_who_cannot_answer_together_is_refused():
    with pytest.raises(UserError, match="one model at least"):
        Ensemble([])
    with pytest.raises(UserError, match="made of a list of models, got 'runs/a'"):
        Ensemble.from_pretrained("runs/a")
    with pytest.raises(UserError, match="model 2 of the ensemble answers several labels an utt"):
        Ensemble([recognizer(), recognizer(**SEVERAL)])
    with pytest.raises(UserError, match="model 2 of the ensemble answers joy, rage, and the first"):
        Ensemble([recognizer(), recognizer().with_labels("joy,rage=anger")])


def test_members_of_which_some_hear_answer_together(tmp_path, caplog):
    hearing = make_hearing(tmp_path / "hearing")
    reading = make_featured(tmp_path / "reading", modalities={})
    for name, hertz in (("a.wav", 120), ("b.wav", 300)):
        sounds.put(tmp_path / "clips" / name, sounds.voice(hertz, 0.3))
    said = {"speaker": "Ann", "text": "the day is wonderful"}
    chat = [{**said, "audio": "a.wav"}, {**said, "audio": "b.wav"}, said]
    found = Ensemble([reading, hearing]).predict(chat, sounds=tmp_path / "clips")
    assert "does not read the features" not in caplog.text
    both = reading.predict(chat), hearing.predict(chat, sounds=tmp_path / "clips")
    np.testing.assert_allclose(chances(found), np.mean([*map(chances, both)], axis=0), atol=1e-6)
    with pytest.raises(UserError, match="reads no features that can be made of sound"):
        Ensemble([reading]).predict(chat, sounds=tmp_path / "clips")
