"""More than can be answered at once: who waits, who is refused, who is let go."""

import asyncio

import pytest

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import Limits, ServiceSettings
from tests.stubs.service import Gated, client_of, dialogue, predict, serving, waiting


def texts_of(answer) -> list[str]:
    return [each["text"] for found in answer.json()["dialogues"] for each in found["utterances"]]


def error_of(answer) -> dict[str, str]:
    return answer.json()["error"]


def test_what_waits_is_answered_together():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, batch=8) as client:
            first = asyncio.create_task(predict(client, dialogue("first")))
            await stub.gate.reached()
            others = [
                asyncio.create_task(predict(client, dialogue(f"other {number}")))
                for number in range(5)
            ]
            await waiting(client, 6)
            stub.gate.open()
            return [texts_of(answer) for answer in await asyncio.gather(first, *others)]

    stub = Gated()
    assert asyncio.run(ask(stub)) == [["first"], *([f"other {number}"] for number in range(5))]
    # The first did not wait for company; the others came while it was at work.
    assert stub.gate.batches == [["first"], [f"other {number}" for number in range(5)]]


def test_a_small_request_is_not_stuck_behind_large_ones():
    large = [f"large {number}" for number in range(40)]

    async def ask(stub):
        stub.gate.close()
        async with serving(stub, batch=8) as client:
            asked = [asyncio.create_task(predict(client, dialogue(*large))) for _ in range(2)]
            await waiting(client, 80)
            await stub.gate.reached()
            asked.append(asyncio.create_task(predict(client, dialogue("small"))))
            await waiting(client, 81)
            stub.gate.open()
            return await asyncio.gather(*asked)

    stub = Gated()
    answers = asyncio.run(ask(stub))
    assert [texts_of(answer) for answer in answers] == [large, large, ["small"]]
    assert "small" in [text for batch in stub.gate.batches[:2] for text in batch]
    assert max(map(len, stub.gate.batches)) <= 8


def test_beyond_the_queue_callers_learn_when_to_come_back():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, queue=6, limits=Limits(utterances=4, labels=2)) as client:
            another = client_of(client.app, address="127.0.0.2")
            queued = [
                asyncio.create_task(predict(each, dialogue(*"abc"))) for each in (client, another)
            ]
            await waiting(client, 6)
            refused = await predict(client, dialogue("d"))
            refused_too = await client.post(
                "/v1/conversations/c/utterances", json={"speaker": "Ann", "text": "e"}
            )
            looked = await client.get("/v1/conversations/c")
            stub.gate.open()
            return (
                refused,
                refused_too,
                looked,
                await asyncio.gather(*queued),
                await predict(client, dialogue("d")),
            )

    refused, refused_too, looked, queued, later = asyncio.run(ask(Gated()))
    for answer in (refused, refused_too):
        assert (answer.status_code, error_of(answer)["code"]) == (429, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["retry-after"] in error_of(answer)["message"]
    assert looked.status_code == 404
    assert [answer.status_code for answer in (*queued, later)] == [200, 200, 200]


def test_one_caller_does_not_take_all_the_room():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, queue=8, limits=Limits(utterances=7, labels=1)) as client:
            another = client_of(client.app, address="127.0.0.2")
            first = asyncio.create_task(predict(client, dialogue(*"abcd")))
            await waiting(client, 4)
            refused = await predict(client, dialogue(*"efg"))
            taken = [
                asyncio.create_task(predict(each, dialogue(*texts)))
                for each, texts in ((client, "ef"), (another, "gh"))
            ]
            await waiting(client, 8)
            stub.gate.open()
            answers = await asyncio.gather(first, *taken)
            # A request that is the only one of its caller may fill it.
            return refused, [*answers, await predict(client, dialogue(*"abcdefg"))]

    refused, answers = asyncio.run(ask(Gated()))
    assert refused.status_code == 429
    assert "4 utterances from your address are waiting" in error_of(refused)["message"]
    assert [answer.status_code for answer in answers] == [200] * 4


