"""Over HTTP come the answers of the library, whoever asks for what at the same time."""

import asyncio
from typing import Any

import numpy as np
import pytest

from eacl_jax.recognizer.prediction import ALONE
from eacl_jax.serving.http.answers import NextAnswer, PredictAnswer
from tests.stubs.recognizers import recognizer
from tests.stubs.service import LONG, Gated, predict, serving

TEXTS = [
    "hello there",
    "the day is wonderful",
    "rude",
    "good day " * 5,
    "it is monday",
    "a table s",
    "lovely end",
    "",
]
SPEAKERS = ["Ann", "Bob", "Cleo"]


def talk(count: int, seed: int, **fields: Any) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "utterances": [
            {"speaker": str(draw.choice(SPEAKERS)), "text": str(draw.choice(TEXTS))}
            for _ in range(count)
        ],
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
    requests = [
        [talk(1 + seed % 7, seed), talk(30 if seed == 3 else 2, 100 + seed)] for seed in range(12)
    ]
    expected = [tiny.predict(asked) for asked in requests]

    async def ask():
        async with serving(tiny, batch=8) as client:
            return await asyncio.gather(*(predict(client, *asked) for asked in requests))

    for answer, dialogues in zip(asyncio.run(ask()), expected, strict=True):
        body = PredictAnswer.model_validate_json(
            answer.content, strict=True, extra="forbid"
        ).model_dump(exclude_unset=True)
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
            return await asyncio.gather(
                *(predict(client, asked, **({"labels": each} if each else {})) for each in sets)
            )

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
            # All at once: the answers to a conversation come in the order in which its utterances
            # were sent.
            asked = [
                (name, utterance)
                for turn in range(9)
                for name in talks
                for utterance in [talks[name]["utterances"][turn]]
            ]
            answers = await asyncio.gather(*(say(client, *each) for each in asked))
            looked = await client.get("/v1/conversations/talk-1")
            return asked, answers, looked

    asked, answers, looked = asyncio.run(ask())
    assert looked.json() == {"conversation": "talk-1", "utterances": 9, "labels": list(tiny.labels)}
    for name, dialogue in talks.items():
        found = [
            NextAnswer.model_validate_json(answer.content, strict=True, extra="forbid").model_dump(
                exclude_unset=True
            )
            for (other, _), answer in zip(asked, answers, strict=True)
            if other == name
        ]
        assert [each["index"] for each in found] == list(range(9))
        assert {each["conversation"] for each in found} == {name}
        assert_answers([each["utterance"] for each in found], tiny.predict(dialogue))


FORMS = [
    {
        "id": 17,
        "transcript": "Ann: hello there\rBob: it\u2028is\x0cmonday\r\nno name here",
        "topic": "x",
    },
    {
        "utterances": [
            "Ann: hello there",
            ["Bob", "rude"],
            {"text": "good day", "time": 3, "gold": ["joy"]},
        ]
    },
    {"id": "b", "utterances": [{"speaker": 7, "text": "lovely", "emotion": "joy"}]},
]


def test_the_forms_of_a_dialogue_mean_what_they_mean_to_the_library(tiny):
    expected = tiny.predict(FORMS)

    async def ask():
        async with serving(tiny) as client:
            first = await predict(client, *FORMS)
            return first, await predict(client, *first.json()["dialogues"])

    first, again = asyncio.run(ask())
    found = first.json()["dialogues"]
    assert [each["id"] for each in found] == ["17", "2", "b"]
    assert found[0]["topic"] == "x"
    assert [each["text"] for each in found[0]["utterances"]] == [
        "hello there",
        "it\u2028is\x0cmonday",
        "no name here",
    ]
    assert [each["speaker"] for each in found[1]["utterances"]] == ["Ann", "Bob", "Speaker"]
    assert found[1]["utterances"][2].items() >= {"time": 3, "gold": ["joy"]}.items()
    for one, other in zip(found, expected, strict=True):
        assert_answers(one["utterances"], other)
    body = first.json()
    # Answers may be asked again; they name a speaker, whoever it is.
    assert body["warnings"].pop(0).startswith("2 utterances name no speaker")
    assert again.json() == body


@pytest.mark.parametrize(
    "given", [["good=lovely", "bad: rude"], "good: lovely, bad=rude", "good=lovely\rbad: rude\n"]
)
def test_own_labels_are_read_like_the_librarys(tiny, given):
    async def ask():
        async with serving(tiny) as client:
            return (await predict(client, talk(3, 0), labels=given)).json()

    found = asyncio.run(ask())
    assert (found["labels"], found["words"]) == (["good", "bad"], {"good": "lovely", "bad": "rude"})
    assert_answers(found["dialogues"][0]["utterances"], tiny.with_labels(given).predict(talk(3, 0)))


