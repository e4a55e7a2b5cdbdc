"""Downloads: whole and verified, or not there."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.download import fetch
from eacl_jax.corpora.emorynlp import EmoryNlp
from eacl_jax.corpora.goemotions import GoEmotions
from eacl_jax.corpora.meld import Meld
from eacl_jax.errors import UserError

BODY = b"Ana: the kettle is singing.\n" * 5000


class Server(ThreadingHTTPServer):
    """Serves `bodies` by the last part of the path; `short` cuts every body in half."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {"toy.txt": BODY}
        self.short = False
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.requests.append(self.path)
        body = server.bodies.get(self.path.rpartition("/")[2])
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if server.short else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_fetches_once(server: Server, tmp_path: Path) -> None:
    target, digest = tmp_path / "new" / "toy.txt", hashlib.sha256(BODY).hexdigest()
    assert fetch(f"{server.url}/toy.txt", target, sha256=digest)
    assert target.read_bytes() == BODY
    assert not fetch(f"{server.url}/toy.txt", target, sha256=digest)
    assert len(server.requests) == 1
    target.write_bytes(b"spoilt")
    assert fetch(f"{server.url}/toy.txt", target, sha256=digest)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["toy.txt"]


def test_failures_leave_no_file(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "toy.txt"

    def fails(url: str, message: str, **arguments: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            fetch(url, target, **arguments)
        assert "config.data.dir" in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    fails(
        f"{server.url}/toy.txt",
        r"gave 140000 bytes with sha256 [0-9a-f]{64}, expected 0000",
        sha256="0" * 64,
    )
    fails(f"{server.url}/absent.txt", r"absent\.txt answered 404 Not Found")
    server.short = True
    fails(f"{server.url}/toy.txt", r"cannot download .*IncompleteRead")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        fails(
            f"http://127.0.0.1:{unused.getsockname()[1]}/toy.txt",
            r"cannot reach .*Without a network",
        )


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match="cannot download"):
        fetch(f"{server.url}/toy.txt", tmp_path / "occupied" / "toy.txt")


def test_meld_is_downloaded_and_prepared(
    server: Server, shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.bodies = {path.name: path.read_bytes() for path in (shared / "data" / "meld").iterdir()}
    monkeypatch.setattr(Meld, "BASE_URL", server.url)
    downloaded = corpora.load(DataConfig(corpus="meld", cache_dir=str(cache)))
    assert len(server.requests) == 3
    assert all(
        re.fullmatch(r"/[0-9a-f]{40}/data/MELD/\w+_sent_emo\.csv", request)
        for request in server.requests
    )
    assert corpora.load(DataConfig(corpus="meld", cache_dir=str(cache))) == downloaded
    assert len(server.requests) == 3, "the second time without the network"
    assert (
        corpora.load(DataConfig(corpus="meld", cache_dir=str(cache), dir=str(shared / "data")))
        == downloaded
    )


def test_meld_that_differs_is_refused(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.bodies = {"train_sent_emo.csv": b"Utterance,Speaker,Emotion,Dialogue_ID\n"}
    monkeypatch.setattr(Meld, "BASE_URL", server.url)
    with pytest.raises(
        UserError, match=r"train_sent_emo\.csv gave 38 bytes .* not the published file"
    ):
        corpora.load(DataConfig(corpus="meld", cache_dir=str(cache)))


def test_emorynlp_is_downloaded_and_its_train_file_counted(
    server: Server, shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {path.name: path.read_bytes() for path in (shared / "data" / "emorynlp").iterdir()}
    monkeypatch.setattr(EmoryNlp, "BASE_URL", server.url)
    data = DataConfig(corpus="emorynlp", cache_dir=str(cache))
    for body, message in (
        (b"<html>sign in</html>", "not valid JSON"),
        (b'{"episodes": []}', "train has 0 dialogues, expected 713"),
    ):
        server.bodies = whole | {"emotion-detection-trn.json": body}
        with pytest.raises(UserError, match=message):
            corpora.load(data)
    server.bodies = whole
    assert len(corpora.load(data).splits["train"]) == 713


def test_goemotions_is_downloaded_and_counted(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GoEmotions, "BASE_URL", server.url)
    monkeypatch.setattr(
        GoEmotions, "EXPECTED", {split: Counts(1, 1) for split in ("train", "dev", "test")}
    )
    for split in ("train", "dev", "test"):
        server.bodies[f"{split}.tsv"] = f"A kettle.\t17\t{split}\n".encode()
    server.bodies["emotions.txt"] = "\n".join(GoEmotions.LABELS).encode()
    good = server.bodies["test.tsv"]
    server.bodies["test.tsv"] = good * 2
    data = DataConfig(corpus="goemotions", cache_dir=str(cache))
    with pytest.raises(UserError, match=r"test has 2 dialogues, expected 1"):
        corpora.load(data)
    server.bodies["test.tsv"] = good  # what was not the published file was not kept
    corpus = corpora.load(data)
    assert corpus.splits["train"][0].utterances[0].emotions == ("joy",)
    asked = len(server.requests)
    corpora.load(data)
    assert len(server.requests) == asked
