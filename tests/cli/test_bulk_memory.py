"""Memory while predicting does not grow with the input."""

import functools
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from cli_stubs import Kernel, Stub

from eacl_jax.bulk import formats, tables, writing
from eacl_jax.bulk.lines import Lines
from eacl_jax.bulk.predict import predict
from eacl_jax.bulk.reading import Shard, Wanted, read_jsonl, read_txt

READERS = {"jsonl": read_jsonl, "txt": read_txt, "csv": functools.partial(tables.read_csv, columns=tables.Columns())}


class Endless:
    """A file whose dialogues, of a kilobyte each, are made up when they are read."""

    def __init__(self, kind: str, count: int) -> None:
        self._lines = self._made(kind, count)

    def _made(self, kind: str, count: int) -> Iterator[bytes]:
        if kind == "csv":
            yield b"dialogue,speaker,text\n"
        for number in range(count):
            text = f"{number} and so it goes on " * 40
            yield {
                "csv": f"d{number},Ann,{text}\n",
                "txt": f"Ann: {text}\n",
                "jsonl": json.dumps({"id": f"d{number}", "transcript": text}) + "\n",
            }[kind].encode()
            yield b"\n"

    def readline(self, _: int) -> bytes:
        return next(self._lines, b"")


@pytest.mark.parametrize("kind", READERS)
def test_memory_does_not_grow_with_the_input(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "os", Kernel())

    def peak(count: int) -> float:
        lines = Lines(Endless(kind, count), "endless")
        tracemalloc.start()
        with writing.FileOutput(tmp_path / "out", {}, header=b"", restart=True) as output:
            items = READERS[kind](lines, Wanted(lines, Shard()))
            options = {"stage": "stage_two", "chunk": 100, "skip_bad": False, "tell": lambda *_: None}
            totals = predict(Stub(), lines, items, output, formats.JsonLines(), **options)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert totals.dialogues == count
        return memory / 2**20

    assert peak(3000) < peak(600) + 0.5  # held, the dialogues alone would take 3 MiB, their answers twice as much
