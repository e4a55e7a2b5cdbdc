"""How a long prediction goes, on standard error: a bar on a terminal, else a line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from eacl_jax.bulk.journal import NONE, Totals
from eacl_jax.bulk.lines import Position
from eacl_jax.bulk.writing import Output
from eacl_jax.corpora.transcripts import about_unnamed
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import count, counted
from eacl_jax.recognizer.prediction import ALONE

_LINE_EVERY = 30.0  # seconds


class Teller:
    """Gets how it goes, and says so."""

    def __init__(
        self, console: Console, size: int, read: Callable[[Position], int], before: Totals
    ) -> None:
        """Args:
        console: on standard error.
        size: of the input in bytes; 0 where that is not known.
        read: tells how many of them are before a position.
        before: what earlier runs did.
        """
        self._console, self._size, self._read, self._before = console, size, read, before
        self._last = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            *([BarColumn(), TaskProgressColumn(), TimeRemainingColumn()] if size else []),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("loading the model", total=size or None)

    @contextlib.contextmanager
    def shown(self) -> Iterator[Callable[[Totals, Position], None]]:
        """Shows the bar meanwhile, and gives what gets it."""
        with self._bar:
            yield self._tell

    def _tell(self, totals: Totals, position: Position) -> None:
        """So much is done, up to a position of the input."""
        text = (
            f"{done(totals, position)}, {count(totals.utterances, 'utterance')},"
            f" {rate(totals, self._before)}"
        )
        if not self._bar.disable:
            self._bar.update(self._task, description=text, completed=self._read(position))
        elif time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            share = f"{self._read(position) / self._size:.1%} of the input, " if self._size else ""
            self._console.print(
                f"{share}{text}", markup=False, emoji=False, highlight=False, soft_wrap=True
            )


def done(totals: Totals, position: Position) -> str:
    """How many dialogues, and how much of the one that goes on."""
    more = count(position.utterances, "utterance")
    inside = f" and {more} of the next" if position.utterances else ""
    return f"{count(totals.dialogues, 'dialogue')}{inside}"


def rate(totals: Totals, before: Totals) -> str:
    """Utterances a second since `before`."""
    seconds = max(totals.seconds - before.seconds, 1e-9)
    return f"{(totals.utterances - before.utterances) / seconds:,.0f} utterances/s"


def print_summary(
    console: Console,
    name: str,
    output: Output,
    before: Totals,
    *,
    on_long: str,
    reads_text: bool = True,
    more: Sequence[str] = (),
) -> None:
    """What was done in all, how often each emotion was the answer, and what to know about the
    answers.

    Args:
      console: on standard error.
      name: of the output.
      output: what was written.
      before: what earlier runs did.
      on_long: what became of texts that are too long.
      reads_text: whether the model reads more than features.
      more: what else there is to say.
    """
    totals = output.journal.totals
    lines = [
        f"{name}: {count(totals.dialogues, 'dialogue')}, {count(totals.utterances, 'utterance')},"
        f" {totals.seconds:,.1f} s"
    ]
    if totals.utterances > before.utterances:
        lines[0] += f", {rate(totals, before)}"
    if totals.emotions:
        lines.append(
            ", ".join(
                f"{'none of the labels' if label == NONE else label} {number:,}"
                for label, number in sorted(totals.emotions.items(), key=lambda e: -e[1])
            )
        )
    lines += _notes(totals, on_long, output.problems_in, reads_text=reads_text)
    if note := str(Look(totals.looked, totals.strange)):
        lines.append(note)
    if totals.unread:
        lines.append(
            f"the model does not read the features {', '.join(totals.unread)}: they were left out"
        )
    for line in (*lines, *more):
        console.print(printable(line), markup=False, emoji=False, highlight=False, soft_wrap=True)


def _notes(totals: Totals, on_long: str, problems_in: str, *, reads_text: bool) -> list[str]:
    """What to know about the answers, a line each; arguments as of `print_summary`."""

    def its(size: int, one: str, several: str) -> str:
        return one if size == 1 else several

    long, unknown = totals.truncated, totals.unknown_text
    if on_long == "pool":
        answered = f"the mean of {its(long, 'its', 'their')} parts was answered"
    else:
        answered = its(long, "its end was answered", "their ends were answered")
    nothing = f"{its(unknown, 'its answer says', 'their answers say')} nothing"
    what = (
        "mostly what the model's tokenizer does not know, such as another script, or no text"
        if reads_text
        else "no features, and the model reads no text"
    )
    holds = ("holds", "hold") if reads_text else ("has", "have")
    lines = [
        _note(long, "is", "are", f"longer than the model reads: {answered} (--on-long)"),
        _note(unknown, *holds, f"{what}: {nothing}"),
        f"{totals.alone:,} {ALONE}" if totals.alone else "",
    ]
    if totals.markup:
        texts = counted(totals.markup, "text holds", "texts hold")
        lines.append(
            f"{texts} HTML, such as &#39; or <br>, which is read as words: give plain text"
        )
    if totals.noted:
        texts = counted(totals.noted, "text is", "texts are")
        lines.append(
            f"{texts} what a chat program notes, such as <Media omitted>, and nobody says: leave"
            f" {its(totals.noted, 'it', 'them')} out"
        )
    lines.append(about_unnamed(totals.unnamed) if totals.unnamed else "")
    if totals.skipped:
        lines.append(f"{count(totals.skipped, 'dialogue')} could not be used: see {problems_in}")
    for name, number in totals.missing.items():
        were = its(number, "it was", "they were")
        lines.append(_note(number, "has", "have", f"no features {name}: {were} answered without"))
    sound = "a sound, which was not read (give --sounds)"
    lines.append(_note(totals.unheard, "names", "name", sound))
    return [line for line in lines if line]


def _note(size: int, one: str, several: str, rest: str) -> str:
    """What so many utterances do; empty where none does."""
    found = counted(size, f"utterance {one}", f"utterances {several}")
    return f"{found} {rest}" if size else ""


def printable(text: str) -> str:
    """A line without what would steer the terminal: control characters, and marks that change the
    direction of writing, as Python writes them in a string.
    """
    return "".join(
        (
            letter
            if letter.isprintable() or letter == " "
            else letter.encode("unicode_escape").decode()
        )
        for letter in text
    )
