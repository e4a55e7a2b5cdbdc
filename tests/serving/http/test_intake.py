"""Bodies as they come: in pieces, without end, never."""

import asyncio
import gzip
import tracemalloc
from typing import Any

import pytest

from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http import intake
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.http.bodies import unpack
from eacl_jax.serving.settings import Limits, ServiceSettings
from tests.stubs.service import Gated

BODY = b'{"dialogues": [{"transcript": "Ann: hi"}]}'
JSON = [(b"host", b"localhost"), (b"content-type", b"application/json")]
CHUNKED = [*JSON, (b"transfer-encoding", b"chunked")]


async def ask(
    app: Any, receive: Any, headers: list[tuple[bytes, bytes]], address: str = "192.0.2.9"
) -> tuple[int, dict[bytes, bytes], bytes, list[Any]]:
    """Status, headers, body and all messages of the answer to what `receive` gives, asked from an
    address.
    """
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "headers": headers,
        "query_string": b"",
        "scheme": "http",
    }
    scope |= {
        "server": ("service", 80),
        "client": (address, 1),
        "http_version": "1.1",
        "root_path": "",
    }
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), content, sent


def chunks(*parts: bytes, end: bool = True) -> Any:
    """A `receive` that gives these parts, then waits for ever."""
    messages = [
        {"type": "http.request", "body": part, "more_body": not end or part is not parts[-1]}
        for part in parts
    ]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


def test_a_body_in_pieces_is_put_together():
    async def go():
        app = create_app(Gated(), ServiceSettings(compile_ahead=False))
        async with app.router.lifespan_context(app):
            return await ask(app, chunks(BODY[:1], b"", BODY[1:20], BODY[20:]), CHUNKED)

    status, _, content, _ = asyncio.run(go())
    assert (status, b'"emotion":"even"' in content) == (200, True)


def test_a_body_without_end_is_not_kept():
    given = 0

    async def endless():
        nonlocal given
        given += 1
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b" " * 2**16, "more_body": True}

    async def go():
        app = create_app(
            Gated(), ServiceSettings(compile_ahead=False, limits=Limits(body_bytes=2**18))
        )
        return await ask(app, endless, CHUNKED)

    status, headers, content, sent = asyncio.run(go())
    assert (status, headers[b"connection"]) == (413, b"close")
    assert b"limit of 262144 bytes" in content
    # The answer is out before the rest of what the caller sends is heard, and that only so far.
    assert sent[1]["body"] == content
    assert given <= 5 + 2**24 // 2**16 + 1


def test_a_body_that_says_it_is_too_large_is_not_read():
    reads = 0

    async def go():
        async def hung_up():
            nonlocal reads
            reads += 1
            return {"type": "http.disconnect"}

        app = create_app(Gated(), ServiceSettings(compile_ahead=False))
        headers = [*JSON, (b"content-length", b"9" * 5000)]
        return await ask(app, hung_up, headers)

    status, headers, _, _ = asyncio.run(go())
    assert (status, headers[b"connection"], reads) == (413, b"close", 1)


def test_a_body_that_does_not_come_is_not_waited_for():
    async def go():
        app = create_app(Gated(), ServiceSettings(compile_ahead=False, timeout=0.05))
        return await ask(app, chunks(BODY[:5], end=False), CHUNKED)

    status, _, content, _ = asyncio.run(go())
    assert (status, b'"body_timeout"' in content) == (408, True)


def test_bodies_that_do_not_arrive_keep_nobody_out():
    async def go():
        app = create_app(Gated(), ServiceSettings(compile_ahead=False, requests=2))
        async with app.router.lifespan_context(app):
            slow = [
                asyncio.create_task(ask(app, chunks(BODY[:5], end=False), CHUNKED))
                for _ in range(5)
            ]
            await asyncio.sleep(0)
            status, _, _, _ = await ask(app, chunks(BODY), CHUNKED)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            return status

    assert asyncio.run(go()) == 200