def test_labels_that_must_be_encoded_first_count_in_a_batch():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, batch=8) as client:
            first = asyncio.create_task(predict(client, dialogue("first")))
            await stub.gate.reached()
            labelled = [
                asyncio.create_task(predict(client, dialogue(name), labels=dict.fromkeys(of, "x")))
                for name, of in (("one", "abcde"), ("two", "fghij"), ("one again", "abcde"))
            ]
            await waiting(client, 1 + 3 * 6)
            stub.gate.open()
            await asyncio.gather(first, *labelled)

    stub = Gated()
    asyncio.run(ask(stub))
    # By then the labels of the third are known.
    assert stub.gate.batches == [["first"], ["one"], ["two", "one again"]]


def test_a_signal_before_the_start_ends_the_service():
    async def ask(stub):
        app = create_app(stub, ServiceSettings(compile_ahead=False, grace=0.01))
        app.state.service.stop()
        async with app.router.lifespan_context(app), client_of(app) as client:
            return await predict(client, dialogue("a"))

    answer = asyncio.run(ask(Gated()))
    assert (answer.status_code, error_of(answer)["code"]) == (503, "shutting_down")


def test_own_labels_take_room_too():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, queue=6, limits=Limits(utterances=1, labels=5)) as client:
            first = asyncio.create_task(
                predict(client, dialogue("a"), labels=dict.fromkeys("abcde", "x"))
            )
            await waiting(client, 6)
            stub.gate.open()
            return await first

    assert asyncio.run(ask(Gated())).status_code == 200


def test_the_labels_used_last_are_kept():
    async def ask(stub):
        async with serving(stub, label_sets=2) as client:
            for first in "ABACAB":
                await predict(client, dialogue("a"), labels={first: "x", "other": "y"})

    stub = Gated()
    asyncio.run(ask(stub))
    assert [labels[0] for labels in stub.gate.label_sets] == ["A", "B", "C", "B"]


def test_late_answers_are_504_and_their_work_is_dropped():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, timeout=0.05) as client:
            first = asyncio.create_task(predict(client, dialogue("at work")))
            await stub.gate.reached()
            answers = await asyncio.gather(
                first,
                predict(client, dialogue(*(f"waits {number}" for number in range(50)))),
                client.post(
                    "/v1/conversations/c/utterances", json={"speaker": "Ann", "text": "spoken"}
                ),
            )
            queued = client.app.state.service.admission.waiting
            looked = await client.get("/v1/conversations/c")
            stub.gate.open()
            # Behind what was dropped, and without a time limit.
            await client.app.state.service.predict(
                [Dialogue("1", (Utterance("Ann", "afterwards"),))], {}
            )
            return answers, queued, looked

    stub = Gated()
    answers, queued, looked = asyncio.run(ask(stub))
    assert [(answer.status_code, error_of(answer)["code"]) for answer in answers] == [
        (504, "timeout")
    ] * 3
    assert queued == 0
    assert looked.status_code == 404
    assert stub.gate.batches == [["at work"], ["afterwards"]]


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/conversations/c/utterances"])
def test_who_hangs_up_is_dropped(path):
    """Speaks ASGI itself: httpx without a network cannot hang up."""
    body = (
        b'{"dialogues": [{"transcript": "Ann: gone"}]}'
        if "predict" in path
        else b'{"speaker": "Ann", "text": "gone"}'
    )

    async def ask(stub):
        stub.gate.close()
        async with serving(stub) as client:
            first = asyncio.create_task(predict(client, dialogue("first")))
            await stub.gate.reached()
            hung_up = asyncio.Event()
            messages = iter([{"type": "http.request", "body": body, "more_body": False}])

            async def receive():
                for message in messages:
                    return message
                await hung_up.wait()
                return {"type": "http.disconnect"}

            sent = []

            async def send(message):
                sent.append(message)

            headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
            headers += [(b"content-length", str(len(body)).encode())]
            scope = {
                "type": "http",
                "method": "POST",
                "path": path,
                "headers": headers,
                "query_string": b"",
                "scheme": "http",
            }
            scope |= {
                "server": ("service", 80),
                "client": ("caller", 1),
                "http_version": "1.1",
                "root_path": "",
            }
            asked = asyncio.create_task(client.app(scope, receive, send))
            await waiting(client, 2)
            hung_up.set()
            await asked
            await waiting(client, 1)
            stub.gate.open()
            await first
            metrics = (await client.get("/metrics")).text
            looked = await client.get("/v1/conversations/c")
            return sent[0]["status"], metrics, looked.status_code

    stub = Gated()
    status, metrics, looked = asyncio.run(ask(stub))
    assert (status, looked) == (499, 404)
    assert 'eacl_refused_total{code="client_gone"} 1.0' in metrics
    assert stub.gate.batches == [["first"]]


