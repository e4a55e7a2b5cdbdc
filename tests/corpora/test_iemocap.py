"""IEMOCAP: toy dialogues in both of its layouts."""

import json
from pathlib import Path
from typing import Any

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.iemocap import Iemocap
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

TURNS = """\
Ses{s}F_impro{n}_F000 [006.2901-008.2357]: Is the shop open?
Ses{s}F_impro{n}_M000 [010.0100-011.3925]: [LAUGHTER] Not [LAUGHTER] today.
M: [BREATHING]
Ses{s}F_impro{n}_FXX0 [003.1000-004.0000]: [LAUGHTER]
Ses{s}F_impro{n}_M001 [014.8872-018.0175]: Come back on Monday.
"""
RATINGS = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes{s}F_impro{n}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
[10.0100 - 11.3925]\tSes{s}F_impro{n}_M000\thap\t[4.0000, 2.5000, 2.5000]
[14.8872 - 18.0175]\tSes{s}F_impro{n}_M001\txxx\t[2.5000, 3.0000, 2.5000]
[3.1000 - 4.0000]\tSes{s}F_impro{n}_FXX0\tfru\t[2.5000, 3.0000, 2.5000]
"""


def release(root: Path, sizes: tuple[int, ...] = (6, 1, 1, 1, 2)) -> Path:
    """A tree like the release's, with so many dialogues a session."""
    for session, size in enumerate(sizes, start=1):
        dialog = root / f"Session{session}" / "dialog"
        (dialog / "transcriptions").mkdir(parents=True)
        (dialog / "EmoEvaluation" / "Categorical").mkdir(parents=True)
        for number in range(1, size + 1):
            names = {"s": f"{session:02}", "n": f"{number:02}"}
            for folder, text in (("transcriptions", TURNS), ("EmoEvaluation", RATINGS)):
                (dialog / folder / "Ses{s}F_impro{n}.txt".format(**names)).write_text(
                    text.format(**names)
                )
                (dialog / folder / "._Ses{s}F_impro{n}.txt".format(**names)).write_bytes(
                    b"\x00\x05\x16\xff"
                )
    return root


def relaxed(folder: Path, cache: Path) -> Iemocap:
    sources = Iemocap.from_config(DataConfig(corpus="iemocap", dir=str(folder)), cache).sources
    return Iemocap(sources=sources, cache_dir=cache, expected={})


def test_release_tree(tmp_path: Path, cache: Path) -> None:
    found = relaxed(release(tmp_path / "own" / "IEMOCAP_full_release").parent, cache).dialogues()
    first = found["train"][0]
    assert first.dialogue.id == "Ses01F_impro01"
    assert first.dialogue.utterances == (
        Utterance("Roy", "", "frustrated"),
        Utterance("Roy", "Is the shop open?", "neutral"),
        Utterance("Weldon", "Not today.", "happy"),
        Utterance("Weldon", "Come back on Monday.", None),
    ), "in time order; other ratings are context"
    assert first.where(1).endswith(
        "transcriptions/Ses01F_impro01.txt line 1: dialogue 'Ses01F_impro01' utterance 1"
    )
    names = {split: [item.dialogue.id for item in items] for split, items in found.items()}
    assert names == {
        "train": [
            *(f"Ses01F_impro0{n}" for n in range(1, 6)),
            *(f"Ses0{s}F_impro01" for s in (2, 3, 4)),
        ],
        "dev": ["Ses01F_impro06"],
        "test": ["Ses05F_impro01", "Ses05F_impro02"],
    }


