"""Sending a model folder to the hub, at the border of the hub's client; nothing leaves this
machine.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

from eacl_jax.errors import UserError
from eacl_jax.export import hub
from eacl_jax.export.hub import push
from eacl_jax.recognizer.programs import Program, write_program
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.recognizers import DIALOGUES, recognizer


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path) -> None:
    """No token of whoever runs the tests."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder that holds more than its own files."""
    folder = tmp_path_factory.mktemp("model")
    recognizer().save_pretrained(folder)
    (folder / "README.md").write_text("# card\n", encoding="utf-8")
    (folder / "notes.txt").write_text("private", encoding="utf-8")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "config.json").write_text("{}", encoding="utf-8")
    return folder


class Hub:
    """In place of `HfApi`: repositories are folders."""

    endpoint = "https://hub.example"

    def __init__(self, root: Path) -> None:
        self.root, self.tokens, self.private = root, [], {}

    def __call__(self, *, token: str) -> "Hub":
        self.tokens.append(token)
        return self

    def create_repo(self, repo: str, *, private: bool, repo_type: str, exist_ok: bool) -> None:
        assert repo_type == "model"
        assert exist_ok
        self.private[repo] = private
        (self.root / repo).mkdir(parents=True, exist_ok=True)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        allow_patterns: list[str],
        delete_patterns: list[str],
        commit_message: str,
    ) -> Any:
        there = self.root / repo_id
        files = [file.relative_to(there).as_posix() for file in there.rglob("*") if file.is_file()]
        for name in filter_repo_objects(files, allow_patterns=delete_patterns):
            (there / name).unlink()
        copy(folder_path, there, allow_patterns)
        return SimpleNamespace(commit_url=f"{self.endpoint}/{repo_id}/commit/1")


def copy(source: Path, target: Path, patterns: list[str]) -> None:
    """What the hub's client would transfer."""
    files = [file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()]
    for name in filter_repo_objects(files, allow_patterns=patterns):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


@pytest.fixture
def fake(monkeypatch, tmp_path) -> Hub:
    there = Hub(tmp_path / "hub")
    monkeypatch.setattr(hub, "HfApi", there)
    return there


def test_nothing_of_another_model_stays_there(model, fake) -> None:
    there = fake.root / "ann" / "emotions"
    there.mkdir(parents=True)
    for name in ("adapter_config.json", "notes.md"):
        (there / name).write_text("{}", encoding="utf-8")
    push(model, "ann/emotions", token="secret")
    assert not (there / "adapter_config.json").exists()
    assert (there / "notes.md").exists()


def test_what_a_model_has_learnt_from_is_sent_where_that_is_asked(model, fake) -> None:
    assert (model / "learnt.safetensors").is_file()
    there = fake.root / "ann" / "emotions" / "learnt.safetensors"
    for asked in (True, False):
        sent = push(model, "ann/emotions", token="secret", with_learnt=asked)
        assert ("learnt.safetensors" in sent.files) is there.is_file() is asked