@pytest.mark.slow
def test_labels_of_requests_own_need_a_model_whose_anchors_are_words():
    """It is compiled ahead and answers all the same; who asks for labels learns why not."""
    original = recognizer(anchor_encoding="none")
    expected = original.predict(talk(3, 0))

    async def ask():
        async with serving(original, compile_ahead=True) as client:
            async with asyncio.timeout(60):
                while (found := await predict(client, talk(3, 0))).status_code == 503:
                    await asyncio.sleep(0.05)
            labels = {"good": "lovely", "bad": "rude"}
            turn = {"text": "hi", "labels": labels}
            return found, [
                await predict(client, talk(3, 0), labels=labels),
                await client.post("/v1/conversations/a/utterances", json=turn),
            ]

    found, refused = asyncio.run(ask())
    assert_answers(found.json()["dialogues"][0]["utterances"], expected)
    for each in refused:
        assert each.status_code == 422
        error = each.json()["error"]
        assert error["field"] == "labels"
        assert "this recognizer's anchors were not made of words" in error["message"]


def test_long_texts_are_cut_or_pooled_and_say_so_or_refused(tiny):
    long = {
        "utterances": [
            {"speaker": "Ann", "text": "rude day " * 90},
            {"speaker": "Bob", "text": "zut alors"},
        ]
    }
    expected = {how: tiny.predict(long, on_long=how) for how in ("cut", "pool")}

    async def ask():
        async with serving(tiny) as client:
            asked = [
                predict(client, long, on_long=how)
                for how in ("cut", "pool", "refuse", "pool", "cut")
            ]
            replies = [
                await client.post("/v1/conversations/a/utterances", json=each)
                for each in long["utterances"]
            ]
            # What is past was not refused, and is no reason to refuse the next one.
            more = await client.post("/v1/conversations/a/utterances", json=["Cleo", "hi"])
            now = {"speaker": "Cleo", "text": "hi", "on_long": "refuse"}
            return (
                await asyncio.gather(*asked),
                replies,
                more,
                await client.post("/v1/conversations/a/utterances", json=now),
            )

    answers, replies, more, now = asyncio.run(ask())
    for how, answer in zip(("cut", "pool", "refuse", "pool", "cut"), answers, strict=True):
        if how == "refuse":
            assert answer.json()["error"]["field"] == "dialogues[0].utterances[0].text"
        else:
            found = answer.json()["dialogues"][0]["utterances"]
            assert [(each["truncated"], each["unknown_text"]) for each in found] == [
                (True, False),
                (False, True),
            ]
            assert_answers(found, expected[how])
    assert expected["cut"][0].cosines != expected["pool"][0].cosines
    assert replies[0].json()["utterance"]["truncated"]
    assert (more.status_code, now.status_code) == (422, 200)


CUT = ' longer than the model reads, answered by the end alone ("truncated": true).'
UNKNOWN = (
    " mostly of what the model does not know, such as another script, or empty: such answers say"
    ' nothing ("unknown_text": true).'
)


@pytest.mark.parametrize("fields", [{}, {"fields": ["emotion"]}])
def test_texts_that_were_cut_or_are_not_known_are_counted_whatever_is_asked_for(fields):
    long = "x" * (LONG + 1)

    async def ask():
        async with serving(Gated()) as client:
            asked = [["Ann", "hi"], ["Ann", long], ["Ann", "?"], ["Ann", long]]
            whole = await predict(client, {"utterances": asked}, **fields)
            pooled = await predict(client, {"utterances": asked[:2]}, on_long="pool", **fields)
            at = "/v1/conversations/a/utterances"
            replies = [
                await client.post(at, json={"text": text, **fields}) for text in ("hi", long, "?")
            ]
            return [answer.json()["warnings"] for answer in (whole, pooled, *replies)]

    assert asyncio.run(ask()) == [
        [f"2 texts{CUT}", f"1 text{UNKNOWN}"],
        [f"1 text{CUT}".replace("the end alone", "the mean of the parts")],
        [],
        [f"1 text{CUT}"],
        [f"1 text{UNKNOWN}"],
    ]


def test_answers_without_the_utterances_around_are_counted(tiny):
    turns = [{"speaker": "Ann", "text": "rude"}, {"speaker": "Bob", "text": "rude day " * 90}]

    async def ask():
        async with serving(tiny) as client:
            replies = [await client.post("/v1/conversations/a/utterances", json=t) for t in turns]
            return [await predict(client, {"utterances": turns}), *replies]

    warnings = [answer.json()["warnings"] for answer in asyncio.run(ask())]
    doubted = [f"1 text{CUT}", f"1 {ALONE}"]
    assert warnings == [doubted, [], doubted]


def test_what_is_amiss_with_dialogues_reaches_the_caller():
    falling = [{"speaker": "Ann", "text": f"it was {n}", "stamp": n} for n in (9, 7, 4, 1)]
    twice = [
        {"speaker": "Ann", "text": "we won the match", "annotator": "a"},
        {"speaker": "Ann", "text": "and then we came home again", "annotator": "a"},
        {"speaker": "Ann", "text": "and then we came home again", "annotator": "b"},
    ]
    chat = (
        "[12/1/24, 10:02:11] Ann: hi\n[12/1/24, 10:02:13] Ben: <Media omitted>\n"
        "[12/1/24, 10:03:00] Ann: hello?"
    )

    async def ask():
        async with serving(Gated()) as client:
            one = await predict(client, {"utterances": falling})
            asked = {"dialogues": [{"transcript": "Ann: hi"}, {"utterances": twice}]}
            asked["dialogues"].append({"transcript": chat})
            three = await client.post("/v1/predict", json=asked)
            return one.json()["warnings"] + three.json()["warnings"]

    newest, again, left_out = asyncio.run(ask())
    assert newest.startswith("'stamp' falls from each utterance to the next in 1 of 1 dialogue")
    assert again.startswith("1 dialogue has an utterance twice with two values of 'annotator'")
    assert "(first in dialogues[1]: 'and then we came home again')" in again
    assert left_out.startswith("dialogues[2].transcript: 1 message of a chat was left out")


