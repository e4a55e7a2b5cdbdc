"""A model that reads later utterances too: whole dialogues, and conversations that it answers late."""

import dataclasses
import json

import pytest

from eacl_jax.errors import UserError
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.recognizer.test_recognizer import CHAT, close
from tests.stubs.toys import make_recognizer

LINES = CHAT.splitlines()


@pytest.fixture(scope="module")
def past_only(tmp_path_factory):
    return make_recognizer(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def recognizer(past_only):
    prompt = dataclasses.replace(past_only.settings.prompt, max_future=2, max_past=2)
    return EmotionRecognizer(
        dataclasses.replace(past_only.settings, prompt=prompt),
        past_only.graphdef,
        past_only.params,
        tokenizer=past_only.tokenizer,
        encoder_config=past_only.encoder_config,
        anchors=past_only.anchors,
        label_encoder=past_only._label_encoder,
    )


def test_what_comes_later_counts(recognizer, past_only):
    offline = recognizer.predict(CHAT)
    assert offline[0].cosines != past_only.predict(CHAT)[0].cosines
    assert offline[0].cosines != recognizer.predict("\n".join(LINES[:2]))[0].cosines
    close(offline[0], recognizer.predict("\n".join(LINES[:3]))[0])
    assert "2 past and 2 later utterances" in repr(recognizer)


def test_a_conversation_is_answered_late_as_the_whole_dialogue_is(recognizer):
    talk = recognizer.conversation()
    answers = [talk.add(line) for line in LINES]
    assert answers[:2] == [None, None]
    found = [*answers[2:], *talk.finish()]
    for one, other in zip(found, recognizer.predict(CHAT), strict=True):
        close(one, other)
    assert len(talk) == len(LINES)
    assert talk.finish() == []
    # It goes on with all of that as its past.
    assert [talk.add(line) for line in LINES[:2]] == [None, None]
    close(talk.add(LINES[2]), recognizer.predict("\n".join(LINES + LINES[:3]))[len(LINES)])


def test_what_is_refused_leaves_the_conversation_as_it_was(recognizer):
    talk = recognizer.conversation()
    talk.add(LINES[0])
    long = "Ann: " + "day " * 300
    talk.add(long)
    with pytest.raises(UserError, match="its text has"):
        talk.finish(on_long="refuse")
    found = talk.finish()
    for one, other in zip(found, recognizer.predict(f"{LINES[0]}\n{long}"), strict=True):
        close(one, other)


def test_it_is_kept_in_the_models_folder_and_its_card(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    for one, other in zip(again.predict(CHAT), recognizer.predict(CHAT), strict=True):
        close(one, other)
    assert "and up to 2 after it" in " ".join(
        (tmp_path / "model" / "README.md").read_text().split()
    )
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    assert settings["prompt"]["max_future"] == 2
