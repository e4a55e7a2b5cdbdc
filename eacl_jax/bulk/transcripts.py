"""Lines of text to dialogues, and what there is to report of them."""

import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator

from eacl_jax.bulk.lines import LONGEST_LINE, BadLineError, Lines
from eacl_jax.bulk.reading import COLUMNS, Gathering, Item, Wanted
from eacl_jax.corpora.columns import find_columns
from eacl_jax.corpora.transcripts import ReadUtterance, TranscriptLines, about_notes, about_titles
from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.files.dialects import dialect_of

_JSON = re.compile(r"\s*(?:\{\s*(?:\"|$)|\[\s*(?:[{\[]|$))")

_NEARLY_ALL = 0.9
# Speakers that are remembered, of files of any length.
_MOST_SPEAKERS = 1000


@dataclasses.dataclass
class Findings:
    """What there is to report of a text when all of it is read.

    Attributes:
      titles: lines above a chat's first message, which were left out.
      notes: messages of a chat in which nobody says anything, which were left out.
      dialogues: how many there are.
      lone: how many of them hold one utterance.
      again: whether a speaker of one of those speaks in another one.
    """

    titles: int = 0
    notes: int = 0
    dialogues: int = 0
    lone: int = 0
    again: bool = False
    _speakers: set[str] = dataclasses.field(default_factory=set)

    def add(self, size: int, speaker: str) -> None:
        """Counts a dialogue.

        Args:
          size: its utterances; 0 where all its lines were left out, so that there is none.
          speaker: of the last one; "" where it names nobody.
        """
        if not size:
            return
        self.dialogues += 1
        self.lone += size == 1
        if size == 1 and speaker:
            self.again |= speaker in self._speakers
            if len(self._speakers) < _MOST_SPEAKERS:
                self._speakers.add(speaker)

    def sentences(self) -> list[str]:
        """One for each thing that there is to report."""
        found = [about_titles(self.titles)] if self.titles else []
        if self.notes:
            found.append(about_notes(self.notes, self.dialogues > 0))
        if self.again and self.lone >= _NEARLY_ALL * self.dialogues:
            found.append(
                f"{self.lone:,} of {count(self.dialogues, 'dialogue')} hold one utterance, and a"
                " speaker comes again: a blank line ends a dialogue, so if they are one"
                " conversation, remove the blank lines between its turns"
            )
        return found


@dataclasses.dataclass
class _Block:
    """Lines up to the blank one that ends a dialogue.

    Attributes:
      line: where it begins.
      utterances: those of it that are read and not given yet.
      problem: why it cannot be used.
    """

    line: int
    utterances: list[ReadUtterance] = dataclasses.field(default_factory=list)
    problem: str = ""


def _check_transcript(first: str, where: str) -> None:
    """Raises `UserError` where a file's first line is of another kind of file."""
    if _JSON.match(first):
        raise UserError(f"{where} is JSON, not a transcript; name its format, jsonl.")
    try:
        names = next(dialect_of([first]).rows([first], LONGEST_LINE))
        find_columns(names, where, need=COLUMNS, parts=COLUMNS)
    except (StopIteration, csv.Error, UserError):
        return
    raise UserError(
        f"{where} names the columns of a table, {', '.join(map(repr, names))}, so this is no"
        " transcript; name its format, csv."
    )


def read_txt(
    lines: Lines, wanted: Wanted, findings: Findings, *, tables: str = ""
) -> Iterator[Item]:
    """Utterances in lines, as `corpora.transcripts` reads them; a blank line ends a dialogue,
    unless it may be part of an exported chat's message. A dialogue's id is its number.

    Args:
      lines: of the input.
      wanted: says which dialogues are wanted.
      findings: gets what there is to report of the text.
      tables: how a user has tables read, for messages.
    """
    # Blocks at the head of the file in which nobody is named: perhaps a title of what comes.
    above: list[_Block] | None = []
    block: _Block | None = None
    current: Gathering | None = None
    size, last = 0, None  # of the dialogue: utterances so far, and the last of them
    script = TranscriptLines(lines.name, tables=tables)
    line = b"\n"
    while line:
        line = lines.read()
        try:
            text, problem = lines.text(line).rstrip("\r\n"), ""
        except BadLineError as error:
            text, problem = "?", str(error)
        if lines.line == 1:
            _check_transcript(text, lines.where)
        ends = not line or (not text.strip() and not script.exported)
        if block is None:
            if ends:
                continue
            block = _Block(lines.line)
        block.problem = block.problem or problem
        waits = above is not None and script.waits
        try:
            block.utterances += script.finish() if ends else script.read(text, lines.line)
        except UserError as error:
            block.problem = block.problem or str(error)
        if ends and waits and above is not None:
            above.append(block)
            below = sum(len(each.utterances) for each in above)
            block, script = None, TranscriptLines(lines.name, below, tables)
            continue
        if not (ends or block.utterances):
            continue
        if above and not script.sure:
            yield from _dialogues(lines, wanted, above, findings)
        elif above:
            findings.titles += sum(len(each.utterances) for each in above)
        above = None
        current = current or Gathering(lines, wanted, block.line)
        size += len(block.utterances)
        last = block.utterances[-1] if block.utterances else last
        yield from _added(current, block)
        if ends:
            findings.add(size, last.utterance.speaker if last and last.named else "")
            size, last = 0, None
            yield from current.items()
            findings.titles += script.titles
            findings.notes += script.notes
            current, block, script = None, None, TranscriptLines(lines.name, tables=tables)
    yield from _dialogues(lines, wanted, above or (), findings)


def _dialogues(
    lines: Lines, wanted: Wanted, blocks: Iterable[_Block], findings: Findings
) -> Iterator[Item]:
    for block in blocks:
        findings.add(len(block.utterances), "")
        current = Gathering(lines, wanted, block.line)
        yield from _added(current, block)
        yield from current.items()


def _added(current: Gathering, block: _Block) -> Iterator[Item]:
    """Gives a dialogue what of its lines is read."""
    current.problem = current.problem or block.problem
    found, block.utterances = block.utterances, []
    for read in found:
        yield from current.add(read.utterance, read.line, named=read.named)
