"""A service of a model of several labels an utterance."""

import asyncio
from typing import Any

import jsonschema_rs
import pytest

from eacl_jax.serving.http.answers import ModelAnswer, NextAnswer, PredictAnswer
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import ServiceSettings
from tests.serving.test_answers import assert_answers, assert_equal
from tests.stubs.service import Gated, dialogue, predict, serving
from tests.stubs.several import TEXTS

OWN = {"delight": "joy", "rage": "anger"}


def test_answers_are_the_librarys_with_thresholds(several):
    asked = [dialogue(text) for text in TEXTS]
    relabelled = several.with_labels(OWN)

    async def ask():
        async with serving(several) as client:
            first = await predict(client, *asked)
            mine = await predict(client, *asked, labels=OWN)
            again = await predict(client, *first.json()["dialogues"])
            return first, mine, again

    first, mine, again = asyncio.run(ask())
    for answer, recognizer in ((first, several), (mine, relabelled)):
        body = PredictAnswer.model_validate_json(
            answer.content, strict=True, extra="forbid"
        ).model_dump(exclude_unset=True)
        expected = recognizer.predict(asked)
        for found, each in zip(body["dialogues"], expected, strict=True):
            assert_answers(found["utterances"], each)
        assert body["labels"] == list(recognizer.labels)
        thresholds = recognizer.settings.decisions["stage_two"].thresholds
        assert tuple(body["thresholds"].values()) == thresholds
        assert list(body["thresholds"]) == body["labels"]
        assert {len(each[0].emotions) for each in expected} >= {0, 1}
    assert again.json() == first.json()


def test_a_conversation_goes_on_with_several_labels(several):
    expected = several.with_labels(OWN).predict([("Ann", text) for text in TEXTS])

    async def ask():
        async with serving(several) as client:
            at = "/v1/conversations/a/utterances"
            turns = [{"speaker": "Ann", "text": text} for text in TEXTS]
            turns[0] |= {"labels": OWN, "emotions": ["joy"], "annotations": [["joy"], []]}
            return [await client.post(at, json=turn) for turn in turns]

    for answer, each in zip(asyncio.run(ask()), expected, strict=True):
        body = NextAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
        assert_equal(body.model_dump(exclude_unset=True)["utterance"], each.to_json())
        assert set(body.thresholds.values()) == {0.68}


def test_the_model_says_so(several):
    async def ask(recognizer: Any):
        async with serving(recognizer) as client:
            return (await client.get("/v1/model")).json()

    found = asyncio.run(ask(several))
    ModelAnswer.model_validate(found, strict=True, extra="forbid")
    assert found["task"] == "multi"
    assert found["thresholds"] == dict(
        zip(several.labels, several.settings.decisions["stage_two"].thresholds, strict=True)
    )
    one = asyncio.run(ask(Gated()))
    assert one["task"] == "single"
    assert "thresholds" not in one


@pytest.mark.parametrize(
    ("recognizer", "fields", "words"),
    [
        (Gated(several=True), ["text", "emotion"], "fields[1]: 'emotion' is of a model of one"),
        (Gated(several=True), ["confidence"], "fields[0]: 'confidence' is of a model of one"),
        (Gated(), ["emotions"], "fields[0]: 'emotions' is of a model of several"),
    ],
)
def test_fields_of_the_other_kind_are_refused(recognizer, fields, words):
    async def ask():
        async with serving(recognizer) as client:
            turn = {"text": "a", "fields": fields}
            return [
                await predict(client, dialogue("a"), fields=fields),
                await client.post("/v1/conversations/a/utterances", json=turn),
            ]

    for answer in asyncio.run(ask()):
        error = answer.json()["error"]
        assert (answer.status_code, error["field"]) == (422, words.partition(":")[0])
        assert error["message"].startswith(words)


def test_chosen_fields_and_what_is_counted():
    async def ask():
        async with serving(Gated(several=True)) as client:
            lean = await predict(client, dialogue("a", "bb", "c"), fields=["text", "emotions"])
            metrics = (await client.get("/metrics")).text
            return lean.json()["dialogues"][0]["utterances"], metrics

    found, metrics = asyncio.run(ask())
    # A text's length and that of its past, two utterances, decide.
    assert found == [
        {"text": "a", "emotions": []},
        {"text": "bb", "emotions": []},
        {"text": "c", "emotions": ["even", "odd"]},
    ]
    assert "eacl_unlabelled_utterances_total 2.0" in metrics
    assert "eacl_utterances_total 3.0" in metrics


def test_the_description_holds_for_answers_of_both_kinds_and_for_no_mixture(several, tiny):
    recognizer: Any = Gated()
    description = create_app(recognizer, ServiceSettings(compile_ahead=False)).openapi()
    schema = {"$ref": "#/components/schemas/PredictAnswer", **description}
    described = jsonschema_rs.validator_for(schema)

    def answer(utterance: dict[str, Any]) -> dict[str, Any]:
        rest = {"labels": [], "words": {}, "warnings": []}
        return {**rest, "dialogues": [{"id": "1", "utterances": [utterance]}]}

    for each in (tiny, several):
        described.validate(answer(each.predict("Ann: hi")[0].to_json()))
    for lean in ({"emotions": []}, {"emotion": "joy", "note": 1}, {"text": "hi"}):
        described.validate(answer(lean))
    for wrong in (
        {"emotion": "joy", "emotions": ["joy"]},
        {"confidence": 0.5, "emotions": []},
        {"emotions": "joy"},
    ):
        with pytest.raises(jsonschema_rs.ValidationError):
            described.validate(answer(wrong))
