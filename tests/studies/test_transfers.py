"""Which examples are drawn for another corpus, and what is kept of answers there."""

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eacl_jax.config import Config, DataConfig
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.studies import cells
from eacl_jax.studies.definition import Cell, Transfer
from eacl_jax.studies.gather import row_of_answers
from eacl_jax.studies.transfers import answer_transfers, draw, read_transfers
from tests.stubs.featured import LOUD, make_featured
from tests.stubs.toys import make_config

LABELS = ("joy", "anger", "fear")


@pytest.fixture(scope="module")
def dialogues():
    """Fear is rare, and a fifth is not annotated."""
    rng = np.random.default_rng(0)
    emotions = rng.choice([*LABELS, None], p=[0.5, 0.28, 0.02, 0.2], size=(40, 6))
    return [
        Dialogue(str(d), tuple(Utterance("Ann", f"{d} {u}", each) for u, each in enumerate(row)))
        for d, row in enumerate(emotions)
    ]


def texts(drawn):
    return {u.text for d in drawn for u in d.utterances if u.emotion is not None}


def test_so_many_of_each_label_are_drawn(dialogues):
    there = Counter(u.emotion for d in dialogues for u in d.utterances)
    assert 0 < there["fear"] < 9
    drawn = draw(dialogues, 9, (0, 1))
    found = Counter(u.emotion for d in drawn for u in d.utterances if u.emotion is not None)
    assert found == {"joy": 9, "anger": 9, "fear": there["fear"]}


def test_dialogues_with_an_example_are_given_whole_the_rest_is_context(dialogues):
    drawn = draw(dialogues, 3, (0, 1))
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    assert 0 < len(drawn) <= 9
    for dialogue in drawn:
        original = by_id[dialogue.id]
        for one, other in zip(dialogue.utterances, original.utterances, strict=True):
            assert dataclasses.replace(one, emotion=other.emotion) == other
            assert one.emotion in (None, other.emotion)
        assert any(u.emotion is not None for u in dialogue.utterances)
    assert [d.id for d in drawn] == sorted((d.id for d in drawn), key=int)


def test_the_seed_decides_and_fewer_are_among_more(dialogues):
    assert draw(dialogues, 3, (0, 1)) == draw(dialogues, 3, (0, 1))
    assert texts(draw(dialogues, 3, (0, 1))) < texts(draw(dialogues, 9, (0, 1)))
    for other in ((1, 1), (0, 2)):
        assert texts(draw(dialogues, 3, (0, 1))) != texts(draw(dialogues, 3, other))


@pytest.mark.parametrize(("on_test", "split"), [(False, "dev"), (True, "test")])
def test_answers_say_what_chose_the_epoch_of_their_run(tmp_path, on_test, split):
    transfer = Transfer("more", 0, "from talk: words alone", DataConfig())
    config = make_config({"compat.select_on_test": on_test, "evaluation.primary": "macro_f1"})
    cell = Cell("talk", "x", 0, config, (transfer,))
    file = cells.transfer_file(tmp_path, transfer)
    file.parent.mkdir()
    rows = np.zeros(2, np.int32)
    tensors = {"gold": rows, "dialogues": rows, "answers": rows, "scores": np.zeros((2, 3))}
    save_file(tensors, file, metadata={"labels": '["joy", "anger", "fear"]'})
    (found,) = read_transfers(cell, tmp_path)
    assert (found.chosen_on, found.chosen_by) == (split, "macro_f1")
    row = row_of_answers([found], planned=1)
    assert (row.chosen_on, row.chosen_by) == (split, "macro_f1")


def test_answers_that_are_missing_or_damaged(tmp_path):
    transfer = Transfer("a, coarse", 5, "from talk: 5 examples a label", DataConfig())
    cell = Cell("talk", "x", 0, Config(), (transfer,))
    file = cells.transfer_file(tmp_path, transfer)
    assert file.name == "a-coarse.5.safetensors"
    with pytest.raises(UserError, match="is missing or damaged"):
        read_transfers(cell, tmp_path)
    file.parent.mkdir()
    for write in (lambda: file.write_text("{"), lambda: save_file({"gold": np.zeros(1)}, file)):
        write()
        with pytest.raises(UserError, match=r"a-coarse\.5\.safetensors is missing or damaged"):
            read_transfers(cell, tmp_path)


@pytest.mark.parametrize("fusion", ["gated", "words"])
def test_other_corpora_are_answered_with_the_features_that_the_model_reads(tmp_path, fusion):
    trained = make_featured(tmp_path / "encoder", fusion)
    trained.save_pretrained(tmp_path / cells.MODEL)
    labels = ("anger", "joy")
    turns = [
        Utterance("Ann", "the day is good", "joy", features={"voice": np.array([row], np.float32)})
        for row in (LOUD, [-3.0, -2.0, 0.5])
    ]
    test = [Dialogue("1", tuple(turns))]
    corpus = SimpleNamespace(
        taxonomy=Taxonomy(labels, labels), task="single", splits={"test": test}
    )
    asked = Transfer("other", 0, "other words", DataConfig(corpus="meld"))
    cell = Cell("own", "words", 0, Config(), (asked,))
    answer_transfers(cell, tmp_path, load=lambda _: corpus)
    scores = load_file(cells.transfer_file(tmp_path, asked))["scores"]
    right = trained.with_labels(labels)
    answers = right.predict(test[0])
    cosines = np.array([[each.cosines[label] for label in labels] for each in answers])
    assert right.settings.answering("stage_two").scores(cosines) == pytest.approx(scores, rel=1e-3)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3
