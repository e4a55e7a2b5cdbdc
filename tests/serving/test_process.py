"""`eacl serve` as a process on a real port, from its first word to its last."""

import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from typer.main import get_command

from eacl_jax.cli import app
from eacl_jax.cli import serve as command
from eacl_jax.errors import UserError
from eacl_jax.serving import server
from eacl_jax.serving.settings import ServiceSettings
from tests.stubs.root import ROOT
from tests.stubs.xla import flags

pytestmark = pytest.mark.slow

TOKEN = "open-sesame"


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    tiny.save_pretrained(folder)
    return folder


@pytest.fixture
def served(model) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address."""
    # Nothing is compiled ahead: the first request then compiles, which takes long enough to be
    # interrupted.
    arguments = [
        sys.executable,
        "launch/serve.py",
        "--model",
        str(model),
        "--port",
        "0",
        "--no-compile-ahead",
        "--name",
        "toy",
    ]
    variables = {
        **os.environ,
        "EACL_TOKEN": TOKEN,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": flags(1),
    }
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("toy answers at http://127.0.0.1:"), (
            line,
            process.communicate(timeout=60)[1],
        )
        yield process, line.split()[3]
    finally:
        process.kill()
        process.wait()


def test_asked_to_stop_it_answers_what_it_accepted(served):
    process, address = served
    headers = {"authorization": f"Bearer {TOKEN}"}
    asked = {
        "dialogues": [
            {"utterances": [{"speaker": "Ann", "text": f"hello {number}"} for number in range(900)]}
        ]
    }
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(f"{address}/v1/predict", json=asked, headers=headers, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        deadline = time.monotonic() + 60
        while "eacl_queue_utterances 900.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
    process.send_signal(signal.SIGTERM)
    asking.join()
    out, err = process.communicate(timeout=60)
    assert answers[0].status_code == 200
    assert [each["text"] for each in answers[0].json()["dialogues"][0]["utterances"]] == [
        f"hello {n}" for n in range(900)
    ]
    assert (process.returncode, out, err) == (0, "", "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")


def test_what_no_client_should_send_is_survived(served):
    process, address = served
    at = (urlsplit(address).hostname, urlsplit(address).port)

    def send(data: bytes) -> bytes:
        with socket.create_connection(at, timeout=60) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(2**16), b""))

    start = (
        f"POST /v1/predict HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-type:"
        " application/json\r\n"
    )
    # One that goes on sending after it was refused still gets the answer, and nothing of what it
    # sends is kept.
    chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    refused = send(
        start.encode() + b"transfer-encoding: chunked\r\n\r\n" + chunk * 40 + b"0\r\n\r\n"
    )
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in refused
    for garbage in (
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        start.encode() + b"content-length: -1\r\n\r\n",
    ):
        assert send(garbage).startswith(b"HTTP/1.1 400 ")
    # Headers have an end, too.
    assert send(start.encode() + b"x: " + b"x" * 2**17).startswith(b"HTTP/1.1 431 ")
    close = "connection: close\r\n"
    expected = send(
        f"{start}{close}content-length: 2000000\r\nexpect: 100-continue\r\n\r\n".encode()
    )
    assert expected.startswith(b"HTTP/1.1 413 ")
    body = json.dumps({"dialogues": [{"transcript": "Ann: \ud83d\ude00"}]}).encode()
    fine = send(f"{start}{close}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert fine.startswith(b"HTTP/1.1 200 ")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_port_in_use_is_named_before_the_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} of 127\.0\.0\.1 .*in use.*another port"):
            command.serve(model="nowhere/model", port=port)


@pytest.mark.parametrize(
    ("token", "words"), [("", "EACL_TOKEN is set but empty"), (" ", "the token is empty")]
)
def test_an_empty_token_opens_nothing(token, words, monkeypatch):
    for variable, arguments in ((token, []), ("", [f"--token={token}"])):
        monkeypatch.setenv("EACL_TOKEN", variable)
        with pytest.raises(UserError, match="token is empty" if arguments else words):
            get_command(app.app)(
                ["serve", "--model=nowhere/model", *arguments], standalone_mode=False
            )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_before_it_is_up_it_says_so_and_ends(number, status, monkeypatch, capfd):
    before = signal.getsignal(number)
    ended: list[int] = []
    monkeypatch.setattr(command.os, "_exit", ended.append)

    def bind(host: str, port: int) -> None:
        signal.raise_signal(number)
        raise UserError("that is all")

    monkeypatch.setattr(server, "bind", bind)
    with pytest.raises(UserError, match="that is all"):
        command.serve(model="nowhere/model")
    assert ended == [status]
    assert capfd.readouterr().err == f"stopped by {number.name} before the service was up.\n"
    assert signal.getsignal(number) is before


def test_connections_leave_files_for_others(monkeypatch, caplog):
    limits = [(256, 256)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    found = server.within_files(ServiceSettings())
    assert (found.connections, found.requests) == (156, 78)
    assert "room for 156 connections only" in caplog.text
    limits[:] = [(256, 4096)]
    assert server.within_files(ServiceSettings()) == ServiceSettings()
    assert limits[-1] == (1100, 4096)
    limits[:] = [(64, 64)]
    with pytest.raises(UserError, match=r"64 files.*ulimit -n 1100"):
        server.within_files(ServiceSettings())


def test_mistakes_are_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match=r"no model's folder: config\.json .*missing"):
        command.serve(model=str(tmp_path), port=0)
    with pytest.raises(UserError, match="host no such host"):
        command.serve(model=str(tmp_path), host="no such host", port=0)
    with pytest.raises(UserError, match="host is empty"):
        command.serve(model=str(tmp_path), host="", port=0)
    with pytest.raises(UserError, match="--grace must be more than 0"):
        command.serve(model=str(tmp_path), port=0, grace=math.inf)
    with pytest.raises(UserError, match="queue of 5"):
        command.serve(model=str(tmp_path), port=0, queue=5)
    assert "warning" not in capsys.readouterr().err
    with pytest.raises(UserError, match=r"no model's folder: config\.json .*missing"):
        command.serve(model=str(tmp_path), host="0.0.0.0", port=0)
    assert "warning: whoever reaches 0.0.0.0 may use this service" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"no model's folder: config\.json .*missing"):
        command.serve(model=str(tmp_path), host="0.0.0.0", port=0, token=TOKEN)
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(UserError, match=r"needs uvicorn.*pip install 'eacl_jax\[serve\]'"):
        command.serve(model=str(tmp_path))
