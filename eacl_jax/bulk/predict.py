"""The loop: a chunk of dialogues is represented while the next one is read and tokenized; answers
are written in order.
"""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Protocol

from eacl_jax.bulk.formats import Format
from eacl_jax.bulk.journal import NONE, Totals
from eacl_jax.bulk.lines import Lines, Position
from eacl_jax.bulk.reading import Item
from eacl_jax.bulk.writing import Output
from eacl_jax.corpora.markup import markup_in
from eacl_jax.corpora.placeholders import is_note
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance, utterances_of
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality, has_known
from eacl_jax.features.unlike import added, see
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction


class Recognizer(Protocol):
    """What the loop needs of an `EmotionRecognizer`."""

    def examples(self, dialogues: Sequence[Dialogue], *, on_long: Any) -> list[Any]:
        """The prompts of all utterances."""

    def represent(self, examples: Sequence[Any]) -> Any:
        """Their representations."""

    def answer(
        self, reps: Any, utterances: Sequence[Utterance], examples: Sequence[Any], *, stage: str
    ) -> list[Prediction]:
        """The predictions of each utterance alone."""

    def together(
        self, answers: Sequence[Prediction], dialogues: Sequence[Dialogue], *, stage: str
    ) -> list[Prediction]:
        """Those of whole dialogues."""

    def look(self, texts: Iterable[str]) -> Look:
        """Whether texts may be in another language than those of training."""


class Sounds(Protocol):
    """What the loop needs of `features.sound.heard.Sounds`."""

    def heard(self, utterances: Sequence[tuple[str, Utterance]]) -> list[Utterance | str]:
        """Utterances, each with what to call it, with features of their sound; or why not."""

    def missing(self, utterance: Utterance) -> list[str]:
        """The modalities that an utterance lacks, and that can be made of its sound."""


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
    """Dialogues that are predicted together, or a piece of one.

    Attributes:
      items: those that can be used.
      examples: their prompts.
      problems: why not the others.
      spoiled: the first of those is a dialogue of which earlier chunks answered pieces.
      end: up to where this answers the input.
    """

    items: list[Item]
    examples: list[Any]
    problems: list[Problem]
    spoiled: bool
    end: Position

    @property
    def more(self) -> bool:
        """Whether it ends inside a dialogue."""
        return any(item.more for item in self.items)


@dataclasses.dataclass(frozen=True)
class Asking:
    """How dialogues become prompts.

    Attributes:
      recognizer: makes them.
      on_long: what becomes of texts that are too long; see `EmotionRecognizer.examples`.
      name: of the input, for messages.
      sounds: that utterances name; None where no file is read.
    """

    recognizer: Recognizer
    on_long: str
    name: str
    sounds: Sounds | None = None

    def heard(self, items: Sequence[Item]) -> list[Item]:
        """The same with the features of their sound; without a dialogue where that cannot be
        read.
        """
        if self.sounds is None:
            return list(items)
        utterances = [
            (f"{self.name} line {line}", utterance)
            for item in items
            if item.dialogue
            for utterance, line in zip(
                (*item.past, *item.dialogue.utterances),
                (*itertools.repeat(item.line, len(item.past)), *item.lines),
                strict=True,
            )
        ]
        made = iter(self.sounds.heard(utterances))
        return [_with_heard(item, made) for item in items]

    def examples(self, items: Sequence[Item]) -> list[Any]:
        """The prompts of all utterances of the items. Raises `UserError` where one cannot be
        made.
        """
        windows = [
            _dialogue(item, (*item.past, *item.dialogue.utterances))
            for item in items
            if item.dialogue
        ]
        made = iter(self.recognizer.examples(windows, on_long=self.on_long))
        return [
            example
            for item in items
            if item.dialogue
            for example in itertools.islice(
                made, len(item.past), len(item.past) + len(item.dialogue.utterances)
            )
        ]

    def checked(self, item: Item) -> Item:
        """The same, or without its dialogue where prompts cannot be made of it."""
        try:
            self.examples([item])
        except UserError as error:
            return dataclasses.replace(item, dialogue=None, problem=self._reason(item, error))
        return item

    def _reason(self, item: Item, error: UserError) -> str:
        """Of which utterance no prompt can be made: the message names its number among those that
        were given together.
        """
        for number, utterance in enumerate(item.dialogue.utterances if item.dialogue else ()):
            try:
                self.recognizer.examples([_dialogue(item, (utterance,))], on_long=self.on_long)
            except UserError as alone:
                reason = str(alone).replace("utterance 0", f"utterance {item.start + number}", 1)
                return f"{self.name} line {item.lines[number]}: {reason}"
        return f"{self.name} line {item.line}: {error}"


