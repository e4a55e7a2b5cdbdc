"""Pickles of data come out as they went in; of all others nothing is run."""

import builtins
import copyreg
import functools
import operator
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features.pickles.arrays import Array
from eacl_jax.features.pickles.reading import read_pickles
from tests.stubs.pickles import python2
from tests.stubs.root import ROOT

DATA = (
    {
        1: [np.arange(6, dtype=np.float32), np.arange(6.0).reshape(2, 3).T, np.zeros(0)],
        "x": "é\n\\u",
        "b": b"\x00\xff",
        "s": {1, 2},
        "z": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "i": [-1, 255, 70000, 2**40, -(2**70), True, False, None, 1.5],
    },
    [np.array([1, 2], ">i4"), np.array([True]), np.array(["a", "bb"]), np.array([b"x", b"yy"])],
    [np.array([1, "a", [2]], object), np.array(3.0), np.float16(2), np.str_("q"), frozenset([3])],
)


def plain(value: Any) -> Any:
    """With lists for arrays, and Python's numbers and texts."""
    if isinstance(value, Array):
        value = value.value
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes) and value.isalpha():
        return value.decode()
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def read(content: bytes, folder: Path, most: int = 1 << 30) -> list[Any]:
    file = folder / "features.pkl"
    file.write_bytes(content)
    return read_pickles(file, most)


@pytest.mark.parametrize("protocol", range(6))
def test_data_come_out_as_they_went_in(tmp_path, protocol):
    twice = pickle.dumps(DATA, protocol) + pickle.dumps(["next"], protocol)
    found = read(twice, tmp_path)
    assert plain(found) == plain([DATA, ["next"]])
    first, turned, _ = found[0][0][1]
    assert (first.value.dtype, turned.value.shape) == (np.float32, (3, 2))


def test_python_2(tmp_path):
    data = {"Ses01": [np.array([1.5, -2e30], np.float32), "\x92\xff", 3], "ids": {"a", "b"}}
    content = python2(data)
    wanted = pickle.loads(content, encoding="latin1")
    assert plain(read(content, tmp_path)) == [plain(wanted)] == [plain(data)]


class Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


TOUCH = "open('trace', 'w').close()"


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch trace",), "posix.system"),
        (builtins.exec, (TOUCH,), "builtins.exec"),
        (builtins.eval, (TOUCH,), "builtins.eval"),
        (builtins.getattr, (os, "system"), "builtins.getattr"),
        (functools.partial, (exec, TOUCH), "functools.partial"),
        (copyreg._reconstructor, (Path, object, None), "copyreg._reconstructor"),
        (operator.attrgetter, ("x",), "operator.attrgetter"),
        (np.save, ("trace", [1]), "numpy.save"),
        (np.load, ("trace.npy",), "numpy.load"),
        (np.zeros, ((1 << 20,),), "numpy.zeros"),
        (np.ndarray, ((1 << 20,),), "numpy.ndarray"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_run(tmp_path, monkeypatch, function, arguments, named, protocol):
    monkeypatch.chdir(tmp_path)
    call = Calls(function, *(str(each) if each is os else each for each in arguments))
    content = pickle.dumps([{"text": call}], protocol)
    with pytest.raises(UserError, match=r"features\.pkl: it (asks for|calls) '?[a-z_.]*"):
        read(content, tmp_path)
    with pytest.raises(UserError) as refused:
        read(pickle.dumps(call, protocol), tmp_path)
    assert named.rpartition(".")[2] in str(refused.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["features.pkl"]


def test_that_would_be_run_by_pickle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Calls(builtins.exec, TOUCH)))
    assert (tmp_path / "trace").exists()


