"""Connections as they come: without a request, without an end, one too many, with answers that
nobody reads.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eacl_jax.serving import server
from eacl_jax.serving.http import connections
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import ServiceSettings
from tests.stubs.service import Gated, listening

START = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
CHUNKED = START + b"transfer-encoding: chunked\r\n\r\n"
Connect = Callable[..., socket.socket]


@pytest.fixture
def patience() -> float:
    """Seconds that the service waits for a request, and for its answer to be read."""
    return 0.4


@pytest.fixture
def app(patience, monkeypatch) -> Any:
    """A service that has little patience and room."""
    monkeypatch.setattr(server, "_HEAD_SECONDS", patience)
    monkeypatch.setattr(connections, "_LINGER_SECONDS", 0.2)
    recognizer: Any = Gated()
    return create_app(
        recognizer,
        ServiceSettings(compile_ahead=False, connections=4, requests=1, timeout=patience),
    )


@pytest.fixture
def connect(app) -> Iterator[Connect]:
    """Opens connections to the service, and sends something."""
    opened: list[socket.socket] = []
    with listening(app) as address:
        host, port = address.removeprefix("http://").split(":")

        def open_one(data: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
            connection = socket.socket()
            opened.append(connection)
            connection.settimeout(10)
            if receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.connect((host, int(port)))
            connection.sendall(data)
            return connection

        yield open_one
        for each in opened:
            each.close()


def read(connection: socket.socket) -> bytes:
    """All that comes until the service closes the connection."""
    try:
        return b"".join(iter(lambda: connection.recv(2**16), b""))
    except ConnectionResetError:
        return b"reset"


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def code_of(answer: bytes) -> tuple[int, str]:
    """Status and code of an answer that is an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_who_sends_no_request_is_not_waited_for(connect):
    nothing, part, kept = connect(), connect(b"GET / HTTP/1.1\r\nhost:"), connect(PROBE)
    answer = b""
    while not answer.endswith(b'{"status":"alive"}'):
        answer += kept.recv(2**16)
    kept.sendall(b"GET")
    assert read(nothing) == b""
    assert [code_of(read(each)) for each in (part, kept)] == [(408, "head_timeout")] * 2


def test_who_was_answered_early_may_not_send_for_ever(connect):
    # Refused for its host before its body, which goes on.
    connection = connect(
        START.replace(b"localhost", b"evil.example") + b"content-length: 1000\r\n\r\n"
    )
    assert b" 421 " in connection.recv(2**16)
    assert any(_is_refused(connection, b" ") for _ in range(100))


def _is_refused(connection: socket.socket, data: bytes) -> bool:
    time.sleep(0.05)
    try:
        connection.sendall(data)
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("patience", [60.0])
def test_one_too_many_closes_the_one_that_waits_longest(connect, caplog):
    # Two without a request, one whose body does not come; the first two make room for one of the
    # probes.
    waiting = [connect(), connect(PROBE[:9]), connect(START + b"content-length: 9\r\n\r\n{")]
    probes = []
    for _ in range(3):
        probes.append(connect(PROBE))
        assert probes[-1].recv(2**16).startswith(b"HTTP/1.1 200 ")
    assert [is_open(each) for each in (*waiting, *probes)] == [False, False, True, True, True, True]
    assert "more than 4 connections" in caplog.text


def test_answers_that_nobody_reads_are_dropped(app, connect):
    unread = connect(PROBE.replace(b"healthz", b"openapi.json") * 300, receive_buffer=2**12)
    deadline = time.monotonic() + 20
    while b'code="answer_timeout"' not in app.state.service.telemetry.exposition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert read(unread) == b"reset"


@pytest.mark.parametrize("patience", [60.0])
@pytest.mark.parametrize(
    ("sent", "status", "code", "words"),
    [
        (b"\x16\x03\x01\r\n\r\n", 400, "bad_request", b"request line"),
        (START + b"content-length: -1\r\n\r\n", 400, "bad_request", b"Content-Length"),
        (
            START + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
            "bad_request",
            b"both",
        ),
        (START + b"host: elsewhere\r\n\r\n", 400, "bad_request", b"Host"),
        (START + b"x: " + b"x" * 2**17, 431, "headers_too_large", b"16384 bytes"),
        # What h11's patterns take the square of the length of time for.
        (START + b"x:" + b" " * 8000 + b"\x0b\r\n\r\n", 400, "bad_request", b"256 blanks in a row"),
        (
            START + b"x:" + b"\r\n " * 3000 + b"\x0b\r\n\r\n",
            400,
            "bad_request",
            b"256 blanks in a row",
        ),
        (CHUNKED + b"5;" + b" " * 8000 + b"\nx\r\n", 400, "bad_request", b"chunk"),
        (
            CHUNKED + b"1\r\n \r\n0\r\nx:" + b" " * 8000 + b"\x0b\r\n\r\n",
            400,
            "bad_request",
            b"chunk",
        ),
    ],
    ids=range(9),
)
def test_what_is_no_request_is_answered_so(connect, sent, status, code, words):
    answer = read(connect(sent))
    assert code_of(answer) == (status, code)
    assert words in answer


def test_what_the_connection_answers_is_counted_once(app, connect):
    assert code_of(read(connect(CHUNKED + b"x\r\n"))) == (400, "bad_request")
    deadline, counted = time.monotonic() + 20, []
    while len(counted) < 2:
        assert time.monotonic() < deadline
        lines = app.state.service.telemetry.exposition().decode().splitlines()
        kinds = ("eacl_requests_total{", "eacl_refused_total{")
        counted = [line for line in lines if line.startswith(kinds)]
        time.sleep(0.05)
    assert counted == [
        'eacl_requests_total{method="POST",route="other",status="400"} 1.0',
        'eacl_refused_total{code="bad_request"} 1.0',
    ]


@pytest.mark.parametrize("patience", [60.0])
def test_bodies_that_are_not_there_when_the_service_ends_are_refused(app):
    with listening(app) as address:
        host, port = address.removeprefix("http://").split(":")
        late = socket.create_connection((host, int(port)), timeout=20)
        late.sendall(START + b"content-length: 9\r\nexpect: 100-continue\r\n\r\n")
        assert late.recv(2**16).startswith(b"HTTP/1.1 100 ")  # it waits for the body
    assert code_of(read(late)) == (503, "shutting_down")
    late.close()


@pytest.mark.parametrize("patience", [60.0])
def test_requests_one_after_the_other_on_a_connection_are_answered(connect):
    body = b'{"dialogues": [{"transcript": "Ann: hi"}]}'
    asked = START + b"content-length: %d\r\n\r\n" % len(body) + body
    pieces = CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    last = PROBE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    answer = read(connect(asked * 2 + pieces + last))
    assert answer.count(b'"emotion":"even"') == 3
    assert answer.endswith(b'{"status":"alive"}')
