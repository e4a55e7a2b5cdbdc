"""Features of the dialogues that a user gives a model."""

import dataclasses
import logging
import re
from unicodedata import normalize

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features import given as module
from eacl_jax.features import table
from eacl_jax.features.given import GivenFeatures, feature_columns, read_cells, read_given
from eacl_jax.features.modality import Modality
from eacl_jax.features.table import FeatureTable

VOICE = Modality(2, 1, (0.0, 0.0), (1.0, 1.0), ("loudness", "pitch"), "test 1")
FACE = Modality(2, 1, (0.0, 0.0), (1.0, 1.0))


def row(*numbers):
    return np.array([numbers], np.float32)


def refused(what, match):
    with pytest.raises(UserError, match=match):
        what()


def test_the_models_columns_are_taken_by_name(tmp_path):
    file = tmp_path / "voice.csv"
    file.write_text("id,pitch,other,loudness\na/0,1,2,3\na_1,4,5,\n")
    given = read_given([f"voice={file}"], {"voice": VOICE})["voice"]
    np.testing.assert_array_equal(given.of("a", 0), row(3, 1))
    np.testing.assert_array_equal(given.of("a", 1), row(np.nan, 4))
    assert given.of("a", 2) is None
    file.write_text("id,pitch,level\na/0,1,2\n")
    refused(lambda: read_given([f"voice={file}"], {"voice": VOICE}), "no column 'loudness'")
    # Without names on one of the sides only the width can be compared.
    assert read_given([f"face={file}"], {"face": FACE})["face"].of("a", 0).tolist() == [[1, 2]]
    file.write_text("id,pitch\na/0,1\n")
    refused(lambda: read_given([f"face={file}"], {"face": FACE}), "has 1 numbers there.*reads 2")


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_column_may_be_in_another_unicode_form(form, other, tmp_path):
    voice = dataclasses.replace(VOICE, columns=(normalize(form, "Lautstärke"), "pitch"))
    there = normalize(other, "Lautstärke")
    file = tmp_path / "voice.csv"
    file.write_text(f"id,pitch,{there}\na/0,1,3\n", encoding="utf-8")
    given = read_given([f"voice={file}"], {"voice": voice})["voice"]
    np.testing.assert_array_equal(given.of("a", 0), row(3, 1))
    header = ["voice.pitch", f"voice.{there}"]
    assert feature_columns(header, {"voice": voice}, "t.csv") == {"voice": tuple(header[::-1])}


def test_keys_may_come_from_names_that_are_no_utf_8():
    one, other = (GivenFeatures("face", {key: row(1, 2)}, "face") for key in ("a\udcff", "a\udcfe"))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["voice"], "'voice' is not NAME=PATH"),
        (["smell=x.csv"], "reads no features 'smell'; it reads voice"),
        (["voice=nowhere.csv"], "features voice: .*nowhere.csv is not there"),
    ],
)
def test_wrong_options_are_refused(given, match):
    refused(lambda: read_given(given, {"voice": VOICE}), match)


def test_keys_that_repeat_in_splits_say_the_split(tmp_path, caplog):
    splits = {"train": {"1/0": row(1, 2)}, "test": {"1/0": row(3, 4), "2/0": row(5, 6)}}
    folder = tmp_path / "voice"
    table.write(FeatureTable(splits, VOICE.columns, "test 2"), folder)
    with caplog.at_level(logging.WARNING):
        given = read_given([f"voice={folder}"], {"voice": VOICE})["voice"]
    assert "made by test 2, and those that the model was trained on by test 1" in caplog.text
    assert given.of("1", 0) is None
    assert given.of("2", 0) is None
    assert given.of("test_1", 0).tolist() == [[3, 4]]


