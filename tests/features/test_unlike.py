"""Features that are unlike those of training are warned of, wherever utterances are answered."""

import dataclasses

import numpy as np
import pytest

from eacl_jax.bulk.journal import Journal, Totals, read_journal
from eacl_jax.bulk.predict import _with_features
from eacl_jax.data.beside import warn_of_features
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.features.modality import CONSTANT, Modality
from eacl_jax.features.unlike import added, see, unlike

VOICE = Modality(3, 4, (200.0, -30.0, 1.0), (50.0, 5.0, CONSTANT), ("pitch", "loudness", "kind"))
DRAWN = np.random.default_rng(0).normal(size=(40, 2))


def utterances(rows):
    return [
        Utterance("Ann", "hm", features={"voice": np.float32(np.atleast_2d(each))}) for each in rows
    ]


def plain(count, pitch=200.0, loudness=-30.0):
    numbers = DRAWN[:count] * (50, 5) + (pitch, loudness)
    return [[*each, 7.0] for each in numbers]


def warnings(rows):
    return unlike(see(utterances(rows), {"voice": VOICE}), {"voice": VOICE})


def test_features_as_those_of_training_are_not_warned_of():
    assert warnings(plain(40)) == []
    assert warnings([]) == []


def test_another_unit_is_warned_of_with_the_numbers_names_the_furthest_first():
    (sentence,) = warnings(plain(12, pitch=400, loudness=0.1))
    assert "of 12 utterances are far from" in sentence
    assert "(loudness, pitch: their means are off by more than 3 deviations)" in sentence


def test_a_number_that_was_always_the_same_in_training_is_not_warned_of():
    assert warnings([[*each[:2], 1e6] for each in plain(12)]) == []


def test_few_utterances_are_not_warned_of():
    assert warnings(plain(9, pitch=900)) == []
    assert warnings(plain(10, pitch=900))


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [200.0, -30.0, 1.0]])
def test_features_that_are_all_the_same_are_warned_of(row):
    assert warnings([row] * 10) == [
        "features voice are the same in all 10 utterances: they say nothing"
    ]


def test_frames_filled_up_with_zeros_are_warned_of():
    filled = [[each, [0, 0, 0]] for each in plain(40)]
    assert "of 40 utterances, 40 begin or end with frames of zeros" in warnings(filled)[-1]
    few = [*plain(36), *([each, [0, 0, 0]] for each in plain(4))]
    assert warnings(few) == []


def test_numbers_that_are_not_known_are_as_usual():
    assert warnings([[np.nan, *each[1:]] for each in plain(40)]) == []


def test_together_is_as_one_after_the_other():
    modalities = {"voice": VOICE}
    at_once = see(utterances(plain(40, loudness=0)), modalities)
    seen = {}
    for each in utterances(plain(40, loudness=0)):
        seen = added(seen, see([each, Utterance("Ben", "no features")], modalities))
    assert seen["voice"].utterances == 40
    np.testing.assert_allclose(seen["voice"].sums, at_once["voice"].sums, rtol=1e-6)
    assert unlike(seen, modalities) == unlike(at_once, modalities) != []


def test_a_journal_keeps_what_was_seen(tmp_path):
    totals = _with_features(Totals(), utterances(plain(6, loudness=0)), {"voice": VOICE})
    file = tmp_path / "journal"
    file.write_text(Journal({}, False, totals=totals).to_text())
    read = read_journal(file, "restart").totals
    assert read == dataclasses.replace(totals, features=read.features)
    assert not unlike(read.features, {"voice": VOICE})
    more = _with_features(read, utterances(plain(6, loudness=0)), {"voice": VOICE})
    assert "loudness" in unlike(more.features, {"voice": VOICE})[0]


def test_whole_dialogues_are_looked_at_together(caplog):
    rows = utterances(plain(12, pitch=900))
    warn_of_features(
        [Dialogue("a", tuple(rows[:5])), Dialogue("b", tuple(rows[5:]))], {"voice": VOICE}
    )
    assert "features voice of 12 utterances are far from" in caplog.text
