"""Standardization, words and joining: right values, and what is refused."""

import dataclasses

import numpy as np
import pytest

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features import words
from eacl_jax.features.join import joined, names_of
from eacl_jax.features.modality import CONSTANT, Modality, check_rows, described, read_features
from eacl_jax.features.sound import prosody

NAN = float("nan")


def test_standardized_by_training_frames_and_the_unknown_is_the_mean():
    found = [np.float32([[1, 5]]), np.float32([[3, 5], [5, NAN]])]
    modality = Modality.of(found, frames=2)
    assert (modality.width, modality.frames) == (2, 2)
    assert modality.mean == (3, 5)
    assert modality.deviation == pytest.approx(((8 / 3) ** 0.5, CONSTANT))
    rows = modality.standardized(np.float32([[9, 9], [3, NAN], [1e9, 5]]))
    assert rows.tolist() == [[0, 0], [10, 0]]  # the last two frames; what is far out is cut


def test_mean_and_deviation_are_of_the_frames_that_are_taken():
    found = [np.float32([[900], [800], [1], [3]]), np.float32([[5], [7]])]
    modality = Modality.of(found, frames=2)
    assert (modality.mean, modality.deviation) == ((4,), pytest.approx((5**0.5,)))
    taken = np.concatenate([modality.standardized(each) for each in found])
    np.testing.assert_allclose([taken.mean(), taken.std()], [0, 1], atol=1e-6)


def test_frames_of_which_nothing_is_known_are_not_there():
    """Arrays of one length for all utterances are filled up with them."""
    real = np.float32([[1, 5], [3, NAN], [5, 6]])
    filled = np.float32([[NAN, NAN], *real[:2], [NAN, NAN], real[2], [NAN, NAN], [NAN, NAN]])
    modality = Modality.of([filled], frames=4)
    assert modality == Modality.of([real], frames=4)
    assert modality.frames == 3
    shorter = dataclasses.replace(modality, frames=2)
    for each in (modality, shorter):
        np.testing.assert_array_equal(each.standardized(filled), each.standardized(real))
    assert modality.standardized(filled[:1]).tolist() == [[0, 0]]


def test_what_is_read_is_described():
    many = Modality.of([np.ones((1, 21))], frames=1, columns=tuple(f"c{n}" for n in range(21)))
    found = described({"voice": many, "face": Modality.of([np.ones((1, 1))], frames=1)})
    first, second = found.splitlines()
    assert first.startswith("features voice: 21 numbers: c0, c1, ")
    assert first.endswith("c19 and 1 more")
    assert second == "features face: 1 number"


def test_what_never_differed_in_training_says_nothing():
    found = [np.float32([[100, NAN, 1]]), np.float32([[100, NAN, 3]])]
    modality = Modality.of(found, frames=1)
    found = modality.standardized(np.float32([[250, 7, 3]]))
    np.testing.assert_allclose(found, [[0, 0, 1]], atol=1e-20)


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[]],
        "1,2",
        [True, 2],
        ["1", "2"],
        [[1, 2], [3]],
        [np.zeros((2, 2)), np.zeros((2, 3))],
        3.0,
        {"a": 1},
        [1e400],
        [10**400],
    ],
)
def test_what_are_no_numbers_is_refused(value):
    with pytest.raises(UserError, match="line 3"):
        check_rows(value, "line 3")


def test_the_field_of_features():
    found = read_features({"voice": [1, None], "face": [[1, 2], [3, 4]]}, "line 3")
    assert found["voice"].shape == (1, 2)
    assert np.isnan(found["voice"][0, 1])
    assert found["face"].shape == (2, 2)
    assert read_features(None, "line 3") == {}
    with pytest.raises(UserError, match="must be an object of numbers by modality"):
        read_features([1, 2], "line 3")
    with pytest.raises(UserError, match="cannot be a modality's name"):
        read_features({"../voice": [1]}, "line 3")


