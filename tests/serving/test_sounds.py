"""A service of a model whose features can be made of sound: it takes sound files in requests."""

import asyncio
import base64
import gzip
import json
import time
from threading import Event
from typing import Any

import numpy as np
import pytest

from eacl_jax.features.sound import decoding
from eacl_jax.serving.engine import hearing as hearing_module
from eacl_jax.serving.engine.hearing import Hearing, Sound
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http.answers import ModelAnswer
from eacl_jax.serving.http.schemas import AskedUtterance
from eacl_jax.serving.settings import Limits
from tests.serving.test_answers import assert_answers, assert_equal
from tests.stubs import sounds
from tests.stubs.featured import FACE, PROSODY, VOICE, make_hearing
from tests.stubs.service import Gated, serving

TEXT = "the day is wonderful"
LOW, HIGH = (sounds.wav(sounds.voice(hertz, 0.3)) for hertz in (110, 320))


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    return make_hearing(tmp_path_factory.mktemp("hearing"))


def turn_of(sound: bytes | None = None, **more: Any) -> dict[str, Any]:
    audio = {} if sound is None else {"audio": {"data": base64.b64encode(sound).decode()}}
    return {"speaker": "Ann", "text": TEXT, **audio, **more}


async def predict(client, *turns, **named):
    return await client.post("/v1/predict", json={"dialogues": [{"utterances": turns}]}, **named)


@pytest.mark.slow
def test_a_sound_is_answered_as_the_library_answers_its_file(hearing, tmp_path):
    for name, sound in (("low.wav", LOW), ("high.wav", HIGH)):
        (tmp_path / name).write_bytes(sound)
    given = [turn_of(audio="low.wav"), turn_of(), turn_of(audio="high.wav")]
    expected = hearing.predict(given, sounds=tmp_path)
    assert len({round(each.confidence, 4) for each in expected}) == 3

    async def ask():
        turns = [turn_of(LOW), turn_of(), turn_of(HIGH)]
        async with serving(hearing) as client:
            whole = await predict(client, *turns)
            at = "/v1/conversations/a/utterances"
            return whole, [await client.post(at, json=turn) for turn in turns]

    whole, turns = asyncio.run(ask())
    answers = whole.json()["dialogues"][0]["utterances"]
    assert not any("audio" in answer for answer in answers)
    for each in expected:
        each.other.pop("audio", None)
    assert_answers(answers, expected)
    for answer, each in zip(turns, expected, strict=True):
        assert_equal(answer.json()["utterance"], each.to_json())
    words = "1 of 3 utterances came without features 'prosody': answered without them."
    assert whole.json()["warnings"] == [words]
    assert [len(answer.json()["warnings"]) for answer in turns] == [0, 1, 0]


def test_what_was_made_of_a_sound_has_the_same_answer_instead_of_it(hearing):
    async def ask():
        async with serving(hearing) as client:
            heard, unasked = [
                (
                    await client.post(
                        "/v1/predict",
                        json={
                            "dialogues": [{"utterances": [turn_of(LOW), turn_of()]}],
                            "return_features": wanted,
                            "fields": ["emotion", "probabilities"],
                        },
                    )
                ).json()["dialogues"][0]["utterances"]
                for wanted in (True, False)
            ]
            made = heard[0]["features"]
            given = await predict(client, turn_of(features=made), turn_of())
            at = "/v1/conversations/a/utterances"
            turn = await client.post(at, json=turn_of(LOW, return_features=True))
            return heard, unasked, given.json()["dialogues"][0]["utterances"], turn.json()

    heard, unasked, given, turn = asyncio.run(ask())
    assert list(heard[0]["features"]) == ["prosody"]
    numbers = heard[0]["features"]["prosody"]
    assert len(numbers) == len(PROSODY.columns)
    assert numbers[0] == pytest.approx(0.3, abs=1e-3)  # seconds
    assert "features" not in heard[1]
    assert not any("features" in each for each in unasked)
    assert given[0]["probabilities"] == heard[0]["probabilities"] != heard[1]["probabilities"]
    assert turn["utterance"]["features"] == heard[0]["features"]
    assert turn["utterance"]["probabilities"] == heard[0]["probabilities"]


def test_a_path_is_a_field_of_the_callers_and_is_never_opened(tmp_path, monkeypatch):
    (tmp_path / "low.wav").write_bytes(LOW)
    opened: list[Any] = []
    monkeypatch.setattr(decoding, "read_sound", lambda *a, **k: opened.append(a))
    values = [str(tmp_path / "low.wav"), "../low.wav", None, ["low.wav"], 3]

    async def ask():
        async with serving(Gated(modalities={"prosody": PROSODY})) as client:
            return await predict(client, *(turn_of(audio=each) for each in values))

    answer = asyncio.run(ask())
    assert [u["audio"] for u in answer.json()["dialogues"][0]["utterances"]] == values
    assert answer.json()["warnings"][0].startswith("5 of 5 utterances came without features")
    assert not opened


