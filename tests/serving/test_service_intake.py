"""Bodies as they come: in pieces, without end, never."""

import asyncio
from typing import Any

from service_stub import Gated

from eacl_jax.serving.app import create_app
from eacl_jax.serving.settings import Limits, ServiceSettings

BODY = b'{"dialogues": [{"transcript": "Ann: hi"}]}'
CHUNKED = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]


async def ask(app: Any, receive: Any, headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[bytes, bytes], bytes, list[Any]]:
    """Status, headers, body and all messages of the answer to what `receive` gives."""
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": headers, "query_string": b"", "scheme": "http"}
    scope |= {"server": ("service", 80), "client": ("caller", 1), "http_version": "1.1", "root_path": ""}
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), content, sent


def chunks(*parts: bytes, end: bool = True) -> Any:
    """A `receive` that gives these parts, then waits for ever."""
    messages = [{"type": "http.request", "body": part, "more_body": not end or part is not parts[-1]} for part in parts]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


def test_a_body_in_pieces_is_put_together():
    async def go():
        app = create_app(Gated(), ServiceSettings(warm=False))
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
        app = create_app(Gated(), ServiceSettings(warm=False, limits=Limits(body_bytes=2**18)))
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

        app = create_app(Gated(), ServiceSettings(warm=False))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"9" * 5000)]
        return await ask(app, hung_up, headers)

    status, headers, _, _ = asyncio.run(go())
    assert (status, headers[b"connection"], reads) == (413, b"close", 1)


def test_a_body_that_does_not_come_is_not_waited_for():
    async def go():
        app = create_app(Gated(), ServiceSettings(warm=False, timeout=0.05))
        return await ask(app, chunks(BODY[:5], end=False), CHUNKED)

    status, _, content, _ = asyncio.run(go())
    assert (status, b'"body_timeout"' in content) == (408, True)


def test_more_bodies_at_once_than_there_is_room_for_are_429():
    async def go():
        app = create_app(Gated(), ServiceSettings(warm=False, requests=2))
        slow = [asyncio.create_task(ask(app, chunks(BODY[:5], end=False), CHUNKED)) for _ in range(2)]
        await asyncio.sleep(0)
        status, headers, _, _ = await ask(app, chunks(BODY), CHUNKED)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        again, _, _, _ = await ask(app, chunks(BODY), CHUNKED)
        return status, headers[b"retry-after"], again

    # The service was not started, so who is let in is told that it is not ready.
    assert asyncio.run(go()) == (429, b"1", 503)


def test_who_hangs_up_while_sending_is_forgotten():
    async def go():
        app = create_app(Gated(), ServiceSettings(warm=False))
        parts = iter([{"type": "http.request", "body": BODY[:5], "more_body": True}])

        async def receive():
            return next(parts, {"type": "http.disconnect"})

        return (await ask(app, receive, CHUNKED))[0]

    assert asyncio.run(go()) == 499
