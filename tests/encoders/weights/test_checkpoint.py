"""Checkpoint files of every format: the same tensors from each, and one clear error for each way in
which one can be wrong.
"""

import collections
import hashlib
import json
import re
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import chex
import flax.serialization
import msgpack
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from eacl_jax.encoders import to_checkpoint
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.encoders.weights import formats as checkpoint_formats
from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.formats import FORMATS, Format
from eacl_jax.encoders.weights.parameters import load_parameters
from eacl_jax.errors import UserError
from tests.stubs.encoders import CONFIGS, tiny

SAFETENSORS, MSGPACK, TORCH = "model.safetensors", "flax_model.msgpack", "pytorch_model.bin"
Tensors = Mapping[str, np.ndarray]


def flax_tree(tensors: Tensors) -> dict[str, Any]:
    """What transformers 4 wrote for its Flax models."""
    tree: dict[str, Any] = {}
    for name, value in tensors.items():
        *scopes, leaf = name.split(".")
        if leaf == "weight" and "LayerNorm" in scopes:
            leaf = "scale"
        elif leaf == "weight" and scopes[-1].endswith("_embeddings"):
            leaf = "embedding"
        elif leaf == "weight":
            leaf, value = "kernel", value.T
        node = tree
        for scope in scopes:
            node = node.setdefault(scope, {})
        node[leaf] = value
    return tree


def write_msgpack(tensors: Tensors, file: Path) -> None:
    file.write_bytes(flax.serialization.msgpack_serialize(flax_tree(tensors)))


def write_torch(tensors: Tensors, file: Path, **options: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.save(
        collections.OrderedDict((name, torch.tensor(value)) for name, value in tensors.items()),
        file,
        **options,
    )


def write_legacy_torch(tensors: Tensors, file: Path) -> None:
    write_torch(tensors, file, _use_new_zipfile_serialization=False)


WRITERS: dict[str, tuple[str, Callable[[Tensors, Path], None]]] = {
    "safetensors": (SAFETENSORS, lambda tensors, file: save_file(dict(tensors), file)),
    "msgpack": (MSGPACK, write_msgpack),
    "torch": (TORCH, write_torch),
    "legacy torch": (TORCH, write_legacy_torch),
}
formats = pytest.mark.parametrize("format", sorted(WRITERS))
TENSORS = to_checkpoint(tiny("roberta"))
QUERY = "encoder.layer.1.attention.self.query.weight"


def written(folder: Path, format: str, tensors: Tensors = TENSORS) -> Path:
    name, write = WRITERS[format]
    write(tensors, folder / name)
    return folder / name


def contents(folder: Path) -> dict[str, np.ndarray]:
    checkpoint = Checkpoint(folder)
    return {key: checkpoint.read(key) for key in checkpoint.keys()}  # noqa: SIM118


@formats
def test_every_format_gives_the_same_parameters(format: str, tmp_path: Path) -> None:
    file = written(tmp_path, format)
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.path == file
    assert {key: checkpoint.describe(key) for key in checkpoint.keys()} == {  # noqa: SIM118
        name: (value.shape, "F32") for name, value in TENSORS.items()
    }
    encoder = load_parameters(abstract_encoder(CONFIGS["roberta"]), checkpoint)
    chex.assert_trees_all_equal(
        nnx.state(encoder, nnx.Param), nnx.state(tiny("roberta"), nnx.Param)
    )
    # A square matrix has the right shape either way round: only its values tell.
    np.testing.assert_array_equal(contents(tmp_path)[QUERY], TENSORS[QUERY])


@formats
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("float64", "F64"), ("float16", "F16"), ("bfloat16", "BF16"), ("int64", "I64")],
)
def test_types(format: str, dtype: str, kind: str, tmp_path: Path) -> None:
    values = np.arange(12).reshape(3, 4)
    if "torch" in format:
        torch = pytest.importorskip("torch")
        options = {"_use_new_zipfile_serialization": format == "torch"}
        torch.save(
            {"a.bias": torch.tensor(values).to(getattr(torch, dtype))}, tmp_path / TORCH, **options
        )
    else:
        written(tmp_path, format, {"a.bias": values.astype(dtype)})
    assert Checkpoint(tmp_path).describe("a.bias") == ((3, 4), kind)
    np.testing.assert_array_equal(contents(tmp_path)["a.bias"].astype(int), values)


