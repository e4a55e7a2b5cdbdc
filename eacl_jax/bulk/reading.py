"""Lines to dialogues: JSON lines and plain text, in the input's order and a piece at a time."""

import dataclasses
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from eacl_jax.bulk.lines import BadLineError, Lines, Position
from eacl_jax.bulk.seen import Seen
from eacl_jax.corpora.backwards import Backwards
from eacl_jax.corpora.forms import ANSWERED, DIALOGUE, LABELS, read_record
from eacl_jax.corpora.jsonlines import decode
from eacl_jax.corpora.order import Times
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.given import GivenFeatures, all_with_flat_features
from eacl_jax.features.modality import Modality

COLUMNS = ("dialogue", "speaker", "text")
"""What a row of a table says."""

_EXAMPLE = """ Two lines of such a file:
{"id": "1", "utterances": [{"speaker": "Ann", "text": "I got it!"}, {"speaker": "Ben", "text": \
"What?"}]}
{"id": "2", "transcript": "Cem: Hello.\\nAnn: Hi!"}"""


@dataclasses.dataclass(frozen=True)
class Shard:
    """Every `count`-th dialogue, from the `index`-th on (from 1): a dialogue belongs to exactly one
    of `count` shards.
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `INDEX/COUNT`. Raises `UserError` where it is none."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UserError(f"shard must be I/N with I from 1 to N, as 2/8, got {text!r:.40}.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, number: int) -> bool:
        """Whether the input's dialogue of this number (from 1) is of the shard."""
        return (number - 1) % self.count == self.index - 1


@dataclasses.dataclass(frozen=True)
class Item:
    """A dialogue as it was read; of a long one, a piece.

    Attributes:
      line: where the dialogue begins, from 1.
      dialogue: its utterances; None where it cannot be used.
      problem: why not.
      end: all before is read, and nothing behind.
      start: how many utterances of the dialogue came in pieces before.
      past: the last of those, as far as they count.
      more: another piece follows.
      lines: where each utterance begins.
      unnamed: how many utterances name no speaker.
    """

    line: int
    dialogue: Dialogue | None
    problem: str
    end: Position
    start: int = 0
    past: tuple[Utterance, ...] = ()
    more: bool = False
    lines: tuple[int, ...] = ()
    unnamed: int = 0


class Wanted:
    """Says what of each dialogue this process is to predict, by the dialogue's number from 1.

    Attributes:
      size: utterances of a piece.
      most_past: utterances of the past that may count.
      other_features: those of other files, which are put to the utterances.
    """

    def __init__(
        self,
        lines: Lines,
        shard: Shard,
        *,
        size: int,
        most_past: int,
        other_features: Sequence[GivenFeatures] = (),
    ) -> None:
        """Args:
        lines: say what was done before.
        shard: whose dialogues are wanted.
        size: utterances of a piece: longer dialogues are read in several.
        most_past: utterances of the past that a piece begins with.
        other_features: those of other files.
        """
        self._lines, self._shard = lines, shard
        self.size, self.most_past, self.other_features = size, most_past, other_features

    def __call__(self, number: int) -> bool:
        """Whether the dialogue is of the shard and not yet done."""
        return number > self._lines.resumed.dialogues and self._shard.holds(number)

    def done(self, number: int) -> int:
        """Utterances of the dialogue that are done."""
        resumed = self._lines.resumed
        return resumed.utterances if number == resumed.dialogues + 1 else 0