def test_features_of_two_utterances_or_of_none_are_refused(monkeypatch):
    given = GivenFeatures("voice", {"12/0": row(1)}, "--features voice")
    assert given.of("12", 0) is not None
    refused(lambda: given.of("train_12", 0), "may be those of '12/0' or of 'train_12/0'")
    monkeypatch.setattr(module, "ENOUGH", 3)
    lost = GivenFeatures("voice", {"x-1": row(1)}, "--features voice")
    assert lost.of("a", 0) is None
    refused(lost.check_found, "Their keys are 'x-1', ..., and the input's first .* 'a/0'")
    lost.of("a", 1)
    refused(lambda: lost.of("a", 2), "no utterance of the input has features there")
    lost.resumed = True
    lost.check_found()
    named = GivenFeatures("voice", {"x-1": row(1)}, "--features voice")
    assert named.of("a", 0, "x-1") is not None


@pytest.mark.parametrize(
    ("key", "identity", "its"),
    [
        ("u1", "u1.wav", " (its id 'u1.wav')"),
        ("5", 5, " (its id '5')"),
        ("5", 5.0, " (its id '5')"),
        ("a/0", True, ""),
    ],
)
def test_own_ids_are_keys_as_features_name_them(key, identity, its):
    given = GivenFeatures("voice", {key: row(1)}, "voice")
    assert given.of("a", 0, identity) is not None
    given.check_found()
    lost = GivenFeatures("voice", {"x": row(1)}, "voice")
    assert lost.of("a", 0, identity) is None
    refused(lost.check_found, re.escape(f"first utterances are 'a/0'{its}; keys are"))


@pytest.mark.parametrize(
    ("ids", "numbers", "there", "expected"),
    [
        (("a/0", "a/2", "a/3"), None, range(5), [0, 2, 3]),  # a/1 was left out
        (("a_1.wav", "a_2.wav", "a_3.wav"), None, range(1, 4), [1, 2, 3]),  # counted from 1
        (("a/0", "a/2", "a/3"), None, (0, 1, 3), [0, None, 3]),  # a/2 has none
        (("u7", "u8", "u9"), None, range(5), [0, 1, 2]),  # none of the keys
        (("a_1", "a_2", "a_3"), None, {"a/0", "a/1", "a/2"}, [0, 1, 2]),  # nor these
        (("u7", "u8", "u9"), (0, 2, 3), range(5), [0, 2, 3]),
        (("a/0", "a/2", "a/3"), (0, 2, 3), range(5), [0, 2, 3]),
        (("a/5", "a/6", "a/7"), (0, 2, 3), range(5), [0, 2, 3]),
    ],
)
def test_own_ids_that_are_keys_decide(ids, numbers, there, expected):
    mark = "_" if "_" in ids[0] else "/"
    keys = there if isinstance(there, set) else {f"a{mark}{n}" for n in there}
    given = GivenFeatures("voice", {key: row(int(key[2:])) for key in keys}, "voice")
    found = [
        given.of("a", numbers[index] if numbers else index, identity, numbered=bool(numbers))
        for index, identity in enumerate(ids)
    ]
    assert [None if each is None else int(each.item()) for each in found] == expected
    given.check_found()


def test_ids_that_count_from_one_are_no_rows_that_count_from_zero():
    rows = {f"{d}_{n}": row(n) for d in "ab" for n in range(3)}
    given = GivenFeatures("voice", rows, "voice")
    for dialogue in "ab":
        for number in range(3):
            given.of(dialogue, number, f"{dialogue}_{number + 1}")
    refused(given.check_found, "voice: the numbers .* one too low.*add 1 to")


def test_what_an_id_and_another_number_name_is_refused():
    rows = {f"a/{n}": row(n) for n in range(4)}
    given = GivenFeatures("voice", rows, "voice")
    given.of("a", 0, "a/1")
    refused(lambda: given.of("a", 1), "'a/1' may be those of 'a/0' or of 'a/1'")
    refused(lambda: given.of("b", 0, "a/1"), "'a/1' may be those of 'a/0' or of 'b/0'")
    refused(
        lambda: given.of("a", 2, "a/3", numbered=True),
        "voice: an utterance has the features of 'a/2' by its number and those of 'a/3' by its id",
    )