def test_what_was_pushed_loads_again(model, fake, monkeypatch, tmp_path) -> None:
    sent = push(model, "ann/emotions", private=True, token="secret")
    there = fake.root / "ann" / "emotions"
    arrived = {
        file.relative_to(there).as_posix(): file.stat().st_size
        for file in there.rglob("*")
        if file.is_file()
    }
    assert sent.files == arrived
    assert {
        "config.json",
        "heads.safetensors",
        "README.md",
        "encoder/model.safetensors",
        "encoder/tokenizer.json",
    } <= set(arrived)
    assert not {"notes.txt", "checkpoints/config.json", "learnt.safetensors"} & set(arrived)
    assert sent.address == "https://hub.example/ann/emotions/commit/1"
    assert (fake.tokens, fake.private) == (["secret"], {"ann/emotions": True})

    def download(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        copy(fake.root / name, tmp_path / "cache", allow_patterns)
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    again = EmotionRecognizer.from_pretrained("ann/emotions")
    np.testing.assert_allclose(again.encode(DIALOGUES), recognizer().encode(DIALOGUES), atol=1e-6)


def test_programs_of_another_model_are_refused(model, fake, tmp_path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(model, folder)
    write_program(folder, b"program", {"float32": Program(bytes=len(b"program"))})
    sent = push(folder, "ann/emotions", token="secret")
    assert sent.files["programs/float32.onnx"] == len(b"program")
    fake.tokens.clear()
    recognizer("mpnet").save_pretrained(folder)
    for dry_run in (False, True):
        with pytest.raises(UserError, match=r"programs holds programs of another model .* prepare"):
            push(folder, "ann/emotions", token="secret", dry_run=dry_run)
    assert not fake.tokens


def test_programs_of_a_former_model_are_not_sent(model, tmp_path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(model, folder)
    (folder / "programs").mkdir()
    # As a file that was copied there, or could not be deleted.
    (folder / "programs" / "int8.onnx").write_bytes(b"former")
    assert not any(name.startswith("programs/") for name in push(folder, "a/b", dry_run=True).files)
    write_program(folder, b"program", {"float32": Program(bytes=len(b"program"))})
    (folder / "programs" / "int8.onnx").write_bytes(b"former")
    sent = [name for name in push(folder, "a/b", dry_run=True).files if name.startswith("prog")]
    assert sent == ["programs/float32.onnx", "programs/programs.json"]


def test_dry_run_asks_nobody(model, fake) -> None:
    sent = push(model, "ann/emotions", dry_run=True)
    assert sent.address == ""
    assert sent.files["README.md"] == len("# card\n")
    assert not fake.tokens
    assert not fake.root.exists()


def test_token_of_the_environment(model, fake, monkeypatch) -> None:
    with pytest.raises(
        UserError, match="no token for the hub: give a token, set HF_TOKEN, or run `hf auth login`"
    ):
        push(model, "ann/emotions")
    monkeypatch.setenv("HF_TOKEN", "from-environment")
    push(model, "ann/emotions")
    assert fake.tokens == ["from-environment"]


@pytest.mark.parametrize("name", ["emotions", "a/b/c", "ann/em otions", "", "ann/--", "../x"])
def test_impossible_names(name: str, model, fake) -> None:
    with pytest.raises(UserError, match=r"^repo ") as caught:
        push(model, name, token="secret", dry_run=True)
    assert "\n" not in str(caught.value)


def test_not_a_model(model, fake, tmp_path) -> None:
    with pytest.raises(UserError, match="is no folder; give the model folder"):
        push(tmp_path / "none", "ann/emotions", token="secret")
    with pytest.raises(UserError, match=r"config.json is missing"):
        push(tmp_path, "ann/emotions", token="secret")
    shutil.copyfile(model / "config.json", tmp_path / "config.json")
    with pytest.raises(
        UserError, match=r"heads.safetensors is missing; the folder is not a whole model"
    ):
        push(tmp_path, "ann/emotions", token="secret")
    assert not fake.tokens


@pytest.fixture
def server(monkeypatch) -> Iterator[Callable[[int], None]]:
    """The real client talks to a server on this machine, which answers everything with the status
    that it last got.
    """
    status = [500]

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = json.dumps({"error": "because I say so"}).encode()
            self.send_response(status[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setattr(
            hub,
            "HfApi",
            lambda token: huggingface_hub.HfApi(endpoint=constants.ENDPOINT, token=token),
        )
        yield lambda answer: status.__setitem__(0, answer)
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "the hub does not know the token"),
        (403, "the token may not write to ann/emotions"),
        (400, "the hub refused ann/emotions with status 400"),
    ],
)
def test_refusals(status: int, message: str, model, server) -> None:
    server(status)
    with pytest.raises(UserError, match=message) as caught:
        push(model, "ann/emotions", token="secret")
    assert "because I say so" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_network(model, monkeypatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("nobody there\nsecond line")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", unreachable)
    with pytest.raises(
        UserError, match=r"cannot be reached, or broke off \(ConnectionError: nobody there\)"
    ):
        push(model, "ann/emotions", token="secret")
