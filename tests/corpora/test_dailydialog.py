"""DailyDialog: toy files in the release's format."""

import json
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.dailydialog import DailyDialog
from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

TEXTS = (
    "Is the bus late ? __eou__ It never came ! __eou__ Oh no . __eou__\nFine day . __eou__ Yes ."
    " __eou__\n"
)
EMOTIONS = "0 1 5 \n4 0\n"


def read(
    root: Path, cache: Path, texts: str = TEXTS, emotions: str = EMOTIONS
) -> dict[str, list[Found]]:
    for split in ("train", "validation", "test"):
        folder = root / "ijcnlp_dailydialog" / split
        folder.mkdir(parents=True)
        (folder / f"dialogues_{split}.txt").write_text(texts)
        (folder / f"dialogues_emotion_{split}.txt").write_text(emotions)
    builder = DailyDialog.from_config(DataConfig(corpus="dailydialog", dir=str(root)), cache)
    return DailyDialog(sources=builder.sources, cache_dir=cache, expected={}).dialogues()


def test_two_speakers_take_turns(tmp_path: Path, cache: Path) -> None:
    found = read(tmp_path / "own", cache)["dev"]
    assert [item.dialogue.id for item in found] == ["dev_1", "dev_2"]
    assert found[0].dialogue.utterances == (
        Utterance("Alex", "Is the bus late ?", "neutral"),
        Utterance("Sam", "It never came !", "anger"),
        Utterance("Alex", "Oh no .", "sadness"),
    )
    assert [utterance.emotion for utterance in found[1].dialogue.utterances] == [
        "happiness",
        "neutral",
    ]
    assert DailyDialog.LABELS == (
        "neutral",
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
    )


@pytest.mark.parametrize(
    ("texts", "emotions", "message"),
    [
        (
            TEXTS,
            "0 1 5\n",
            r"dialogues_train\.txt has 2 lines but .*dialogues_emotion_train\.txt has 1",
        ),
        (
            TEXTS,
            "0 1\n4 0\n",
            r"dialogues_train\.txt line 1 has 3 utterances, but .* has 2 emotions there",
        ),
        (
            TEXTS,
            "0 1 5\n4 7\n",
            (
                r"dialogues_emotion_train\.txt line 2: '7' is not an emotion, which is a digit from"
                r" 0 to 6"
            ),
        ),
    ],
)
def test_faulty_files(tmp_path: Path, cache: Path, texts: str, emotions: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path / "own", cache, texts, emotions)


def test_empty_utterance_is_kept(tmp_path: Path, cache: Path) -> None:
    found = read(tmp_path / "own", cache, "Hm . __eou__ __eou__ Well . __eou__\n", "0 0 0\n")
    assert [utterance.text for utterance in found["train"][0].dialogue.utterances] == [
        "Hm .",
        "",
        "Well .",
    ]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_json_and_parquet_of_the_splits(tmp_path: Path, cache: Path, form: str) -> None:
    rows = [{"dialog": ["Is the bus late ?", "No ."], "act": [2, 1], "emotion": [0, 4]}]
    for name in ("train-00000-of-00001", "validation-00000-of-00001", "test-00000-of-00001"):
        path = tmp_path / "own" / "data" / f"{name}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "json":
            path.write_text(json.dumps(rows))
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), path)
    builder = DailyDialog.from_config(
        DataConfig(corpus="dailydialog", dir=str(tmp_path / "own")), cache
    )
    (item,) = DailyDialog(sources=builder.sources, cache_dir=cache, expected={}).dialogues()["dev"]
    assert item.dialogue == Dialogue(
        "dev_1",
        (Utterance("Alex", "Is the bus late ?", "neutral"), Utterance("Sam", "No .", "happiness")),
    )


def test_inner_archives_unpacked_each_into_its_folder(tmp_path: Path, cache: Path) -> None:
    read(tmp_path / "own", cache)
    for split in ("train", "validation", "test"):
        outer = tmp_path / "own" / "ijcnlp_dailydialog" / split
        outer.rename(tmp_path / "moved")
        outer.mkdir()
        (tmp_path / "moved").rename(outer / split)
    sources = DailyDialog.from_config(
        DataConfig(corpus="dailydialog", dir=str(tmp_path / "own")), cache
    ).sources
    assert [path.name for path in sources["dev"]] == [
        "dialogues_validation.txt",
        "dialogues_emotion_validation.txt",
    ]


def test_toy_files_do_not_pass_for_the_corpus(tmp_path: Path, cache: Path) -> None:
    read(tmp_path / "own", cache)
    data = DataConfig(corpus="dailydialog", dir=str(tmp_path / "own"), cache_dir=str(cache))
    with pytest.raises(
        UserError,
        match=(
            r"train has 2 dialogues, expected 11118; .*test has 5 annotated utterances, expected"
            r" 7740"
        ),
    ):
        corpora.load(data)


def test_nothing_to_read(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"not downloaded automatically: set config\.data\.dir .*ijcnlp_dailydialog\.zip",
    ):
        corpora.load(DataConfig(corpus="dailydialog", cache_dir=str(cache)))
    with pytest.raises(
        UserError, match=r"none of the files train/dialogues_train\.txt.*ijcnlp_dailydialog\.zip"
    ):
        corpora.load(DataConfig(corpus="dailydialog", dir=str(tmp_path), cache_dir=str(cache)))
