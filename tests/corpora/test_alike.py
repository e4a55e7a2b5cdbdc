"""Labels that are nearly another one, and those that only look so."""

import pytest

from eacl_jax.corpora.alike import alike


@pytest.mark.parametrize(
    ("rare", "often"),
    [
        ("hapiness", "happiness"),
        ("happyness", "happiness"),
        ("dissapointment", "disappointment"),
        ("nuetral", "neutral"),
        ("agner", "anger"),
        ("jyo", "joy"),
        ("joyy", "joy"),
        ("very_sda", "very sad"),
        ("sad", "sadness"),
        ("angry", "anger"),
        ("surprised", "surprise"),
        ("joyful", "joy"),
    ],
)
def test_a_rare_label_that_is_nearly_a_frequent_one_is_found(rare, often):
    assert alike({"disgust": 2, rare: 2, often: 10}) == [(rare, often)]
    assert alike({"disgust": 2, rare: 9, often: 12, "fear": 70}) == []
    assert alike({rare: 0, often: 90}) == []


@pytest.mark.parametrize(
    "pair",
    [
        "happy unhappy",
        "mad sad",
        "anger danger",
        "fear dear",
        "love live",
        "content contempt",
        "hopeful hopeless",
        "approval disapproval",
        "grief relief",
        "type_a type_b",
        "level1 level2",
        "low_joy high_joy",
        "trust distrust",
        "optimism pessimism",
    ],
)
def test_labels_that_mean_something_else_are_not(pair):
    one, other = pair.split()
    assert alike({one: 1, other: 1000}) == alike({one: 1000, other: 1}) == []


def test_forms_of_a_word_need_not_be_rare():
    assert alike({"sad": 20, "sadness": 65, "anger": 48}) == [("sad", "sadness")]