def test_a_request_fails_for_its_own_sake_only():
    async def ask(stub):
        stub.gate.poison = "poison"
        stub.gate.close()
        async with serving(stub, raise_faults=False) as client:
            first = asyncio.create_task(predict(client, dialogue("first")))
            await stub.gate.reached()
            asked = [
                asyncio.create_task(predict(client, dialogue(*texts)))
                for texts in (("a", "b"), ("c", "poison"), ("d",))
            ]
            await waiting(client, 6)
            stub.gate.open()
            return await asyncio.gather(first, *asked), await predict(client, dialogue("after"))

    answers, after = asyncio.run(ask(Gated()))
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
    assert error_of(answers[2]) == {
        "code": "internal",
        "message": "the service failed; its log says why.",
        "field": None,
    }
    assert texts_of(after) == ["after"]


def test_before_it_is_ready_and_when_it_ends_it_answers_503():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, compile_ahead=True, grace=20) as client:
            service = client.app.state.service
            early = (
                await predict(client, dialogue("early")),
                await client.get("/readyz"),
                await client.get("/healthz"),
            )
            await stub.gate.reached()
            ready = asyncio.Event()
            service.when_ready(lambda error: ready.set())
            stub.gate.open()
            await ready.wait()
            stub.gate.close()
            up = await client.get("/readyz")
            accepted = asyncio.create_task(
                predict(client, dialogue(*(str(number) for number in range(40))))
            )
            await stub.gate.reached()
            service.stop()
            late = (
                await predict(client, dialogue("late")),
                await client.get("/readyz"),
                await client.get("/healthz"),
            )
            stub.gate.open()
            return early, up, await accepted, late

    early, up, accepted, late = asyncio.run(ask(Gated()))
    assert [answer.status_code for answer in early] == [503, 503, 200]
    assert {error_of(answer)["code"] for answer in early[:2]} == {"not_ready"}
    assert (up.status_code, up.json()) == (200, {"status": "ready"})
    assert texts_of(accepted) == [str(number) for number in range(40)]
    assert [answer.status_code for answer in late] == [503, 503, 200]
    assert {error_of(answer)["code"] for answer in late[:2]} == {"shutting_down"}


def test_what_outlasts_the_grace_learns_so():
    async def ask(stub):
        stub.gate.close()
        async with serving(stub, grace=0.05) as client:
            asked = [asyncio.create_task(predict(client, dialogue("a")))]
            path = "/v1/conversations/c/utterances"
            asked += [
                asyncio.create_task(client.post(path, json={"speaker": "Ann", "text": text}))
                for text in "bc"
            ]
            await waiting(client, 3)
            client.app.state.service.stop()
            answers = await asyncio.gather(*asked)
            stub.gate.open()
            return answers

    answers = asyncio.run(ask(Gated()))
    assert [(answer.status_code, error_of(answer)["code"]) for answer in answers] == [
        (503, "shutting_down")
    ] * 3


def test_what_cannot_be_compiled_says_why():
    async def ask(stub):
        stub.gate.compile_error = MemoryError("too large")
        async with serving(stub, compile_ahead=True) as client:
            ready: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
            client.app.state.service.when_ready(ready.set_result)
            return await ready, (await client.get("/readyz")).status_code

    error, status = asyncio.run(ask(Gated()))
    assert isinstance(error, MemoryError)
    assert status == 503