def predict(
    recognizer: Recognizer,
    lines: Lines,
    items: Iterator[Item],
    output: Output,
    written_as: Format,
    *,
    stage: str,
    on_long: str,
    chunk: int,
    skip_bad: bool,
    report: Callable[[Totals, Position], None],
    modalities: Mapping[str, Modality] = MappingProxyType({}),
    sounds: Sounds | None = None,
    listen: bool = True,
    least: float | None = None,
) -> Totals:
    """Predicts what is read, and writes it.

    Args:
      recognizer: answers.
      lines: of the input.
      items: the dialogues in them that are wanted and that the output does not hold yet; long ones
        in pieces.
      output: where answers go.
      written_as: how they are written.
      stage: whose anchors to use.
      on_long: what becomes of texts that are too long; see `EmotionRecognizer.examples`.
      chunk: utterances predicted together, about: that many, and the rest of the last dialogue.
      skip_bad: note dialogues that cannot be used, and go on.
      report: gets how it goes, after each chunk.
      modalities: of the features that the recognizer reads.
      sounds: makes those of the sound that utterances name, if any can be.
      listen: whether it does; else utterances that name a sound are counted.
      least: the probability from which on a label is possible; None where no coverage is asked for.

    Returns:
      What was done, by earlier runs on the same output included.

    Raises:
      UserError: a dialogue cannot be used (unless they are skipped), or none can, the input holds
        none, or the output cannot be written.
    """
    if output.journal.finished:  # killed while the answers got their final name
        if next(iter(items), None) is not None:
            raise lines.other_input("it goes on where that had ended")
        output.finish()
        return output.journal.totals
    start = time.monotonic() - output.journal.totals.seconds
    asking = Asking(recognizer, on_long, lines.name, sounds if listen else None)
    reason = ""
    for made in _ahead(_chunks(asking, items, chunk, skip_bad)):
        if made.spoiled:
            output.take_back()
        dialogues = [item.dialogue for item in made.items if item.dialogue]
        utterances = utterances_of(dialogues)
        answers = []
        if utterances:
            reps = recognizer.represent(made.examples)
            alone = recognizer.answer(reps, utterances, made.examples, stage=stage)
            answers = recognizer.together(alone, dialogues, stage=stage)
        if least is not None:
            answers = [each.with_possible(least) for each in answers]
        look = recognizer.look(utterance.text for utterance in utterances)
        seconds = time.monotonic() - start
        totals = _added(output.journal.totals, made, answers, look, seconds)
        totals = _with_features(totals, utterances, modalities)
        if sounds and not listen:
            unheard = sum(bool(sounds.missing(each)) for each in utterances)
            totals = dataclasses.replace(totals, unheard=totals.unheard + unheard)
        each = iter(answers)
        output.append(
            b"".join(_encoded(item, each, written_as) for item in made.items),
            "".join(
                json.dumps(dataclasses.asdict(problem)) + "\n" for problem in made.problems
            ).encode(),
            made.end,
            totals,
            more=made.more,
        )
        reason = reason or next((problem.reason for problem in made.problems), "")
        report(totals, made.end)
    totals = output.journal.totals
    if not lines.dialogues:
        raise UserError(f"{lines.name} holds no dialogue.")
    if totals.skipped and not totals.dialogues:
        output.give_up()
        first = f"; the first: {reason}" if reason else ""
        raise UserError(
            f"none of the {totals.skipped:,} dialogues of {lines.name} can be used, see"
            f" {output.problems_in}{first}"
        )
    output.finish()
    return totals


def _encoded(item: Item, answers: Iterator[Prediction], written_as: Format) -> bytes:
    if item.dialogue is None:
        return b""
    predictions = tuple(itertools.islice(answers, len(item.dialogue.utterances)))
    return written_as.encode(
        DialoguePrediction(item.dialogue.id, predictions, item.dialogue.other),
        item.start,
        more=item.more,
    )


def _with_heard(item: Item, made: Iterator[Utterance | str]) -> Item:
    if item.dialogue is None:
        return item
    count = len(item.past)
    found = list(itertools.islice(made, count + len(item.dialogue.utterances)))
    if problem := next((each for each in found if isinstance(each, str)), ""):
        return dataclasses.replace(item, dialogue=None, problem=problem)
    heard = tuple(each for each in found if not isinstance(each, str))
    dialogue = dataclasses.replace(item.dialogue, utterances=heard[count:])
    return dataclasses.replace(item, past=heard[:count], dialogue=dialogue)


