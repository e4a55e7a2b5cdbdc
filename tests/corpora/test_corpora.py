"""`load`: what all corpora have in common."""

import dataclasses
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import CORPORA, DataConfig
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

Toy = Callable[..., DataConfig]


def test_toy_corpus_is_read_whole_and_in_order(toy: Toy) -> None:
    corpus = corpora.load(toy())
    assert corpus.name == "custom"
    assert list(corpus.splits) == ["train", "dev", "test"]
    assert corpus.splits["train"] == (
        Dialogue(
            "t1",
            (
                Utterance("Ana", "The kettle is singing.", "joy"),
                Utterance("Bo", "Then pour it.", None),
            ),
        ),
        Dialogue("t2", (Utterance("Bo", "My bike was taken!", "anger"),)),
    )
    assert corpus.taxonomy.labels == corpus.taxonomy.words == ("anger", "joy")


def test_labels_and_words_override(toy: Toy) -> None:
    data = dataclasses.replace(toy(), labels=("joy", "anger"), words=("great joy", "rage"))
    taxonomy = corpora.load(data).taxonomy
    assert (taxonomy.labels, taxonomy.words) == (("joy", "anger"), ("great joy", "rage"))
    assert corpora.load(dataclasses.replace(data, words=())).taxonomy.words == ("joy", "anger")


@pytest.mark.parametrize("prepared", [False, True], ids=["first", "from the cache"])
def test_emotion_outside_the_labels_is_placed(toy: Toy, prepared: bool) -> None:
    data = toy()
    if prepared:
        corpora.load(data)
    with pytest.raises(
        UserError,
        match=r"train\.jsonl line 2: dialogue 't2' utterance 0: the emotion 'anger'.*\(and 1 more",
    ):
        corpora.load(dataclasses.replace(data, labels=("joy", "sadness")))


