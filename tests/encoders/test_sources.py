"""What is fetched from the Hugging Face hub, and what is taken from its cache. Nothing here uses
the network.
"""

import json
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import checksums, identify
from eacl_jax.encoders.sources import find_folder
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from tests.stubs.toys import make_encoder_folder

Fetched = dict[str, Any]
COMMON = [
    "config.json",
    "tokenizer.json",
    "merges.txt",
    "README.md",
    "modeling.py",
    "optimizer.pkl",
    "tf_model.h5",
]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Fetched]:
    """A hub whose repository holds the given files; what was asked of it."""

    def holding(*files: str) -> Fetched:
        asked: Fetched = {"listed": []}

        def listing(_: Any, name: str, *, revision: str) -> list[str]:
            asked["listed"].append((name, revision))
            return [*COMMON, *files]

        def snapshot(name: str, *, revision: str, allow_patterns: Sequence[str]) -> str:
            fetched = {
                file
                for file in (*COMMON, *files)
                if any(fnmatch(file, pattern) for pattern in allow_patterns)
            }
            asked.update(
                name=name,
                revision=revision,
                weights=fetched - set(COMMON),
                others=fetched & set(COMMON),
            )
            return str(tmp_path)

        monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listing)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        return asked

    return holding


@pytest.mark.parametrize(
    ("files", "fetched"),
    [
        (["flax_model.msgpack", "model.safetensors", "pytorch_model.bin"], {"model.safetensors"}),
        (
            ["pytorch_model.bin", "model.safetensors.index.json", *SHARDS],
            {"model.safetensors.index.json", *SHARDS},
        ),
        (["model.safetensors", "model.safetensors.index.json", *SHARDS], {"model.safetensors"}),
        (["pytorch_model.bin", "flax_model.msgpack"], {"flax_model.msgpack"}),
        (
            ["pytorch_model.bin", "model.fp16.safetensors", "onnx/model.safetensors"],
            {"pytorch_model.bin"},
        ),
        (
            [
                "pytorch_model.bin.index.json",
                "pytorch_model-00001-of-00001.bin",
                "training_args.bin",
            ],
            {"pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"},
        ),
    ],
)
def test_one_format_is_fetched(
    files: list[str],
    fetched: set[str],
    hub: Callable[..., Fetched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    asked = hub(*files)
    assert find_folder("owner/name", revision="v2") == tmp_path
    assert asked["listed"] == [("owner/name", "v2")]
    assert (asked["name"], asked["revision"]) == ("owner/name", "v2")
    assert asked["weights"] == fetched
    told = "weights are read from flax_model.msgpack; pytorch_model.bin is not read"
    assert (told in caplog.text) is (fetched == {"flax_model.msgpack"}) is bool(caplog.text)
    assert asked["others"] == {"config.json", "tokenizer.json", "merges.txt"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["model.safetensors"], r"holds an adapter \(adapter_config.json\).* or take it out"),
        (["adapter_model.safetensors"], r"holds an adapter alone, and no encoder's weights \("),
    ],
)
def test_an_adapter_beside_the_weights_is_not_passed_over(
    files: list[str],
    message: str,
    hub: Callable[..., Fetched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = hub(*files, "adapter_config.json")
    with pytest.raises(UserError, match=rf"encoder.path: the hub's 'owner/name' .*{message}"):
        find_folder("owner/name")
    assert "name" not in asked
    # Without weights it is fetched, for whoever reads the folder.
    find_folder("owner/name", weights=False)
    assert asked["weights"] == {"adapter_config.json"}
    monkeypatch.setattr(stores, "objects", lambda _: dict.fromkeys([*files, "adapter_config.json"]))
    with pytest.raises(UserError, match=rf"encoder.path: gs://bucket/encoder {message}"):
        find_folder("gs://bucket/encoder")


def test_no_weights_are_fetched_where_none_are_wanted(
    hub: Callable[..., Fetched], tmp_path: Path
) -> None:
    asked = hub("model.safetensors", "flax_model.msgpack")
    assert find_folder("owner/name", weights=False) == tmp_path
    assert asked["weights"] == set()
    assert asked["listed"] == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["pytorch_model.bin"],
            (
                r"encoder.path: the hub's 'owner/name' \(revision 'main'\): .* PyTorch 2.6 .* not"
                r" installed"
            ),
        ),
        (["pytorch_model.bin.index.json"], "not installed"),
        (
            [],
            (
                r"the hub's 'owner/name' \(revision 'main'\) holds no model.safetensors, .*;"
                r" tf_model.h5 cannot be read here"
            ),
        ),
    ],
)
def test_nothing_is_fetched_that_cannot_be_read(
    files: list[str], message: str, hub: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    asked = hub(*files)
    with pytest.raises(UserError, match=message):
        find_folder("owner/name")
    assert "name" not in asked
    # The same repository with weights that do not need PyTorch.
    asked = hub(*files, "flax_model.msgpack")
    find_folder("owner/name")
    assert asked["weights"] == {"flax_model.msgpack"}


class AnyHTTPError(Exception):
    """What an HTTP library raises is no OSError."""


def unreachable(*_: Any, **__: Any) -> Any:
    raise AnyHTTPError("no route\nand more")


def test_hub_id_without_network_or_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def nothing_cached(*_: Any, **options: Any) -> str:
        asked.append(options.get("local_files_only"))
        raise LocalEntryNotFoundError("nothing cached")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing_cached)
    # The listing's error is the reason.
    with pytest.raises(
        UserError,
        match=r"no folder 'owner/name'.* is not in the cache and .*\(AnyHTTPError: no route\)",
    ):
        find_folder("owner/name")
    # Else a hub that answers again by then would send every format.
    assert asked == [True]


