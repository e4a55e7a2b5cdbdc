"""Over HTTP come the answers of the library, whoever asks for what at the same time."""

import asyncio
from typing import Any

import numpy as np
import pytest
from service_stub import predict, serving

from eacl_jax.serving.schemas import PredictAnswer, SaidAnswer

TEXTS = ["hello there", "the day is wonderful", "rude", "good day " * 5, "it is monday", "a table s", "lovely end", ""]
SPEAKERS = ["Ann", "Bob", "Cleo"]


def talk(count: int, seed: int, **fields: Any) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "utterances": [{"speaker": str(draw.choice(SPEAKERS)), "text": str(draw.choice(TEXTS))} for _ in range(count)],
        **fields,
    }


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            assert list(found[name]) == list(value)
            np.testing.assert_allclose(list(found[name].values()), list(value.values()), atol=1e-5)
        elif isinstance(value, float):
            assert found[name] == pytest.approx(value, abs=1e-5)
        else:
            assert found[name] == value


def assert_answers(found: list[dict[str, Any]], expected: Any) -> None:
    for one, other in zip(found, expected.to_json()["utterances"], strict=True):
        assert_equal(one, other)


def test_many_callers_at_once_each_get_the_librarys_answers(tiny):
    requests = [[talk(1 + seed % 7, seed), talk(30 if seed == 3 else 2, 100 + seed)] for seed in range(12)]
    expected = [tiny.predict(asked) for asked in requests]

    async def ask():
        async with serving(tiny, batch=8) as client:
            return await asyncio.gather(*(predict(client, *asked) for asked in requests))

    for answer, dialogues in zip(asyncio.run(ask()), expected, strict=True):
        body = PredictAnswer.model_validate_json(answer.content, strict=True, extra="forbid").model_dump()
        assert body["labels"] == list(tiny.labels)
        assert [found["id"] for found in body["dialogues"]] == ["1", "2"]
        for found, dialogue in zip(body["dialogues"], dialogues, strict=True):
            assert_answers(found["utterances"], dialogue)


def test_own_labels_share_batches_with_others(tiny):
    asked = talk(6, 0, id="mine")
    labels = {"gratitude": "lovely", "complaint": "rude"}
    others = {"good": "wonderful", "bad": "awful", "neither": "table"}
    sets = [{}, labels, others, labels]
    expected = [(tiny.with_labels(each) if each else tiny).predict(asked) for each in sets]

    async def ask():
        # One set of labels is kept, so that each of them pushes out another.
        async with serving(tiny, batch=32, label_sets=1) as client:
            return await asyncio.gather(*(predict(client, asked, **({"labels": each} if each else {})) for each in sets))

    for answer, each, dialogue in zip(asyncio.run(ask()), sets, expected, strict=True):
        assert answer.json()["labels"] == list(each or tiny.labels)
        assert answer.json()["dialogues"][0]["id"] == "mine"
        assert_answers(answer.json()["dialogues"][0]["utterances"], dialogue)


def test_a_transcript_is_read_like_a_text(tiny):
    text = "Ann: hello there\n\nBob: it is 12:30\nno name here\r\n"
    expected = tiny.predict(text)

    async def ask():
        async with serving(tiny) as client:
            return await predict(client, {"transcript": text})

    found = asyncio.run(ask()).json()["dialogues"][0]["utterances"]
    assert [each["speaker"] for each in found] == ["Ann", "Bob", "Speaker"]
    assert_answers(found, expected)


def test_conversations_side_by_side_equal_whole_dialogues(tiny):
    talks = {f"talk-{seed}": talk(9, seed) for seed in range(3)}

    async def say(client, identity, utterance):
        return await client.post(f"/v1/conversations/{identity}/utterances", json=utterance)

    async def ask():
        async with serving(tiny) as client:
            # All at once: the answers to a conversation come in the order in which its utterances were sent.
            asked = [(name, said) for turn in range(9) for name in talks for said in [talks[name]["utterances"][turn]]]
            answers = await asyncio.gather(*(say(client, *each) for each in asked))
            looked = await client.get("/v1/conversations/talk-1")
            return asked, answers, looked

    asked, answers, looked = asyncio.run(ask())
    assert looked.json() == {"conversation": "talk-1", "utterances": 9}
    for name, dialogue in talks.items():
        found = [
            SaidAnswer.model_validate_json(answer.content, strict=True, extra="forbid").model_dump()
            for (other, _), answer in zip(asked, answers, strict=True)
            if other == name
        ]
        assert [each["index"] for each in found] == list(range(9))
        assert {each["conversation"] for each in found} == {name}
        assert_answers([each["utterance"] for each in found], tiny.predict(dialogue))
