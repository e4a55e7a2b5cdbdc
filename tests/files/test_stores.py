"""What is at addresses of object stores: fetched once, put whole, and complained of in a line."""

import itertools
from pathlib import Path

import fsspec
import pytest

from eacl_jax.errors import UserError
from eacl_jax.files import local, stores, whole

_buckets = itertools.count()


class _Store:
    def _strip_protocol(self, address):
        return "bucket/run"


@pytest.fixture
def address():
    """An empty folder in a store."""
    return f"memory://bucket{next(_buckets)}/run"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model" / "encoder").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "encoder" / "a [1]?.txt").write_text("one")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("gs://bucket/run", "gs://bucket/run"),
        ("s3://bucket/run/", "s3://bucket/run"),
        (Path("gs://bucket/run"), "gs://bucket/run"),  # which has one slash
        (" GS://bucket/Run ", "gs://bucket/Run"),
        ("runs/meld", None),
        ("C:/runs", None),
        ("a/gs:/b", None),
        ("package:name/folder", None),
    ],
)
def test_addresses_are_distinguished_from_paths(given, meant):
    assert stores.address_of(given) == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("file:///x", "an address of file"),
        ("gs://", "names no bucket"),
        ("gs:bucket/run", "names no bucket"),
    ],
)
def test_addresses_that_cannot_be_used(given, message):
    with pytest.raises(UserError, match=message):
        stores.address_of(given)


def test_a_copy_holds_what_is_there_and_is_fetched_once(address, folder, tmp_path, monkeypatch):
    stores.send_folder(folder, address)
    stores.write_bytes(f"{address}-2/config.json", b"of another")
    copy = stores.local_copy(address, tmp_path)
    assert copy.name == "run"
    assert (copy / "encoder" / "a [1]?.txt").read_text() == "one"
    fetched = []
    original = stores.fetch
    monkeypatch.setattr(
        stores, "fetch", lambda a, names, f: fetched.extend(names) or original(a, names, f)
    )
    assert stores.local_copy(address, tmp_path) == copy
    assert fetched == []
    # The same size, another time.
    stores.write_bytes(f"{address}/encoder/a [1]?.txt", b"two")
    assert (stores.local_copy(address, tmp_path) / "encoder" / "a [1]?.txt").read_text() == "two"
    assert fetched == ["encoder/a [1]?.txt"]
    stores.remove(address, ["config.json", "config.json"])
    assert not (stores.local_copy(address, tmp_path) / "config.json").exists()


def test_nothing_old_stays_of_what_belongs_together(address, folder):
    for name in ("adapter.json", "encoder/old.json", "encoder-2/kept.json", "notes.md"):
        stores.write_bytes(f"{address}/{name}", b"old")
    stores.send_folder(folder, address, ("config.json", "adapter.json", "encoder"))
    assert set(stores.objects(address)) == {
        *(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()),
        "encoder-2/kept.json",
        "notes.md",
    }


def test_a_damaged_copy_is_fetched_again(address, folder, tmp_path):
    stores.send_folder(folder, address)
    copy = stores.local_copy(address, tmp_path)
    (copy / "config.json").write_text("{")
    assert (stores.local_copy(address, tmp_path) / "config.json").read_text() == "{}"


def test_what_is_not_wanted_is_not_fetched(address, folder, tmp_path):
    stores.send_folder(folder, address)
    copy = stores.local_copy(address, tmp_path, wanted=("config.json", "heads.*"))
    assert (copy / "config.json").exists()
    assert not (copy / "encoder").exists()
    with pytest.raises(UserError, match=f"{address} holds config.json, encoder: none of what"):
        stores.local_copy(address, tmp_path, wanted=("*.csv",))
    # What one has of it, the other does not delete.
    stores.local_copy(address, tmp_path, wanted=("encoder/*",))
    assert (copy / "config.json").exists()


def test_what_changes_while_it_is_read_is_refused(address, folder, tmp_path, monkeypatch):
    stores.send_folder(folder, address)
    fetch = stores.fetch

    def and_change(*given):
        fetch(*given)
        stores.write_bytes(f"{address}/config.json", b"[]")

    monkeypatch.setattr(stores, "fetch", and_change)
    with pytest.raises(UserError, match=rf"{address}/config\.json changed while it was read"):
        stores.local_copy(address, tmp_path)
    monkeypatch.setattr(stores, "fetch", fetch)
    assert (stores.local_copy(address, tmp_path) / "config.json").read_text() == "[]"


