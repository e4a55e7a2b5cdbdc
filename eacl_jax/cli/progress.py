"""How a long prediction goes, on standard error: a bar on a terminal, else a line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eacl_jax.bulk.journal import Totals
from eacl_jax.bulk.lines import Position

_LINE_EVERY = 30.0  # seconds


class Teller:
    """Is told how it goes, and says so."""

    def __init__(self, console: Console, size: int, before: Totals) -> None:
        """Args:
        console: on standard error.
        size: of the input in bytes; 0 where that is not known.
        before: what earlier runs did.
        """
        self._console, self._size, self._before = console, size, before
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
        """Shows the bar meanwhile, and gives what is to be told."""
        with self._bar:
            yield self._tell

    def _tell(self, totals: Totals, position: Position) -> None:
        """So much is done, and the input read so far."""
        text = f"{totals.dialogues:,} dialogues, {totals.utterances:,} utterances, {rate(totals, self._before)}"
        if not self._bar.disable:
            self._bar.update(self._task, description=text, completed=position.offset)
        elif time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            share = f"{position.offset / self._size:.1%} of the input, " if self._size else ""
            self._console.print(f"{share}{text}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def rate(totals: Totals, before: Totals) -> str:
    """Utterances a second since `before`."""
    seconds = max(totals.seconds - before.seconds, 1e-9)
    return f"{(totals.utterances - before.utterances) / seconds:,.0f} utterances/s"


def print_summary(console: Console, name: str, totals: Totals, before: Totals, *, problems: str, cut: Sequence[int]) -> None:
    """What was done in all, and how often each emotion was the answer.

    Args:
      console: on standard error.
      name: of the output.
      totals: in all.
      before: what earlier runs did.
      problems: where it says which dialogues could not be used.
      cut: how many utterances were cut, chunk by chunk.
    """
    told = [f"{name}: {totals.dialogues:,} dialogues, {totals.utterances:,} utterances, {totals.seconds:,.1f} s"]
    if totals.utterances > before.utterances:
        told[0] += f", {rate(totals, before)}"
    if totals.emotions:
        told.append(", ".join(f"{label} {count:,}" for label, count in sorted(totals.emotions.items(), key=lambda e: -e[1])))
    if cut:
        told.append(f"{sum(cut):,} utterances are longer than the model reads: the beginnings of their texts were cut")
    if totals.skipped:
        told.append(f"{totals.skipped:,} dialogues could not be used: see {problems}")
    for line in told:
        console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
