"""Stand-ins of the tests of bulk prediction: a recognizer that costs nothing, and a kernel that
kills.
"""

import io
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from eacl_jax.bulk import reading, tables, transcripts
from eacl_jax.bulk.lines import Lines, Position
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.recognizer.prediction import Prediction

LABELS = ("joy", "anger", "neutral")
LONGEST_NAME = 30
PAST = 2


class Stub:
    """Answers by a checksum of the text and its past, and of how many are asked together: other
    chunks are other bytes.
    """

    labels = LABELS
    anchors = dict.fromkeys(("stage_one", "stage_two"))

    def __init__(self) -> None:
        self.asked: list[int] = []

    def examples(self, dialogues: Sequence[Dialogue], *, on_long: str = "cut") -> list[str]:
        for dialogue in dialogues:
            for number, utterance in enumerate(dialogue.utterances):
                if len(utterance.speaker) > LONGEST_NAME:
                    raise UserError(
                        f"dialogue {dialogue.id!r} utterance {number}: the speaker's name leaves no"
                        " room."
                    )
        return [
            " | ".join(u.text for u in dialogue.utterances[max(number - PAST, 0) : number + 1])
            for dialogue in dialogues
            for number in range(len(dialogue.utterances))
        ]

    def represent(self, examples: Sequence[str]) -> list[str]:
        self.asked.append(len(examples))
        return list(examples)

    def answer(
        self,
        reps: Sequence[str],
        utterances: Sequence[Utterance],
        examples: Sequence[str],
        *,
        stage: str,
    ) -> list[Prediction]:
        answers = []
        for text, utterance in zip(reps, utterances, strict=True):
            value = zlib.crc32(f"{stage} {text}".encode())
            scores = {label: (value >> shift) % 100 / 100 for shift, label in enumerate(LABELS)}
            scores["joy"] += len(reps) / 1000
            best = max(scores, key=lambda label: scores[label])
            answers.append(
                Prediction(
                    utterance.speaker, utterance.text, best, scores, scores, other=utterance.other
                )
            )
        return answers

    def together(
        self, answers: Sequence[Prediction], dialogues: Sequence[Dialogue], *, stage: str
    ) -> list[Prediction]:
        del dialogues, stage
        return list(answers)

    def look(self, texts: Iterable[str]) -> Look:
        """Those that hold a `ß` are strange."""
        found = list(texts)
        return Look(len(found), sum("ß" in text for text in found))


def lines_of(
    content: str | bytes | BinaryIO, name: str = "chats", resumed: Position | None = None
) -> Lines:
    """The lines of an input, from what is in it or a file that is open."""
    content = content.encode() if isinstance(content, str) else content
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    return Lines(file, name, resumed, restart="restart")


def items(
    kind: str, lines: Lines, *, shard: str = "1/1", size: int = 1000, **columns: str
) -> Iterator[reading.Item]:
    """The dialogues of an input, in pieces of `size` utterances."""
    wanted = reading.Wanted(lines, reading.Shard.parse(shard), size=size, most_past=PAST)
    if kind == "csv":
        return tables.Table(lines, columns).read(wanted)
    if kind == "txt":
        return transcripts.read_txt(lines, wanted, transcripts.Findings())
    return reading.read_jsonl(lines, wanted)


class Killed(BaseException):
    """Stands for the end of the process."""


DURABLE: dict[int, int] = {}
"""Bytes of each file, by its number, that a loss of power leaves."""


class Kernel:
    """`os`, but for the call that is the last: it is not done, half done or done, and then `kill`
    is called. What the process that was killed would still do is not done.
    """

    _COUNTED = ("write", "fsync", "replace", "unlink", "ftruncate", "open")

    def __init__(
        self, last: int = 0, how: str = "", kill: Callable[[], None] = lambda: None
    ) -> None:
        self.calls = 0
        self._last, self._how, self._kill = last, how, kill
        self._killed = False

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "calls":
            return super().__getattribute__(name)
        real = self._fsync if name == "fsync" else getattr(os, name)
        if name not in self._COUNTED:
            return real

        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self._killed:
                raise Killed
            if self.calls == self._last:
                if self._how == "half" and name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                elif self._how == "done":
                    real(*arguments)
                try:
                    self._kill()
                except Killed:
                    self._killed = True
                    raise
            return real(*arguments)

        return call

    def _fsync(self, descriptor: int) -> None:
        """Notes what would be durable; a real disk takes its time."""
        state = os.fstat(descriptor)
        DURABLE[state.st_ino] = state.st_size


def lose_power(folder: Path) -> None:
    """What was written and not made durable is lost."""
    for file in folder.iterdir():
        state = file.stat()
        os.truncate(file, min(state.st_size, DURABLE.get(state.st_ino, 0)))