@pytest.mark.slow
def test_the_model_says_what_can_be_made_of_sound(monkeypatch, caplog):
    async def ask(recognizer: Any):
        async with serving(recognizer) as client:
            found = (await client.get("/v1/model")).json()
            return found, await predict(client, turn_of(LOW))

    modalities = {"prosody": PROSODY, "voice": VOICE, "face": FACE}
    found, answer = asyncio.run(ask(Gated(modalities=modalities)))
    ModelAnswer.model_validate(found, strict=True, extra="forbid")
    kinds = found["features"]["modalities"]
    assert [kinds[name]["from_sound"] for name in modalities] == [True, False, False]
    limits = Limits()
    assert found["limits"]["sounds"] == limits.sounds
    assert found["limits"]["sound_seconds"] == limits.sound_seconds
    assert found["limits"]["body_bytes"] > limits.body_bytes + limits.sound_bytes * 4 / 3
    assert answer.status_code == 200
    assert caplog.text == ""
    # Without the packages it starts as well, and says so.
    monkeypatch.setattr(decoding, "_libraries", _missing)
    found, answer = asyncio.run(ask(Gated(modalities=modalities)))
    assert found["features"]["modalities"]["prosody"]["from_sound"] is False
    assert found["limits"]["body_bytes"] == limits.body_bytes
    assert "no sound is read for prosody: to read sound, install" in caplog.text
    assert answer.status_code == 422
    assert "no sound is read: to read sound, install" in answer.json()["error"]["message"]


def _missing():
    raise decoding.UserError("to read sound, install the packages for it.")


@pytest.mark.parametrize("modalities", [{}, {"face": FACE}, {"voice": VOICE}])
def test_a_model_that_reads_no_sound_refuses_it(modalities):
    async def ask():
        async with serving(Gated(modalities=modalities)) as client:
            assert (await client.get("/v1/model")).json()["limits"]["body_bytes"] == 2**20
            return await predict(client, turn_of(), turn_of(LOW))

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error"]["field"]) == (
        422,
        "dialogues[0].utterances[1].audio",
    )
    assert "audio: no sound is read: the model reads no features" in answer.text