def test_utterances_that_name_no_speaker_are_counted():
    lines = "Customer: Unacceptable.\nI waited 2 hours.\nNobody came.\nAgent: Sorry."
    own = [{"text": "I waited"}, {"speaker": None, "text": "so"}, "Nobody came.", ["Ann", "Sorry."]]
    named = [{"speaker": "Speaker", "text": "so"}, "Speaker: so", "Ann: hi"]

    async def ask():
        async with serving(Gated()) as client:
            asked = [
                [{"transcript": lines}],
                [{"utterances": own}, {"transcript": "so it is\nAnn: hi"}],
                [{"utterances": named}, {"transcript": "Speaker: so\nAnn: hi"}],
                # Whoever says it.
                [{"transcript": "it was late"}, {"utterances": [{"text": "it was late"}]}],
            ]
            answers = [await client.post("/v1/predict", json={"dialogues": d}) for d in asked]
            return [answer.json()["warnings"] for answer in answers]

    found = asyncio.run(ask())
    assert found == [
        ["2 utterances name no speaker; they count as one speaker's, 'Speaker'."],
        ["4 utterances name no speaker; they count as one speaker's, 'Speaker'."],
        [],
        [],
    ]


def test_a_conversation_keeps_its_own_labels(tiny):
    texts, labels = ["hello there", "rude", "lovely end"], {"good": "lovely", "bad": "rude"}
    expected = tiny.with_labels(labels).predict([("Ann", text) for text in texts])
    at = "/v1/conversations/a"

    async def ask():
        async with serving(tiny, label_sets=1) as client:
            unusable = await client.post(
                f"{at}/utterances", json={"text": "hi", "labels": ["Rude", "rude"]}
            )
            again = {"labels": dict(reversed(labels.items()))}
            turns = [{"labels": "good=lovely,bad=rude"}, {}, again]
            replies = [
                await client.post(
                    f"{at}/utterances", json={"speaker": "Ann", "text": text, "time": 1, **turn}
                )
                for text, turn in zip(texts, turns, strict=True)
            ]
            other = await client.post(
                f"{at}/utterances", json={"text": "hi", "labels": ["good", "rude"]}
            )
            return unusable, replies, other, (await client.get(at)).json()

    unusable, replies, other, looked = asyncio.run(ask())
    assert unusable.json()["error"].items() >= {"code": "invalid", "field": "labels"}.items()
    assert "cannot be told apart" in unusable.json()["error"]["message"]
    for answer, each in zip(replies, expected, strict=True):
        found = answer.json()["utterance"]
        assert found.pop("time") == 1
        assert_equal(found, each.to_json())
        assert answer.json()["labels"] == ["good", "bad"]
    assert (other.status_code, other.json()["error"]["code"], other.json()["error"]["field"]) == (
        409,
        "other_labels",
        "labels",
    )
    assert "is answered by good=lovely, bad=rude, since" in other.json()["error"]["message"]
    assert looked == {"conversation": "a", "utterances": 3, "labels": ["good", "bad"]}


def test_answers_hold_the_fields_that_are_asked_for():
    asked = {"utterances": [{"speaker": "Ann", "text": "a", "time": 3}], "topic": "x"}

    async def ask():
        async with serving(Gated()) as client:
            lean = await predict(client, asked, fields=["confidence", "emotion"])
            more = await predict(client, asked, fields=["text", "other"])
            replies = await client.post(
                "/v1/conversations/a/utterances",
                json={**asked["utterances"][0], "fields": ["emotion"]},
            )
            return [answer.json() for answer in (lean, more, replies)]

    lean, more, replies = asyncio.run(ask())
    assert lean["dialogues"] == [{"id": "1", "utterances": [{"emotion": "odd", "confidence": 1.0}]}]
    assert more["dialogues"] == [
        {"id": "1", "utterances": [{"text": "a", "time": 3}], "topic": "x"}
    ]
    assert replies["utterance"] == {"emotion": "odd"}


def test_what_is_found_in_labels_reaches_the_caller():
    async def ask():
        async with serving(Gated()) as client:
            fine = await predict(client, talk(1, 0), labels=["a", "b"])
            three = await predict(client, talk(1, 0), labels=["a", "b", "c"])
            replies = await client.post(
                "/v1/conversations/a/utterances", json={"text": "a", "labels": "a,b,c"}
            )
            return [answer.json()["warnings"] for answer in (fine, three, replies)]

    assert asyncio.run(ask()) == [[], ["even and odd are numbers"], ["even and odd are numbers"]]
