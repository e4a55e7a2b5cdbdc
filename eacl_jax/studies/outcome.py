"""What a study's folder holds at the end: `study.json`, tables and a page, made of the cells'
results.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eacl_jax.reports.gallery import Gallery
from eacl_jax.studies import cells
from eacl_jax.studies.before import readouts_before
from eacl_jax.studies.cells import Failure, State
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.gather import CellResult, gather
from eacl_jax.studies.page import write_page
from eacl_jax.studies.table import Table, write_study
from eacl_jax.studies.tables import write_tables
from eacl_jax.training.cost import read_cost
from eacl_jax.training.outputs import read_outputs
from eacl_jax.training.run_folder import read_results


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


def write_results(
    study: Study, workdir: Path, more: Callable[[Gallery], str] | None = None
) -> tuple[Table, Path]:
    """Writes `study.json`, the tables and the page of what is complete; gives the table and the
    page's path.

    Args:
      study: that was run.
      workdir: its folder.
      more: see `page.write_page`.

    Raises:
      UserError: a cell's files are damaged, or nothing can be written.
    """
    found = find(study, workdir)
    before: dict[str, Float[np.ndarray, "N d"]] = {}
    if study.before:
        before = readouts_before(study, found.complete, workdir)
    table = gather(
        study,
        [
            _read(cell, cells.folder_of(workdir, cell), before.get(cell.corpus))
            for cell in found.complete
        ],
        {cells.name_of(cell): failure.reason for cell, failure in found.failed.items()},
        [cells.name_of(cell) for cell in found.missing],
    )
    write_study(workdir, table)
    write_tables(workdir, table)
    return table, write_page(workdir, table, more)


def _read(cell: Cell, folder: Path, before: Float[np.ndarray, "N d"] | None) -> CellResult:
    return CellResult(cell, read_results(folder), read_outputs(folder), read_cost(folder), before)
