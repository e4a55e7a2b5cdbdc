"""How long the rest of a study takes, and how much disk, by the runs seen so far."""

import datetime
import shutil
import statistics
from collections.abc import Collection, Sequence
from pathlib import Path

from eacl_jax.dialogue import count, counted
from eacl_jax.errors import UserError
from eacl_jax.files.local import size_words
from eacl_jax.studies import cells
from eacl_jax.studies.definition import Cell
from eacl_jax.training import cost


class Pace:
    """Learns from each run how long its variant takes."""

    def __init__(self, workdir: Path) -> None:
        """Args:
        workdir: the study's folder, where other processes and earlier calls left runs too.
        """
        self._workdir = workdir
        self._seconds: dict[tuple[str, str], list[float]] = {}
        self._known: set[Cell] = set()

    def add(self, cell: Cell, seconds: float) -> None:
        """A run that was begun and completed here, which took so long."""
        self._known.add(cell)
        self._seconds.setdefault((cell.corpus, cell.variant), []).append(seconds)

    def skip(self, cell: Cell) -> None:
        """A run that tells nothing: it only went on here."""
        self._known.add(cell)

    def look(self, complete: Collection[Cell]) -> None:
        """Takes in what other processes and earlier calls completed, by their `cost.json`."""
        for cell in complete:
            if cell in self._known:
                continue
            self._known.add(cell)
            try:
                found = cost.read_cost(cells.folder_of(self._workdir, cell))
            except UserError:
                continue
            if not found.resumed:
                self.add(cell, found.seconds)

    def left(self, rest: Sequence[Cell], processes: int) -> str:
        """How long the runs that are left take, for a person.

        Args:
          rest: not complete, runs that are going on included, which count as if they began now.
          processes: that share them.
        """
        if not rest:
            return "nothing left"
        if not self._seconds:
            return "time left not known yet"
        total, unseen = 0.0, set()
        for cell in rest:
            seconds = self._seconds.get((cell.corpus, cell.variant))
            if seconds is None:
                unseen.add((cell.corpus, cell.variant))
                # The nearest that is known: other variants on this corpus, or any.
                seconds = [
                    each
                    for (corpus, _), found in self._seconds.items()
                    if corpus == cell.corpus
                    for each in found
                ] or [each for found in self._seconds.values() for each in found]
            total += statistics.median(seconds)
        span = datetime.timedelta(seconds=round(total / max(1, min(processes, len(rest)))))
        by = f", by {processes} processes" if processes > 1 else ""
        several = count(len(unseen), "variant")
        guess = f", {several} not seen yet taken as the others" if unseen else ""
        return f"about {span} left{by}{guess}"


def disk(workdir: Path, *, running: int, kept: int, rest: int) -> str:
    """What runs take of the disk, for a person.

    Args:
      workdir: the study's folder.
      running: bytes of a run's folder with its checkpoints.
      kept: bytes that stay of it.
      rest: runs that are left.
    """
    free = shutil.disk_usage(workdir).free
    left = counted(rest, "that is left keeps", "that are left keep")
    line = (
        f"disk     a run takes up to {size_words(running)} while it goes on, and keeps"
        f" {size_words(kept)}; the {left} about {size_words(rest * kept)}; {size_words(free)} are"
        " free"
    )
    return line + (" - not enough" if free < rest * kept + running else "")