GLOBALS = b"cnumpy\ndtype\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
FLOAT = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR"
# Two axes, in an order of any content.
AXES = (
    b"cnumpy.core.numeric\n_frombuffer\n(C\x10"
    + bytes(16)
    + FLOAT
    + b"(K\x02K\x02tX\x01\x00\x00\x00K(%s%sttR."
)
# One buffer of a megabyte becomes 200 arrays; and one becomes a text for each byte.
MEGABYTE = struct.pack("<I", 1 << 20)
BUFFER = b"\x80\x05B" + MEGABYTE + bytes(1 << 20) + b"\x94"
MANY_BUFFERS = (
    BUFFER
    + FLOAT
    + b"\x94J\x00\x00\x04\x00\x85\x94\x8c\x01C\x94cnumpy.core.numeric\n_frombuffer\n\x94]("
    + b"h\x04(h\x00h\x01h\x02h\x03tR" * 200
    + b"e."
)
MANY_TEXTS = (
    ARRAY
    + b"(K\x01J"
    + MEGABYTE
    + b"\x85cnumpy\ndtype\n(X\x02\x00\x00\x00S1tR\x89B"
    + MEGABYTE
    + b"a" * (1 << 20)
    + b"tb."
)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is cut off"),
        (b"hello", "damaged, or no pickle"),
        (b"\x80\x06N.", "protocol 6"),
        (b"Pan id\n.", "persistent id"),
        (b"K\x01Q.", "persistent id"),
        (b"\x82\x01.", "extension code"),
        (b"ios\nsystem\n(X\x01\x00\x00\x00aR.", "'os.system'"),
        (b"(" + GLOBALS + b"o.", "an object of a class"),
        (GLOBALS + b")\x81.", "an object of a class"),
        (b"\x97.", "outside of the file"),
        (GLOBALS + b"}b.", "gives a state to a Name"),
        (b"]}b.", "gives a state to a list"),
        (b"K\x01)R.", "cannot be called"),
        (b"K\x01K\x02a.", "puts something into a int"),
        (b"h\x05.", "damaged"),
        (b"a.", "damaged"),
        (b"t.", "damaged"),
        (b"Fx\n.", "damaged"),
        (b"S'a\n.", "a text in it is damaged"),
        (b"X\x01\x00\x00\x00\xff.", "damaged"),
        (b"}]Ns.", "a list for a key"),
        (b"}" + b"N" + b"\x85" * 300000 + b"Ns.", "a tuple for a key"),
        (b"\x8f(]\x90.", "a list for a key"),
        (b"B\xff\xff\xff\x7fabc", "2147483647 more bytes"),
        (b"\x8e" + struct.pack("<Q", 2**62), "more bytes should be there"),
        (b"\x96" + struct.pack("<Q", 2**62), "more bytes should be there"),
        (b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.", "more bytes should be there"),
        (b"\x8b\xff\xff\xff\x7f" + b"\x01" * 99, "an integer of 2147483647 bytes"),
        (b"I" + b"9" * 5000 + b"\n.", "no pickle"),
        (b"]" * 2_000_000 + b".", "far more memory"),
        (b"N" + b"\x94" * 2_000_000 + b".", "far more memory"),
        (b"N." * 33, "more than 32 pickles"),
        (
            ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + FLOAT + b"\x89C\x04abcdtb.",
            "2147483647 numbers",
        ),
        (ARRAY + b"(K\x01K\x02\x85K\x05\x89C\x04abcdtb.", "shape or type"),
        (ARRAY + b"(K\x01K\x01\x85" + FLOAT + b"\x89]tb.", "no bytes"),
        (ARRAY + b"(K\x01tb.", "an array in it is damaged"),
        (MANY_BUFFERS, "far more memory"),
        (MANY_TEXTS, "far more memory"),
        (ARRAY + b"(K\x01J\xff\xff\xff\x00K\x00\x86" + FLOAT + b"\x89C\x00tb.", "16777215"),
        (b"\x8f(\x8a\x08" + (2**61 - 1).to_bytes(8, "little") + b"\x90.", "more than 18 digits"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00c8tR.", "type 'c8'"),
        (AXES % ((b"(" * 3000 + b"K\x00" + b"t" * 3000,) * 2), "an unknown order"),
        (FLOAT + b"(K\x03X\x01\x00\x00\x00|(K\x01tNNtb.", "records"),
        (b"cnumpy.core.multiarray\n_reconstruct\n)R.", "does not fit it"),
    ],
)
def test_faulty_ones_are_refused_in_a_sentence(tmp_path, content, part):
    with pytest.raises(UserError) as refused:
        read(content, tmp_path)
    message = str(refused.value)
    assert part in message
    assert message.startswith(str(tmp_path / "features.pkl"))
    assert "\n" not in message


