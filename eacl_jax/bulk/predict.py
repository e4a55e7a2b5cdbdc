"""The loop: a chunk of dialogues is represented while the next one is read and tokenized; answers are written in order."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from eacl_jax.bulk.formats import Format
from eacl_jax.bulk.journal import Totals
from eacl_jax.bulk.lines import Lines, Position
from eacl_jax.bulk.reading import Item
from eacl_jax.bulk.writing import Output
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.prediction import DialoguePrediction, Prediction


class Recognizer(Protocol):
    """What the loop needs of an `EmotionRecognizer`."""

    def examples(self, dialogues: Sequence[Dialogue]) -> list[Any]:
        """The prompts of all utterances."""

    def represent(self, examples: Sequence[Any]) -> Any:
        """Their representations."""

    def answer(self, reps: Any, utterances: Sequence[Utterance], *, stage: str) -> list[Prediction]:
        """The predictions."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A dialogue that cannot be used.

    Attributes:
      line: where it begins.
      reason: why.
    """

    line: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Dialogues that are predicted together, with their prompts."""

    dialogues: list[Dialogue]
    examples: list[Any]
    problems: list[Problem]
    end: Position


def predict(
    recognizer: Recognizer,
    lines: Lines,
    items: Iterator[Item],
    output: Output,
    written_as: Format,
    *,
    stage: str,
    chunk: int,
    skip_bad: bool,
    tell: Callable[[Totals, Position], None],
) -> Totals:
    """Predicts what is read, and writes it.

    Args:
      recognizer: answers.
      lines: of the input.
      items: the dialogues in them that are wanted and that the output does not hold yet.
      output: where answers go.
      written_as: how they are written.
      stage: whose anchors to use.
      chunk: utterances predicted together, about: that many, and the rest of the last dialogue.
      skip_bad: note dialogues that cannot be used, and go on.
      tell: is told how it goes, after each chunk.

    Returns:
      What was done, by earlier runs on the same output included.

    Raises:
      UserError: a dialogue cannot be used (unless they are skipped), the input holds none, or the output cannot be written.
    """
    totals = output.journal.totals
    if output.journal.finished:
        output.finish()
        return totals
    start = time.monotonic() - totals.seconds
    for made in _ahead(_chunks(recognizer, lines, items, chunk, skip_bad)):
        utterances = [utterance for dialogue in made.dialogues for utterance in dialogue.utterances]
        reps = recognizer.represent(made.examples)
        answers = recognizer.answer(reps, utterances, stage=stage) if utterances else []
        totals = _added(totals, made, answers, time.monotonic() - start)
        each = iter(answers)
        predictions = (
            DialoguePrediction(dialogue.id, tuple(itertools.islice(each, len(dialogue.utterances))))
            for dialogue in made.dialogues
        )
        output.append(
            b"".join(map(written_as.encode, predictions)),
            "".join(json.dumps(dataclasses.asdict(problem)) + "\n" for problem in made.problems).encode(),
            made.end,
            totals,
        )
        tell(totals, made.end)
    if not lines.dialogues:
        raise UserError(f"{lines.name} holds no dialogue.")
    output.finish()
    return totals


def _chunks(recognizer: Recognizer, lines: Lines, items: Iterator[Item], size: int, skip_bad: bool) -> Iterator[Chunk]:
    while True:
        found: list[Item] = []
        utterances = 0
        # What cannot be used counts as well, else a file of nothing else would be gathered whole.
        for item in items:
            if item.problem and not skip_bad:
                raise UserError(item.problem)
            found.append(item)
            utterances += len(item.dialogue.utterances) if item.dialogue else 1
            if utterances >= size:
                break
        if not found:
            return
        usable = [item for item in found if item.dialogue]
        problems = [Problem(item.line, item.problem) for item in found if not item.dialogue]
        try:
            examples = recognizer.examples(_dialogues(usable))
        except UserError:
            usable, refused = _sorted_out(recognizer, lines, usable)
            if not skip_bad:
                raise UserError(refused[0].reason) from None
            problems = sorted([*problems, *refused], key=lambda problem: problem.line)
            examples = recognizer.examples(_dialogues(usable))
        yield Chunk(_dialogues(usable), examples, problems, found[-1].end)


def _dialogues(items: Sequence[Item]) -> list[Dialogue]:
    return [item.dialogue for item in items if item.dialogue]


def _sorted_out(recognizer: Recognizer, lines: Lines, items: Sequence[Item]) -> tuple[list[Item], list[Problem]]:
    """Those of which prompts can be made, and why not of the others."""
    usable, refused = [], []
    for item in items:
        try:
            recognizer.examples(_dialogues([item]))
        except UserError as error:
            refused.append(Problem(item.line, f"{lines.name} line {item.line}: {error}"))
        else:
            usable.append(item)
    return usable, refused


def _ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks, each made by another thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, None)
        while chunk := coming.result():
            coming = pool.submit(next, chunks, None)
            yield chunk


def _added(totals: Totals, chunk: Chunk, answers: Sequence[Prediction], seconds: float) -> Totals:
    emotions = dict(totals.emotions)
    for answer in answers:
        emotions[answer.emotion] = emotions.get(answer.emotion, 0) + 1
    return Totals(
        dialogues=totals.dialogues + len(chunk.dialogues),
        utterances=totals.utterances + len(answers),
        skipped=totals.skipped + len(chunk.problems),
        seconds=seconds,
        emotions=emotions,
    )
