"""What two splits share: dialogues of which both have a part, and utterances with their past."""

import dataclasses
import random
from pathlib import Path

import pytest

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.leaks import Shared, shared, torn
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


def split(*texts: tuple[str, ...], speakers: str = "AB", annotated: bool = True) -> list[Found]:
    """Each a dialogue's."""
    emotion = "joy" if annotated else None
    return [
        Found(
            Dialogue(
                f"{speakers}{number}",
                tuple(Utterance(speakers[n % 2], text, emotion) for n, text in enumerate(of_one)),
            ),
            Path("x.csv"),
        )
        for number, of_one in enumerate(texts)
    ]


LONG = [
    tuple(f"Sentence {turn} of talk {number}, which goes on." for turn in range(6))
    for number in range(9)
]


@pytest.mark.parametrize(
    ("again", "count"),
    [
        (split(*LONG[:2], speakers="XY"), 12),
        (split(*(tuple(map(str.upper, each)) for each in LONG[:2])), 12),
        (split(*(each[:3] for each in LONG)), 27),
        (split(*(each[2:4] for each in LONG)), 18),
        (split(("Something else.", *LONG[0][:2], *LONG[1][3:])), 1),
        (split(*((text,) for text in LONG[0])), 6),
        (split(*((each[3], "Something else.") for each in LONG)), 0),
        (split(*(each[::-1] for each in LONG)), 0),
    ],
)
def test_utterances_are_known_by_what_is_said_before_them(again: list[Found], count: int) -> None:
    total = sum(len(item.dialogue.utterances) for item in again)
    found = shared(split(*LONG), again)
    assert found[:2] == (count, total)
    assert torn(split(*LONG), again) == []
    assert not shared(split(*LONG, annotated=False), again).utterances


def test_short_texts_that_are_said_again_by_chance_do_not_count() -> None:
    chance = [("Yeah.",), ("Oh my God!", "What?"), ("Thank you so much!",), ("\N{GRINNING FACE}",)]
    others = [(f"This is quite another text, number {number}.",) for number in range(40)]
    assert shared(split(*chance), split(*chance[:3], *others)) == Shared(0, 44, 0)
    short = [(f"You are my number {number}!",) for number in range(9)]
    assert shared(split(*short), split(*short, *others)) == Shared(9, 49, 9)
    assert shared(split(("Yeah.",), ("Ok.",)), split(*[("Yeah.",), ("Ok.",)] * 9)).utterances == 0


def test_labels_do_not_matter() -> None:
    again = [
        dataclasses.replace(
            item,
            dialogue=dataclasses.replace(
                item.dialogue,
                utterances=tuple(
                    dataclasses.replace(spoken, emotion="anger", annotations=(("joy",),))
                    for spoken in item.dialogue.utterances
                ),
            ),
        )
        for item in split(*LONG[1:3])
    ]
    assert shared(split(*LONG), again) == Shared(12, 12, 2)
