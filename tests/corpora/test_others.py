"""Corpora beside a run's own: which there are, and what of them is left out."""

import dataclasses

import pytest

from eacl_jax.config import DataConfig
from eacl_jax.corpora import others
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError

LABELS = Taxonomy(("joy", "anger"), ("joy", "anger"))


def dialogue(identity: str, *texts: str) -> Dialogue:
    return Dialogue(identity, tuple(Utterance("Ann", text, "joy") for text in texts))


OWN = Corpus(
    "custom",
    LABELS,
    {
        "train": (dialogue("a", "I saw the strangest thing today."),),
        "dev": (dialogue("b", "Well, I can\u2019t tell you that!", "Thank you so much."),),
        "test": (dialogue("c", "Who would have thought THAT?"),),
    },
)
THEIRS = (
    dialogue("1", "Hi.", "well I cant tell you that"),
    dialogue("2", "who would have thought that...", "Nobody."),
    dialogue("3", "Thank you so much.", "I saw the strangest thing today."),
)


def test_dialogues_with_utterances_that_are_scored_are_left_out():
    """Whatever their punctuation; short ones are everywhere, and train's are not scored."""
    held_out = [*OWN.splits["dev"], *OWN.splits["test"]]
    assert others.without_utterances_of(THEIRS, held_out) == THEIRS[2:]


@pytest.mark.parametrize(
    ("scored", "learnt"),
    [
        ("I'm sure you don't mean that", "I \u2019 m sure you do n't mean that"),
        ("Can't you see? Caf\u00e9s are open", "can\u00b4t you see ? cafe\u0301s are open"),
        ("我今天真的非常高兴见到你们", "我今天真的非常高兴见到你们。"),
    ],
)
def test_texts_are_the_same_however_they_were_tokenized(scored, learnt):
    assert not others.without_utterances_of([dialogue("1", learnt)], [dialogue("b", scored)])


@pytest.fixture
def read(monkeypatch):
    """What is read in place of a published corpus."""
    found = {"train": THEIRS, "dev": THEIRS, "test": THEIRS}
    corpus = Corpus("smalltalk", LABELS, found)
    asked = []

    def read(name, folder, data, of_run):
        asked.append((name, folder))
        return dataclasses.replace(corpus, name=name)

    monkeypatch.setattr(others, "read", read)
    return asked


def test_only_training_dialogues_are_taken(read):
    data = DataConfig(corpus="custom", also=("smalltalk", "meld = FOLDER"))
    one, other = others.load_others(data, OWN)
    assert read == [("smalltalk", ""), ("meld", "FOLDER")]
    assert one.corpus.splits == {"train": THEIRS[2:], "dev": (), "test": ()}
    assert (one.left_out, other.corpus.name) == (2, "meld")


@pytest.mark.parametrize(
    ("also", "message"),
    [
        (("smaltalk",), r"config\.data\.also\[0\]: expected CORPUS or CORPUS=FOLDER, got 'smalt"),
        (("custom=FOLDER",), "make it the run's own corpus"),
        (("meld=A", "meld=B"), "meld is there twice"),
    ],
)
def test_corpora_that_cannot_be_taken(read, also, message):
    with pytest.raises(UserError, match=message):
        others.load_others(DataConfig(corpus="emorynlp", also=also), OWN)


def test_the_runs_own_corpus_is_not_taken_again(read):
    data = DataConfig(corpus="meld", also=("smalltalk", "meld=FOLDER"))
    assert [each.corpus.name for each in others.load_others(data, OWN)] == ["smalltalk"]


@pytest.mark.parametrize(
    ("row", "message"),
    [("meld=FOLDER", ""), ("smalltalk=FOLDER", "smalltalk is built in and has no folder")],
)
def test_what_cannot_be_read_names_the_row(tmp_path, row, message):
    row = row.replace("FOLDER", str(tmp_path))
    data = DataConfig(corpus="custom", also=(row,), cache_dir=str(tmp_path))
    with pytest.raises(UserError, match=rf"config\.data\.also\[0\]: {message}"):
        others.load_others(data, OWN)


def test_another_task_is_refused(read):
    several = dataclasses.replace(OWN, task="multi")
    message = "smalltalk has one label an utterance, and custom several labels"
    with pytest.raises(UserError, match=message):
        others.load_others(DataConfig(corpus="custom", also=("smalltalk",)), several)


def test_a_corpus_of_which_nothing_is_left_is_refused(read):
    held_out = dataclasses.replace(OWN, splits={**OWN.splits, "test": THEIRS})
    with pytest.raises(UserError, match="each annotated dialogue of smalltalk holds utterances"):
        others.load_others(DataConfig(corpus="custom", also=("smalltalk",)), held_out)