LONG = sounds.wav(sounds.voice(110, 4.0))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("turn", "status", "words"),
    [
        (turn_of(b"Ann: hello, this is no sound"), 422, "is text, whatever its name says"),
        (turn_of(b"\x1aE\xdf\xa3" * 20), 422, "is WebM or Matroska"),
        (turn_of(LOW[:44]), 422, "holds no sound"),
        (turn_of(LONG), 422, "lasts 4.0 s or more"),
        (turn_of(sounds.wav(np.zeros(8000))), 422, "holds silence alone"),
        (turn_of(audio={"data": "data:audio/wav;base64,UklG"}), 422, "is no base64"),
        (turn_of(audio={"data": "UklG\nUklG"}), 422, "is no base64"),
        (turn_of(audio={"data": "Ünïcode"}), 422, "is no base64"),
        (turn_of(audio={"data": ""}), 422, "at least 1 character"),
        (turn_of(audio={"data": 3}), 422, "must be a string"),
        (turn_of(audio={"path": "/etc/passwd"}), 422, "is missing; there is 'path'"),
        (turn_of(audio={"data": "UklG", "path": "a"}), 422, "is not a known field"),
        (turn_of(LOW, features={"prosody": [0.0] * 9}), 422, "'prosody' are given too"),
        (turn_of(sounds.wav(sounds.voice(110, 8.0))), 413, "a sound of 0.2 MiB; the limit is 0.19"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_its_field(turn, status, words):
    async def ask():
        limits = Limits(sound_bytes=200_000, sound_seconds=3)
        async with serving(Gated(modalities={"prosody": PROSODY}), limits=limits) as client:
            return [
                await predict(client, turn_of(LOW), turn),
                await client.post("/v1/conversations/a/utterances", json=turn),
                await client.get("/v1/conversations/a"),
            ]

    *answers, kept = asyncio.run(ask())
    for answer, field in zip(answers, ("dialogues[0].utterances[1].audio", "audio"), strict=True):
        error = answer.json()["error"]
        assert answer.status_code == status
        assert words in error["message"]
        assert error["message"].startswith(field)
        assert error["field"].startswith(field)
    assert kept.status_code == 404


def test_too_many_sounds_and_too_many_bytes():
    async def ask():
        limits = Limits(sounds=2, sound_bytes=20_000, body_bytes=50_000)
        async with serving(Gated(modalities={"prosody": PROSODY}), limits=limits) as client:
            packed = gzip.compress(json.dumps(turn_of(text="a" * 90_000)).encode())
            headers = {"content-type": "application/json", "content-encoding": "gzip"}
            return [
                await predict(client, *[turn_of(LOW[:9000])] * 3),
                await predict(client, *[turn_of(LOW)] * 9),
                await client.post("/v1/predict", content=packed, headers=headers),
            ]

    many, large, packed = asyncio.run(ask())
    assert (many.status_code, many.json()["error"]["field"]) == (
        413,
        "dialogues[0].utterances[2].audio",
    )
    assert large.status_code == packed.status_code == 413
    assert "the body is longer than the limit of 76670 bytes" in large.json()["error"]["message"]


def test_the_sound_that_the_description_gives_as_an_example_is_heard():
    (example,) = AskedUtterance.model_fields["audio"].examples or ()

    async def ask():
        async with serving(Gated(modalities={"prosody": PROSODY})) as client:
            return await predict(client, turn_of(audio=example))

    assert asyncio.run(ask()).json()["warnings"] == []


def test_what_is_no_sound_has_the_room_of_bodies_without_one(monkeypatch):
    """Before it is read, which takes a hundred times as long as a sound of that length."""
    read = []

    def noted(body):
        read.append(len(body))
        return json.loads(body)

    monkeypatch.setattr("eacl_jax.serving.http.bodies.read_json", noted)
    limits = Limits(body_bytes=2000)

    async def ask():
        async with serving(Gated(modalities={"prosody": PROSODY}), limits=limits) as client:
            many = await predict(client, *[{"speaker": "", "text": ""}] * 200)
            long = await predict(client, turn_of(b"no sound" * 1000))
            return many, long

    many, long = asyncio.run(ask())
    assert (many.status_code, many.json()["error"]["code"]) == (413, "too_large")
    assert "more than 2000 bytes beside sounds in base64" in many.json()["error"]["message"]
    assert long.status_code == 422
    assert len(read) == 1


def test_sounds_of_callers_who_left_are_let_go():
    async def leave():
        ears, gate = Hearing({"prosody": PROSODY}, processes=1, seconds=5, most_seconds=5), Event()
        ears._made = lambda _: gate.wait(20) and dict.fromkeys(ears.makers.values(), 1)
        first = asyncio.create_task(ears.features(Sound("first", "a")))
        others = [asyncio.create_task(ears.features(Sound("x", "a"))) for _ in range(4)]
        await asyncio.sleep(0.05)
        for each in (first, *others):
            each.cancel()
        await asyncio.wait((first, *others))
        kept = ears._threads._work_queue.qsize()
        late = asyncio.create_task(ears.features(Sound("late", "a")))
        await asyncio.sleep(0.05)
        waits = ears._threads._work_queue.qsize()
        gate.set()
        found = await late
        ears.close()
        return kept, waits, found

    assert asyncio.run(leave()) == (0, 0, {"prosody": 1})


def test_who_waits_for_a_sound_is_told_when_the_service_gives_up():
    async def give_up():
        async with serving(Gated(modalities={"prosody": PROSODY})) as client:
            service, begun = client.app.state.service, []

            async def slow(sound):
                begun.append(sound)
                await asyncio.sleep(20)

            service.hearing.features = slow
            asked = asyncio.create_task(predict(client, turn_of(LOW), turn_of(LOW)))
            while not begun:
                await asyncio.sleep(0.01)
            service._give_up()
            return await asked, len(begun)

    answer, begun = asyncio.run(give_up())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert begun == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", ["hang", "end"])
def test_one_that_hangs_or_ends_keeps_nobody_out(monkeypatch, end):
    monkeypatch.setattr(hearing_module, "_listen", _Poisoned(end))

    async def ask():
        async with serving(
            Gated(modalities={"prosody": PROSODY}), listeners=1, listening=3.0
        ) as client:
            assert (await predict(client, turn_of(LOW))).status_code == 200
            began = time.monotonic()
            bad = asyncio.create_task(predict(client, turn_of(b"poison")))
            await asyncio.sleep(0.05)
            await predict(client, turn_of())  # without a sound: at once
            alone = time.monotonic() - began
            return alone, await bad, await predict(client, turn_of(LOW))

    alone, bad, after = asyncio.run(ask())
    assert alone < 2.5
    assert bad.status_code == 422
    assert "the sound cannot be read, or not within 3 s" in bad.json()["error"]["message"]
    assert after.status_code == 200


class _Poisoned:
    """A process that hangs or ends at some bytes."""

    def __init__(self, end: str) -> None:
        self.end = end

    def __call__(self, pipe: Any, made_by: Any, most_seconds: float) -> None:
        read = hearing_module._read

        def poisoned(data: bytes, field: str, most: float) -> Any:
            if data == base64.b64encode(b"poison"):
                if self.end == "end":
                    raise SystemExit
                time.sleep(60)
            return read(data, field, most)

        hearing_module._read = poisoned
        _LISTEN(pipe, made_by, most_seconds)


_LISTEN = hearing_module._listen


def test_no_process_outlives_the_service():
    async def hear():
        ears = Hearing({"prosody": PROSODY}, processes=2, seconds=5, most_seconds=5)
        ears.start()
        rows = await ears.features(Sound(base64.b64encode(LOW).decode(), "a"))
        running = [each._running[0] for each in ears._all if each._running]
        ears.close()
        return rows, running, ears

    rows, running, ears = asyncio.run(hear())
    assert rows["prosody"].shape == (1, 9)
    assert running
    assert not any(process.is_alive() for process in running)
    with pytest.raises((ApiError, RuntimeError)):
        asyncio.run(ears.features(Sound("UklG", "a")))
