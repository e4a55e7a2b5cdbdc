"""What a model has learnt from, and where it is reported."""

import dataclasses
import pickle
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from eacl_jax import corpora
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.recognizer.learnt import Known, Learnt
from eacl_jax.recognizer.locate import LEARNT
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training.run_folder import read_config
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    return make_recognizer(tmp_path_factory.mktemp("encoder"))


def dialogue(*texts: str, annotated: int = 9) -> Dialogue:
    """A dialogue of these texts, of which the first so many are annotated."""
    return Dialogue(
        "1",
        tuple(
            Utterance("Ann", text, "joy" if number < annotated else None)
            for number, text in enumerate(texts)
        ),
    )


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        (dialogue("Hi", "How are you?", "Fine"), Known(3, 0, 3)),
        (dialogue(" HI", "how  are you?", "Fine", "And you?"), Known(3, 0, 4)),
        (dialogue("It’s me", "Oh"), Known(2, 0, 2)),
        (dialogue("Hi", "How are you?"), Known(2, 0, 2)),
        (dialogue("Hi", "What now?"), Known(0, 0, 2)),  # many begin so
        (dialogue("Hi", "What now?", annotated=1), Known(1, 0, 1)),
        (dialogue("Hi"), Known(1, 0, 1)),
        (dialogue("Hello", "How are you?", "Fine"), Known(0, 0, 3)),  # another past
        (dialogue("Bye", "See you"), Known(0, 2, 2)),
        (dialogue("So", "it goes", "on"), Known(0, 0, 3)),  # of which no label was seen
        (dialogue("Hi", "How are you?", "Fine", annotated=0), Known(0, 0, 0)),
    ],
)
def test_an_utterance_is_known_with_its_past(asked: Dialogue, known: Known, tmp_path) -> None:
    learnt = Learnt().and_("trained", [dialogue("Hi", "How are you?", "Fine")])
    learnt = learnt.and_("trained", [dialogue("It's me", "Oh")])
    learnt = learnt.and_("chosen", [dialogue("Bye", "See you"), dialogue("Hi", "How are you?")])
    learnt = learnt.and_("trained", [dialogue("So", "it goes", "on", annotated=0)])
    assert learnt.known([asked]) == known
    dataclasses.replace(learnt, whole=True).write(tmp_path)
    read = Learnt.read(tmp_path)
    assert (learnt.whole, read.whole) == (False, True)
    assert read.known([asked, asked]) == Known(*(2 * n for n in known))


def test_a_damaged_file_is_refused(tmp_path) -> None:
    assert Learnt.read(tmp_path).known([dialogue("Hi")]) == (0, 0, 1)
    row = np.zeros(3, np.uint64)
    for tensors in (
        {"whole": None},
        {"more": row},
        {"chosen": row.astype(np.float32)},
        {"chosen": row[None]},
        {"whole": row},
    ):
        right = {"trained": row, "adapted": row, "chosen": row, "whole": row[:1]}
        made = {name: each for name, each in (right | tensors).items() if each is not None}
        save_file(made, tmp_path / LEARNT)
        with pytest.raises(UserError, match=rf"{LEARNT} is damaged .* or delete the file"):
            Learnt.read(tmp_path)
    (tmp_path / LEARNT).write_bytes(b"{}")
    with pytest.raises(UserError, match=rf"{LEARNT} is damaged"):
        Learnt.read(tmp_path)


def test_what_is_adapted_and_calibrated_is_added(tmp_path, recognizer, caplog) -> None:
    """Held-out scores of what was adapted to before are not of what was never seen."""
    relabelled = recognizer.with_labels({"up": "good", "down": "end"})
    chats = [
        {"utterances": [{"speaker": "Ann", "text": text, "emotion": label}] * times}
        for text, label, times in (("wonderful", "up", 2), ("the end", "down", 2))
    ]
    dialogues = [
        Dialogue("", tuple(Utterance(**each) for each in chat["utterances"])) for chat in chats
    ]
    assert relabelled.learnt.known(dialogues) == (0, 0, 4)
    adapted = relabelled.adapt(chats[0])
    assert adapted.learnt.known(dialogues) == (2, 0, 4)
    assert "has learnt from" not in caplog.text
    adapted.adapt(chats)
    assert (
        "2 of 4 annotated utterances are, with all utterances before them, among those that the"
        " model has learnt from: held-out scores say how well it remembers these"
    ) in caplog.text
    caplog.clear()
    calibrated = relabelled.calibrate(chats[0])
    assert (calibrated.learnt.known(dialogues), caplog.text) == ((0, 2, 4), "")
    calibrated.calibrate(chats)
    assert "2 of 4 annotated utterances are, with all that is said" in caplog.text
    assert "that probabilities were fitted to before" in caplog.text
    adapted.calibrate(chats[0])
    assert "too sure of what it has never seen" in caplog.text
    # Anchors that were not moved have learnt nothing of it.
    assert adapted.learnt.known(dialogues, "stage_one") == (0, 0, 4)
    again = adapted.with_labels(["joy", "anger"])
    assert again.learnt.known(dialogues) == (0, 0, 4)
    adapted.save_pretrained(tmp_path / "adapted")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "adapted")
    assert loaded.learnt.known(dialogues) == (2, 0, 4)
    assert pickle.loads(pickle.dumps(loaded.adapt(chats[1]))).learnt.known(dialogues) == (4, 0, 4)


def test_a_model_that_was_adapted_to_nobody_knows_what_says_so(recognizer, caplog) -> None:
    relabelled = recognizer.with_labels({"up": "good", "down": "end"})
    chat = {"utterances": [{"speaker": "Ann", "text": "wonderful", "emotion": "up"}]}
    for changes, warned in (((), False), (("It was adapted to 3 annotated utterances.",), True)):
        relabelled.facts = types.SimpleNamespace(
            changes=changes, pieces=None, adapted=lambda *_: None
        )
        relabelled.adapt(chat)
        assert ("was adapted before, and does not say to what" in caplog.text) is warned


def test_a_runs_model_knows_its_corpus(finished) -> None:
    recognizer = EmotionRecognizer.from_pretrained(finished)
    assert recognizer.facts.pieces == 1  # the tokenizer has all its words
    learnt = recognizer.learnt
    corpus = corpora.load(read_config(finished).data)
    train, dev, test = (learnt.known(corpus.splits[name]) for name in ("train", "dev", "test"))
    assert train == (train.of, 0, train.of)
    # Its few texts make some dialogues of two splits alike.
    assert dev.trained < dev.of / 2
    assert dev.trained + dev.chosen == dev.of
    assert test.trained + test.chosen < test.of / 2