def test_thirds_become_words_by_speaker_where_enough_is_known():
    utterances = [
        Utterance(who, "hi", features={"voice": np.float32([[base + n, 7, n]])})
        for who, base, count in (("Ann", 0, 60), ("Bob", 1000, 60), ("Cleo", 0, 3))
        for n in range(count)
    ]
    columns = ("avg_intensity", "pitch_std", "articulation_rate")
    modality = Modality.of([u.features["voice"] for u in utterances], frames=1, columns=columns)
    thirds = words.thirds_of("voice", modality, utterances)
    assert set(thirds.speakers) == {"Ann", "Bob"}
    assert words.thirds_of("voice", modality, utterances, by_speaker=False).speakers == {}

    def words_of(who, *numbers):
        return thirds.words(np.float32([numbers]), who)

    assert words_of("Ann", 59, 7, 59) == ["loud", "fast"]
    assert words_of("Bob", 1001, 700, 30) == ["quiet"]
    assert words_of("Cleo", 59, 7, 30) == []  # of everybody's thirds
    assert words_of("Cleo", NAN, 7, 0) == ["slow"]
    dialogue = Dialogue("d", (utterances[0], Utterance("Ann", "so")))
    assert [u.text for u in words.described([dialogue], {"voice": thirds})[0].utterances] == [
        "hi (quiet, slow)",
        "so",
    ]


def pairs_of(*columns, made_by=""):
    """The words of each column."""
    modality = Modality.of([np.ones((1, len(columns)))], frames=1, columns=columns, made_by=made_by)
    said = Utterance("Ann", "hi", features={"voice": np.ones((1, len(columns)), np.float32)})
    thirds = words.thirds_of("voice", modality, [said])
    return [f"{low}, {high}" for low, high in zip(thirds.low, thirds.high, strict=True)]


def test_a_columns_words_are_those_of_the_parts_of_its_name():
    named = ["avg_intensity", "meanF0", "speech rate", "F0semitoneFrom27.5Hz_sma3nz_amean"]
    assert pairs_of(*named) == ["quiet, loud", "low, high", "slow, fast", "low, high"]
    # A column that has words takes none from the others.
    assert pairs_of("pitch", "smile", "pitch_std", "moderate_x", "strange") == [
        "low, high",
        "low smile, high smile",
        ", ",
        "low moderate x, high moderate x",
        "low strange, high strange",
    ]
    assert pairs_of("smile", "gaze_x") == ["low smile, high smile", "low gaze x, high gaze x"]


def test_prosody_has_words_for_how_loud_high_and_fast():
    said = ["quiet, loud", "low, high", "slow, fast"]
    for columns, made_by in ((prosody.COLUMNS, prosody.MADE_BY), (prosody.COLUMNS, "")):
        assert [each for each in pairs_of(*columns, made_by=made_by) if each != ", "] == said
    melds = "duration,avg_intensity,intensity_variation,avg_pitch,pitch_std,pitch_range"
    columns = [*melds.split(","), "articulation_rate", "mean_hnr"]
    assert [each for each in pairs_of(*columns) if each != ", "] == said


def test_many_words_an_utterance_are_told_of(caplog):
    pairs_of(*(f"smile {number}" for number in range(12)))
    assert not caplog.messages
    pairs_of(*(f"smile {number}" for number in range(13)))
    assert "features 'voice': " in caplog.text
    assert "up to 13 words behind each text" in caplog.text


def test_words_need_names():
    with pytest.raises(UserError, match="needs names of the numbers of 'voice'"):
        words.thirds_of("voice", Modality.of([np.ones((1, 2))], frames=1), [])


def test_features_are_joined_by_the_utterances_names():
    rows = {"dia1_utt0": np.ones((1, 2)), "x/1": np.ones((1, 2)), "spare": np.ones((1, 2))}
    asked = {f"{d}/{u}": names_of(d, u) for d, u in (("train_1", 0), ("x", 1), ("x", 2))}
    assert joined(rows, asked.items(), "here") == {"train_1/0": "dia1_utt0", "x/1": "x/1"}
    with pytest.raises(UserError, match=r"no utterance has features there.*'dia1_utt0'.*'y/0'"):
        joined(rows, [("y", names_of("y", 0))], "here")
    with pytest.raises(UserError, match="may be those of one or of other"):
        joined(rows, [("one", ("spare",)), ("other", ("spare",))], "here")