def test_weights_that_are_not_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, "msgpack")
    Checkpoint(tmp_path)
    assert not caplog.text
    (tmp_path / f"{TORCH}.index.json").write_text("{}")
    Checkpoint(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: weights are read from {MSGPACK}; {TORCH}.index.json is not read"
    ]
    caplog.clear()
    written(tmp_path, "safetensors")
    Checkpoint(tmp_path)
    assert not caplog.text


def test_preference(tmp_path: Path) -> None:
    order = {}
    for number, format in enumerate(("safetensors", "msgpack", "torch")):
        file = written(tmp_path, format, {"a.bias": np.full(2, number)})
        index = file.with_name(f"{file.name}.index.json")
        index.write_text(json.dumps({"weight_map": {"a.bias": f"shard-{file.name}"}}))
        WRITERS[format][1]({"a.bias": np.full(2, number)}, file.with_name(f"shard-{file.name}"))
        order |= {file: number, index: number}
    for path, number in order.items():
        assert Checkpoint(tmp_path).path == path
        assert contents(tmp_path)["a.bias"].tolist() == [number] * 2
        path.unlink()
    with pytest.raises(
        UserError, match=r"holds no model.safetensors, no flax_model.msgpack, no pytorch_model.bin"
    ):
        Checkpoint(tmp_path)


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("tf_model.h5", "rust_model.ot"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        UserError,
        match=r"rust_model.ot and tf_model.h5 cannot be read here. .*AutoModel.*random_weights",
    ):
        Checkpoint(tmp_path)


# Flax's msgpack.


def test_scopes_above_a_flax_model(tmp_path: Path) -> None:
    tree = {"params": {"roberta": flax_tree(TENSORS), "conv": {"kernel": np.zeros((3, 2, 1))}}}
    (tmp_path / MSGPACK).write_bytes(flax.serialization.msgpack_serialize(tree))
    assert set(Checkpoint(tmp_path).keys()) == {f"roberta.{name}" for name in TENSORS} | {
        "conv.weight"
    }
    # As PyTorch has a convolution over time: [out, in, length].
    assert Checkpoint(tmp_path).describe("conv.weight") == ((1, 2, 3), "F64")
    encoder = load_parameters(
        abstract_encoder(CONFIGS["roberta"]), Checkpoint(tmp_path), ignored=(r"conv\..*",)
    )
    chex.assert_trees_all_equal(
        nnx.state(encoder, nnx.Param), nnx.state(tiny("roberta"), nnx.Param)
    )


def test_arrays_that_flax_cut_into_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 1000)
    assert written(tmp_path, "msgpack").read_bytes().count(b"__msgpack_chunked_array__") > 5
    monkeypatch.undo()
    assert Checkpoint(tmp_path).describe("embeddings.word_embeddings.weight") == ((61, 24), "F32")
    chex.assert_trees_all_equal(contents(tmp_path), TENSORS)


def test_arrays_of_every_small_size(tmp_path: Path) -> None:
    """Some fill one of msgpack's fixed sizes, which have headers of their own; as do scalars, which
    have no axes.
    """
    values = {
        f"{kind} {size}": np.arange(size, dtype=kind)
        for kind in ("uint8", "float16")
        for size in range(1, 300, 7)
    }
    values |= {
        "uint8 2": np.ones(2, np.uint8),
        "scalar": np.float32(3),
        "axes": np.ones((1,) * 5, np.float64),
    }
    (tmp_path / MSGPACK).write_bytes(flax.serialization.msgpack_serialize(dict(values)))
    sixteen = flax.serialization.msgpack_serialize({"a": np.ones((1, 1), np.float16)})
    assert sixteen[3] == 0xD8
    chex.assert_trees_all_equal(
        contents(tmp_path), {name: np.asarray(value) for name, value in values.items()}
    )
    (tmp_path / MSGPACK).write_bytes(sixteen)
    assert contents(tmp_path)["a"].tolist() == [[1]]


