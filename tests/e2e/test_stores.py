"""Runs at an address of an object store: the same as in a folder, whatever comes between."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import evaluation, loop, mirror, run
from tests.stubs.root import ROOT
from tests.stubs.toys import make_config
from tests.stubs.xla import flags

ADDRESS = "memory://runs/meld"
LAST = (Stage.ONE, 2)


@pytest.fixture
def config(toy, tmp_path, monkeypatch):
    """A toy run with caches that no other run uses, and a store that is empty."""
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "cache"))
    stores.remove(ADDRESS, stores.objects(ADDRESS))
    return make_config({**toy, "data.cache_dir": str(tmp_path / "cache")})


def train(config, **more):
    out = io.StringIO()
    run.train(config, ADDRESS, console=Console(file=out, width=200), **more)
    return out.getvalue()


def numbers(text):
    rows = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows]


def check_same(finished):
    there = stores.objects(ADDRESS)
    here = {p.relative_to(finished).as_posix() for p in finished.rglob("*") if p.is_file()}
    apart = ("checkpoints/", "tensorboard/")
    assert {n for n in there if n[0] != "." and not n.startswith(apart)} == {
        n for n in here if not n.startswith(apart)
    }
    read = {name: stores.read_bytes(f"{ADDRESS}/{name}") for name in there}
    assert read["results.json"] == (finished / "results.json").read_bytes()
    assert numbers(read["metrics.jsonl"].decode()) == numbers(
        (finished / "metrics.jsonl").read_text()
    )
    # Only checkpoints that are kept are there, each whole.
    steps = {name.removesuffix("/whole.json") for name in there if name.endswith("/whole.json")}
    kept = finished.glob("checkpoints/*/[0-9]*")
    assert steps == {folder.relative_to(finished).as_posix() for folder in kept}


@pytest.mark.slow
def test_a_run_at_an_address_is_the_run_in_a_folder(config, finished, tmp_path):
    shown = train(config)
    assert f"model    {ADDRESS}/model" in shown
    assert str(tmp_path / "cache" / "runs") not in shown
    check_same(finished)
    assert list((tmp_path / "cache" / "runs").glob("[0-9a-f]*[0-9a-f]")) == []
    assert f"{ADDRESS} holds a complete run" in train(config)
    # Its model answers, from the run's address and from the model's.
    chat = [("Ann", "We won!"), ("Ben", "Great.")]
    answers = [
        EmotionRecognizer.from_pretrained(path).predict([chat])
        for path in (finished, ADDRESS, f"{ADDRESS}/model")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert evaluation.evaluate(ADDRESS, "test") == evaluation.evaluate(finished, "test")
    EmotionRecognizer.from_pretrained(ADDRESS).save_pretrained("memory://models/mine")
    assert EmotionRecognizer.from_pretrained("memory://models/mine").predict([chat]) == answers[0]


@pytest.mark.long
def test_stopped_and_gone_on_with_elsewhere_it_is_the_same_run(
    config, finished, tmp_path, monkeypatch
):
    stop = loop.StopRequest()
    with pytest.raises(loop.Interrupted):
        train(config, stop=stop, watch=lambda *at: at[:2] == LAST and stop.ask())
    assert "results.json" not in stores.objects(ADDRESS)
    # Another machine; and what was being put there when this one was lost.
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "other"))
    for name in ("unfinished.json", "state/manifest.ocdbt"):
        stores.write_bytes(f"{ADDRESS}/checkpoints/stage_one/999/{name}", b"half")
    assert "going on from step" in train(config)
    check_same(finished)


@pytest.mark.long
def test_a_run_whose_address_another_takes_stops(config, monkeypatch):
    def take(stage, epoch, *_):
        if (stage, epoch) == LAST:
            other = json.dumps({"token": "other", "user": "process 7 on far"})
            stores.write_bytes(f"{ADDRESS}/.user.json", other.encode())

    monkeypatch.setattr(mirror, "_EVERY", 0.1)
    with pytest.raises(UserError, match=rf"{ADDRESS}: a run .* \(process 7 on far\), so this one"):
        train(config, watch=take)
    assert "results.json" not in stores.objects(ADDRESS)
    train(config)
    assert "results.json" in stores.objects(ADDRESS)


@pytest.mark.slow
def test_nothing_is_lost_where_the_store_fails(config, finished, tmp_path, monkeypatch):
    send, failing = stores.send, []

    def fail(file, address):
        if failing:
            raise UserError(f"{address} cannot be written.")
        send(file, address)

    monkeypatch.setattr(stores, "send", fail)
    monkeypatch.setattr(mirror, "_AGAIN", (0.0,))
    with pytest.raises(UserError, match="What this run has written is in ") as error:
        train(config, watch=lambda *at: failing.append(at))
    kept = Path(str(error.value).partition("written is in ")[2].partition(";")[0])
    assert (kept / "results.json").exists()
    failing.clear()
    monkeypatch.setattr(stores, "send", send)
    assert "holds a complete run" in train(config)
    check_same(finished)


@pytest.mark.slow
def test_what_cannot_begin_does_not_take_the_address(config, monkeypatch):
    def refuse(*_):
        raise UserError("other data.")

    with monkeypatch.context() as patched:
        patched.setattr(run, "_begin", refuse)
        with pytest.raises(UserError, match=r"other data\."):
            train(config)
    assert stores.objects(ADDRESS) == {}


def test_a_folder_of_something_else_is_left_alone(config):
    stores.write_bytes(f"{ADDRESS}/photos/1.jpg", b"1")
    with pytest.raises(UserError, match=r"holds files but no config\.json, so it is not a run's"):
        train(config)
    assert list(stores.objects(ADDRESS)) == ["photos/1.jpg"]


def test_one_process_of_a_machine_is_at_an_address(config, tmp_path):
    first = mirror.Mirror(ADDRESS, tmp_path / "runs" / "x", lambda: None)
    second = mirror.Mirror(ADDRESS, tmp_path / "runs" / "x", lambda: None)
    first.open()
    with pytest.raises(UserError, match="another process of this machine is training there"):
        second.open()
    first.close(flush=False)
    second.open()


@pytest.fixture(scope="module")
def s3():
    """A server that behaves as S3 does, and what programs must know to find it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    known = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in known.items():
            patched.setenv(name, value)
        import fsspec

        system, _ = fsspec.core.url_to_fs("s3://bucket/x", use_listings_cache=False)
        deadline = time.monotonic() + 60
        while True:
            try:
                system.mkdir("bucket")
                break
            except Exception:  # it is not up yet
                assert time.monotonic() < deadline
                time.sleep(0.2)
        try:
            yield known
        finally:
            server.kill()
            server.wait()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_the_command_goes_on_in_a_store_after_a_kill(s3, toy, tmp_path, number):
    address = f"s3://bucket/{number}"
    settings = {
        **toy,
        "stage_one.epochs": 12,
        "run.save_every": 7,
        "data.cache_dir": str(tmp_path / "cache"),
    }
    overrides = [f"--config.{k}={v}" for k, v in settings.items() if k != "data.corpus"]
    patient = "import runpy, sys; from eacl_jax.training import mirror; mirror._EVERY = 0.5"
    patient += "; sys.argv[0] = 'launch/train.py'; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [
        *(sys.executable, "-c", patient, "--config=configs/meld.py"),
        *("--config.data.corpus=custom", *overrides),
    ]
    environment = {**os.environ, **s3, "XLA_FLAGS": flags(1), "PYTHONPATH": str(ROOT)}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": ROOT}
    process = subprocess.Popen([*command, f"--workdir={address}"], env=environment, **output)
    deadline = time.monotonic() + 300
    while not any(name.endswith("/whole.json") for name in stores.objects(address)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    text = process.communicate()[0]
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), text
    assert "results.json" not in stores.objects(address)
    texts = []
    for where in (address, str(tmp_path / "whole")):
        done = subprocess.run([*command, f"--workdir={where}"], env=environment, **output)
        assert done.returncode == 0, done.stdout
        texts.append(done.stdout)
    assert "going on from step" in texts[0]
    assert stores.read_bytes(f"{address}/results.json") == (
        (tmp_path / "whole" / "results.json").read_bytes()
    )
    again = [sys.executable, "launch/evaluate.py", f"--run={address}"]
    scored = subprocess.run(again, env=environment, **output)
    assert "the same as results.json" in scored.stdout, scored.stdout
