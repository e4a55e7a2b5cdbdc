"""Connections as they come: none that waits without end, none whose answers are never taken, no
more than there is room for.
"""

import asyncio
import dataclasses
import http
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from eacl_jax.serving.engine.admission import shutting_down
from eacl_jax.serving.errors import ApiError, content
from eacl_jax.serving.http.peers import peer_of
from eacl_jax.serving.telemetry import ANSWERED

HEAD_BYTES = 2**14
"""Of a request's first line and headers."""

# Bytes read at once. Bounds how long one connection's bytes keep all others waiting: a chunk of one
# byte takes as much work as a long one.
_PIECE = 2**11
# h11's patterns take the square of the number of blanks in a row.
_BLANKS = 256
_RUNS = re.compile(rb"[ \t\r\n]+")
_HEAD_END = re.compile(rb"\n\r?\n")
# How long who was refused may go on sending, which is not read.
_LINGER_SECONDS = 2.0
# What stands between the chunks of a body: a length, and what nobody uses.
_FRAMING_BYTES = 2**10


@dataclasses.dataclass(frozen=True)
class Room:
    """Limits of all connections together, and what is called when one is reached.

    Attributes:
      connections: at once. Beyond, one whose request has not arrived is closed: the one that waits
        longest, of the address with most connections.
      head_seconds: until a connection's next request has begun and its headers are here.
      answer_seconds: in which a caller must read its answer.
      refused: called with the code of each refusal.
    """

    connections: int
    head_seconds: float
    answer_seconds: float
    refused: Callable[[str], None]


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's HTTP/1.1, for callers who mean no good or do not know better."""

    def __init__(self, *arguments: Any, room: Room, **named: Any) -> None:
        """Args:
        arguments: uvicorn's, as `named`.
        room: for all connections.
        """
        super().__init__(*arguments, **named)
        self.conn = _Http(h11.SERVER, HEAD_BYTES)
        self._room, self._buffer = room, bytearray(_PIECE)
        self._peer = ""
        self._since = 0.0
        self._over = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts the connection; where there are too many, closes another."""
        super().connection_made(transport)
        # Unsent bytes keep the connection open, so `pause_writing` is to be called for any number
        # of them.
        transport.set_write_buffer_limits(high=0)
        self._peer = peer_of(self.client)
        self._await_request()
        if len(self.connections) > self._room.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what waits for the connection."""
        self._stop_timers()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where to put the next bytes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Reads the bytes that came, unless the connection is over."""
        if not self._over:
            self.data_received(bytes(self._buffer[:nbytes]))

    def handle_events(self) -> None:
        """Reads what can be read, and notes whether a request is there."""
        super().handle_events()
        if (
            self._head_timer is not None
            and self.cycle is not None
            and not self.cycle.response_complete
        ):
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        self._await_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Some bytes could not be sent: begins to wait for the caller to take them."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(
            self._room.answer_seconds, self._end, "answer_timeout"
        )

    def resume_writing(self) -> None:
        """All bytes are sent."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Ends the connection, after the answer to a request that is there."""
        super().shutdown()
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_started:
            self._refuse(shutting_down())

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP; uvicorn calls it while h11's error is handled."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(
                ApiError(
                    431,
                    "headers_too_large",
                    f"the headers are longer than {HEAD_BYTES} bytes; send fewer.",
                )
            )
        else:
            self._refuse(
                ApiError(
                    400,
                    "bad_request",
                    f"the request is no HTTP/1.1 that can be read: {error or msg!s:.200}.",
                )
            )

    def _await_request(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._since = self.loop.time()
        self._head_timer = self.loop.call_later(self._room.head_seconds, self._no_request)

    def _no_request(self) -> None:
        begun = bool(self.conn.trailing_data[0])
        if self.conn.our_state is h11.IDLE and begun:
            seconds = self._room.head_seconds
            self._refuse(
                ApiError(
                    408,
                    "head_timeout",
                    f"the request's headers did not arrive within {seconds:g} s.",
                )
            )
        else:
            # Browsers open connections ahead; what is not used is closed without further ado.
            self._end("head_timeout" if begun else None)

    def _refuse(self, error: ApiError) -> None:
        """Answers for the application, and closes the connection."""
        answers = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if self.cycle is not None and not self.cycle.response_complete:
            # To the application, which may still read the body, the caller is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if answers:
                scope: Any = self.cycle.scope
                scope[ANSWERED] = error.status_code
        if not answers:
            return self._end(error.code)
        self._room.refused(error.code)
        body = content(error)
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        reason = http.HTTPStatus(error.status_code).phrase.encode()
        start = h11.Response(status_code=error.status_code, headers=headers, reason=reason)
        for event in (start, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        # Closing at once would reset the connection of one that is still sending, and the answer
        # would be lost with it.
        self._stop_timers()
        self._over = True
        self.flow.resume_reading()
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(_LINGER_SECONDS, self._end, None)

    def _make_room(self) -> None:
        """Closes a connection whose request is not there, if only this one."""
        counts = Counter(each._peer for each in self._all())
        waiting = [each for each in self._all() if each is not self and not each._is_at_work()]
        worst = max(waiting, key=lambda each: (counts[each._peer], -each._since), default=self)
        worst._end("too_many_connections")

    def _all(self) -> "list[Connection]":
        return [each for each in self.connections if isinstance(each, Connection)]

    def _is_at_work(self) -> bool:
        """Whether a whole request is there and not answered."""
        return (
            self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        )

    def _end(self, code: str | None) -> None:
        if code is not None:
            self._room.refused(code)
        self.connections.discard(
            self
        )  # at once: others may come before `connection_lost` is called
        self._stop_timers()
        self.transport.abort()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._answer_timer = None


class _Http(h11.Connection):
    """h11's, without what it takes the square of a length of time for."""

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            head, _ = self.trailing_data
            end = _HEAD_END.search(head)
            if (
                end is not None
                and max(map(len, _RUNS.findall(head, 0, end.start())), default=0) > _BLANKS
            ):
                raise h11.RemoteProtocolError(
                    f"its headers hold more than {_BLANKS} blanks in a row"
                )
        event = super().next_event()
        if isinstance(event, h11.Request) and {b"content-length", b"transfer-encoding"} <= {
            name for name, _ in event.headers
        }:
            # A proxy may see another end of the body, and the next request elsewhere.
            raise h11.RemoteProtocolError("it has both Content-Length and Transfer-Encoding")
        # What is waited for in a body that has begun is the end of a line.
        if (
            event is h11.NEED_DATA
            and self.their_state is h11.SEND_BODY
            and len(self.trailing_data[0]) > _FRAMING_BYTES
        ):
            raise h11.RemoteProtocolError("a chunk of its body does not begin as it should")
        return event