def _dialogue(item: Item, utterances: tuple[Utterance, ...]) -> Dialogue:
    return Dialogue(item.dialogue.id if item.dialogue else "", utterances)


def _chunks(asking: Asking, items: Iterator[Item], size: int, skip_bad: bool) -> Iterator[Chunk]:
    refused = ""  # why not, of the dialogue whose other pieces are being read
    for found in _groups(items, size, skip_bad):
        if refused and not found[0].problem:
            found[0] = dataclasses.replace(found[0], dialogue=None, problem=refused)
        found = asking.heard(found)
        if not skip_bad and (problem := next((item.problem for item in found if item.problem), "")):
            raise UserError(problem)
        try:
            examples = asking.examples(found)
        except UserError:
            found = [asking.checked(item) for item in found]
            if not skip_bad:
                raise UserError(next(item.problem for item in found if item.problem)) from None
            examples = asking.examples(found)
        refused = found[0].problem if found[0].more else ""
        if refused:
            continue
        yield Chunk(
            items=[item for item in found if item.dialogue],
            examples=examples,
            problems=[Problem(item.line, item.problem) for item in found if item.problem],
            spoiled=bool(found[0].problem and found[0].start),
            end=found[-1].end,
        )


def _groups(items: Iterator[Item], size: int, skip_bad: bool) -> Iterator[list[Item]]:
    """Items of about `size` utterances together. A piece that another one follows is a group by
    itself, so that the last piece is the first of a group.
    """
    found: list[Item] = []
    utterances = 0
    for item in items:
        if item.problem and not skip_bad:
            raise UserError(item.problem)
        if item.more and found:
            yield found
            found, utterances = [], 0
        found.append(item)
        # What cannot be used counts as well, else a file of nothing else would be gathered whole.
        utterances += max(len(item.dialogue.utterances) if item.dialogue else 0, 1)
        if item.more or utterances >= size:
            yield found
            found, utterances = [], 0
    if found:
        yield found


def _ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks, each made by another thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, None)
        while chunk := coming.result():
            coming = pool.submit(next, chunks, None)
            yield chunk


def _added(
    totals: Totals, chunk: Chunk, answers: Sequence[Prediction], look: Look, seconds: float
) -> Totals:
    emotions = dict(totals.emotions)
    utterances = [
        utterance for item in chunk.items if item.dialogue for utterance in item.dialogue.utterances
    ]
    for answer in answers:
        for emotion in answer.emotions or (NONE,):
            emotions[emotion] = emotions.get(emotion, 0) + 1
    return Totals(
        dialogues=totals.dialogues + sum(not item.more for item in chunk.items),
        utterances=totals.utterances + len(answers),
        skipped=totals.skipped + len(chunk.problems),
        truncated=totals.truncated + sum(answer.truncated for answer in answers),
        unknown_text=totals.unknown_text + sum(answer.unknown_text for answer in answers),
        alone=totals.alone + sum(answer.alone for answer in answers),
        looked=totals.looked + look.texts,
        strange=totals.strange + look.strange,
        markup=totals.markup + sum(bool(markup_in(utterance.text)) for utterance in utterances),
        noted=totals.noted + sum(map(is_note, utterances)),
        unnamed=totals.unnamed + sum(item.unnamed for item in chunk.items),
        seconds=seconds,
        emotions=emotions,
        missing=totals.missing,
        features=totals.features,
        unread=totals.unread,
        named=totals.named + sum(bool(utterance.audio) for utterance in utterances),
        unheard=totals.unheard,
    )


def _with_features(
    totals: Totals, utterances: Sequence[Utterance], modalities: Mapping[str, Modality]
) -> Totals:
    """Counts what the model reads and utterances lack, notes what they have and it does not read,
    and looks at what they have of what it reads.
    """
    missing = {
        name: totals.missing.get(name, 0)
        + sum(not has_known(each.features, name) for each in utterances)
        for name in modalities
    }
    found = {name for each in utterances for name in each.features} - set(modalities)
    return dataclasses.replace(
        totals,
        missing=missing,
        features=added(totals.features, see(utterances, modalities)),
        unread=sorted({*totals.unread, *found}),
    )
