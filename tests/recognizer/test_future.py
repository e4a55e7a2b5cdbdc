"""A model that reads later utterances too: whole dialogues, and conversations that it answers late."""

import asyncio
import dataclasses
import json

import pytest

from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.serving.engine.service import Service
from eacl_jax.serving.settings import ServiceSettings
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
        past_only.runtime,
        tokenizer=past_only.tokenizer,
        encoder_config=past_only.encoder_config,
        anchors=past_only.anchors,
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
    long = "day " * 300
    for speaker, how, reason in (
        ("Ann", "refuse", "its text has"),
        ("day " * 300, "cut", "the speaker's name .* leaves no room"),
        ("Ann", "Pool", "on_long must be one of cut, refuse, pool, got 'Pool'"),
    ):
        with pytest.raises(UserError, match=reason):
            talk.add(speaker, long, on_long=how)
    assert len(talk) == 1
    talk.add("Ann", long)
    found = talk.finish()
    for one, other in zip(found, recognizer.predict(f"{LINES[0]}\nAnn: {long}"), strict=True):
        close(one, other)


def test_each_utterance_is_read_as_was_asked_with_it(recognizer):
    long = [("Ann", f"{word} " * 300) for word in ("day", "lovely", "day")]
    talk = recognizer.conversation()
    answers = [
        talk.add(each, on_long=how) for each, how in zip(long, ("pool", "cut", "pool"), strict=True)
    ]
    answers = [*answers[2:], *talk.finish()]
    cut, pooled = (recognizer.predict(long, on_long=how) for how in ("cut", "pool"))
    assert cut[0].cosines != pooled[0].cosines
    for one, other in zip(answers, (pooled[0], cut[1], pooled[2]), strict=True):
        close(one, other)


def test_an_utterance_cannot_go_past_those_that_wait(recognizer):
    talk = recognizer.conversation()
    talk.add(LINES[0])
    utterance = Utterance("Ann", "hello")
    answer = recognizer.answer_alone(Dialogue("d", (utterance,)), 0)
    for go_on in (lambda turn: talk.append(turn, answer), talk.ahead):
        with pytest.raises(UserError, match="reads 2 later utterances too"):
            go_on(utterance)
    assert len(talk) == 1
    close(talk.finish()[0], recognizer.predict(LINES[0])[0])


def asked_of_a_service(recognizer, on_long, *, fails=False):
    """The chat's answers, in pieces of one utterance; with `fails` of all, which a first try cannot
    answer together.
    """

    async def ask():
        service = Service(
            recognizer, ServiceSettings(compile_ahead=False, batch=64 if fails else 4)
        )
        await service.start()
        predict, sizes = service._batcher._predict, []

        def first_fails(work):
            sizes.append([len(piece.utterances) for piece, _ in work])
            if fails and len(sizes) == 1:
                raise MemoryError
            return predict(work)

        service._batcher._predict = first_fails
        ((answers,), _, _) = await service.predict(read_dialogues(CHAT)[0], {}, on_long)
        await service.close()
        assert sizes[0] == ([len(LINES)] if fails else [1] * len(sizes[0]))
        assert max(map(max, sizes[1:])) == 1
        return answers

    return asyncio.run(ask())


@pytest.mark.parametrize("on_long", ["cut", "refuse", "pool"])
def test_a_service_reads_what_comes_later_in_other_pieces(recognizer, on_long):
    for one, other in zip(
        asked_of_a_service(recognizer, on_long), recognizer.predict(CHAT), strict=True
    ):
        close(one, other)


def test_a_service_reads_what_comes_later_where_a_piece_is_divided(recognizer):
    for one, other in zip(
        asked_of_a_service(recognizer, "cut", fails=True), recognizer.predict(CHAT), strict=True
    ):
        close(one, other)


@pytest.mark.slow
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