@pytest.mark.parametrize("format", ["safetensors", "msgpack", "torch"])
def test_a_file_is_not_read_as_a_whole(format: str, tmp_path: Path) -> None:
    size = 1 << 20
    written(
        tmp_path, format, {f"{name}.bias": np.ones(size // 4, np.float32) for name in "abcdefgh"}
    )
    tracemalloc.start()
    try:
        checkpoint = Checkpoint(tmp_path)
        for key in checkpoint.keys():  # noqa: SIM118
            assert checkpoint.read(key).sum() == size // 4
        assert tracemalloc.get_traced_memory()[1] < 2 * size
    finally:
        tracemalloc.stop()


def packed(value: Any) -> bytes:
    return flax.serialization.msgpack_serialize(value)


def chunked(shape: Any, chunks: Any) -> bytes:
    return packed({"a": {"__msgpack_chunked_array__": True, "shape": shape, "chunks": chunks}})


def extension(*parts: Any, kind: int = 1) -> bytes:
    return msgpack.packb({"a": msgpack.ExtType(kind, msgpack.packb(parts))})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (packed([np.ones(3)]), "damaged"),
        (msgpack.packb("a" * 10000), "damaged"),
        (packed(np.ones(3)), "begins with _Array, expected a map"),
        (packed({"a": {"b": 3}}), "'a.b' is int, expected an array"),
        (packed({"a": {"b": None}}), "'a.b' is NoneType, expected an array"),
        (packed({"a": [np.ones(3)]}), "'a' is list, expected an array"),
        (msgpack.packb({3: 1}), "name 3 is no text or there twice"),
        (b"\x82" + packed({"a": np.ones(1)})[1:] * 2, "name 'a' is no text or there twice"),
        (packed({"a": {"kernel": np.ones(2), "scale": np.ones(2)}}), "two arrays are 'a.weight'"),
        (packed({"a": np.ones(3)}) + b"more", "4 bytes follow the end"),
        (packed({"a": 1 + 2j}), "extension of type 2 is no array"),
        (msgpack.packb({"a": msgpack.ExtType(5, b"abcd")}), "extension of type 5 is no array"),
        (msgpack.packb({"a": msgpack.Timestamp(1, 2)}), "extension of type .* is no array"),
        (extension((2,), "float32", b"12345678", 1), "extension of type 1 is no array"),
        (extension((2,), "float32", b"123456789"), r"shape \[2\] and type float32 has 9 bytes"),
        (extension((-2, -1), "float32", b"12345678"), r"shape \[-2, -1\]"),
        (extension((2.0,), "float32", b"12345678"), r"shape \[2.0\]"),
        (extension(2, "float32", b"12345678"), "not iterable"),
        (
            msgpack.packb({"a": msgpack.ExtType(1, msgpack.packb(((1,), "int8", b"1")) + b"2")}),
            "not its extension's end",
        ),
        (extension((1,), "object", b"12345678"), "type 'object'"),
        (extension((1,), ["i4"], b"12345678"), "unhashable"),
        (extension((2,), "float32", 5), "damaged"),
        (b"\x81" + b"\x81\xa1a" * 5000 + b"\x80", "damaged"),
        (b"\x81\xa1a" * 5000 + b"\x80", "nested more than 64 deep"),
        (b"\xdf\xff\xff\xff\xff", "damaged"),
        (chunked({"0": 2}, {}), "damaged"),
        (chunked(True, {}), "damaged"),
        (chunked({"1": 2}, {"0": np.ones(2)}), "damaged"),
        (chunked({"0": 2}, {"0": {}}), "not in chunks of one type"),
        (chunked({"0": 2}, {"0": np.ones(1), "1": np.ones(1, int)}), "not in chunks of one type"),
        (chunked({"0": 2}, {"0": np.ones(3)}), r"shape \[2\] and type float64 has 24 bytes"),
    ],
)
def test_msgpack_that_is_no_map_of_arrays(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / MSGPACK).write_bytes(content)
    with pytest.raises(
        UserError,
        match=r"flax_model.msgpack is damaged or no msgpack file of arrays .*fetch or save",
    ) as raised:
        Checkpoint(tmp_path)
    assert re.search(reason, str(raised.value))


# PyTorch's files.


def test_archives_are_mapped_and_tensors_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    load, mapped, storages = torch.load, [], []

    def watched(file: Path, **options: Any) -> Any:
        loaded = load(file, **options)
        mapped.append(options["mmap"])
        storages.append(weakref.ref(loaded[QUERY].untyped_storage()))
        return loaded

    monkeypatch.setattr(torch, "load", watched)
    for format in ("torch", "legacy torch"):
        written(tmp_path, format)
        checkpoint = Checkpoint(tmp_path)
        value = checkpoint.read(QUERY)
        assert storages[-1]() is not None
        del value
        assert storages[-1]() is None
    assert mapped == [True, False]


