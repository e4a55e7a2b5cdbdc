"""`eacl study`: many runs, one table."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eacl_jax.cli.distributed import VARIABLE, WORKER
from eacl_jax.errors import UserError
from eacl_jax.files import local

_ENDED = "tables"  # whether some runs failed, once all is written

if TYPE_CHECKING:
    from eacl_jax.studies.definition import Study
    from eacl_jax.studies.plan import Planned


def study(
    file: Annotated[
        str,
        typer.Argument(
            metavar="STUDY[:ARGUMENT]",
            help="A file of configs/studies/, as configs/studies/paper.py; base.py beside it lists"
            " arguments.",
            show_default=False,
        ),
    ],
    workdir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The study's folder; made if absent.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only variants like this, as 'no*' or, with a corpus, 'meld/*'; again for more.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="N,...", help="Only these seeds.", show_default=False)
    ] = "",
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Take complete runs of the same settings and data from here, as from another"
            " study's folder; again for more.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and what would be done; run nothing.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="So many processes of this machine share the runs.")
    ] = 1,
    distributed: Annotated[
        str,
        typer.Option(
            metavar="auto|off|HOST:PORT,N,I",
            envvar=VARIABLE,
            help="Several processes do each run together; as of `train`.",
        ),
    ] = "auto",
) -> None:
    """Run a study: every variant on every corpus with every seed, then one table.

    A study with `search` first looks for settings, in trials that are compared on dev; the table is
    of the best ones beside the base.

    Stopped or killed, the same command goes on; runs that are complete are not run again, those
    that failed are. The same command may run on several machines that share the folder.
    """
    from eacl_jax.cli import configuration, huge_pages, process
    from eacl_jax.cli import distributed as together

    numbers = _parse_seeds(seeds)
    values = configuration.load_study(file)
    if not dry_run:
        huge_pages.use_huge_pages()
    process.quiet_libraries()
    once = process.Once()
    alone = dry_run or WORKER in os.environ
    with together.joined(together.OFF if alone else distributed):
        _study(
            values,
            workdir,
            only=only or (),
            numbers=numbers,
            reuse=[local.expand(folder, "--reuse") for folder in reuse or ()],
            dry_run=dry_run,
            jobs=jobs,
            told=once.told,
        )


def _study(
    values: Any,
    workdir: Path,
    *,
    only: Sequence[str],
    numbers: Sequence[int] | None,
    reuse: Sequence[Path],
    dry_run: bool,
    jobs: int,
    told: Callable[[str], bool],
) -> None:
    from eacl_jax.cli import compiled
    from eacl_jax.cli import distributed as together
    from eacl_jax.cli.workers import Workers
    from eacl_jax.studies import cells, claims, outcome, plan, reading, runner, tables
    from eacl_jax.studies.reused import Reused
    from eacl_jax.training import processes

    workdir = local.expand(workdir, "--workdir")
    search = None
    if hasattr(values, "items") and "search" in values:
        from eacl_jax.cli import searching

        search = searching.read(values, only)
    checked = reading.read_study(values) if search is None else search.base
    if dry_run:
        cells.check(checked, workdir)
        if search is not None:
            checked = searching.list_trials(search, workdir)
    chosen = plan.select(checked, only, numbers)
    reused = Reused(checked, reuse, workdir)
    if dry_run:
        _list(checked, plan.plan(chosen, workdir, reused))
        if reused:
            typer.echo(f"reused: {reused.words(chosen)}")
        return
    several = processes.count() > 1
    if several and (jobs > 1 or search is not None):
        what = "--jobs" if jobs > 1 else "a search"
        raise UserError(
            f"{what} is not for several processes that do each run together; give"
            " --distributed=off, and start the same command on each machine: they share the runs."
        )
    if processes.is_main():
        cells.register(checked, workdir)
    compiled.keep_compiled(chosen[0].config.data, together=several)
    mine = os.environ.get(WORKER)
    since = 0.0
    if processes.is_main():
        since = claims.file_time(workdir / cells.CLAIMS) if mine is None else float(mine)
    workers = Workers(0 if mine else jobs - 1, since, told)
    with _stopping(asked=mine is None), together.asking(workers), workers:
        if search is not None:
            checked = searching.run(search, workdir, workers, since, announce=mine is None)
        done = runner.run_study(
            checked,
            workdir,
            only=only,
            seeds=numbers,
            reused=reused,
            stop=workers,
            since=since,
            announce=mine is None,
        )
    if mine:
        return
    if not processes.is_main():
        if processes.agree(_ENDED, None)[0]:
            raise typer.Exit(2)
        return
    cells.check_there(workdir)
    with _stopping(asked=True):
        more = None if search is None else searching.write(search, workdir)
        table, page, unread = outcome.write_results(checked, workdir, more)
    typer.echo(f"\n{tables.markdown(table)}\npage     {page}")
    damaged = {cell: failure for cell, failure in unread.items() if cell in done.complete}
    complete = len(done.complete) - len(damaged)
    typer.echo(
        f"runs: {complete} complete, {len(done.failed)} failed"
        + (f", {len(damaged)} damaged." if damaged else ".")
    )
    for cell, failure in {**done.failed, **damaged}.items():
        typer.echo(f"  {plan.named(cell)}: {failure.reason}\n    {cells.folder_of(workdir, cell)}")
    retried = search is not None and searching.tell_trials(search, workdir)
    unfinished = bool(done.failed or damaged or retried)
    processes.agree(_ENDED, unfinished)
    if unfinished:
        typer.echo(
            "The same command tries again what failed"
            + (", and what is damaged once its folder is deleted." if damaged else ".")
        )
        raise typer.Exit(2)


@contextlib.contextmanager
def _stopping(*, asked: bool) -> Iterator[None]:
    """Where the block is stopped, ends the command with what has become of the study.

    Args:
      asked: whether this process was asked for it, which then also says how it goes on.
    """
    from eacl_jax.cli import process
    from eacl_jax.cli.train import this_command
    from eacl_jax.training import processes
    from eacl_jax.training.loop import Interrupted

    again = f" To go on from there, run the same command again:\n  {this_command()}"
    again = again if asked else ""
    kept = f"stopped before all was done; what was saved is kept.{again}"
    try:
        with process.last_words(kept):
            yield
    except Interrupted as stopped:
        if processes.is_main():
            typer.echo(f"{stopped} before all was done; the state is saved.{again}")
        raise typer.Exit(128 + stopped.number) from None
    except KeyboardInterrupt:  # between two runs, or at once
        if processes.is_main():
            typer.echo(kept)
        raise typer.Exit(128 + signal.SIGINT) from None


def _parse_seeds(given: str) -> list[int] | None:
    """The numbers in `0,1`; None for an empty text. Raises `UserError` for anything else."""
    if not given:
        return None
    try:
        return [int(each) for each in given.split(",")]
    except ValueError as error:
        raise UserError(f"--seeds: expected whole numbers as 0,1,2; got {given!r}.") from error


def _list(checked: "Study", planned: "tuple[Planned, ...]") -> None:
    from eacl_jax.studies.plan import named

    typer.echo(f"{checked.name}: {checked.question}")
    for note in checked.notes:
        typer.echo(f"note: {note}")
    for each in planned:
        typer.echo(f"  {named(each.cell)}: {each.words}")
    left = sum(each.words != "complete" for each in planned)
    typer.echo(f"{len(planned)} runs, of which {left} are not complete.")
