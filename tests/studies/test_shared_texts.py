"""Texts of training that another corpus tests with."""

import dataclasses

import pytest

from eacl_jax.corpora.others import Other
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.studies import given, reading, shared_texts
from eacl_jax.studies.targets import NOTE
from tests.studies.test_reading import fields

SHARED = ("We were on a break, and you know it!", "we were on a break -- and you KNOW it")


def corpus(train: list[str], test: list[str]) -> Corpus:
    splits = {
        name: tuple(
            Dialogue(f"{name} {n}", (Utterance("Ann", text, "a"),)) for n, text in enumerate(texts)
        )
        for name, texts in (("train", train), ("dev", []), ("test", test))
    }
    return Corpus("none", Taxonomy(("a", "b"), ("a", "b")), splits)


CORPORA = {
    "meld": corpus([SHARED[0], "Oh!"], ["Nothing else stands in this one here.", "Oh!"]),
    "iemocap": corpus(["Nobody says this anywhere else."], ["Nor is this found anywhere else."]),
    "emorynlp": corpus(["A different text stands in here."], [SHARED[1], "Oh!", "No."]),
}


def notes(seen=None, **changes):
    def load(data):
        if seen is not None:
            seen.append(data)
        return CORPORA[data.corpus]

    values = fields(
        axes={"a": {"x": {}, "y": {"loss.temperature": 0.2}}},
        comparisons=[],
        **{
            "corpora": {"MELD": {"data.corpus": "meld"}, "Emory": {"data.corpus": "emorynlp"}},
            "transfer": (0, 5),
            **changes,
        },
    )
    return reading.read_study(values, load=load, identify=lambda _: {"config": "1"}).notes


def test_test_dialogues_with_texts_of_another_corpus_training_are_noted():
    assert notes() == (
        NOTE,
        "Of the 3 test dialogues of 'Emory', 1 hold utterances of the training split of 'MELD', so"
        " that scores of the runs on 'MELD' may be too good there.",
    )
    assert not notes(transfer=())


@pytest.fixture
def beside(monkeypatch):
    """What stands beside a corpus, of which a dialogue is left out."""

    def load(data, corpus):
        train = (Dialogue("x", (Utterance("Ann", SHARED[1], "a"),)),)
        found = Corpus("smalltalk", corpus.taxonomy, {"train": train, "dev": (), "test": ()})
        return (Other(found, 1),) if data.also else ()

    monkeypatch.setattr(shared_texts, "load_others", load)
    monkeypatch.setattr(given, "load_others", load)


def test_texts_that_are_learned_beside_the_runs_corpus_are_looked_at(beside):
    corpora = {
        "no overlap": {"data.corpus": "iemocap", "data.also": ("smalltalk",)},
        "Emory": {"data.corpus": "emorynlp"},
    }
    assert notes(corpora=corpora) == (
        NOTE,
        "Beside 'no overlap' runs learn from 'smalltalk' without 1 dialogue that holds utterances"
        " of 'no overlap''s dev or test.",
        "Of the 3 test dialogues of 'Emory', 1 hold utterances of the training split of 'no"
        " overlap', or of what is learned from beside it (smalltalk), so that scores of the runs on"
        " 'no overlap' may be too good there.",
    )


def test_the_answered_corpus_among_those_that_are_learned_from_is_noted(beside):
    corpora = {
        "MELD": {"data.corpus": "meld", "data.also": ("emorynlp",)},
        "Emory": {"data.corpus": "emorynlp"},
    }
    found = [each for each in notes(corpora=corpora) if "labels and all" in each]
    assert found == [
        f"Runs of {variant!r} on 'MELD' learn from the training split of 'Emory' too (data.also),"
        " labels and all: their answers there are not from words or a few examples alone."
        for variant in ("x", "y")
    ]


def test_coarser_labels_are_the_same_texts():
    coarse = {
        name: {"data.corpus": data, **groups}
        for name, data, groups in (
            ("MELD", "meld", {}),
            ("MELD, coarse", "meld", {"data.groups": ("a=c", "b=d")}),
            ("Emory", "emorynlp", {}),
        )
    }
    seen = []
    found = notes(seen, corpora=coarse)
    (note,) = found[1:]
    assert "of the training split of 'MELD' and 'MELD, coarse', so that" in note
    # To check the study, and once for each text.
    assert len(seen) == 3 + 2
    assert len({dataclasses.replace(data, groups=()) for data in seen}) == 2
