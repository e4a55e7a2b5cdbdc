"""A service of a model that reads features beside the text."""

import asyncio
from typing import Any

import pytest

from eacl_jax.serving.http.answers import ModelAnswer, NextAnswer, PredictAnswer
from eacl_jax.serving.settings import Limits
from tests.serving.test_answers import assert_answers, assert_equal
from tests.stubs.featured import FACE, LOUD, QUIET, VOICE, make_featured
from tests.stubs.service import Gated, serving

TEXT = "the day is wonderful"
MODALITIES = {"voice": VOICE, "face": FACE}
ODD: Any = [1e39, 2, 3]


@pytest.fixture(scope="module")
def featured(tmp_path_factory):
    return make_featured(tmp_path_factory.mktemp("featured"))


@pytest.fixture(scope="module")
def in_words(tmp_path_factory):
    return make_featured(tmp_path_factory.mktemp("words"), "words")


def turn_of(voice: Any = None, **more: Any) -> dict[str, Any]:
    features = {"features": {"voice": voice}} if voice is not None else {}
    return {"speaker": "Ann", "text": TEXT, **features, **more}


async def predict(client, *dialogues, **fields):
    found = [{"utterances": each} for each in dialogues]
    return await client.post("/v1/predict", json={"dialogues": found, **fields})


def test_equal_texts_of_different_features_are_never_mixed_up(featured):
    asked = [[turn_of(voice)] for voice in (LOUD, None, QUIET)]
    expected = featured.predict(asked)
    assert len({round(each[0].confidence, 4) for each in expected}) == 3

    async def ask():
        async with serving(featured) as client:
            alone = [await predict(client, each) for each in asked]
            at_once = await asyncio.gather(*(predict(client, each) for each in asked * 3))
            return [*alone, *at_once]

    answers = asyncio.run(ask())
    for answer, each in zip(answers, expected * 4, strict=True):
        body = PredictAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
        assert_answers(body.model_dump(exclude_unset=True)["dialogues"][0]["utterances"], each)
        assert "features" not in answer.json()["dialogues"][0]["utterances"][0]


@pytest.mark.parametrize("kind", ["featured", "in_words"])
def test_a_conversation_answers_as_the_whole_dialogue(request, kind):
    recognizer = request.getfixturevalue(kind)
    turns = [turn_of(LOUD), turn_of(QUIET), turn_of(), turn_of(LOUD)]
    expected = recognizer.predict(turns)

    async def ask():
        async with serving(recognizer) as client:
            at = "/v1/conversations/a/utterances"
            return [await client.post(at, json=turn) for turn in turns]

    for answer, each in zip(asyncio.run(ask()), expected, strict=True):
        body = NextAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
        assert_equal(body.model_dump(exclude_unset=True)["utterance"], each.to_json())


