"""The kinds of features that a model of a corpus reads, and what examples hold of them."""

import dataclasses

import numpy as np
import pytest

from eacl_jax.bulk.journal import Totals
from eacl_jax.bulk.predict import _with_features
from eacl_jax.config import FeaturesConfig
from eacl_jax.data.beside import modalities_of, put_features, warn_of_features, with_sound
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Corpus, Dialogue, FeatureKind, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.features.sound.heard import Sounds
from eacl_jax.serving.http.sounds import names_of
from tests.stubs.sounds import put, sine

NAN = float("nan")


def test_features_of_which_training_has_none_are_refused():
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", (Utterance("Ann", "hm"),)),))
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, splits, "single", features={"voice": FeatureKind()})
    with pytest.raises(UserError, match=r"'voice' within config\.data\.max_dialogues"):
        modalities_of(corpus, FeaturesConfig())


@pytest.mark.parametrize(
    ("rows", "warnings"),
    [
        ([[[1, 2]], [[1, 3]]], []),
        ([[[1, NAN]], [[1, NAN], [1, NAN]]], ["are the same in all 2 training utterances that"]),
        ([[[0, 0]], [[1, 2], [0, 3], [2, 0]]], ["1 of 2 training utterances have more than 2"]),
        ([[[0, 0]], [[0, 0], [3, 2]]], ["of 2 training utterances, 1 begin or end with frames"]),
        (
            [[[1, 2], [0, 0], [0, 0]], [[3, 5], [0, 0], [0, 0]]],
            [
                "same in all 2 training utterances that have some, in the last 2 frames,",
                "2 of 2 training utterances have more than 2 frames: of these the last are read, 67%",
                "2 begin",
            ],
        ),
        ([[[1, 2], [NAN, NAN]], [[3, 5], [NAN, NAN]]], []),
    ],
)
def test_features_that_say_nothing_or_are_filled_up_with_zeros_are_warned_of(
    rows, warnings, caplog
):
    utterances = tuple(
        Utterance("Ann", "hm", features={"voice": np.float32(each)}) for each in rows
    )
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", utterances),))
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, splits, "single", features={"voice": FeatureKind()})
    modalities_of(corpus, FeaturesConfig(frames=2))
    assert len(caplog.messages) == len(warnings)
    for message, expected in zip(caplog.messages, warnings, strict=True):
        assert expected in message


def test_words_are_of_all_frames(caplog):
    """Which are no more "the last that alone count" than others."""
    rows = np.float32([[[1, 2], *[[0, 5]] * 40], [[3, 4], *[[0, 5]] * 40]])
    utterances = tuple(Utterance("Ann", "hm", features={"voice": each}) for each in rows)
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", utterances),))
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, splits, "single", features={"voice": FeatureKind()})
    assert modalities_of(corpus, FeaturesConfig(fusion="words"))["voice"].frames == 41
    assert not caplog.messages
    assert modalities_of(corpus, FeaturesConfig())["voice"].frames == 32
    assert "in the last 32 frames, which alone count" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"), [("fusion", "concat"), ("dropout", 0.5), ("hidden", 8), ("frames", 4)]
)
def test_what_is_set_for_features_that_there_are_not_is_refused(name, value):
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, dict.fromkeys(("train", "dev", "test"), ()), "single")
    with pytest.raises(UserError, match=rf"config\.features\.{name} has no effect, as custom has"):
        modalities_of(corpus, FeaturesConfig(**{name: value}))
    assert modalities_of(corpus, FeaturesConfig()) == {}
    assert modalities_of(corpus, FeaturesConfig(fusion="none")) == {}


def test_features_of_which_nothing_is_known_are_missing(caplog):
    voice = Modality(2, 1, (1.0, 1.0), (1.0, 1.0))
    utterances = [
        Utterance("Ann", "hi", features={"voice": np.float32([numbers])})
        for numbers in ([3, np.nan], [np.nan, np.nan])
    ]
    example = Example(np.zeros(1, np.int32), 0, 0, "d", 0)
    some, none = put_features([example] * 2, [("", each) for each in utterances], {"voice": voice})
    assert some.features["voice"].tolist() == [[2, 0]]
    assert not none.features
    warn_of_features([Dialogue("d", tuple(utterances))], {"voice": voice})
    assert "1 of 2 utterances have no features voice" in caplog.text