def test_release_of_full_size_passes_the_counts(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataConfig(
        corpus="iemocap",
        dir=str(release(tmp_path / "own", (28, 30, 32, 30, 31))),
        cache_dir=str(cache),
    )
    corpus = corpora.load(data)
    assert [len(split) for split in corpus.splits.values()] == [100, 20, 31]
    assert corpus.taxonomy.labels == ("neutral", "excited", "frustrated", "sad", "happy", "angry")
    assert "train: 100 utterances have an empty text; they are kept." in caplog.text


def test_release_with_a_dialogue_missing_is_refused(tmp_path: Path, cache: Path) -> None:
    data = DataConfig(
        corpus="iemocap",
        dir=str(release(tmp_path / "own", (28, 30, 32, 30, 30))),
        cache_dir=str(cache),
    )
    with pytest.raises(
        UserError, match=r"not iemocap as published: test has 30 dialogues, expected 31\."
    ):
        corpora.load(data)


def test_release_with_an_empty_session(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=r"Session5/dialog/transcriptions holds no transcriptions"):
        relaxed(release(tmp_path / "own", (6, 1, 1, 1, 0)), cache)


def test_release_with_ratings_missing_or_unreadable(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ratings = (
        release(tmp_path / "own") / "Session2" / "dialog" / "EmoEvaluation" / "Ses02F_impro01.txt"
    )
    whole = ratings.read_text()
    ratings.write_text(whole.replace("\tneu\t", " happy "))
    with pytest.raises(
        UserError, match=r"EmoEvaluation/Ses02F_impro01\.txt line 3 is not a rating"
    ):
        relaxed(tmp_path / "own", cache).dialogues()
    ratings.write_text(whole.replace("M000", "M007"))
    relaxed(tmp_path / "own", cache).dialogues()
    assert "1 rated utterance is not in" in caplog.text
    ratings.unlink()
    with pytest.raises(
        UserError,
        match=r"1 transcriptions have no ratings: there is no .*EmoEvaluation/Ses02F_impro01\.txt",
    ):
        relaxed(tmp_path / "own", cache)


def turn(speaker: str, text: str, **label: Any) -> dict[str, Any]:
    return {"text": text, "speaker": f"Ses01F_impro01_{speaker}", **label}


def exchanged(folder: Path, dialogues: Any) -> Path:
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}_data.json").write_text(json.dumps(dialogues))
    return folder


def test_exchanged_files(tmp_path: Path, cache: Path) -> None:
    dialogue = [
        turn("M", "Hello. [LAUGHTER]", label="exc"),
        turn("F", "Who is there?"),
        turn("M", "Me.", label=None),
        turn("F", "Oh.", label="ang"),
    ]
    (item,) = relaxed(exchanged(tmp_path / "iemocap", [dialogue]).parent, cache).dialogues()["dev"]
    assert item.dialogue.id == "Ses01F_impro01"
    assert item.dialogue.utterances == (
        Utterance("Roy", "Hello.", "excited"),
        Utterance("Weldon", "Who is there?", None),
        Utterance("Roy", "Me.", None),
        Utterance("Weldon", "Oh.", "angry"),
    )


@pytest.mark.parametrize(
    ("dialogues", "message"),
    [
        ({}, r"train_data\.json must hold a list of dialogues, got dict"),
        ([[]], r"dialogue 0 must be a list of utterances, at least one"),
        (
            [[turn("F", "Hi.", label="sur")]],
            r"dialogue 0 utterance 0: the label 'sur' is not one of neu, exc",
        ),
        ([[turn("F", "Hi.", label=["neu"])]], r"utterance 0: the label \['neu'\] is not one of"),
        ([[{"text": "Hi."}]], r"dialogue 0 utterance 0 must be an object with the strings"),
        (
            [[turn(mark, "Hi.", label="neu") for mark in "FMX"]],
            r"dialogue 'Ses01F_impro01' has 3 speakers",
        ),
        (
            [[turn("F", "Hi.", label="neu")]] * 2,
            r"dialogue 'Ses01F_impro01': this id was used before",
        ),
    ],
)
def test_faulty_exchanged_files(tmp_path: Path, cache: Path, dialogues: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        relaxed(exchanged(tmp_path / "own", dialogues), cache).dialogues()


def test_nothing_to_read(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=r"licensed per user.*config\.data\.dir"):
        corpora.load(DataConfig(corpus="iemocap", cache_dir=str(cache)))
    with pytest.raises(
        UserError, match=r"none of the files train_data\.json.*Session1 to Session5"
    ):
        corpora.load(DataConfig(corpus="iemocap", dir=str(tmp_path), cache_dir=str(cache)))
