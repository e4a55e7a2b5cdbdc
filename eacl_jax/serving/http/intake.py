"""Bodies as they arrive: never more bytes of them in memory than a limit, never for ever, and
nobody's keep others out.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eacl_jax.serving.errors import ApiError, ClientGone, response, try_again
from eacl_jax.serving.http.bodies import too_large, unpack
from eacl_jax.serving.http.peers import peer_of
from eacl_jax.serving.telemetry import Seldom

# How long, and for how much, a caller whose body was refused is listened to without keeping
# anything. Closing at once would reset the connection of one that is still sending, and the answer
# would be lost with it.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 2**24

seldom = Seldom(logging.getLogger(__name__))


@dataclasses.dataclass(eq=False)
class _Arriving:
    """A body that is not there yet.

    Attributes:
      peer: whose.
      until: its time limit.
      size: bytes so far.
      gave_way: there was no room for it any more.
    """

    peer: str
    until: asyncio.Timeout
    size: int = 0
    gave_way: bool = False


class Intake:
    """Reads a request's body before the application sees it; refuses what is too large, too slow or
    one too many.

    Bodies that do not arrive keep nobody out: only requests whose body has arrived are counted, and
    where there is no room for more bytes, one body is given up: the first of the address that sent
    most.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int,
        seconds: float,
        requests: int,
        all_bytes: int,
    ) -> None:
        """Args:
        app: what is served.
        body_bytes: of the longest body.
        seconds: that a body may take to arrive.
        requests: whose bodies have arrived, in progress at once. One address may have three
          quarters of them.
        all_bytes: of all bodies together.
        """
        self._app = app
        self._body_bytes, self._all_bytes = body_bytes, all_bytes
        self._seconds, self._requests = seconds, requests
        self._share = max(requests * 3 // 4, 1)
        self._arriving: dict[_Arriving, None] = {}  # who began first comes first
        self._in_progress: Counter[str] = Counter()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(scope):
            return await self._app(scope, receive, send)
        peer = peer_of(scope.get("client"))
        try:
            body = await self._read(scope, receive, peer)
        except ApiError as error:
            return await _answer_and_close(error, scope, receive, send)
        try:
            with self._admit(peer, len(body)):
                arrived = len(body)
                body = unpack(body, _header(scope, b"content-encoding"), self._body_bytes)
                with self._unpacked(len(body) - arrived):
                    await self._app(scope, _replay(body, receive), send)
        except ApiError as error:  # the application answers its errors itself
            await response(error, scope)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, peer: str) -> bytes:
        if _declared_length(scope) > self._body_bytes:
            raise too_large(self._body_bytes)
        body = bytearray()
        until = asyncio.timeout(self._seconds)
        arriving = _Arriving(peer, until)
        self._arriving[arriving] = None
        try:
            async with until:
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ClientGone()
                    piece = message.get("body", b"")
                    body += piece
                    if len(body) > self._body_bytes:
                        raise too_large(self._body_bytes)
                    self._grow(arriving, len(piece))
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            if arriving.gave_way:
                raise _no_room() from error
            raise ApiError(
                408, "body_timeout", f"the body did not arrive within {self._seconds:g} s."
            ) from error
        finally:
            self._forget(arriving)

    def _grow(self, arriving: _Arriving, size: int) -> None:
        if not arriving.gave_way:
            arriving.size += size
            self._bytes += size
            self._make_room()
        if arriving.gave_way:
            raise _no_room()

    def _make_room(self) -> None:
        while self._bytes > self._all_bytes and self._arriving:
            sizes: Counter[str] = Counter()
            for each in self._arriving:
                sizes[each.peer] += each.size
            first = max(self._arriving, key=lambda each: sizes[each.peer])
            self._forget(first)
            first.gave_way = True
            if not first.until.expired():
                first.until.reschedule(asyncio.get_running_loop().time())
            seldom.warning(
                "bodies that did not arrive had to give way to others: there was no room for more"
                " bytes."
            )

    def _forget(self, arriving: _Arriving) -> None:
        if not arriving.gave_way:
            del self._arriving[arriving]
            self._bytes -= arriving.size

    @contextlib.contextmanager
    def _admit(self, peer: str, size: int) -> Iterator[None]:
        """Counts a request as in progress until the block ends."""
        if self._in_progress.total() >= self._requests:
            raise try_again("busy", f"{self._requests} requests are in progress already.", 1)
        if self._in_progress[peer] >= self._share:
            raise try_again(
                "busy", f"{self._share} requests from your address are in progress already.", 1
            )
        self._in_progress[peer] += 1
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            self._in_progress[peer] -= 1
            if not self._in_progress[peer]:
                del self._in_progress[peer]  # addresses come and go

    @contextlib.contextmanager
    def _unpacked(self, more: int) -> Iterator[None]:
        """Counts what a compressed body is longer than it came, until the block ends."""
        if more > 0 and self._bytes + more > self._all_bytes:
            raise _no_room("there is no room for what the body unpacks to.")
        self._bytes += more
        try:
            yield
        finally:
            self._bytes -= more


def _no_room(
    why: str = "the body took long to arrive and had to give way to others.",
) -> ApiError:
    return try_again("busy", why, 1)


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # A length of thousands of digits is no number that Python reads; all of these are too
            # long.
            return int(value[:20])
    return 0


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


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
    """Sends the whole answer, listens for a while to one who may still be sending, then ends the
    connection.
    """
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
