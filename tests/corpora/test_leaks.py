"""Dialogues of which two splits have a part, and those that only share an id."""

import dataclasses
import random
from pathlib import Path

import pytest

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.leaks import repeated, torn
from eacl_jax.dialogue import Dialogue, Utterance

Rows = list[tuple[str, int, str]]
"""Id, number within the dialogue, speaker."""


def dialogues(count: int, *, prefix: str = "", speakers: int = 2) -> Rows:
    return [
        (f"{prefix}{number}", turn, f"P{(number * 7 if speakers > 2 else 0) + turn % 2}")
        for number in range(count)
        for turn in range(8)
    ]


def found(rows: Rows, split: str, *, numbered: bool = False) -> list[Found]:
    by_id: dict[str, list[tuple[int, int, str]]] = {}
    for line, (identity, turn, speaker) in enumerate(rows, 2):
        by_id.setdefault(identity, []).append((line, turn, speaker))
    return [
        Found(
            Dialogue(
                identity,
                tuple(
                    Utterance(speaker, f"{split} {identity} {turn}") for _, turn, speaker in spoken
                ),
            ),
            Path(f"{split}.csv"),
            tuple(line for line, _, _ in spoken),
            tuple(turn for _, turn, _ in spoken) if numbered else (),
        )
        for identity, spoken in by_id.items()
    ]


def shuffled(rows: Rows) -> tuple[Rows, Rows]:
    rows = random.Random(0).sample(rows, len(rows))
    return rows[: len(rows) * 4 // 5], rows[len(rows) * 4 // 5 :]


@pytest.mark.parametrize("prefix", ["", "chat-"])
def test_ids_that_begin_anew_in_each_split_are_different_dialogues(prefix: str) -> None:
    train, test = dialogues(40, prefix=prefix), dialogues(10, prefix=prefix)
    assert torn(found(train, "train"), found(test, "test")) == []
    del train[8 * 5 : 8 * 6]  # published corpora leave out a number
    assert torn(found(train, "train"), found(test, "test")) == []


def test_numbers_of_utterances_decide_where_there_are_any() -> None:
    train, test = dialogues(40), dialogues(40)[::9]
    assert torn(found(train, "train", numbered=True), found(test, "test", numbered=True)) == []
    rest = [row for row in train if row not in test]
    assert len(torn(found(rest, "train", numbered=True), found(test, "test", numbered=True))) == 36


def test_shuffled_rows_are_noticed_whatever_the_ids() -> None:
    train, test = shuffled(dialogues(40))
    ids = {identity for identity, _, _ in train} & {identity for identity, _, _ in test}
    assert set(torn(found(train, "train"), found(test, "test"))) == ids
    assert set(torn(found(sorted(train), "train"), found(test, "test"))) == ids


def test_rows_sorted_again_are_noticed_by_their_speakers() -> None:
    train, test = map(sorted, shuffled(dialogues(10, speakers=20)))
    ids = {identity for identity, _, _ in test}
    assert len(ids) > 8
    assert set(torn(found(train, "train"), found(test, "test"))) == ids


def test_a_cut_through_one_dialogue_is_noticed() -> None:
    rows = dialogues(40)
    assert torn(found(rows[:244], "train"), found(rows[244:], "test")) == ["30"]


def test_ids_that_are_not_counted_are_one_dialogue_s() -> None:
    rows = [
        (f"x{hash(identity) % 9999:05x}", turn, speaker) for identity, turn, speaker in dialogues(3)
    ]
    assert torn(found(rows, "train"), found(rows[:3], "test")) == [rows[0][0]]
    assert torn(found(rows, "train"), found(rows, "train")) == [], (
        "equal dialogues are counted elsewhere"
    )


def test_what_is_repeated_word_for_word_is_noticed_whatever_its_labels() -> None:
    train = found(dialogues(3), "train")
    again = [
        dataclasses.replace(
            item,
            dialogue=dataclasses.replace(
                item.dialogue,
                utterances=tuple(
                    dataclasses.replace(spoken, emotion="joy", annotations=(("joy",),))
                    for spoken in item.dialogue.utterances
                ),
            ),
        )
        for item in train[1:]
    ]
    assert repeated(train, again) == 2
    assert torn(train, again) == []