def test_label_without_training_utterance_is_reported(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    corpora.load(dataclasses.replace(toy(), labels=("joy", "anger", "fear")))
    assert "no training utterance has the label 'fear'" in caplog.text


def test_a_label_that_one_utterance_alone_has_is_reported(toy: Toy, caplog) -> None:
    def dialogues(*emotions: str) -> list[dict[str, object]]:
        spoken = [{"speaker": "A", "text": f"{n}", "emotion": e} for n, e in enumerate(emotions)]
        return [{"id": "1", "utterances": spoken}]

    corpora.load(
        toy(
            train=dialogues("joy", "joy", "rage", "fear"),
            dev=dialogues("fear"),
            test=dialogues("joy"),
        )
    )
    assert "has the label 'rage': is it typed wrong?" in caplog.text


def test_a_label_that_is_nearly_another_one_is_reported_unless_listed(toy: Toy, caplog) -> None:
    spoken = [
        {"speaker": "A", "text": f"{n}", "emotion": "joy" if n > 1 else "joyy"} for n in range(22)
    ]
    other = [{"id": "2", "utterances": spoken[5:9]}]
    data = toy(train=[{"id": "1", "utterances": spoken}], dev=other, test=other)
    corpora.load(data)
    assert (
        "2 utterances of train have the label 'joyy', and 20 have 'joy': are these" in caplog.text
    )
    caplog.clear()
    corpora.load(dataclasses.replace(data, labels=("joy", "joyy")))
    assert "joyy" not in caplog.text


def test_max_dialogues_cuts_each_split(toy: Toy) -> None:
    corpus = corpora.load(dataclasses.replace(toy(), max_dialogues=1))
    assert [len(split) for split in corpus.splits.values()] == [1, 1, 1]
    assert corpus.splits["train"][0].id == "t1"
    assert corpus.taxonomy.labels == ("anger", "joy"), "labels come from all of train"


def test_max_dialogues_that_leaves_nothing_annotated(toy: Toy) -> None:
    silent = {"id": "s", "utterances": [{"speaker": "Ana", "text": "Hm."}]}
    spoken = {"id": "t", "utterances": [{"speaker": "Ana", "text": "Yes!", "emotion": "joy"}]}
    data = toy(test=[silent, spoken])
    assert len(corpora.load(data).splits["test"]) == 2
    with pytest.raises(UserError, match=r"first 1 dialogues of test have no annotated"):
        corpora.load(dataclasses.replace(data, max_dialogues=1))


def test_leak_between_splits_is_counted(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    same = {
        "id": "t2",
        "utterances": [{"speaker": "Bo", "text": "My bike was taken!", "emotion": "anger"}],
    }
    other = {
        "id": "t1",
        "utterances": [{"speaker": "Ana", "text": "Another one.", "emotion": "joy"}],
    }
    with caplog.at_level(logging.WARNING, "eacl_jax.corpora"):
        corpora.load(toy(test=[same, other]))
    assert [record.getMessage() for record in caplog.records] == [
        "1 of the 2 annotated utterances of test, in 1 of its dialogues, is in train too, with what"
        " is said before them (whoever says it): scores on test may flatter. Put dialogues that are"
        " alike, and parts of one, into one split."
    ]


def test_rows_divided_among_splits_are_reported_each_time(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    header = "Dialogue_ID,Utterance_ID,Speaker,Utterance,Emotion\n"
    rows = [
        f"{number},{turn},Ana,Line {turn}.,{'fear' if turn % 3 else 'joy'}\n"
        for number in range(3)
        for turn in range(6)
    ]
    splits = {
        "train": header + "".join(rows[:17:2]),
        "dev": header + rows[-1].replace("2,", "7,"),
        "test": header + rows[1],
    }
    for _ in ("prepared", "from the cache"):
        caplog.clear()
        corpora.load(toy(suffix=".csv", **splits))
        assert (
            "1 of the 1 dialogues of test have utterances in train too ('0'): rows were divided"
            in caplog.text
        )
    caplog.clear()
    corpora.load(toy(suffix=".csv", **splits | {"test": header + rows[0].replace("Line", "Row")}))
    assert "have utterances in" not in caplog.text


def test_spellings_of_a_label_are_refused_unless_listed(toy: Toy) -> None:
    spelled = [{"id": "d", "utterances": [{"speaker": "Ana", "text": "Yes!", "emotion": "Joy"}]}]
    with pytest.raises(
        UserError,
        match=r"one label in 2 spellings: 'Joy' \(1: dev\.jsonl 1\), 'joy' \(1: train\.jsonl 1\)",
    ):
        corpora.load(toy(dev=spelled))
    data = dataclasses.replace(toy(dev=spelled), labels=("anger", "joy ", "Joy"))
    assert corpora.load(data).taxonomy.labels == ("anger", "joy", "Joy")


def test_cache_folder_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EACL_JAX_CACHE", raising=False)
    assert corpora.cache_folder(DataConfig()) == tmp_path / ".cache" / "eacl_jax"
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "env"))
    assert corpora.cache_folder(DataConfig()) == tmp_path / "env"
    assert corpora.cache_folder(DataConfig(cache_dir="~/own")) == tmp_path / "own"


def test_every_configurable_corpus_has_a_builder() -> None:
    assert {corpora.builder_class(name).name for name in CORPORA} == set(CORPORA)
    with pytest.raises(UserError, match="no corpus 'friends'; known: smalltalk"):
        corpora.builder_class("friends")


def test_import_does_not_wait_for_tfds() -> None:
    code = (
        "import sys, eacl_jax.corpora; sys.exit('tensorflow_datasets' in sys.modules or"
        " 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_without_its_corpus(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("eacl_jax.corpora.smalltalk.__file__", str(tmp_path / "smalltalk.py"))
    with pytest.raises(
        UserError, match=r"the installed package lacks .*train\.jsonl, .*install eacl_jax again"
    ):
        corpora.load(DataConfig(corpus="smalltalk", cache_dir=str(cache)))


def test_smalltalk_comes_with_the_package(cache: Path) -> None:
    corpus = corpora.load(DataConfig(corpus="smalltalk", cache_dir=str(cache)))
    assert corpus.taxonomy.labels == (
        "anger",
        "disgust",
        "fear",
        "joy",
        "sadness",
        "surprise",
        "neutral",
    )
    for split, dialogues in corpus.splits.items():
        assert dialogues, split
        assert {u.emotion for d in dialogues for u in d.utterances} == set(corpus.taxonomy.labels)
