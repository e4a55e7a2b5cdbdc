"""Complete runs that lie elsewhere, as other studies or single trainings left them, and are what
cells of a study would be: the same settings, texts, labels and encoder. They need not be run again.
"""

from collections.abc import Sequence
from pathlib import Path

from eacl_jax.config import Config
from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.gather import read_cell
from eacl_jax.training import cost, outputs, run_folder

# What a complete cell keeps; results last, by which it is complete.
_KEPT = (
    run_folder.CONFIG,
    run_folder.DATA,
    cost.FILE,
    "metrics.jsonl",
    outputs.FILE,
    run_folder.RESULTS,
)


class Reused:
    """The complete runs below some folders."""

    def __init__(self, study: Study, folders: Sequence[Path], workdir: Path) -> None:
        """Args:
          study: whose cells are looked for.
          folders: runs' folders, studies' folders, or what they lie in.
          workdir: the study's own folder, in which nothing is looked for.

        Raises:
          UserError: a folder is not there.
        """
        self._study, self._folders = study, tuple(folders)
        self._runs: dict[Path, Config] = {}
        self._found: dict[Cell, Path | None] = {}
        own = workdir.resolve()
        for folder in folders:
            if not folder.is_dir():
                raise UserError(
                    f"{folder}, whose runs are to be reused, is not a folder; name a study's or a"
                    " run's, or one in which they lie."
                )
            for file in sorted(folder.rglob(run_folder.RESULTS)):
                run = file.parent
                if own not in run.resolve().parents and (run / run_folder.DATA).exists():
                    try:
                        self._runs[run] = run_folder.read_config(run)
                    except UserError:  # of another version
                        continue

    def __bool__(self) -> bool:
        """Whether there is a folder to look in."""
        return bool(self._folders)

    def of(self, cell: Cell) -> Path | None:
        """The folder of a run that is what the cell would be; None where there is none.

        A run that is also to answer other corpora is not found: that needs its model.
        """
        if cell not in self._found:
            self._found[cell] = next(
                (run for run in self._runs if not self._differences(run, cell)), None
            )
        return self._found[cell]

    def words(self, chosen: Sequence[Cell]) -> str:
        """How many of the chosen cells there are, and where there is none what stands against the
        nearest, for a person.
        """
        where = ", ".join(map(str, self._folders))
        if found := sum(self.of(cell) is not None for cell in chosen):
            return f"{found} of the chosen runs are complete in {where}"
        runs = count(len(self._runs), "complete run")
        if not self._runs:
            return f"none: no complete run is in {where}"
        if all(cell.transfers for cell in chosen):
            return "none: they also answer other corpora, for which a model is needed"
        run, cell, lines = min(
            (
                (run, cell, self._differences(run, cell))
                for run in self._runs
                for cell in chosen
                if not cell.transfers
            ),
            key=lambda each: len(each[2]),
        )
        return (
            f"none: of {runs} in {where} none is one of these. The nearest, {run}, differs from"
            f" {cell.corpus}, {cell.variant}, seed {cell.seed} in\n  " + "\n  ".join(lines)
        )

    def _differences(self, run: Path, cell: Cell) -> list[str]:
        if cell.transfers:
            return ["answers on other corpora"]
        if different := run_folder.differences(self._runs[run], cell.config):
            return different
        try:
            there = run_folder.read_data(run)
        except UserError as error:
            return [str(error)]
        given = self._study.given[cell.corpus, cell.variant]
        return run_folder.data_differences(there or {}, given)


def take(cell: Cell, run: Path, folder: Path) -> bool:
    """Copies to a cell's folder what a complete cell keeps of a run.

    Args:
      cell: to be.
      run: the folder of what it is, from `Reused.of`.
      folder: the cell's.

    Returns:
      Whether the run was whole.

    Raises:
      UserError: another process is training in the cell's folder, or it cannot be written.
    """
    try:
        read_cell(cell, run)
    except UserError:
        return False
    with run_folder.locked(folder):
        for name in _KEPT:
            if (run / name).exists():
                whole.write_bytes(folder / name, (run / name).read_bytes())
    return True