class Gathering:
    """A dialogue whose utterances are being read."""

    def __init__(
        self,
        lines: Lines,
        wanted: Wanted,
        line: int,
        identity: str = "",
        problem: str = "",
        *,
        other: Mapping[str, Any] | None = None,
        before: Position | None = None,
    ) -> None:
        """Counts it in `lines`.

        Args:
          lines: where it stands.
          wanted: says which of its utterances are kept.
          line: where it begins.
          identity: its id; its number where there is none.
          problem: why it cannot be used, if that is already known.
          other: its other fields.
          before: where it begins, where all of it is read before any is given, so that what
            follows the utterances that are done may be mended.
        """
        lines.dialogues += 1
        self.id = identity or str(lines.dialogues)
        self.problem = problem
        self._lines, self._line, self._wanted = lines, line, wanted(lines.dialogues)
        self._size, self._start = wanted.size, wanted.done(lines.dialogues)
        self._other_features = wanted.other_features
        self._other, self._before = other or {}, before
        self._count = self._answered = self._unnamed = 0
        self._utterances: list[Utterance] = []
        self._where: list[int] = []
        self._past: deque[Utterance] = deque(maxlen=wanted.most_past)

    def add(
        self, utterance: Utterance, line: int, *, named: bool = True, turn: int | None = None
    ) -> Iterator[Item]:
        """Adds the next utterance, in a line; gives the piece before it where that is full.

        Args:
          utterance: the next one.
          line: where it begins.
          named: whether it names its speaker.
          turn: the number that the input itself gives it in the dialogue (`columns.numbering`);
            None: they count from 0.

        Raises:
          UserError: an utterance that is done is not the one that was answered, or features of
            other files fit two utterances, or none.
        """
        if not self._wanted or self.problem:
            return
        utterance = self._joined(utterance, line, turn)
        if len(self._utterances) == self._size:
            yield self._item(self._inside(), more=True)
            self._past.extend(self._utterances)
            self._start = self._count
            self._utterances, self._where, self._unnamed = [], [], 0
        self._count += 1
        if self._before:
            self._answered = zlib.crc32(_bytes(utterance), self._answered)
        if self._count > self._start:
            self._utterances.append(utterance)
            self._where.append(line)
            self._unnamed += not named
            return
        self._past.append(utterance)
        if self._count == self._start:
            self._compare()

    def _joined(self, utterance: Utterance, line: int, turn: int | None) -> Utterance:
        """With its features of other files."""
        features = dict(utterance.features)
        for given in self._other_features:
            number = self._count if turn is None else turn
            rows = given.of(self.id, number, utterance.other.get("id"), numbered=turn is not None)
            if rows is not None and given.name in features:
                raise UserError(
                    f"{self._lines.name} line {line}: dialogue {self.id!r:.60} utterance"
                    f" {self._count} has features {given.name!r} already; give them once."
                )
            if rows is not None:
                features[given.name] = rows
        if not self._other_features:
            return utterance
        return dataclasses.replace(utterance, features=features)

    def items(self, end: Position | None = None) -> Iterator[Item]:
        """The rest of it, where it is wanted, now that it has ended.

        Args:
          end: where that was; None: after the line that was read last.

        Raises:
          UserError: it ends before what is done.
        """
        if self._wanted:
            if not self.problem and self._count < self._start:
                self._compare()
            if not self.problem and not self._count:
                self.problem = (
                    f"{self._lines.name} line {self._line}: dialogue {self.id!r:.60} has no"
                    " utterances; remove it."
                )
            yield self._item(end or self._lines.position, more=False)

    def _inside(self) -> Position:
        """After the utterances so far."""
        end = self._before or dataclasses.replace(
            self._lines.position, dialogues=self._lines.dialogues - 1
        )
        return dataclasses.replace(end, utterances=self._count, answered=self._answered)

    def _compare(self) -> None:
        if (self._count, self._answered) != (self._start, self._lines.resumed.answered):
            raise self._lines.other_input(
                f"line {self._line}: the first {self._start} utterances of dialogue {self.id!r:.60}"
                " differ"
            )

    def _item(self, end: Position, *, more: bool) -> Item:
        return Item(
            line=self._line,
            dialogue=(
                None if self.problem else Dialogue(self.id, tuple(self._utterances), self._other)
            ),
            problem=self.problem,
            end=end,
            start=self._start,
            past=tuple(self._past),
            more=more,
            lines=tuple(self._where),
            unnamed=self._unnamed,
        )


def _bytes(utterance: Utterance) -> bytes:
    """What decides the answer to an utterance."""
    features = b"".join(
        f"{name}\0{rows.shape}\0".encode() + rows.tobytes()
        for name, rows in sorted(utterance.features.items())
    )
    audio = f"\0{utterance.audio}" if utterance.audio else ""
    return f"{utterance.speaker}\0{utterance.text}\0{audio}".encode() + features


