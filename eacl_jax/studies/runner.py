"""Runs the cells of a study, each once, whoever else works in the same folder.

    choose a free cell -> claim it -> train -> answer other corpora, where the study asks for that
    -> drop its checkpoints and model -> give the claim back

A process goes on until every cell is complete or has failed: where others run the last ones it
waits, and takes them over if the others die.
"""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import Timeout
from rich.console import Console
from rich.text import Text

from eacl_jax import corpora
from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.results import Results
from eacl_jax.studies import cells, pace, together
from eacl_jax.studies.cells import Failure, State
from eacl_jax.studies.claims import EXPIRY, Claim, Claims, file_time
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.plan import named, select, shared_by
from eacl_jax.studies.reused import Reused, take
from eacl_jax.studies.sharing import Sharing
from eacl_jax.studies.transfers import answer_transfers
from eacl_jax.training import experiment, processes, run, run_folder
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.recording import say


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of the cells that were asked for.

    Attributes:
      complete: with results.
      failed: why, by cell.
    """

    complete: tuple[Cell, ...]
    failed: dict[Cell, Failure]


def run_study(
    study: Study,
    workdir: Path,
    *,
    only: str | Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    reused: Reused | None = None,
    train: Callable[..., Results] = run.train,
    load: Callable[..., Any] = experiment.load,
    answer: Callable[..., None] = answer_transfers,
    stop: StopRequest | None = None,
    console: Console | None = None,
    expiry: float = EXPIRY,
    since: float | None = None,
    poll: float = 2.0,
    announce: bool = True,
) -> Outcome:
    """Runs a study's cells that are not complete, and waits for those that others run.

    Args:
      study: checked.
      workdir: its folder; made if absent.
      only, seeds: see `plan.select`.
      reused: complete runs that lie elsewhere; those that are cells of this study are copied in
        place of being run.
      train: as `run.train`.
      load: as `experiment.load`.
      answer: as `transfers.answer_transfers`.
      stop: with which the caller may ask to stop; the run that is going on saves its state.
      console: where to say how it goes.
      expiry: see `Claims`.
      since: a cell that failed before this time of the file system is tried again; None: now.
      poll: seconds between two looks at cells that others run.
      announce: whether to say first what is run.

    Raises:
      UserError: the folder is not this study's, or no longer there, or nothing is selected. What is
        wrong with one cell is in the outcome.
      loop.Interrupted: it was asked to stop.
      LateError: of several processes some failed and others did not.
    """
    workdir = local.expand(workdir, "workdir")
    chosen = select(study, only, seeds)
    if processes.count() > 1:
        processes.check_equal({"the study's runs": "; ".join(map(cells.name_of, chosen))})
    if not processes.is_main():
        together.follow(
            {cells.name_of(cell): cell for cell in chosen},
            lambda cell: cells.folder_of(workdir, cell),
            train=train,
            load=load,
            stop=stop or StopRequest(),
        )
        return Outcome((), {})
    cells.register(study, workdir)
    runner = _Runner(
        study,
        chosen,
        workdir,
        reused=reused or Reused(study, (), workdir),
        claims=Claims(workdir / cells.CLAIMS, expiry=expiry),
        train=train,
        load=load,
        answer=answer,
        stop=stop or StopRequest(),
        console=Console() if console is None else console,
        since=file_time(workdir / cells.CLAIMS) if since is None else since,
        poll=poll,
    )
    if announce:
        runner.announce()
    outcome = runner.run()
    together.dismiss()
    return outcome


class CellStop(StopRequest):
    """Asks a cell's run to stop, because the study was asked to or because the cell was lost."""

    def __init__(self, whole: StopRequest) -> None:
        self._whole, self._own = whole, False
        super().__init__()

    @property
    def requested(self) -> bool:
        """Whether either was asked for."""
        return self._own or self._whole.requested

    @requested.setter
    def requested(self, value: bool) -> None:
        self._own = value

    @contextlib.contextmanager
    def heeding(self) -> Iterator[StopRequest]:
        """Also the study's request is heeded while the block runs."""
        with self._whole.heeding(), super().heeding():
            yield self