def test_numbers_that_are_one_too_high_are_refused_on_the_way_and_at_the_end(monkeypatch):
    rows = {f"{d}_{n}": row(n) for d in "abc" for n in (1, 2, 3)}
    given = GivenFeatures("voice", rows, "--features voice")
    for number in range(3):
        given.of("a", number)
    refused(given.check_found, "--features voice: the numbers .* one too high")
    monkeypatch.setattr(module, "SOME", 6)
    given = GivenFeatures("voice", rows, "--features voice")
    for dialogue in "ab":
        for number in range(3):
            given.of(dialogue, number)
    refused(lambda: given.of("c", 0), "one too high")
    # The first utterances of each dialogue, of which the file knows more.
    given = GivenFeatures(
        "voice", {f"{d}_{n}": row(n) for d in "ab" for n in range(9)}, "--features voice"
    )
    for dialogue in "ab":
        for number in range(3):
            given.of(dialogue, number)
    given.check_found()
    # Ids of their own stand for themselves.
    given = GivenFeatures("voice", {f"a-{n}": row(n) for n in (1, 2, 3)}, "--features voice")
    for number in range(3):
        given.of("a", number, f"a-{number + 1}")
    given.check_found()


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        (
            {0: 2, 1: 3, 2: 4},
            {1: 2, 2: 3, 3: 4},
            "too low: of 3 dialogues 3 have the .* and 0 their",
        ),
        (
            {0: 2, 1: 2, 2: 2},
            {1: 2, 2: 2, 3: 2},
            "too low: of 3 dialogues 3 have the .* and 2 their",
        ),
        ({1: 3, 2: 4}, {0: 3, 1: 4}, "dialogues in its keys are one too high"),
        ({0: 2, 1: 3, 2: 4}, {0: 2, 1: 3, 2: 4}, ""),
        ({0: 2, 1: 3, 2: 4}, {1: 3, 2: 4}, ""),  # features of more than are asked
        ({0: 2, 2: 4}, {0: 2, 1: 3, 2: 4}, ""),  # of fewer
        ({0: 9, 1: 9, 2: 9}, {1: 2, 2: 3}, ""),  # the first utterances
    ],
)
def test_dialogues_that_are_numbered_from_elsewhere_are_refused(rows, asked, message):
    made = {f"d{number}/{n}": row(n) for number, count in rows.items() for n in range(count)}
    given = GivenFeatures("voice", made, "--features voice")
    for number, count in asked.items():
        for n in range(count):
            given.of(f"d{number}", n)
    if message:
        refused(given.check_found, message)
    else:
        given.check_found()


def test_numbers_far_apart_take_no_time():
    given = GivenFeatures("voice", {"1/1717000000000": row(1)}, "--features voice")
    given.of("1", 1717000000000)
    given.of("1", 5)
    given.check_found()


def test_columns_of_a_table():
    known = {"voice": VOICE, "face": FACE}
    header = ["text", "voice.pitch", "voice.other", "voice.loudness"]
    assert feature_columns(header, known, "t.csv") == {"voice": ("voice.loudness", "voice.pitch")}
    assert feature_columns(["text", "voicex.a"], known, "t.csv") == {}
    for wrong, match in (
        (["voice.pitch"], "t.csv has columns voice.pitch, but no voice.loudness"),
        (["face.b", "face.a"], "does not know which number is which"),
    ):
        refused(lambda wrong=wrong: feature_columns(wrong, known, "t.csv"), match)
    assert read_cells({"a": " ", "b": None}, "row 1") is None
    np.testing.assert_array_equal(read_cells({"a": "NA", "b": "1.5"}, "row 1"), row(np.nan, 1.5))
    refused(lambda: read_cells({"a": "loud"}, "row 1"), "row 1: column 'a': 'loud' is no number")
    refused(lambda: read_cells({"a": "inf"}, "row 1"), "infinite")
