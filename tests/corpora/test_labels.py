"""Spellings of labels: merged where nobody can mean a difference, else refused with counts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import check_spellings, clean_label, read_label
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError


def annotated(emotions: Sequence[str], file: str = "train.csv") -> list[Found]:
    return [
        Found(
            Dialogue("1", tuple(Utterance("Ann", "Hm.", emotion) for emotion in emotions)),
            Path(file),
        )
    ]


@pytest.mark.parametrize("spelled", ["joy ", "\u00a0joy", "joy\u200b", "\ufeffjoy", "\tjoy\n"])
def test_blanks_around_go(spelled: str) -> None:
    assert clean_label(spelled) == "joy"


def test_unicode_forms_and_inner_blanks_are_one() -> None:
    assert clean_label("cole\u0300re") == clean_label("colère")
    assert clean_label("very \u00a0happy") == "very happy"
    assert clean_label("👩\u200d🚀") == "👩\u200d🚀", "joiners are part of emoji"


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("", None),
        (None, None),
        (float("nan"), None),
        ([], None),
        (["joy"], "joy"),
        (3, "3"),
        (3.0, "3"),
        (np.int64(3), "3"),
    ],
)
def test_values_of_cells_and_json(value: object, label: str | None) -> None:
    assert read_label(value, "here") == label


@pytest.mark.parametrize("value", [["joy", "fear"], True, {"joy": 1}, 0.5])
def test_values_that_are_no_label(value: object) -> None:
    with pytest.raises(UserError, match=r"^here"):
        read_label(value, "here")


@pytest.mark.parametrize(
    ("emotions", "message"),
    [
        (
            ["joy", "Joy", "joy"],
            (
                r"one label in 2 spellings: 'Joy' \(1: train\.csv 1\), 'joy' \(3: train\.csv 2,"
                r" dev\.csv 1\)"
            ),
        ),
        (["ｊｏｙ"], r"'joy' \(1: dev\.csv 1\), 'ｊｏｙ' \[\\uff4a\\uff4f\\uff59\] \(1"),
        (["no_fear", "no fear", "no-fear"], r"one label in 3 spellings"),
        (["no fear", "NoFear"], r"one label in 2 spellings"),
        (
            ["joy.", "'joy'", "joy\u202e"],
            r"one label in 4 spellings: .* 'joy\\u202e' \[joy\\u202e\]",
        ),
        (
            ["joy#fear", "joy", "fear"],
            r"several labels in one place, where an utterance has one: 'joy#fear' \(1: train",
        ),
        (
            ["none", "N/A", "joy", "-"],
            r"words for 'no label': '-' \(1: train\.csv 1\), 'N/A' .*, 'none' .*--labels",
        ),
        (
            ["[]", "fear"],
            r"'\[\]', none of the labels, where an utterance has one: '\[\]' \(1: .*data\.task=multi",
        ),
        (["joy;fear"], r"several labels in one place, .*'joy;fear' \(1: .*data\.task=multi"),
    ],
)
def test_what_may_be_meant_is_counted_and_refused(emotions: list[str], message: str) -> None:
    found = annotated(emotions) + annotated(["joy"], "dev.csv")
    with pytest.raises(UserError, match=message):
        check_spellings(found, (), "--labels")
    check_spellings(found, [*emotions, "joy"], "--labels")


def test_a_spelling_beside_the_listed_one_is_named() -> None:
    with pytest.raises(UserError, match=r"2 spellings: 'joy' \(listed\), 'Joy' \(1"):
        check_spellings(annotated(["Joy", "fear"]), ("joy", "fear"), "--labels")


def test_different_labels_pass() -> None:
    check_spellings(
        annotated(
            [
                "1",
                "-1",
                "joy",
                "joyful",
                "👍",
                "👎",
                "c",
                "c++",
                "+",
                "re-joy",
                "joy/relief",
                "1 2",
                "12",
                "!",
                "?!",
            ]
        ),
        (),
        "--labels",
    )
