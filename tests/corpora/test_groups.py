"""Coarser labels: each label of a corpus becomes that of a group."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import Config, DataConfig
from eacl_jax.errors import UserError
from tests.corpora.conftest import TOY, dialogue

Toy = Callable[..., DataConfig]

ROWS = ("joy=good", "relief = good", "anger=bad")
THREE = [*TOY["train"], dialogue("t3", ("Cy", "It is over.", "relief"))]


def test_emotions_become_their_groups(toy: Toy) -> None:
    corpus = corpora.load(dataclasses.replace(toy(train=THREE), groups=ROWS))
    assert corpus.taxonomy.labels == corpus.taxonomy.words == ("good", "bad")
    train = [u.emotion for d in corpus.splits["train"] for u in d.utterances]
    assert train == ["good", None, "bad", "good"]
    assert [d.utterances[0].emotion for d in corpus.splits["test"]] == ["bad"]


def test_words_are_the_groups(toy: Toy) -> None:
    data = dataclasses.replace(toy(train=THREE), groups=ROWS, words=("happy", "upset"))
    for labels in ((), ("anger", "joy", "relief")):
        taxonomy = corpora.load(dataclasses.replace(data, labels=labels)).taxonomy
        assert (taxonomy.labels, taxonomy.words) == (("good", "bad"), ("happy", "upset"))


def test_a_group_may_be_excluded_and_the_number_of_words_is_checked() -> None:
    settings = {
        "data": {"groups": ("joy=good", "anger=bad"), "words": ("happy", "upset")},
        "evaluation": {"excluded_label": "good", "primary": "micro_f1"},
    }
    Config.from_mapping(settings)
    settings["data"]["words"] = ("happy",)
    with pytest.raises(UserError, match=r"config\.data\.words: .* each of the 2 groups of data"):
        Config.from_mapping(settings)


def test_a_published_corpus(cache: Path) -> None:
    rows = ("joy=positive", "neutral=neutral", "surprise=surprise")
    rows += tuple(f"{label}=negative" for label in ("anger", "disgust", "fear", "sadness"))
    corpus = corpora.load(DataConfig(cache_dir=str(cache), groups=rows, max_dialogues=40))
    assert corpus.taxonomy.labels == ("positive", "neutral", "surprise", "negative")
    assert len(corpus.splits["train"]) == 40
    found = {u.emotion for d in corpus.splits["train"] for u in d.utterances}
    assert found == set(corpus.taxonomy.labels)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("joy=good", "anger"), r"groups\[1\]: expected LABEL=GROUP, got 'anger'"),
        (("joy=good", "anger="), r"groups\[1\]: expected LABEL=GROUP, got 'anger='"),
        (("joy=good",), r"groups: no row says the group of 'anger'; add one as 'anger=GROUP'"),
        (("joy=a", "anger=b", "fear=b"), r"groups\[2\]: there is no label 'fear', got 'fear=b'"),
        (("joy=a", "anger=b", "joy=b"), r"groups\[2\]: the label 'joy' has a row already, got"),
        (("joy=a", "anger=a"), r"groups: at least two groups are needed, got \['joy=a', 'anger=a'"),
    ],
)
def test_rows_that_cannot_be_used(toy: Toy, rows: tuple[str, ...], expected: str) -> None:
    with pytest.raises(UserError, match=rf"config\.data\.{expected}") as error:
        corpora.load(dataclasses.replace(toy(), groups=rows))
    assert str(error.value).endswith("The corpus' labels are anger, joy.")