def test_fields_of_columns_are_features(featured):
    fields = {f"voice.{name}": number for name, number in zip(VOICE.columns, LOUD, strict=True)}
    expected = featured.predict([turn_of(LOUD)])[0].probabilities

    async def ask():
        async with serving(featured) as client:
            at = "/v1/conversations/a/utterances"
            whole = await predict(client, [turn_of(**fields)])
            turn = await client.post(at, json=turn_of(**fields))
            fields.pop("voice.pitch")
            return whole.json(), turn.json(), await predict(client, [turn_of(**fields)])

    whole, turn, part = asyncio.run(ask())
    for each in (whole["dialogues"][0]["utterances"][0], turn["utterance"]):
        assert each["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert each["voice.loudness"] == LOUD[1]
    assert not any("'voice'" in each for each in [*whole["warnings"], *turn["warnings"]])
    words = "dialogues[0].utterances[0] has columns voice.duration, voice.loudness, but no voice."
    assert part.status_code == 422
    assert part.json()["error"]["message"].startswith(words)
    assert part.json()["error"]["field"] == "dialogues[0].utterances[0]"


def test_the_model_says_what_it_reads():
    async def ask(recognizer: Any):
        async with serving(recognizer) as client:
            return (await client.get("/v1/model")).json()

    found = asyncio.run(ask(Gated(modalities=MODALITIES)))
    ModelAnswer.model_validate(found, strict=True, extra="forbid")
    columns, deaf = ["duration", "loudness", "pitch"], {"from_sound": False}
    assert found["features"] == {
        "modalities": {
            "voice": {"width": 3, "frames": 1, "columns": columns, "made_by": "test 1"} | deaf,
            "face": {"width": 2, "frames": 4, "columns": [], "made_by": ""} | deaf,
        },
        "fusion": "gated",
        "text": True,
    }
    assert found["limits"]["numbers"] == Limits().numbers
    assert "features" not in asyncio.run(ask(Gated()))


@pytest.mark.parametrize(
    ("features", "where", "words"),
    [
        ({"voice": [1, 2]}, ".voice", "there are 2 numbers, and the model reads 3: duration, loud"),
        ({"smell": [1]}, ".smell", "does not read these features; it reads voice, face"),
        ({"voice": ODD}, "", "a number is infinite"),
        ({"face": [[1, 2], [1]]}, "", "frames of equally many numbers"),
        ({"voice": []}, ".voice", "at least 1 item"),
        ({"voice": ["1", 2, 3]}, ".voice[0]", "must be a number"),
        ({"voice": [True, 2, 3]}, ".voice[0]", "must be a number, or null where"),
        ({"voice": "1, 2, 3"}, ".voice", "must be a list"),
        ({"a b": [1]}, "", "holds characters that it may not"),
        ([1, 2, 3], "", "must be an object"),
        ({"face": [[1, 2]] * 4}, "", "there are 8 numbers; the limit of an utterance is 6"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_field(features, where, words):
    async def ask():
        limits = Limits(numbers=6)
        async with serving(Gated(modalities=MODALITIES), limits=limits) as client:
            wrong = turn_of(features=features)
            return [
                await predict(client, [turn_of(), wrong]),
                await client.post("/v1/conversations/a/utterances", json=wrong),
                await client.get("/v1/conversations/a"),
            ]

    *answers, kept = asyncio.run(ask())
    for answer, field in zip(
        answers, ("dialogues[0].utterances[1].features", "features"), strict=True
    ):
        error = answer.json()["error"]
        assert answer.status_code == (413 if "limit" in words else 422)
        assert words in error["message"]
        if where:
            assert error["field"].startswith(field)
    assert kept.status_code == 404


def test_a_number_of_any_size_is_no_fault():
    async def ask(number: str):
        async with serving(Gated(modalities=MODALITIES)) as client:
            body = '{"text": "a", "features": {"voice": [0, 0, NUMBER]}}'.replace("NUMBER", number)
            headers = {"content-type": "application/json"}
            at = "/v1/conversations/a/utterances"
            return await client.post(at, content=body, headers=headers)

    for number in ("1e999", "-1e400", "9" * 400, "1e-400", "3"):
        assert asyncio.run(ask(number)).status_code == (200 if number in ("1e-400", "3") else 422)


def test_a_model_of_texts_alone_refuses_features():
    async def ask():
        async with serving(Gated()) as client:
            return await predict(client, [turn_of(LOUD)]), await predict(
                client, [turn_of(features={})]
            )

    refused, empty = asyncio.run(ask())
    assert refused.status_code == 422
    assert "it reads texts alone. Leave them out" in refused.json()["error"]["message"]
    assert (empty.status_code, empty.json()["warnings"]) == (200, [])


def test_html_in_texts_is_counted():
    async def ask():
        async with serving(Gated(modalities=MODALITIES)) as client:
            marked = {**turn_of(LOUD), "text": "<p>It&#39;s late</p>"}
            turn = await client.post("/v1/conversations/a/utterances", json=marked)
            return [each.json()["warnings"] for each in (await predict(client, [marked]), turn)]

    for *_, words in asyncio.run(ask()):
        assert words.startswith("1 text holds HTML, such as '<p>', which is read as words")


def test_notes_of_a_chat_program_are_counted():
    async def ask():
        async with serving(Gated(modalities=MODALITIES)) as client:
            note = {**turn_of(LOUD), "text": "<Media omitted>"}
            turn = await client.post("/v1/conversations/a/utterances", json=note)
            return [each.json()["warnings"] for each in (await predict(client, [note]), turn)]

    for *_, words in asyncio.run(ask()):
        assert words.startswith("1 text is what a chat program notes, such as '<Media omitted>'")


def test_texts_in_another_language_are_counted():
    async def ask():
        async with serving(Gated(modalities=MODALITIES)) as client:
            strange = {**turn_of(LOUD), "text": "großer Spaß"}
            url = "/v1/conversations/a/utterances"
            turns = [await client.post(url, json=strange) for _ in range(3)]
            asked = await predict(client, [strange] * 3)
            return [each.json()["warnings"] for each in (asked, *turns)]

    (*_, words), *turns = asyncio.run(ask())
    assert [words in warnings for warnings in turns] == [False, False, True]
    assert words.startswith("3 of 3 texts, short ones taken together, may be in another language")


def test_features_unlike_those_of_training_are_warned_of(featured):
    far = [turn_of([number / 10, 40, 1 - number / 10]) for number in range(12)]
    usual = [turn_of([number / 10, 0.4, 1 - number / 10]) for number in range(12)]

    async def ask():
        async with serving(featured) as client:
            whole = [(await predict(client, each)).json() for each in (far, usual)]
            for each in far:
                turn = (await client.post("/v1/conversations/a/utterances", json=each)).json()
            return [*whole, turn]

    found = [
        [each for each in answer["warnings"] if "far from" in each] for answer in asyncio.run(ask())
    ]
    assert [len(each) for each in found] == [1, 0, 1]
    assert "(loudness: their means" in found[0][0]
    assert found[2] == found[0]


def test_answers_without_features_are_counted():
    async def ask(recognizer: Any):
        async with serving(recognizer) as client:
            one = await predict(client, [turn_of(LOUD), turn_of()])
            turn = turn_of(LOUD, features={"face": [[1, 2]], "voice": LOUD})
            other = await client.post("/v1/conversations/a/utterances", json=turn)
            return one.json()["warnings"], other.json()["warnings"]

    missing = [
        "1 of 2 utterances came without features 'voice': answered without them.",
        "2 of 2 utterances came without features 'face': answered without them.",
    ]
    assert asyncio.run(ask(Gated(modalities=MODALITIES))) == (missing, [])
    words = "1 of 2 utterances came without any features, and the model reads no text: such"
    found, none = asyncio.run(ask(Gated(modalities=MODALITIES, reads_text=False)))
    assert found[2].startswith(words)
    assert none == []


def test_other_labels_read_the_same_features(featured):
    mine = {"delight": "joy", "rage": "anger"}
    expected = featured.with_labels(mine).predict([turn_of(LOUD), turn_of(QUIET)])

    async def ask():
        async with serving(featured) as client:
            dialogues = [{"utterances": [turn_of(LOUD), turn_of(QUIET)]}]
            return await client.post("/v1/predict", json={"dialogues": dialogues, "labels": mine})

    assert_answers(asyncio.run(ask()).json()["dialogues"][0]["utterances"], expected)


@pytest.mark.parametrize("on_long", ["refuse", "pool"])
def test_where_no_text_is_read_neither_texts_nor_names_are_too_long(tmp_path, on_long):
    textless = make_featured(tmp_path, text=False)
    turns = [turn_of(LOUD, text="hello " * 200), turn_of(QUIET, speaker="a" + "/:" * 49)]

    async def ask():
        async with serving(textless, batch=8) as client:
            whole = await predict(client, turns, on_long=on_long)
            at = "/v1/conversations/c/utterances"
            talk = [await client.post(at, json={**turn, "on_long": on_long}) for turn in turns]
            return whole.json(), [each.json()["utterance"] for each in talk]

    whole, talk = asyncio.run(ask())
    expected = [each.probabilities for each in textless.predict([turn_of(LOUD), turn_of(QUIET)])]
    for found in (whole["dialogues"][0]["utterances"], talk):
        assert [each["probabilities"] for each in found] == [
            pytest.approx(each, abs=1e-5) for each in expected
        ]
        assert not any(each["truncated"] for each in found)