def test_a_file_may_become_a_folder_and_a_folder_a_file(address, tmp_path):
    stores.write_bytes(f"{address}/a", b"1")
    stores.local_copy(address, tmp_path)
    stores.remove(address, ["a"])
    stores.write_bytes(f"{address}/a/b", b"2")
    assert (stores.local_copy(address, tmp_path) / "a" / "b").read_bytes() == b"2"
    stores.remove(address, ["a/b"])
    stores.write_bytes(f"{address}/a", b"3")
    assert (stores.local_copy(address, tmp_path) / "a").read_bytes() == b"3"


@pytest.mark.parametrize("name", ["versions.json", ".lock", "copy", "[a]?*"])
def test_names_that_mean_something_to_libraries(address, tmp_path, name):
    stores.write_bytes(f"{address}/{name}", b"1")
    assert stores.local_copy(f"{address}/{name}", tmp_path).read_bytes() == b"1"
    assert (stores.local_copy(address, tmp_path) / name).read_bytes() == b"1"


def test_a_full_disk_is_not_the_stores_fault(address, folder, monkeypatch):
    stores.send_folder(folder, address)
    system, _ = stores._open(address)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(system), "get", full)
    with pytest.raises(UserError, match=r"cannot be copied to .*: No space left on device"):
        stores.local_copy(address, folder.parent)


def test_a_message_names_the_address(address, folder, tmp_path):
    stores.send_folder(folder, address)
    copy = stores.local_copy(address, tmp_path)
    assert stores.with_addresses(f"{copy}/config.json: wrong") == f"{address}/config.json: wrong"
    with (
        pytest.raises(UserError, match=r"^memory://.*/config: wrong$"),
        stores.naming(copy, address),
    ):
        raise UserError(f"{copy}/config: wrong")


def test_one_object_is_one_file(address, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "cache"))
    stores.send(folder / "config.json", f"{address}/chats.json")
    file = local.here(f"{address}/chats.json", "--input", wanted=())
    assert (file.name, file.read_text()) == ("chats.json", "{}")
    with pytest.raises(UserError, match=rf"--input: {address} holds chats\.json: name a file"):
        local.here(address, "--input", wanted=())


def test_large_files_go_in_pieces(address, folder, monkeypatch):
    monkeypatch.setattr(stores, "_AT_ONCE", 1)
    stores.send_folder(folder, address)
    assert stores.read_bytes(f"{address}/encoder/a [1]?.txt") == b"one"


def test_folders_are_written_whole_and_what_marks_them_last(address, folder, monkeypatch):
    written = []
    monkeypatch.setattr(stores, "send", lambda file, to: written.append(to))
    with whole.new_folder(address) as new:
        (new / "config.json").write_text("{}")
        (new / "encoder").mkdir()
        (new / "encoder" / "w").write_text("1")
        assert written == []
    assert written == [f"{address}/encoder/w", f"{address}/config.json"]
    # What marks the former one as whole goes first.
    stores.write_bytes(f"{address}/config.json", b"former")
    with whole.new_folder(address) as new:
        (new / "config.json").write_text("{}")
    assert stores.read_bytes(f"{address}/config.json") is None
    del written[-1]
    with pytest.raises(ValueError, match="wrong"), whole.new_folder(address):
        raise ValueError("wrong")
    assert len(written) == 2


def test_a_folder_that_is_not_empty_is_not_new(address, folder):
    whole.check_new(address, "--output")
    stores.send_folder(folder, address)
    with pytest.raises(UserError, match=f"--output: {address} is there and not empty"):
        whole.check_new(address, "--output")


def test_what_cannot_be_had_is_refused_in_a_line(address, tmp_path, monkeypatch):
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=f"config.data.train names: there is nothing at {address}"):
        local.here(address, "config.data.train names")
    monkeypatch.setattr(
        fsspec, "filesystem", lambda *_, **__: (_ for _ in ()).throw(ImportError("gcsfs"))
    )
    with pytest.raises(UserError, match=r"package gcsfs is not installed; pip install 'eacl_jax"):
        stores.objects("gs://bucket/run")


def test_whatever_a_store_raises_is_one_line(address, monkeypatch):
    class Refusing(_Store):
        def find(self, *_, **__):
            raise RuntimeError("Anonymous caller\ndoes not have access")

    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: Refusing())
    with pytest.raises(UserError, match=r"cannot be read \(RuntimeError: Anonymous caller\); look"):
        stores.objects(address)


def test_names_that_lead_out_of_the_folder_are_refused(address, monkeypatch):
    class Wicked(_Store):
        def find(self, *_, **__):
            return {"bucket/run/../../etc/passwd": {"size": 1, "type": "file"}}

    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: Wicked())
    with pytest.raises(UserError, match="leads out of the folder"):
        stores.objects(address)
