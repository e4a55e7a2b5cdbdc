"""What the service answers: every mistake in one form, with the right status and the field of the
mistake.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.serving.http import docs, site
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.http.guard import Guard
from eacl_jax.serving.settings import Limits, ServiceSettings
from tests.stubs.service import Gated, client_of, dialogue, predict, serving

LIMITS = Limits(dialogues=3, utterances=20, characters=100, labels=4, body_bytes=4000)
JSON = {"content-type": "application/json"}


def ask(method: str, path: str, content: Any = None, headers: Any = JSON, **settings: Any):
    """One answer of a service with small limits."""

    async def answer():
        async with serving(Gated(), **{"limits": LIMITS, **settings}) as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(answer())


def body(**fields: Any) -> str:
    return json.dumps(fields)


def utterance(speaker: Any = "Ann", text: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"speaker": speaker, "text": text, **fields}


def talk(*utterances: Any, **fields: Any) -> str:
    return body(dialogues=[{"utterances": list(utterances), **fields}])


def talk_of(*utterances: Any) -> dict[str, Any]:
    return {"utterances": list(utterances)}


def asking(*dialogues: Any, **fields: Any) -> str:
    return body(dialogues=list(dialogues) or [dialogue("a")], **fields)


def deep(times: int) -> Any:
    return [deep(times - 1)] if times else 1


TALK, MORE = "dialogues[0].transcript", "dialogues[1].utterances"
FIRST, SECOND = "dialogues[0].utterances[0]", "dialogues[0].utterances[1]"
MISTAKES = {
    "no JSON": ('{"dialogues": ', 400, None, "line 1 column 15"),
    "empty": (b"", 400, None, "empty"),
    "no UTF-8": (b'{"dialogues": "\xff"}', 400, None, "byte 15 is 0xff"),
    "UTF-16": ('{"dialogues": []}'.encode("utf-16"), 400, None, "UTF-8"),
    "a coverage that is none": (
        asking(coverage=0.905),
        422,
        "coverage",
        "coverage must be from 0.5 to 0.99, in whole percent",
    ),
    "a coverage in percent": (asking(coverage=90), 422, "coverage", "in whole percent"),
    "a coverage of other labels": (
        asking(coverage=0.9, labels=["joy", "anger"]),
        422,
        "coverage",
        "was not measured with labels of one's own",
    ),
    "possible labels of no coverage": (
        asking(fields=["possible"]),
        422,
        "fields[0]",
        "'possible' are the labels of a coverage, and none is asked for",
    ),
    "NaN": ('{"dialogues": NaN}', 400, None, "NaN"),
    "infinity": ('{"dialogues": [-Infinity]}', 400, None, "-Infinity"),
    "deep lists": ("[" * 3900, 400, None, "nested too deep"),
    "deep lists that end": (b"[" * 900 + b"]" * 900, 422, None, "must be an object, got a list"),
    "deep objects": ('{"a":' * 700, 400, None, "JSON"),
    "a field twice after many": (
        json.dumps({f"a{number}": 1 for number in range(300)})[:-1] + ', "a299": 1}',
        400,
        None,
        "'a299' twice",
    ),
    "a field twice": ('{"dialogues": [], "dialogues": []}', 400, None, "'dialogues' twice"),
    "a number without end": (
        '{"dialogues": ' + "9" * 3900 + "}",
        422,
        "dialogues",
        "must be a list, got 9999",
    ),
    "a number out of range": ('{"dialogues": 1e999}', 422, "dialogues", "must be a list, got inf"),
    "a list": ("[]", 422, None, "the body must be an object, got a list"),
    "null": ("null", 422, None, "the body"),
    "nothing asked": ("{}", 422, "dialogues", "is missing"),
    "no dialogue": (
        body(dialogues=[]),
        422,
        "dialogues",
        "dialogues must hold at least 1 item, got 0.",
    ),
    "dialogues no list": (
        body(dialogues="Ann: hi"),
        422,
        "dialogues",
        "must be a list, got Ann: hi",
    ),
    "dialogues half a pair": (
        '{"dialogues": "\\ud800"}',
        422,
        "dialogues",
        "must be a list, got ?",
    ),
    "unknown field": (
        body(dialogues=[{"transcript": "Ann: hi"}], lables={}),
        422,
        "lables",
        "not a known field",
    ),
    "unknown field in brackets": (
        body(dialogues=[{"transcript": "Ann: hi"}], **{"[x": 1}),
        422,
        "[x",
        "[x is not a known field",
    ),
    "emotion no string": (
        talk(utterance(emotion=1)),
        422,
        f"{FIRST}.emotion",
        "must be a string, got 1",
    ),
    "a field that is too deep": (
        body(dialogues=[dialogue("a", mine=deep(300))]),
        422,
        "dialogues[0].mine",
        "nested too deep",
    ),
    "a field out of range": (
        '{"dialogues": [{"transcript": "A: b", "x": 1e999}]}',
        422,
        "dialogues[0].x",
        "too large",
    ),
    "a field with half a pair": (
        talk(utterance(mine=["\ud800"])),
        422,
        f"{FIRST}.mine",
        "half of a surrogate pair",
    ),
    "unknown field with half a pair": ('{"dialogues": [], "\\ud800": 1}', 422, None, "surrogate"),
    "empty conversation": (talk(), 422, "dialogues[0].utterances", "at least 1 item"),
    "empty transcript": (
        body(dialogues=[{"transcript": " \n"}]),
        422,
        "dialogues[0].transcript",
        "holds no utterance",
    ),
    "a transcript of notes": (
        body(dialogues=[{"transcript": "12/05/2024, 10:31 - Ann: <Media omitted>"}]),
        422,
        "dialogues[0].transcript",
        "1 message of a chat was left out",
    ),
    "several lines as one utterance": (
        talk("Ann: hi\nBen: yes"),
        422,
        FIRST,
        "holds 2 lines 'Name: text', which are several utterances",
    ),
    "both": (talk(utterance(), transcript="Ann: hi"), 422, "dialogues[0]", "not both"),
    "neither": (
        body(dialogues=[{"id": "a"}]),
        422,
        "dialogues[0]",
        "either 'utterances' or 'transcript'",
    ),
    "utterances null": (
        body(dialogues=[{"utterances": None}]),
        422,
        "dialogues[0].utterances",
        "must be a list, got null",
    ),
    "an utterance that is a number": (talk(3), 422, FIRST, "must be an object, got 3"),
    "a pair of one": (talk(["Ann"]), 422, FIRST, "must hold at least 2 items, got 1."),
    "a pair of three": (talk(["Ann"] * 3), 422, FIRST, "must hold at most 2 items, got 3."),
    "a pair with a number": (talk(["Ann", 3]), 422, f"{FIRST}[1]", "must be a string, got 3"),
    "a pair without a name": (talk([" ", "hi"]), 422, FIRST, "'speaker' is empty"),
    "a pair with a long name": (talk(["A" * 101, "hi"]), 422, FIRST, "at most 100 characters"),
    "a name by another name": (
        talk({"name": "Ann", "text": "hi"}),
        422,
        FIRST,
        "but 'name'; name it 'speaker'",
    ),
    "a text by another name": (
        talk({"speaker": "Ann", "message": "hi"}),
        422,
        f"{FIRST}.text",
        "'speaker', 'message'",
    ),
    "a name in capitals": (
        talk({"Speaker": "Ann", "text": "hi"}),
        422,
        FIRST,
        "'Speaker' must be named 'speaker'",
    ),
    "speaker empty": (talk(utterance("")), 422, f"{FIRST}.speaker", "at least 1 character, got 0."),
    "speaker blank": (talk(utterance(" \t")), 422, f"{FIRST}.speaker", "is empty"),
    "speaker long": (
        talk(utterance("A" * 101)),
        422,
        f"{FIRST}.speaker",
        "at most 100 characters, got 101.",
    ),
    "speaker no name": (talk(utterance(1.5)), 422, f"{FIRST}.speaker", "must be a string, got 1.5"),
    "text missing": (talk({"speaker": "Ann"}), 422, f"{FIRST}.text", "is missing"),
    "text no string": (
        talk(utterance(), utterance(text=3)),
        422,
        "dialogues[0].utterances[1].text",
        "must be a string, got 3",
    ),
    "text null": (talk(utterance(text=None)), 422, f"{FIRST}.text", "must be a string, got null"),
    "text true": (talk(utterance(text=True)), 422, f"{FIRST}.text", "must be a string, got true"),
    "null character": (
        talk(utterance(text="a\0b")),
        422,
        f"{FIRST}.text",
        "null character at position 1",
    ),
    "half a pair": (
        talk(utterance(text="ab\ud800")),
        422,
        f"{FIRST}.text",
        "dialogues[0].utterances[0].text holds half of a surrogate pair at position 2",
    ),
    "half a pair in a transcript": (
        body(dialogues=[{"transcript": "A: \udfff"}]),
        422,
        "dialogues[0].transcript",
        "pair",
    ),
    "half a pair in an id": (talk(utterance(), id="\ud800"), 422, "dialogues[0].id", "pair"),
    "id no string": (
        talk(utterance(), id=True),
        422,
        "dialogues[0].id",
        "must be a string, got true",
    ),
    "id null": (talk(utterance(), id=None), 422, "dialogues[0].id", "must be a string, got null"),
    "an id without its last digits": (
        asking(dialogue("a", id=2.15e17)),
        422,
        "dialogues[0].id",
        "dialogues[0].id is 2.15e+17, a number with a decimal point of so many digits",
    ),
    "a speaker without its last digits": (
        talk(utterance(2.0**53)),
        422,
        f"{FIRST}.speaker",
        "the last ones are lost; give ids as text.",
    ),
    "an id as a spreadsheet writes it": (
        asking(dialogue("a", id="2.15E+17")),
        422,
        "dialogues[0]",
        "as spreadsheets write numbers",
    ),
    "an id twice": (
        body(dialogues=[dialogue("a"), {**dialogue("b"), "id": "1"}, {**dialogue("c"), "id": 1}]),
        422,
        "dialogues[2].id",
        "'1' is the id of dialogues[1] too",
    ),
    "one label": (
        body(dialogues=[dialogue("a")], labels={"a": "a"}),
        422,
        "labels",
        "labels must hold at least 2 items, got 1.",
    ),
    "one label in a list": (asking(labels=["a"]), 422, "labels", "at least 2 items, got 1."),
    "features of no number": (
        talk(utterance(features={"a": []})),
        422,
        f"{FIRST}.features.a",
        "must hold at least 1 item, got 0.",
    ),
    "whether by a word": (
        asking(return_features="yes"),
        422,
        "return_features",
        "return_features must be true or false, got yes.",
    ),
    "labels null": (asking(labels=None), 422, "labels", "must be an object, got null"),
    "labels without words": (
        asking(labels="a=, b"),
        422,
        "labels",
        "'a=' is neither LABEL=WORD nor LABEL",
    ),
    "one label in a text": (asking(labels="abc"), 422, "labels", "at least two labels"),
    "a label twice": (asking(labels=["a=b", "a: c"]), 422, "labels", "'a' is there twice"),
    "a long label in a list": (
        asking(labels=["a" * 101, "b"]),
        422,
        "labels",
        "longer than the 100 characters",
    ),
    "too many words of labels": (asking(labels="a=b|c|d,e=f|g"), 413, "labels", "words of labels"),
    "too many labels in a text": (asking(labels="a,b\nc,d\re"), 413, "labels", "limit is 4"),
    "long unknown": (
        asking(on_long="split"),
        422,
        "on_long",
        "must be 'cut', 'refuse' or 'pool', got split",
    ),
    "field unknown": (
        asking(fields=["emotion", "sore"]),
        422,
        "fields[1]",
        "'sore', which is none of speaker, text",
    ),
    "no fields": (asking(fields=[]), 422, "fields", "at least 1 item"),
    "too long to be refused": (
        asking(talk_of(utterance(), ["Ann", "x" * 70]), on_long="refuse"),
        422,
        f"{SECOND}[1]",
        '"pool"',
    ),
    "a line too long to be refused": (
        asking({"transcript": "Ann: hi\n" + "x" * 70}, on_long="refuse"),
        422,
        "dialogues[0].transcript",
        "utterance 1 (from 0) has a text that is longer",
    ),
    "label without word": (
        body(dialogues=[dialogue("a")], labels={"a": "", "b": "b"}),
        422,
        "labels.a",
        "at least 1",
    ),
    "label with null": (
        body(dialogues=[dialogue("a")], labels={"a\0": "a", "b": "b"}),
        422,
        "labels.a\0",
        "null character",
    ),
    "too many dialogues": (body(dialogues=[dialogue("a")] * 4), 413, "dialogues", "limit is 3"),
    "too many utterances": (
        body(dialogues=[dialogue(*"abcdefghijk")] * 2),
        413,
        "dialogues[1].utterances",
        "limit is 20",
    ),
    "too many lines, most of them blank": (
        body(dialogues=[{"transcript": "A: b" + "\n" * 201}]),
        413,
        TALK,
        "limit is 200",
    ),
    "too many in transcripts and lists": (
        asking({"transcript": "A: b\n" * 11}, dialogue(*"abcdefghij")),
        413,
        MORE,
        "limit is 20",
    ),
    "too many lines": (
        body(dialogues=[{"transcript": "A: b\n" * 21}]),
        413,
        "dialogues[0].transcript",
        "limit is 20",
    ),
    "text too long": (
        talk(utterance(text="x" * 101)),
        413,
        f"{FIRST}.text",
        "101 characters; the limit is 100",
    ),
    "line too long": (
        body(dialogues=[{"transcript": "x" * 101}]),
        413,
        "dialogues[0].transcript",
        "limit is 100",
    ),
    "too many labels": (
        body(dialogues=[dialogue("a")], labels=dict.fromkeys("abcde", "x")),
        413,
        "labels",
        "limit is 4",
    ),
    "too long": (talk(utterance(text="x" * 4000)), 413, None, "limit of 4000 bytes"),
}
CODES = {400: "bad_json", 413: "too_large", 422: "invalid"}


def assert_error(answer: Any, status: int, code: str, field: str | None, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    assert error.keys() == {"code", "message", "field"}
    assert (error["code"], error["field"]) == (code, field)
    assert words in error["message"]
    assert "should" not in error["message"]  # as the validator says it
    assert len(error["message"]) < 400


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_its_field(mistake):
    content, status, field, words = MISTAKES[mistake]
    assert_error(ask("POST", "/v1/predict", content), status, CODES[status], field, words)


def test_an_object_of_very_many_fields_is_refused_as_a_whole():
    content = json.dumps(
        {"dialogues": [dialogue("a")], "labels": dict.fromkeys(map(str, range(1001)), 1)}
    )
    answer = ask("POST", "/v1/predict", content, limits=Limits())
    assert_error(answer, 413, "too_large", None, "1001 fields; the limit is 1000")


def test_what_looks_odd_but_is_text_is_answered():
    texts = [
        "",
        " ",
        "👩‍👩‍👧 \u202eabc",
        "<script>alert(1)</script>",
        "\u2028\x1b[31m",
        "שלום",
        "a\nb",
        '"\\',
    ]
    content = body(dialogues=[dialogue(*texts, id="")])

    # Escaped or not, and with a byte order mark.
    for sent in (content, "\ufeff" + json.dumps(json.loads(content), ensure_ascii=False)):
        answer = ask(
            "POST",
            "/v1/predict",
            sent.encode(),
            {"content-type": "Application/JSON; charset=UTF-8"},
        )
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["dialogues"]
        assert found["id"] == ""
        assert [each["text"] for each in found["utterances"]] == [each.strip() for each in texts]


def test_a_line_ends_at_its_end_only():
    text = "\x0c\u2028\x85".join("a" * 21)  # more than there may be lines
    answer = ask("POST", "/v1/predict", asking({"transcript": f"Ann: {text}\rBen: b"}))
    assert [each["text"] for each in answer.json()["dialogues"][0]["utterances"]] == [text, "b"]


@pytest.mark.parametrize(
    ("content", "status", "field", "words"),
    [
        ('""', 422, None, "must be an object, got an empty text"),
        ('{"speaker": "Ann"}', 422, "text", "is missing"),
        ('{"speaker": "Ann", "text": "a", "fields": "b"}', 422, "fields", "must be a list, got b"),
        (
            json.dumps(utterance(text="x" * 70, on_long="refuse")),
            422,
            "text",
            "longer than the model reads",
        ),
        (json.dumps(utterance(text="x" * 101)), 413, "text", "limit is 100"),
        (json.dumps(utterance(index=-1)), 422, "index", "index must be at least 0, got -1."),
        (json.dumps(utterance(index="0")), 422, "index", "index must be a whole number, got 0"),
        (json.dumps(utterance(index=True)), 422, "index", "index must be a whole number, got true"),
        ("nonsense", 400, None, "line 1 column 1"),
    ],
)
def test_a_conversations_mistakes_are_answered_likewise(content, status, field, words):
    assert_error(
        ask("POST", "/v1/conversations/a/utterances", content), status, CODES[status], field, words
    )


@pytest.mark.parametrize("identity", ["a" * 101, "a%00b", "%ff", "a b", "ü", "a%0a"])
def test_ids_of_conversations_are_plain(identity):
    for method, path in (("POST", "/utterances"), ("GET", ""), ("DELETE", "")):
        answer = ask(
            method,
            f"/v1/conversations/{identity}{path}",
            json.dumps(utterance()) if method == "POST" else None,
        )
        assert_error(answer, 422, "invalid", "id", "id holds characters")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/json; charset=latin-1",
        "application/json;charset=utf-8;Charset=utf-16",
        "application/x-www-form-urlencoded",
        "text/plain; application/json",
        "application/json-seq",
        "json",
        "a/b; c",
        ";" * 15_000,
    ],
)
def test_other_content_types_are_415(kind):
    answer = ask(
        "POST",
        "/v1/predict",
        body(dialogues=[dialogue("a")]),
        {} if kind is None else {"content-type": kind},
    )
    assert_error(answer, 415, "unsupported_media_type", None, "application/json")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        ' APPLICATION/json ;;; a=b; charset = "UTF-8"',
        "application/json;charset=utf8",
    ],
)
def test_json_comes_in_many_ways(kind):
    assert (
        ask(
            "POST", "/v1/predict", body(dialogues=[dialogue("a")]), {"content-type": kind}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/model", *sorted(site.PATHS)],
)
def test_head_is_get_without_the_body(path):
    async def answers():
        async with serving(Gated()) as client:
            return (
                await client.head(path),
                await client.get(path),
                (await client.get("/metrics")).text,
            )

    head, got, metrics = asyncio.run(answers())
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert 'eacl_requests_total{method="HEAD"' in metrics


def test_without_a_token_only_names_of_the_service_are_answered():
    async def answers(**settings):
        app = create_app(Gated(), ServiceSettings(**settings))  # type: ignore[arg-type]
        async with client_of(app) as client:
            paths = ("/", "/docs", "/metrics", "/v1/model", "/nowhere", "/healthz")
            headers = {
                "host": "evil.example:8000",
                "origin": "http://evil.example:8000",
                "x-forwarded-host": "localhost",
            }
            return [await client.get(path, headers=headers) for path in paths]

    *refused, probe = asyncio.run(answers())
    for answer in refused:
        assert_error(
            answer, 421, "misdirected", None, "not to 'evil.example:8000'; ask it by one of these"
        )
    assert probe.status_code == 200
    for settings in ({"host": "evil.example"}, {"token": "open-sesame"}):
        page_and_docs = asyncio.run(answers(**settings))[:2]
        assert [answer.status_code for answer in page_and_docs] == [200, 200]


def test_cookies_are_not_read():
    """The framework parses them in a time that grows with the square of their length."""
    read = []

    async def app(scope, receive, send):
        read.append([name for name, _ in scope["headers"]])

    async def ask():
        guard = Guard(app, token=None, host="127.0.0.1", open_paths=(), probes=())
        headers = [(b"host", b"localhost"), (b"cookie", b"a"), (b"cookie", b"b"), (b"accept", b"c")]
        await guard({"type": "http", "path": "/", "headers": headers}, None, None)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert read == [[b"host", b"accept"]]


def test_other_paths_and_methods_differ():
    assert_error(ask("GET", "/v1/nowhere"), 404, "not_found", None, "/v1/nowhere")
    assert_error(ask("GET", "/v1/conversations/none"), 404, "not_found", None, "'none'")
    assert_error(ask("DELETE", "/v1/conversations/none"), 404, "not_found", None, "'none'")
    answer = ask("GET", "/v1/predict")
    assert_error(answer, 405, "method_not_allowed", None, "GET")
    assert answer.headers["allow"] == "POST"


def test_a_name_that_leaves_no_room_is_named(tiny):
    async def answers():
        async with serving(tiny, batch=8) as client:
            fine = [utterance(text="a")] * 5
            return (
                await predict(
                    client,
                    dialogue("a"),
                    {"utterances": [*fine, utterance(speaker="a" + "/:" * 49), *fine]},
                ),
                await client.post(
                    "/v1/conversations/c/utterances", json=utterance(speaker="a" + "/:" * 49)
                ),
                await predict(client, {"utterances": fine}),
            )

    whole, one, fine = asyncio.run(answers())
    assert_error(whole, 422, "invalid", "dialogues[1].utterances[5].speaker", "96 tokens")
    assert_error(one, 422, "invalid", "speaker", "96 tokens")
    assert fine.status_code == 200


def test_a_damaged_model_is_the_services_fault_and_not_the_callers(tiny, monkeypatch, caplog):
    def damaged(examples: Sequence[Any]) -> np.ndarray:
        return np.full((len(examples), 8), np.nan, np.float32)

    def anchors(tokenizer: Any, taxonomy: Taxonomy, longest: int) -> np.ndarray:
        return np.full((len(taxonomy), 8), np.nan, np.float32)

    async def answers():
        async with serving(tiny, raise_faults=False) as client:
            with monkeypatch.context() as patch:
                patch.setattr(tiny.runtime, "represent", damaged)
                found = [
                    await predict(client, dialogue("a", "b"), dialogue("c")),
                    await client.post("/v1/conversations/c/utterances", json=utterance()),
                ]
            with monkeypatch.context() as patch:
                patch.setattr(tiny.runtime, "label_anchors", anchors)
                found.append(await predict(client, dialogue("a"), labels=["good", "end"]))
            after = await predict(client, dialogue("a"))
            return found, after, (await client.get("/metrics")).text.splitlines()

    wrong, after, metrics = asyncio.run(answers())
    for answer in wrong:
        assert_error(answer, 500, "internal", None, "the service failed; its log says why.")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert 'eacl_refused_total{code="internal"} 3.0' in metrics
    # What failed was not answered.
    assert "eacl_utterances_total 1.0" in metrics
    assert after.status_code == 200
    assert "Traceback" in caplog.text
    assert "prompts are NaN or infinite: the model's weights are damaged" in caplog.text
    assert "the anchor of label 'good'" in caplog.text


def test_labels_that_cannot_be_used_are_named(tiny):
    async def answers():
        async with serving(tiny) as client:
            return await predict(
                client, dialogue("a"), labels={"a": "it " * 33 + "!", "b": "!" * 100}
            )

    assert_error(asyncio.run(answers()), 422, "invalid", "labels", "labels: ")


def test_the_model_is_described():
    expected = {
        "name": "mine",
        "task": "single",
        "labels": ["even", "odd"],
        "words": {"even": "even", "odd": "odd"},
        "max_tokens": 64,
        "max_past": 2,
        "max_future": 0,
        "sequence": False,
        "coverage": True,
        "temperature": 1.5,
        "calibration_error": {"dev": 2.75, "test": 3.5},
        "runtime": {"name": "jax", "precision": "float32", "cost": ""},
        "limits": {
            "dialogues": 3,
            "utterances": 20,
            "characters": 100,
            "labels": 4,
            "body_bytes": 4000,
            "numbers": 50_000,
            "sounds": 20,
            "sound_bytes": 10 * 2**20,
            "sound_seconds": 60,
        },
    }
    assert ask("GET", "/v1/model", name="mine").json() == expected


def test_a_coverage_adds_the_possible_labels():
    plain = ask("POST", "/v1/predict", asking()).json()["dialogues"][0]["utterances"]
    assert "possible" not in plain[0]
    covered = ask("POST", "/v1/predict", asking(coverage=0.9)).json()
    for before, after in zip(plain, covered["dialogues"][0]["utterances"], strict=True):
        assert after == before | {"possible": [before["emotion"]]}
    everything = ask("POST", "/v1/predict", asking(coverage=0.99, fields=["possible"])).json()
    assert {len(each["possible"]) for each in everything["dialogues"][0]["utterances"]} == {2}


def test_a_coverage_in_conversations():
    async def answers() -> list[Any]:
        async with serving(Gated(), limits=LIMITS) as client:
            found = []
            for more in ({}, {"labels": ["joy", "anger"]}):
                for path in ("one", "other"):
                    url = f"/v1/conversations/{path}/utterances"
                    sent = utterance(coverage=0.9, **(more if path == "other" else {}))
                    found.append(await client.post(url, json=sent))
            begun = utterance(labels=["joy", "anger"])
            await client.post("/v1/conversations/third/utterances", json=begun)
            url = "/v1/conversations/third/utterances"
            found.append(await client.post(url, json=utterance(coverage=0.9)))
            return [*found, await client.get("/v1/conversations/third")]

    first, _, _, refused, later, third = asyncio.run(answers())
    said = first.json()["utterance"]
    assert said["possible"] == [said["emotion"]]
    for each in (refused, later):
        assert_error(each, 422, "invalid", "coverage", "coverage: how probable")
    assert third.json()["utterances"] == 1


def test_answers_say_which_model_they_are_of():
    def versions(fingerprint: str, precision: str = "float32") -> set[str]:
        stub = Gated()
        stub.fingerprint, stub.runtime.precision = fingerprint, precision

        async def answers():
            async with serving(stub) as client:
                return [
                    await client.get("/v1/model"),
                    await predict(client, dialogue("a")),
                    await client.post("/v1/conversations/a/utterances", json=utterance()),
                ]

        return {answer.headers["eacl-model"] for answer in asyncio.run(answers())}

    found = [versions("one"), versions("two"), versions("one", "int8"), versions("one")]
    assert [len(each) for each in found] == [1, 1, 1, 1]
    assert len(set.union(*found)) == 3
    assert found[0] == found[3]


def test_a_conversation_is_begun_looked_at_and_forgotten():
    async def answers():
        async with serving(Gated()) as client:
            at = "/v1/conversations/call-17:a_b.c~d"
            first = [
                (await client.post(f"{at}/utterances", json=utterance())).json()["index"]
                for _ in range(4)
            ]
            looked = (await client.get(at)).json()
            gone = await client.delete(at), await client.delete(at), await client.get(at)
            again = (await client.post(f"{at}/utterances", json=utterance())).json()["index"]
            return first, looked, gone, again

    first, looked, gone, again = asyncio.run(answers())
    assert first == [0, 1, 2, 3]
    assert looked == {"conversation": "call-17:a_b.c~d", "utterances": 4, "labels": ["even", "odd"]}
    assert [answer.status_code for answer in gone] == [204, 404, 404]
    assert gone[0].content == b""
    assert again == 0


def test_a_whole_number_that_no_float_holds_comes_back():
    turns = [utterance(text=text, n=10**320, time=10**320, index=10**320) for text in "abc"]
    asked = body(dialogues=[{"utterances": turns, "n": 10**320}])
    answer = ask("POST", "/v1/predict", asked)
    assert answer.status_code == 200, answer.text
    (dialogue,) = answer.json()["dialogues"]
    assert dialogue["n"] == 10**320
    assert {each[name] for each in dialogue["utterances"] for name in ("n", "time", "index")} == {
        10**320
    }


def test_an_utterance_that_would_get_another_index_is_refused():
    async def answers():
        async with serving(Gated(), conversations=1) as client:

            async def say(identity: str, text: str, **fields: Any) -> Any:
                path = f"/v1/conversations/{identity}/utterances"
                return await client.post(path, json=utterance(text=text, **fields))

            first = [await say("a", "hi", labels="x,y", index=0), await say("a", "ho", index=1)]
            again = await say("a", "ho", index=1)
            ahead = await say("a", "hm", index=3)
            together = await asyncio.gather(*(say("a", "hm", index=2) for _ in range(3)))
            not_begun = await say("b", "hi", index=1)  # forgets none to make room
            kept = (await client.get("/v1/conversations/a")).json()
            await say("b", "hi")  # forgets the other
            forgotten = await say("a", "on", index=3)
            there = await client.get("/v1/conversations/a"), await client.get("/v1/conversations/b")
            anew = await say("a", "on")
            return first, again, ahead, together, not_begun, kept, forgotten, there, anew

    first, again, ahead, together, not_begun, kept, forgotten, there, anew = asyncio.run(answers())
    assert [each.json()["index"] for each in first] == [0, 1]
    assert "index" not in first[1].json()["utterance"]
    assert_error(again, 409, "other_index", "index", "conversation 'a' is 2, not 1: that one is")
    assert_error(ahead, 409, "other_index", "index", "conversation 'a' is 2, not 3: it may have")
    assert sorted(each.status_code for each in together) == [200, 409, 409]
    assert_error(not_begun, 409, "other_index", "index", "'b' is 0, not 1")
    assert kept == {"conversation": "a", "utterances": 3, "labels": ["x", "y"]}
    words = "'a' is 0, not 3: it may have been forgotten; send the earlier utterances again, or"
    assert_error(forgotten, 409, "other_index", "index", words)
    assert [each.status_code for each in there] == [404, 200]
    assert (anew.json()["index"], anew.json()["labels"]) == (0, ["even", "odd"])


def test_the_token_is_asked_for():
    app = create_app(Gated(), ServiceSettings(token="open-sesame"))  # type: ignore[arg-type]

    async def answers():
        async with client_of(app) as client:
            guarded = [
                ("POST", "/v1/predict"),
                ("GET", "/v1/model"),
                ("GET", "/metrics"),
                ("GET", "/nowhere"),
            ]
            wrong = [
                {},
                {"authorization": "Bearer open-sesam"},
                {"authorization": "Basic open-sesame"},
                {"authorization": b"\xe9"},
            ]
            refused = [
                await client.request(*each, headers=headers)
                for each in guarded
                for headers in wrong
            ]
            let_in = [
                await client.get("/v1/model", headers={"authorization": f"{scheme} open-sesame"})
                for scheme in ("Bearer", "bearer")
            ]
            free = [
                await client.get(path)
                for path in ("/healthz", "/readyz", *sorted(docs.PATHS | site.PATHS))
            ]
            return refused, let_in, free

    refused, let_in, free = asyncio.run(answers())
    for answer in refused:
        assert_error(answer, 401, "unauthorized", None, "Authorization: Bearer TOKEN")
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert [answer.status_code for answer in let_in] == [200, 200]
    assert [answer.status_code for answer in free] == [
        200,
        503,
        *[200] * len(docs.PATHS | site.PATHS),
    ]


@pytest.mark.parametrize("path", ["/", "/v1/model", "/nowhere", "/docs", "/openapi.json"])
def test_browsers_are_asked_to_keep_to_this_service(path):
    answer = ask("GET", path, headers={"origin": "http://elsewhere"})
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert ("no-store" in answer.headers.get("cache-control", "")) == path.startswith("/v1/")


def test_the_documentation_loads_nothing_from_elsewhere():
    text = ask("GET", "/docs").text
    for part in (
        "POST /v1/predict",
        "GET /readyz",
        "PredictRequest",
        "answer 429",
        "call-17",
        "Ann: We got the flat!",
        "&quot;pool&quot;",
        "list of string or string",
    ):
        assert part in text
    for part in ("http://", "https://", "<script", "style="):
        assert part not in text
    assert ask("GET", "/docs.css").headers["content-type"].startswith("text/css")


def test_metrics_count_what_happened():
    async def metrics():
        async with serving(Gated(), limits=LIMITS) as client:
            await predict(client, dialogue("a", "b" * 70), dialogue("c"))
            await predict(client, *[dialogue("a")] * 4)
            await client.post("/v1/conversations/private-name/utterances", json=utterance(text="?"))
            await client.get("/v1/private-path")
            await client.request("ODD", "/healthz")
            return (await client.get("/metrics")).text

    text = asyncio.run(metrics())
    for line in (
        'eacl_requests_total{method="POST",route="/v1/predict",status="200"} 1.0',
        'eacl_requests_total{method="POST",route="/v1/predict",status="413"} 1.0',
        (
            'eacl_requests_total{method="POST",route="/v1/conversations/{id}/utterances",status="200"} 1.0'
        ),
        'eacl_requests_total{method="GET",route="other",status="404"} 1.0',
        'eacl_requests_total{method="other",route="/healthz",status="405"} 1.0',
        'eacl_request_seconds_count{route="/v1/predict"} 2.0',
        'eacl_refused_total{code="too_large"} 1.0',
        "eacl_utterances_total 4.0",
        "eacl_truncated_utterances_total 1.0",
        "eacl_unknown_utterances_total 1.0",
        "eacl_batch_utterances_count 2.0",
        "eacl_queue_utterances 0.0",
        "eacl_conversations 1.0",
    ):
        assert line in text.splitlines()
    assert "private" not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"queue": 10},
        {"timeout": 0},
        {"timeout": math.nan},
        {"grace": math.inf},
        {"grace": 1e300},
        {"idle": -1.0},
        {"batch": 10**400},
        {"requests": 9, "connections": 9},
        {"name": "a\nb"},
        {"name": "\udcff"},
        {"name": ""},
        {"token": ""},
        {"token": " "},
        {"token": "a b"},
        {"token": "a\n"},
        {"token": "é"},
        {"limits": Limits(dialogues=0)},
        {"limits": Limits(labels=1001)},
    ],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UserError):
        ServiceSettings(**settings)
