"""Lines to dialogues: JSON lines and plain text, in the input's order and one at a time."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import Self

from eacl_jax.bulk.lines import BadLineError, Lines, Position
from eacl_jax.corpora.forms import DIALOGUE, read_record, read_utterance
from eacl_jax.corpora.jsonlines import decode
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.inputs import check_dialogue, why_no_text


@dataclasses.dataclass(frozen=True)
class Shard:
    """Every `count`-th dialogue, from the `index`-th on (from 1): a dialogue belongs to exactly one of `count` shards."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `INDEX/COUNT`. Raises `UserError` where it is none."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UserError(f"--shard must be I/N with I from 1 to N, as 2/8, got {text!r:.40}.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, number: int) -> bool:
        """Whether the input's dialogue of this number (from 1) is of the shard."""
        return (number - 1) % self.count == self.index - 1


@dataclasses.dataclass(frozen=True)
class Item:
    """A dialogue as it was read.

    Attributes:
      line: where it begins, from 1.
      dialogue: the dialogue; None where it cannot be used.
      problem: why not.
      end: all before is read, and nothing behind.
    """

    line: int
    dialogue: Dialogue | None
    problem: str
    end: Position


class Wanted:
    """Says of each dialogue, by its number, whether this process is to predict it: it is of the shard and not yet done."""

    def __init__(self, lines: Lines, shard: Shard) -> None:
        """Args:
        lines: say what was done before.
        shard: whose dialogues are wanted.
        """
        self._done, self._shard = lines.resumed.dialogues, shard

    def __call__(self, number: int) -> bool:
        return number > self._done and self._shard.holds(number)


class Gathering:
    """A dialogue whose utterances are being read."""

    def __init__(self, lines: Lines, wanted: Wanted, line: int, identity: str = "", problem: str = "") -> None:
        """Counts it in `lines`.

        Args:
          lines: where it stands.
          wanted: says whether its utterances are kept.
          line: where it begins.
          identity: its id; its number where there is none.
          problem: why it cannot be used, if that is already known.
        """
        lines.dialogues += 1
        self.id = identity or str(lines.dialogues)
        self.problem = problem
        self._line, self._wanted = line, wanted(lines.dialogues)
        self._said: list[Utterance] = []

    def add(self, utterance: str | Utterance, where: str) -> None:
        """Adds what is said next; where that cannot be read, the dialogue cannot be used."""
        if self._wanted and not self.problem:
            try:
                self._said.append(read_utterance(utterance, where))
            except UserError as error:
                self.problem = str(error)

    def items(self, lines: Lines) -> Iterator[Item]:
        """What it has become, where it is wanted."""
        if self._wanted:
            dialogue = Dialogue(self.id, tuple(self._said))
            yield _checked(lambda _: dialogue, self.problem, lines, self._line)


def read_jsonl(lines: Lines, wanted: Wanted) -> Iterator[Item]:
    """A dialogue a line; blank lines are passed over. The lines of unwanted dialogues are not looked into."""
    while line := lines.read():
        if line.isspace():
            continue
        lines.dialogues += 1
        if wanted(lines.dialogues):
            try:
                text, problem = lines.text(line).rstrip(), ""
            except BadLineError as error:
                text, problem = "", str(error)
            yield _checked(functools.partial(_from_json, text, str(lines.dialogues)), problem, lines, lines.line)


def read_txt(lines: Lines, wanted: Wanted) -> Iterator[Item]:
    """An utterance a line, `Name: text`; blank lines end a dialogue. Its id is its number."""
    current: Gathering | None = None
    line = b"\n"
    while line:
        line = lines.read()
        try:
            text, problem = lines.text(line).strip(), ""
        except BadLineError as error:
            text, problem = "?", str(error)
        if text:
            current = current or Gathering(lines, wanted, lines.line)
            current.problem = current.problem or problem
            current.add(text, lines.where)
        elif current:
            yield from current.items(lines)
            current = None


def _checked(read: Callable[[str], Dialogue], problem: str, lines: Lines, line: int) -> Item:
    """What `read` gives when it is told where that stands, as an item."""
    where = f"{lines.name} line {line}"
    dialogue = None
    if not problem:
        try:
            dialogue = _check(read(where), where)
        except UserError as error:
            problem = str(error)
    return Item(line, dialogue, problem, lines.position)


def _check(dialogue: Dialogue, where: str) -> Dialogue:
    """The same dialogue. Raises `UserError` where it has no utterance, or its id, a speaker or a text is not text."""
    if reason := why_no_text(dialogue.id):
        raise UserError(f"{where}: field 'id' {reason}.")
    if not dialogue.utterances:
        raise UserError(f"{where}: dialogue {dialogue.id!r:.60} has no utterances; remove it.")
    return check_dialogue(dialogue, where)


def _from_json(text: str, identity: str, where: str) -> Dialogue:
    return read_record(decode(text, where, expected=f"one dialogue a line, {DIALOGUE}"), where, identity)