def read_jsonl(
    lines: Lines,
    wanted: Wanted,
    modalities: Mapping[str, Modality] | None = None,
    left_out: set[str] | None = None,
    *,
    otherwise: str = "",
) -> Iterator[Item]:
    """A dialogue a line; blank lines are passed over. What is wrong with lines of unwanted
    dialogues is not reported.

    Args:
      lines: of the input.
      wanted: says which dialogues are wanted.
      modalities: whose features the model reads; utterances' fields NAME.COLUMN are theirs.
      left_out: gets the names of utterances' fields that are not carried through to the answers,
        since answers have fields of these names, or labels are read from them.
      otherwise: how a user has JSON of other shapes read, for messages.
    """
    seen, backwards = Seen(), Backwards()
    before = lines.position
    while line := lines.read():
        if not line.isspace():
            number = str(lines.dialogues + 1)
            problem, named = "", True
            record: Any = None
            dialogue = Dialogue(number, ())
            try:
                text = lines.text(line).rstrip()
                record = decode(text, lines.where, expected=f"one dialogue a line, {DIALOGUE}")
                dialogue = all_with_flat_features(
                    read_record(_unlabelled(record), lines.where, number),
                    modalities or {},
                    lines.where,
                )
                if left_out is not None:
                    left_out |= _replaced(record)
                named = (
                    NOBODY in text
                )  # where the line never says so, it is who speaks without a name
            except (BadLineError, UserError) as error:
                problem = str(error)
                if not lines.dialogues and _is_other_shape(record):
                    problem += "\n".join([_EXAMPLE, *([otherwise] if otherwise else [])])
                elif not lines.dialogues and line.strip() in (b"{", b"[") and otherwise:
                    problem += f" {otherwise}"
            if not problem and not seen.add(dialogue.id):
                problem = f"{lines.where}: {_twice(dialogue.id, record, number)}"
            backwards.add(Times.of(dialogue.utterances))
            current = Gathering(
                lines, wanted, lines.line, dialogue.id, problem, other=dialogue.other, before=before
            )
            for utterance in dialogue.utterances:
                yield from current.add(
                    utterance, lines.line, named=named or utterance.speaker != NOBODY
                )
            yield from current.items()
        before = lines.position
    backwards.warn(lines.name)


def _is_other_shape(record: Any) -> bool:
    """Whether it is JSON, but neither a dialogue nor what is left of one."""
    if isinstance(record, Mapping):
        return not {"utterances", "transcript"} & record.keys()
    return isinstance(record, list)


def _twice(identity: str, record: Mapping[str, Any], number: str) -> str:
    """Why a dialogue's id is another's, and what to do."""
    if "id" not in record:
        return (
            f"dialogue {number} of the input has no id, so its number stands for one, and an"
            f" earlier dialogue has the id {number!r}; give it an id of its own."
        )
    # Compared as numbers only where it has no more digits, which may be thousands.
    if identity.isdecimal() and len(identity) <= len(number) and int(identity) < int(number):
        return (
            f"the id {identity!r:.60} was there before; give each dialogue an id of its own, as"
            " the number of a dialogue stands for an id that it lacks."
        )
    return f"the id {identity!r:.60} was there before; give each dialogue an id of its own."


def _unlabelled(record: Any) -> Any:
    """A dialogue without what its utterances' fields of labels hold, in whatever form."""
    given = record.get("utterances") if isinstance(record, Mapping) else None
    if not isinstance(given, list):
        return record
    utterances = [
        {name: each[name] for name in each if name not in LABELS}
        if isinstance(each, Mapping)
        else each
        for each in given
    ]
    return {**record, "utterances": utterances}


def _replaced(record: Mapping[str, Any]) -> set[str]:
    """Fields of a dialogue's utterances that answers replace, or that hold labels."""
    return {
        name
        for utterance in record.get("utterances", ())
        if isinstance(utterance, Mapping)
        for name in (*LABELS, *ANSWERED)
        if utterance.get(name) is not None
    }
