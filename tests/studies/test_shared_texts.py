"""Texts of training that another corpus tests with."""

import dataclasses

from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.studies import reading
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
    "meld": corpus([SHARED[0], "Oh!"], ["Nothing else is said in this one here.", "Oh!"]),
    "emorynlp": corpus(["A different text is said in here."], [SHARED[1], "Oh!", "No."]),
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