def test_cut_off_anywhere(tmp_path):
    content = pickle.dumps(DATA, 4)
    for end in range(0, len(content), 7):
        with pytest.raises(UserError):
            read(content[:end], tmp_path)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_whatever_is_changed_gives_a_message(tmp_path, protocol):
    rng = random.Random(protocol)
    content = pickle.dumps(DATA, protocol)
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            read(bytes(changed), tmp_path)
        except UserError:
            continue


def test_a_large_file_is_not_read(tmp_path):
    file = tmp_path / "large.pkl"
    with file.open("wb") as stream:
        stream.truncate(300 << 20)
    with pytest.raises(UserError, match=r"has 300 MB, and at most 256 are read.*limit of megab"):
        read_pickles(file, 256 << 20)
    with pytest.raises(UserError, match="is no file"):
        read_pickles(Path(os.devnull), 1)
    with pytest.raises(UserError, match="gone"):
        read_pickles(tmp_path / "gone.pkl", 1)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(6, dtype=np.float32).reshape(2, 3).astype(object),
        np.asfortranarray(np.arange(6.0).reshape(2, 3).astype(object)),
    ],
)
def test_arrays_of_any_order_and_of_objects_that_are_numbers(tmp_path, value, protocol):
    (found,) = read(pickle.dumps(value, protocol), tmp_path)
    assert found.value.tolist() == value.tolist()


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (np.zeros(2, [("x", "f4")]), "type 'V4'"),
        (np.zeros(2, np.complex64), "type 'c8'"),
        (np.array([["a"]]), "an array of texts of 2 axes"),
    ],
)
def test_what_is_whole_needs_no_fresh_copy(tmp_path, value, part):
    with pytest.raises(UserError) as refused:
        read(pickle.dumps(value, 4), tmp_path)
    assert part in str(refused.value)
    assert str(refused.value).endswith("lists or arrays of numbers, a vector an utterance.")


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    """Claims of gigabytes in files of some bytes, and files whose bytes stand for large objects."""
    size = 8 << 20
    hostile = {
        "bytes": b"\x8e" + struct.pack("<Q", 2**40) + b"x" * size,
        "bytearray": b"\x96" + struct.pack("<Q", 2**34) + b"x" * size,
        "memo": b"Nr\xff\xff\xff\x7f0Nr\xff\xff\xff\xff.",
        "lists": b"]" * size + b".",
        "sets": b"\x8f" * size + b".",
        "marks": b"(" * size + b".",
        "memos": b"N" + b"\x94" * size + b".",
        "array": ARRAY + b"(K\x01\x8a\x05\xff\xff\xff\xff\x01\x85" + FLOAT + b"\x89C\x00tb.",
    }
    for name, content in hostile.items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
    with (tmp_path / "large.pkl").open("wb") as stream:
        stream.truncate(300 << 20)
    script = """
import resource, sys
from pathlib import Path
from eacl_jax.errors import UserError
from eacl_jax.features.pickles.reading import read_pickles
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, refused = peak(), 0
for file in sorted(Path(sys.argv[1]).iterdir()):
    try: read_pickles(file, 1 << 30)
    except UserError: refused += 1
    print(file.name, peak() - before, file=sys.stderr)
print(refused, peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    refused, megabytes = map(int, done.stdout.split())
    assert refused == len(hostile)  # two memos too far out are no fault: they take no memory
    assert megabytes < 6 * 8 + 64, done.stderr