@pytest.mark.parametrize("weights", [True, False])
def test_fetching_that_fails(
    weights: bool, hub: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub("model.safetensors")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        UserError, match=r"is not in the cache and cannot be fetched \(AnyHTTPError: no route\)"
    ):
        find_folder("owner/name", weights=weights)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real library's cache, laid out by hand as it is after one format of two was fetched; the
    library is offline.
    """
    commit = "0" * 40
    folder = tmp_path / "models--owner--name" / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return folder


def list_files(snapshot: Path, *files: str) -> None:
    """The library keeps a repository's listing, and offline it asks for every file that is listed
    and asked for.
    """
    entries = {file: {"size": 2, "blob_id": "0" * 40} for file in files}
    listing = snapshot.parents[1] / "trees" / f"{snapshot.name}.json"
    listing.parent.mkdir()
    listing.write_text(json.dumps({"format_version": 1, "files": entries}))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "flax_model.msgpack", "pytorch_model.bin.index.json"]
)
def test_cached_snapshot_is_used_offline(name: str, snapshot: Path) -> None:
    list_files(
        snapshot,
        "config.json",
        "model.safetensors",
        "flax_model.msgpack",
        "pytorch_model.bin",
        "README.md",
    )
    (snapshot / name).write_text("weights")
    assert find_folder("owner/name") == snapshot
    with pytest.raises(UserError, match=r"no folder 'owner/other'.*\(OfflineModeIsEnabled"):
        find_folder("owner/other")
    with pytest.raises(
        UserError, match=r"no folder 'owner/name'.*revision 'v2'\) is not in the cache"
    ):
        find_folder("owner/name", revision="v2")


def test_cached_snapshot_without_weights(snapshot: Path) -> None:
    assert find_folder("owner/name", weights=False) == snapshot
    with pytest.raises(
        UserError,
        match=r"is not in the cache with its weights and cannot be fetched \(OfflineModeIsEnabled",
    ):
        find_folder("owner/name")


def test_an_encoder_at_an_address_is_known_by_the_weights_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "cache"))
    here, address = make_encoder_folder(tmp_path / "here"), "memory://encoders/known"
    stores.send_folder(here, address, ())
    config = EncoderConfig(path=address)
    assert identify(config) == checksums(here)
    make_encoder_folder(here, seed=1)
    stores.send_folder(here, address, ())
    assert identify(config) == checksums(here)
