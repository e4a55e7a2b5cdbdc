"""Memory while predicting does not grow with the input."""

import io
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from eacl_jax.bulk import formats, writing
from eacl_jax.bulk.predict import predict
from tests.stubs.bulk import Kernel, Stub, items, lines_of

KINDS = ("jsonl", "csv", "txt", "one dialogue")


class Endless(io.RawIOBase):
    """A file whose dialogues, or utterances of one, of a kilobyte each, are made up when they are
    read.
    """

    def __init__(self, kind: str, count: int) -> None:
        self._lines = self._made(kind, count)
        self._rest = b""

    def _made(self, kind: str, count: int) -> Iterator[bytes]:
        if kind == "csv":
            yield b"dialogue,speaker,text\n"
        for number in range(count):
            text = f"{number} and so it goes on " * 40
            yield {
                "csv": f"d{number},Ann,{text}\n",
                "txt": f"Ann: {text}\n",
                "one dialogue": f"Ann: {text}\n",
                "jsonl": json.dumps({"id": f"d{number}", "transcript": text}) + "\n",
            }[kind].encode()
            yield b"" if kind == "one dialogue" else b"\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest and (line := next(self._lines, None)) is not None:
            self._rest = line
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_input(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "os", Kernel())

    def peak(count: int) -> float:
        lines = lines_of(Endless(kind, count), "endless")
        tracemalloc.start()
        with writing.FileOutput(
            tmp_path / "out", {}, header=b"", restart=True, restart_named="restart"
        ) as output:
            read = items("txt" if kind == "one dialogue" else kind, lines, size=100)
            options = {
                "stage": "stage_two",
                "on_long": "cut",
                "chunk": 100,
                "skip_bad": False,
                "report": lambda *_: None,
            }
            totals = predict(Stub(), lines, read, output, formats.JsonLines(), **options)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert totals.utterances == count
        return memory / 2**20

    assert (
        peak(3000) < peak(600) + 0.5
    )  # kept, the dialogues alone would take 3 MiB, their answers twice as much