def test_one_address_leaves_room_to_others():
    async def go():
        stub = Gated()
        app = create_app(stub, ServiceSettings(compile_ahead=False, requests=4))
        stub.gate.close()
        async with app.router.lifespan_context(app):
            addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
            first = [
                asyncio.create_task(ask(app, chunks(BODY), CHUNKED, address))
                for address in addresses
            ]
            await stub.gate.reached()
            status, headers, content, _ = await ask(app, chunks(BODY), CHUNKED, "2001:db8::4")
            other = asyncio.create_task(ask(app, chunks(BODY), CHUNKED, "2001:db8:1::1"))
            async with asyncio.timeout(20):
                while app.state.service.admission.waiting < 4:
                    await asyncio.sleep(0)
            full = (await ask(app, chunks(BODY), CHUNKED, "192.0.2.1"))[0]
            stub.gate.open()
            answered = [(await task)[0] for task in (*first, other)]
            return status, headers[b"retry-after"], b"from your address" in content, full, answered

    assert asyncio.run(go()) == (429, b"1", True, 429, [200] * 4)


def test_where_bytes_have_no_room_the_first_body_of_the_greatest_sender_gives_way(monkeypatch):
    monkeypatch.setattr(intake, "_LINGER_SECONDS", 0.0)

    async def go():
        app = create_app(
            Gated(), ServiceSettings(compile_ahead=False, requests=2, limits=Limits(body_bytes=100))
        )
        async with app.router.lifespan_context(app):
            part, senders = b" " * 60, ["192.0.2.1", "192.0.2.2", "192.0.2.2"]
            slow = [
                asyncio.create_task(ask(app, chunks(part, end=False), CHUNKED, sender))
                for sender in senders
            ]
            for _ in range(5):
                await asyncio.sleep(0)
            answers = [await ask(app, chunks(BODY), CHUNKED, "192.0.2.3"), await slow[1]]
            waiting = [task.done() for task in (slow[0], slow[2])]
            for task in (slow[0], slow[2]):
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            return [status for status, *_ in answers], waiting, b"had to give way" in answers[1][2]

    assert asyncio.run(go()) == ([200, 429], [False, False], True)


def test_what_bodies_unpack_to_has_room_or_is_refused():
    body = gzip.compress(BODY[:-1] + b" " * 900 + b"}", mtime=0)
    headers = [*CHUNKED, (b"content-encoding", b"gzip")]

    async def go():
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def app(scope, receive, send):
            reached.set()
            await go_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        served = intake.Intake(app, body_bytes=1000, seconds=9, requests=9, all_bytes=1500)
        first = asyncio.create_task(ask(served, chunks(body), headers))
        await reached.wait()
        second = await ask(served, chunks(body), headers)
        go_on.set()
        return (await first)[0], second[0], (await ask(served, chunks(body), headers))[0]

    assert asyncio.run(go()) == (200, 429, 200)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (gzip.compress(BODY, mtime=0), b"gzip", 200, b'"even"'),
        (gzip.compress(BODY, mtime=0), b"X-GZIP", 200, b'"even"'),
        (BODY, b"identity", 200, b'"even"'),
        (BODY, b"gzip", 400, b"no gzip"),
        (gzip.compress(BODY, mtime=0)[:-9], b"gzip", 400, b"one whole member"),
        (gzip.compress(BODY, mtime=0) * 2, b"gzip", 400, b"one whole member"),
        (gzip.compress(b" " * 2**24, mtime=0), b"gzip", 413, b"limit of 262144 bytes"),
        (BODY, b"br", 415, b"Content-Encoding must be gzip"),
        (
            gzip.compress(gzip.compress(BODY, mtime=0), mtime=0),
            b"gzip, gzip",
            415,
            b"Content-Encoding must be gzip",
        ),
    ],
)
def test_bodies_may_be_gzip(body, encoding, status, words):
    async def go():
        app = create_app(
            Gated(), ServiceSettings(compile_ahead=False, limits=Limits(body_bytes=2**18))
        )
        async with app.router.lifespan_context(app):
            headers = [
                *JSON,
                (b"content-length", str(len(body)).encode()),
                (b"content-encoding", encoding),
            ]
            return await ask(app, chunks(body), headers)

    found, _, content, _ = asyncio.run(go())
    assert (found, words in content) == (status, True), content


def test_no_more_of_a_gzip_is_unpacked_than_a_body_may_have():
    bomb = gzip.compress(b" " * 2**24, mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(ApiError, match="limit of 1000 bytes"):
            unpack(bomb, "gzip", 1000)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_who_hangs_up_while_sending_is_forgotten():
    async def go():
        app = create_app(Gated(), ServiceSettings(compile_ahead=False))
        parts = iter([{"type": "http.request", "body": BODY[:5], "more_body": True}])

        async def receive():
            return next(parts, {"type": "http.disconnect"})

        return (await ask(app, receive, CHUNKED))[0]

    assert asyncio.run(go()) == 499