class _Runner:
    def __init__(
        self,
        study: Study,
        chosen: Sequence[Cell],
        workdir: Path,
        *,
        reused: Reused,
        claims: Claims,
        train: Callable[..., Results],
        load: Callable[..., Any],
        answer: Callable[..., None],
        stop: StopRequest,
        console: Console,
        since: float,
        poll: float,
    ) -> None:
        self._study, self._chosen, self._workdir, self._claims = study, chosen, workdir, claims
        self._train, self._stop, self._console = train, stop, console
        self._reused = reused
        self._answer, self._corpora = answer, functools.cache(corpora.load)
        self._since, self._poll = since, poll
        self._failed_here: set[Cell] = set()
        self._pace = pace.Pace(workdir)
        self._sharing = Sharing(load)
        self._last: Cell | None = None
        self._busy: dict[Cell, float] = {}  # folders in use without a claim, and until when
        self._disk_known = self._waiting = False

    def announce(self) -> None:
        """Says what is run, and what of it there is."""
        study, states = self._study, [self._state(cell) for cell in self._chosen]
        counts = [
            " x ".join(
                [
                    count(len(study.corpora), "corpus", "corpora"),
                    count(len(study.variants), "variant"),
                    count(len(study.seeds), "seed"),
                ]
            )
        ]
        if study.transfer:
            counts.append("each also answers the other corpora")
        if len(states) != len(study.cells):
            counts.append(f"{len(states)} of them chosen")
        for state, words in (
            (State.COMPLETE, "complete"),
            (State.BEGUN, "begun"),
            (State.FAILED, "failed before, to be tried again"),
        ):
            if number := states.count(state):
                counts.append(f"{number} {words}")
        self._say(
            f"study    {study.name}: {study.question}\nruns     {len(study.cells)}:"
            f" {'; '.join(counts)}\nfolder   {self._workdir}\nscores   dev's, on which choices are"
            " made; test's are in the tables at the end"
        )
        if self._reused:
            self._say(f"reused   {self._reused.words(self._chosen)}")
        for note in study.notes:
            self._say(f"note     {note}")

    def run(self) -> Outcome:
        """Until nothing is left."""
        while rest := self._rest():
            if self._stop.requested:
                raise Interrupted(self._stop.number)
            cells.check_there(self._workdir)
            if (taken := self._take(rest)) is None:
                self._wait(rest)
            else:
                self._run(*taken)
        self._sweep()
        return Outcome(
            complete=tuple(c for c in self._chosen if self._state(c) is State.COMPLETE),
            failed={
                cell: cells.read_failure(cells.folder_of(self._workdir, cell))
                for cell in self._chosen
                if self._state(cell) is State.FAILED
            },
        )

    def _state(self, cell: Cell) -> State:
        return cells.state_of(self._workdir, cell)

    def _rest(self) -> list[Cell]:
        return [cell for cell in self._chosen if not self._settled(cell)]

    def _settled(self, cell: Cell) -> bool:
        """Complete, or failed since this call of the command."""
        state = self._state(cell)
        if state is not State.FAILED:
            return state is State.COMPLETE
        try:
            file = cells.folder_of(self._workdir, cell) / cells.FAILED
            # Times of files have steps: one that is equal may be of the call before.
            return cell in self._failed_here or file.stat().st_mtime > self._since
        except FileNotFoundError:
            return False

    def _take(self, rest: Sequence[Cell]) -> tuple[Cell, Claim, CellStop] | None:
        """Claims the cell that costs least to begin: of the variant that was run last, else of one
        that no other process is at, else of the corpus and encoder that are loaded.
        """
        now = time.monotonic()
        for _ in rest:
            others = {c for c in rest if self._claims.claimant(cells.name_of(c)) is not None}
            variants = {(c.corpus, c.variant) for c in others}
            last, loaded = self._last, self._sharing.key
            free = [c for c in rest if c not in others and self._busy.get(c, now) <= now]
            if not free:
                return None
            cell = min(  # the first of the smallest: the order of the study
                free,
                key=lambda c: (
                    last is None or (c.corpus, c.variant) != (last.corpus, last.variant),
                    (c.corpus, c.variant) in variants,
                    shared_by(c.config) != loaded,
                ),
            )
            stop = CellStop(self._stop)
            lost = stop.ask if processes.count() == 1 else processes.ask_to_stop
            claim = self._claims.take(cells.name_of(cell), on_lost=lost)
            if claim is not None:
                return cell, claim, stop
        return None

    def _wait(self, rest: Sequence[Cell]) -> None:
        if not self._waiting:
            claimants = self._claims.claimants(map(cells.name_of, rest))
            who = "; ".join(each.words for each in claimants) or "others"
            self._say(f"waiting for {count(len(rest), 'run')} of {who}")
        self._waiting = True
        together.pause(self._stop)
        time.sleep(self._poll)

    def _run(self, cell: Cell, claim: Claim, stop: CellStop) -> None:
        folder = cells.folder_of(self._workdir, cell)
        self._waiting = False
        try:
            # Who had it before may have completed it just before it was claimed here.
            if not self._settled(cell):
                self._run_claimed(cell, claim, stop, folder)
        finally:
            claim.give_back()

    def _run_claimed(self, cell: Cell, claim: Claim, stop: CellStop, folder: Path) -> None:
        begun = self._state(cell) is not State.NEW
        try:
            cells.forget_failure(folder)
            run = self._reused.of(cell)
            taken = run is not None and take(cell, run, folder)
            if taken:
                results, seconds = run_folder.read_results(folder), 0.0
            else:
                if run is not None:
                    self._say(f"{named(cell)}: {run} is damaged and cannot be reused")
                with self._showing(cell):
                    results, seconds = self._train_and_answer(cell, folder, stop)
        except processes.LateError:
            raise
        except Interrupted:
            cells.check_there(self._workdir)
            if self._stop.requested or processes.count() > 1:
                raise Interrupted(self._stop.number) from None
            self._say(f"{named(cell)}: another process has taken this run over")
            return
        except Exception as error:
            self._sharing.forget()  # memory may be what there was too little of
            cells.check_there(self._workdir)
            if isinstance(error, UserError) and isinstance(error.__cause__, Timeout):
                self._busy[cell] = time.monotonic() + self._poll
            elif claim.check():
                failure = cells.write_failure(folder, error)
                self._failed_here.add(cell)
                self._line(cell, f"FAILED: {failure.reason}")
                if not self._settled(cell):  # not even that could be written
                    raise
            return
        cells.check_there(self._workdir)
        if not taken:
            self._last = cell
        if begun or taken:
            self._pace.skip(cell)
        else:
            self._pace.add(cell, seconds)
        running = cells.size_of(folder)
        if claim.check():
            cells.tidy(folder)
            claim.close()
        # Of the study's measures the first that a run tells by itself.
        dev = results.stage_two.dev
        measure = next((m for m in self._study.measures if hasattr(dev, m)), "weighted_f1")
        score = getattr(dev, measure)
        shown = "-" if score is None else f"{score:.2f}"
        measured = title(measure, cell.config.evaluation.excluded_label)
        how = f"taken from {run}" if taken else f"{seconds:.0f} s"
        self._line(cell, f"dev {measured} {shown}  {how}", left=True)
        if not (self._disk_known or taken) and (rest := self._rest()):
            self._disk_known = True
            kept = cells.size_of(folder)
            self._say(pace.disk(self._workdir, running=running, kept=kept, rest=len(rest)))

    def _train_and_answer(
        self, cell: Cell, folder: Path, stop: StopRequest
    ) -> tuple[Results, float]:
        """What the run gave, and the seconds since it was loaded."""
        started = time.perf_counter()
        if cell.transfers and cells.can_transfer(folder):  # stopped after the training
            results = run_folder.read_results(folder)
        else:
            if cell.transfers:
                cells.forget_run(folder)

            def train() -> Results:
                nonlocal started
                loaded = self._sharing.of(cell.config)
                started = time.perf_counter()
                return self._train(
                    cell.config,
                    folder,
                    stop=stop,
                    console=Console(quiet=True),
                    loaded=loaded,
                    keep=(cells.MODEL,) if cell.transfers else (),
                )

            results = together.lead(cells.name_of(cell), train)
        if cell.transfers:
            self._answer(cell, folder, stop=stop, load=self._corpora)
        return results, time.perf_counter() - started

    def _sweep(self) -> None:
        """Finishes what processes that were killed left of complete cells."""
        for cell in self._chosen:
            folder, name = cells.folder_of(self._workdir, cell), cells.name_of(cell)
            left = not cells.is_tidy(folder) or self._claims.has(name)
            if self._state(cell) is State.COMPLETE and left:
                claim = self._claims.take(name)
                if claim is not None:
                    cells.tidy(folder)
                    claim.close()

    def _line(self, cell: Cell, words: str, *, left: bool = False) -> None:
        rest = self._rest()
        number, total = len(self._chosen) - len(rest), len(self._chosen)
        text = f"[{number:{len(str(total))}}/{total}] {named(cell)}  {words}"
        if left and rest:
            self._pace.look([c for c in self._chosen if self._state(c) is State.COMPLETE])
            # This process has just given its claim back.
            others = self._claims.claimants(map(cells.name_of, rest))
            text += f"  {self._pace.left(rest, len(others) + 1)}"
        self._say(text)

    def _say(self, text: str) -> None:
        say(self._console, text)

    def _showing(self, cell: Cell) -> contextlib.AbstractContextManager[object]:
        """On a terminal, which cell is being run."""
        if not self._console.is_terminal:
            return contextlib.nullcontext()
        return self._console.status(Text(named(cell)))
