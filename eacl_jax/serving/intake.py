"""Bodies as they arrive: never more of one in memory than the limit, never more of them than a number, never for ever."""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eacl_jax.serving.errors import ApiError, ClientGone, response, try_again

# How long, and for how much, a caller whose body was refused is listened to without keeping anything. Closing at once would
# reset the connection of one that is still sending, and the answer would be lost with it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 2**24


class Intake:
    """Reads a request's body before the application sees it; refuses what is too large, too slow or one too many."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, seconds: float, requests: int) -> None:
        """Args:
        app: what is served.
        body_bytes: of the longest body.
        seconds: that a body may take to arrive.
        requests: with bodies in progress at once.
        """
        self._app = app
        self._body_bytes, self._seconds, self._requests = body_bytes, seconds, requests
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(scope):
            return await self._app(scope, receive, send)
        self._in_progress += 1
        try:
            try:
                body = await self._read(scope, receive)
            except ApiError as error:
                return await _answer_and_close(error, scope, receive, send)
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._in_progress -= 1

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        if self._in_progress > self._requests:
            raise try_again("busy", f"{self._requests} requests are in progress already.", 1)
        if _declared_length(scope) > self._body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ClientGone()
                    body += message.get("body", b"")
                    if len(body) > self._body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise ApiError(408, "body_timeout", f"the body did not arrive within {self._seconds:g} s.") from error

    def _too_large(self) -> ApiError:
        return ApiError(413, "too_large", f"the body is longer than the limit of {self._body_bytes} bytes; send less at once.")


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # A length of thousands of digits is no number that Python reads; all of these are too long.
            return int(value[:20])
    return 0


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body in one message, then what comes after it: that the caller hung up."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer_and_close(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the whole answer, listens for a while to one who may still be sending, then ends the connection."""
    answer = response(error, scope)
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    heard, more = 0, error.status_code != 408
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while more and heard < _LINGER_BYTES:
                message = await receive()
                heard += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