def test_other_entries_and_shared_storage(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    table = torch.arange(6.0).reshape(2, 3)
    entries = {
        "config": {"a": 1},
        "a.weight": table,
        "b.weight": table,
        "row": table[1],
        "c": torch.nn.Parameter(table.T),
    }
    entries |= {"sparse": table.to_sparse(), "meta": table.to("meta"), 3: table}
    torch.save(entries, tmp_path / TORCH)
    found = contents(tmp_path)
    assert found.keys() == {"a.weight", "b.weight", "row", "c"}
    np.testing.assert_array_equal(found["a.weight"], found["b.weight"])
    assert found["row"].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(found["c"], found["a.weight"].T)


def test_tensors_of_a_training_program_are_told_of(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = {"model.a.weight": torch.ones(2)}
    torch.save({"epoch": 3, "hyper": {}, "state_dict": weights}, tmp_path / TORCH)
    with pytest.raises(
        UserError, match=r"pytorch_model.bin: the tensors are under 'state_dict'.* save that alone"
    ):
        Checkpoint(tmp_path)
    torch.save({**weights, "config": {"mean": torch.ones(2)}}, tmp_path / TORCH)
    assert contents(tmp_path).keys() == weights.keys()


class Harmful:
    """Writes a file as it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> Any:
        return Path.touch, (self.touched,)


class Harmless:
    """No tensor either."""


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_that_are_no_tensors_are_refused(zipped: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    touched = tmp_path / "touched"
    for other in (Harmful(touched), Harmless()):
        torch.save(
            {"a": torch.ones(2), "b": other},
            tmp_path / TORCH,
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(
            UserError, match=r"pytorch_model.bin holds a \S+, and only tensors are read"
        ) as raised:
            Checkpoint(tmp_path)
        assert "weights_only" not in str(raised.value)
        assert not touched.exists()
    # That it can do harm at all:
    torch.save({"b": Harmful(touched)}, tmp_path / TORCH, _use_new_zipfile_serialization=zipped)
    torch.load(tmp_path / TORCH, weights_only=False)
    assert touched.exists()


def test_archive_of_another_kind(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save([torch.ones(2)], tmp_path / TORCH)
    with pytest.raises(
        UserError, match=r"pytorch_model.bin holds a list, expected tensors by name"
    ):
        Checkpoint(tmp_path)
    (tmp_path / TORCH).write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(UserError, match=r"pytorch_model.bin is damaged or no PyTorch checkpoint"):
        Checkpoint(tmp_path)
    with pytest.warns(DeprecationWarning, match="jit"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / TORCH)
    with (
        pytest.warns(UserWarning, match="TorchScript"),
        pytest.raises(UserError, match=r"no PyTorch checkpoint \(.*TorchScript") as raised,
    ):
        Checkpoint(tmp_path)
    assert "Re-running" not in str(raised.value)


def test_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / TORCH).write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        UserError,
        match=r"takes PyTorch 2.6 or newer, which is not installed here. .*save_pretrained",
    ):
        Checkpoint(tmp_path)
    # A format that comes first does not ask for it.
    written(tmp_path, "msgpack")
    chex.assert_trees_all_equal(contents(tmp_path), TENSORS)


def test_pytorch_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: no such file')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / TORCH).write_bytes(b"anything")
    with pytest.raises(
        UserError,
        match=r"pytorch_model.bin: .* which cannot be imported here \(libtorch.so: no such file\)",
    ):
        Checkpoint(tmp_path)


def test_pytorch_whose_reader_is_not_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    written(tmp_path, "torch")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    for version in ("2.5.1+cpu", "1.13.1"):
        monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion(version))
        with pytest.raises(
            UserError, match=rf"2.6 or newer, not {re.escape(version)}, .*CVE-2025-32434"
        ):
            Checkpoint(tmp_path)


# Every format.


@formats
@pytest.mark.parametrize(
    "damage",
    ["one byte less", "half", "header", "text", "pointer", "empty", "huge header", "folder"],
)
def test_damaged_file(format: str, damage: str, tmp_path: Path) -> None:
    file = written(tmp_path, format)
    content = file.read_bytes()
    changed = {
        "one byte less": content[:-1],
        "half": content[: len(content) // 2],
        "header": content[:20],
        "text": b"<html>Entry not found</html>\n" * 3,
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        "empty": b"",
        "huge header": b"\xff" * 8 + content[8:],
    }
    file.unlink()
    if damage == "folder":
        file.mkdir()
    else:
        file.write_bytes(changed[damage])
    expected = {"pointer": "is only git-lfs's pointer .*git lfs pull", "folder": "holds no"}
    damaged = (
        r"is damaged or no (safetensors file|msgpack file .*|PyTorch checkpoint) \(.+\); fetch or"
        r" save it again"
    )
    with pytest.raises(UserError, match=expected.get(damage, damaged)) as raised:
        Checkpoint(tmp_path)
    assert file.name in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "Re-running" not in str(raised.value)  # PyTorch's advice to load all that the file holds


@pytest.mark.parametrize("format", FORMATS)
def test_file_that_cannot_be_opened(format: Format, tmp_path: Path) -> None:
    if format.single == TORCH:
        pytest.importorskip("torch")
    with pytest.raises(UserError, match=r"gone is damaged or no .*\(.*No such file"):
        format.opener(tmp_path / "gone")


@formats
def test_checksum_comes_before_parsing(format: str, tmp_path: Path) -> None:
    file = written(tmp_path, format)
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(Checkpoint(tmp_path, right.upper()).keys()) == TENSORS.keys()
    with pytest.raises(
        UserError, match=f"{file.name} has sha256 {right}, but encoder.sha256 says 00"
    ):
        Checkpoint(tmp_path, "0" * 64)
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="has sha256"):
        Checkpoint(tmp_path, right)


@formats
def test_shards(format: str, tmp_path: Path) -> None:
    single, write = WRITERS[format]
    stem, suffix = single.split(".")
    names = sorted(TENSORS)
    files = {f"{stem}-0000{1 + part}-of-00002.{suffix}": names[part::2] for part in (0, 1)}
    for file, part in files.items():
        write({name: TENSORS[name] for name in part}, tmp_path / file)
    index = tmp_path / f"{single}.index.json"
    index.write_text(
        json.dumps({"weight_map": {name: file for file, part in files.items() for name in part}})
    )
    assert Checkpoint(tmp_path).path == index
    encoder = load_parameters(abstract_encoder(CONFIGS["roberta"]), Checkpoint(tmp_path))
    chex.assert_trees_all_equal(
        nnx.state(encoder, nnx.Param), nnx.state(tiny("roberta"), nnx.Param)
    )

    with pytest.raises(
        UserError,
        match=(
            f"{index.name}: encoder.sha256 is that of one {single}, but the weights are in shards"
        ),
    ):
        Checkpoint(tmp_path, "0" * 64)
    second = tmp_path / list(files)[1]
    write({name: TENSORS[name] for name in (*names[1::2], names[0])}, second)
    with pytest.raises(UserError, match=f"{index.name}: tensor '{names[0]}' is in two shards"):
        Checkpoint(tmp_path)
    second.write_bytes(b"")
    with pytest.raises(UserError, match=f"{second.name} is damaged"):
        Checkpoint(tmp_path)
    second.unlink()
    with pytest.raises(
        UserError, match=f"{index.name} lists shards that are not there: {second.name}"
    ):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("single", [SAFETENSORS, MSGPACK, TORCH])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no index of shards"),
        ('{"weight_map": {}}', "must list files of its own folder"),
        ('{"weight_map": {"a": "../other"}}', "must list files of its own folder"),
        ('{"weight_map": {"a": "/etc/hostname"}}', "must list files of its own folder"),
        ('{"weight_map": {"a": ".."}}', "lists shards that are not there"),
        ('{"weight_map": ["a"]}', "is no index of shards"),
        ('{"weight_map": {"a": 3}}', "is no index of shards"),
        ("[]", "is no index of shards"),
    ],
)
def test_damaged_index(single: str, text: str, message: str, tmp_path: Path) -> None:
    if single == TORCH:
        pytest.importorskip("torch")
    (tmp_path / f"{single}.index.json").write_text(text)
    with pytest.raises(UserError, match=f"{single}.index.json {message}"):
        Checkpoint(tmp_path)


def test_large_tensors_are_copied_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "safetensors")
    whole = Checkpoint(tmp_path)
    monkeypatch.setattr(checkpoint_formats, "_PIECE", 24 * 4 * 5)
    for name in whole.keys():  # noqa: SIM118 -- not a mapping
        expected, found = whole.read(name), np.zeros(whole.describe(name)[0], np.float32)
        pieces = list(whole.pieces(name))
        assert all(piece.nbytes <= 24 * 4 * 5 for _, piece in pieces)
        for rows, piece in pieces:
            found[rows] = piece
        np.testing.assert_array_equal(found, expected)
    assert len(list(whole.pieces("embeddings.word_embeddings.weight"))) == 13