def test_what_is_not_known_is_missing_for_bulk_and_service_and_sounds(tmp_path):
    nothing = {"voice": np.full((1, 2), np.nan, np.float32)}
    utterances = [
        Utterance("Ann", "hi", features={"voice": np.float32([[3, np.nan]])}),
        Utterance("Ann", "hi", features=nothing, other={"audio": "a.wav"}),
    ]
    assert utterances[1].audio
    voice = Modality(2, 1, (1.0, 1.0), (1.0, 1.0))
    assert _with_features(Totals(), utterances, {"voice": voice}).missing == {"voice": 1}
    assert names_of([Dialogue("d", tuple(utterances))], [], {}) == [{"voice"}, set()]
    sounds = Sounds(tmp_path, {"voice": "prosody 1"})
    assert [sounds.missing(each) for each in utterances] == [[], ["voice"]]
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", (utterances[1],)),))
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, splits, "single", features={"voice": FeatureKind()})
    with pytest.raises(UserError, match=r"no utterance of train has features 'voice'"):
        modalities_of(corpus, FeaturesConfig())


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.wav", r": a\.wav is text, whatever"), ("none.wav", r": .*none\.wav is missing")],
)
def test_a_sound_that_cannot_be_read_is_named_with_its_utterance(tmp_path, name, message):
    (tmp_path / "a.wav").write_text("no sound")
    utterances = Utterance("Ann", "hi"), Utterance("Ben", "hi", other={"audio": name})
    voice = Modality(9, 1, (0.0,) * 9, (1.0,) * 9, made_by="prosody 1")
    with pytest.raises(UserError, match=rf"^dialogue 'd' utterance 1{message}"):
        with_sound([Dialogue("d", utterances)], {"voice": voice}, tmp_path)


def test_which_sound_an_utterance_names_is_told_or_refused(tmp_path, caplog):
    voice = Modality(9, 1, (0.0,) * 9, (1.0,) * 9, made_by="prosody 1")
    face = Modality(1, 1, (0.0,), (1.0,))

    def heard(*others, **more):
        utterances = tuple(Utterance("Ann", "hi", other=each, **more) for each in others)
        known = {"voice": voice, "face": face}
        return with_sound([Dialogue("d", utterances)], known, tmp_path)

    put(tmp_path / "a.wav", sine(200, 0.2))
    ((first, second, third),) = (
        each.utterances
        for each in heard({"Audio": "a.wav"}, {"audio": float("nan")}, {"AUDIO": None})
    )
    assert first.features["voice"].shape == (1, 9)
    assert not second.features
    assert not third.features
    for others, message in (
        ([{"audio": "a.wav"}, {"audio": {"data": ""}}], "utterance 1: its 'audio' must be the pa"),
        ([{"audio": "a.wav", "Audio": "b"}], "utterance 0 has more than one field for its sound"),
    ):
        with pytest.raises(UserError, match=message):
            heard(*others)
    heard({}, features={"voice": np.zeros((1, 9), np.float32)})  # it needs none
    assert not caplog.text
    heard({}, {"clip": "a.wav"})
    assert "sounds: no utterance names a sound file" in caplog.text


@pytest.mark.parametrize("made_by", ["prosody 1", "wavlm", ""])
def test_sounds_are_spoken_of_where_they_could_be_read_and_were_not(made_by, caplog):
    voice = {"voice": Modality(1, 1, (0.0,), (1.0,), made_by=made_by)}
    named = Utterance("Ann", "hi", other={"audio": "a.wav"})
    without = Utterance("Ann", "hi")
    warn_of_features([Dialogue("d", (named, without))], voice)
    assert "2 of 2 utterances have no features voice" in caplog.text
    assert ("`audio` is not read" in caplog.text) == (made_by == "prosody 1")
    caplog.clear()
    heard = dataclasses.replace(named, features={"voice": np.float32([[1]])})
    warn_of_features([Dialogue("d", (heard, without))], voice)
    assert "1 of 2 utterances have no features voice" in caplog.text
    assert "`audio` is not read" not in caplog.text
