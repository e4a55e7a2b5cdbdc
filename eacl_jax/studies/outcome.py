"""What a study's folder holds at the end: tables and a page, made of the cells' results."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from eacl_jax.errors import UserError
from eacl_jax.studies import cells
from eacl_jax.studies.cells import Failure, State
from eacl_jax.studies.definition import Cell, Study

if TYPE_CHECKING:
    from eacl_jax.reports.gallery import Gallery
    from eacl_jax.studies.table import Table


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
    states = {cell: cells.state_of(workdir, cell) for cell in study.cells}
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
    study: Study, workdir: Path, more: "Callable[[Gallery], str] | None" = None
) -> "tuple[Table, Path, dict[Cell, Failure]]":
    """Writes what a study found so far: `study.json`, tables and the page. A complete cell whose
    outputs cannot be read counts as failed.

    Args:
      study: that was run, complete or not.
      workdir: its folder.
      more: see `page.write_page`.

    Returns:
      The table, the path of its page, and which complete cells could not be read.

    Raises:
      UserError: a measure is not one of the runs', runs of one variant answered different
        utterances, or something cannot be written.
    """
    # They import matplotlib and scikit-learn, for which a list of cells should not wait.
    from eacl_jax.studies.always import constant_answers
    from eacl_jax.studies.before import readouts_before
    from eacl_jax.studies.gather import CellResult, gather, read_cell
    from eacl_jax.studies.page import write_page
    from eacl_jax.studies.seed_answers import SeedAnswers
    from eacl_jax.studies.table import write_study
    from eacl_jax.studies.tables import write_tables
    from eacl_jax.studies.transfers import read_transfers

    found = find(study, workdir)
    read: list[CellResult] = []
    transferred: list[SeedAnswers] = []
    unread: dict[Cell, Failure] = {}
    before = readouts_before(study, found.complete, workdir) if study.before else {}
    for cell in found.complete:
        folder = cells.folder_of(workdir, cell)
        try:
            result = read_cell(cell, folder, study.given.get((cell.corpus, cell.variant)))
            answers = read_transfers(cell, folder)
            read.append(dataclasses.replace(result, before=before.get((cell.corpus, cell.variant))))
            transferred += answers
        except UserError as error:
            unread[cell] = Failure(str(error))
    if study.always:
        transferred += constant_answers(read)
    table = gather(
        study,
        read,
        {
            cells.name_of(cell): failure.reason
            for cell, failure in {**found.failed, **unread}.items()
        },
        [cells.name_of(cell) for cell in found.missing],
        answers=transferred,
    )
    write_study(workdir, table)
    write_tables(workdir, table)
    return table, write_page(workdir, table, more), unread
