"""Runs a search's trials, each once, whoever else works in the same folder.

    choose a free trial -> claim it -> settings -> train, looking at dev after each epoch -> its end

A trial that was left by a process which ended is taken up by the next, with its settings and from
its last checkpoint.
"""

import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import Timeout
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.dialogue import count
from eacl_jax.errors import SettingsError, UserError
from eacl_jax.files import local
from eacl_jax.recognizer.results import Results
from eacl_jax.studies import cells
from eacl_jax.studies.claims import EXPIRY, Claim, Claims, file_time
from eacl_jax.studies.runner import CellStop
from eacl_jax.studies.search import trials
from eacl_jax.studies.search.definition import Search, shown_value
from eacl_jax.studies.search.suggest import prune, suggest
from eacl_jax.studies.search.trials import Trial, TrialState
from eacl_jax.studies.sharing import Sharing
from eacl_jax.training import experiment, run
from eacl_jax.training.loop import Interrupted, NonFiniteLossError, StopRequest
from eacl_jax.training.recording import say

_MOST_FAILURES = 5
_MOMENT = 0.1  # seconds, in which another process draws settings


def run_search(
    search: Search,
    workdir: Path,
    *,
    train: Callable[..., Results] = run.train,
    load: Callable[..., Any] = experiment.load,
    stop: StopRequest | None = None,
    console: Console | None = None,
    expiry: float = EXPIRY,
    since: float | None = None,
    poll: float = 2.0,
    announce: bool = True,
) -> tuple[Trial, ...]:
    """Runs a search's trials that have not ended, and waits for those that others run.

    Args:
      search: checked.
      workdir: the study's folder; made if absent.
      train, load, stop, console, expiry, poll, announce: as of `studies.runner.run_study`.
      since: a trial that failed before this time of the file system, of something that may be
        mended, is tried again; None: now.

    Returns:
      All trials, by number.

    Raises:
      UserError: the folder is not this search's, or no longer there, many trials one after the
        other failed, or none is complete.
      loop.Interrupted: it was asked to stop; the state is saved.
    """
    workdir = local.expand(workdir, "workdir")
    cells.register(search.base, workdir)
    trials.register(search, workdir)
    searcher = _Searcher(
        search,
        workdir,
        claims=Claims(workdir / cells.CLAIMS, expiry=expiry),
        train=train,
        load=load,
        stop=stop or StopRequest(),
        console=Console() if console is None else console,
        since=file_time(workdir / cells.CLAIMS) if since is None else since,
        poll=poll,
    )
    if announce:
        searcher.announce()
    return searcher.run()


class _Searcher:
    def __init__(
        self,
        search: Search,
        workdir: Path,
        *,
        claims: Claims,
        train: Callable[..., Results],
        load: Callable[..., Any],
        stop: StopRequest,
        console: Console,
        since: float,
        poll: float,
    ) -> None:
        self._search, self._workdir, self._claims = search, workdir, claims
        self._train, self._stop, self._console = train, stop, console
        self._since, self._poll = since, poll
        self._failed_here: set[int] = set()
        self._sharing = Sharing(load)
        self._seconds: list[float] = []  # of trials that ended here
        self._failures = 0  # one after the other
        self._waiting = False

    @property
    def measure(self) -> str:
        """Which score of dev counts."""
        return self._search.measure

    def announce(self) -> None:
        """Says what is searched, and which trials there are."""
        search, study = self._search, self._search.base
        width = max(len(each.setting) for each in search.space)
        space = "\n".join(f"         {each.setting:{width}}  {each.words}" for each in search.space)
        found = self._trials()
        self._say(
            f"study    {study.name}: {study.question}\nsearch   {search.trials} trials on dev of"
            f" {search.corpus}, seed {search.seed}, by {search.measure_words}"
            + (f"; there are {trials.count_words(found)}" if found else "")
            + f"\n{space}\nfolder   {self._workdir}\nscores   dev's; the trials' test scores choose"
            " nothing and are not looked at"
        )

    def run(self) -> tuple[Trial, ...]:
        """Until every trial has ended."""
        while rest := self._rest():
            if self._stop.requested:
                raise Interrupted(self._stop.number)
            cells.check_there(self._workdir)
            if (taken := self._take(rest)) is None:
                self._wait(rest)
            else:
                self._run(*taken)
        self._sweep()
        ended = self._trials()
        if trials.best(ended) is None:
            reasons = dict.fromkeys(trial.reason for trial in ended if trial.reason)
            raise UserError("\n  ".join(["no trial of the search is complete:", *reasons]))
        return ended

    def _trials(self) -> tuple[Trial, ...]:
        return trials.read_trials(self._search, self._workdir)

    def _trial(self, number: int) -> Trial | None:
        return trials.read_trial(self._search, self._workdir, number)

    def _rest(self) -> list[int]:
        """Trials that have not ended: those that were begun, then the others."""
        found = {trial.number: trial for trial in self._trials()}
        numbers = [n for n in range(self._search.trials) if not self._ended(found.get(n))]
        return sorted(numbers, key=lambda number: (number not in found, number))

    def _ended(self, trial: Trial | None) -> bool:
        """Complete, pruned, failed for good, or failed since this call of the command."""
        if not trials.is_left(trial):
            return True
        if trial is None or trial.state is TrialState.RUNNING:
            return False
        file = trials.file_of(self._workdir, trial.number)
        # Times of files have steps: one that is equal may be of the call before.
        return trial.number in self._failed_here or (
            file.exists() and file.stat().st_mtime > self._since
        )

    def _take(self, rest: Sequence[int]) -> tuple[int, Claim, CellStop] | None:
        for number in rest:
            stop = CellStop(self._stop)
            claim = self._claims.take(trials.claim_of(number), on_lost=stop.ask)
            if claim is not None:
                return number, claim, stop
        return None

    def _wait(self, rest: Sequence[int]) -> None:
        if not self._waiting:
            found = self._claims.claimants(map(trials.claim_of, rest))
            who = "; ".join(each.words for each in found) or "others"
            self._say(f"waiting for {count(len(rest), 'trial')} of {who}")
        self._waiting = True
        time.sleep(self._poll)

    def _run(self, number: int, claim: Claim, stop: CellStop) -> None:
        self._waiting = False
        try:
            trial = self._trial(number)
            # Who had it before may have ended it just before it was claimed here.
            if not self._ended(trial) and (begun := self._begin(number, trial, claim)):
                self._run_claimed(begun, claim, stop)
        finally:
            claim.give_back()

    def _begin(self, number: int, left: Trial | None, claim: Claim) -> Trial | None:
        """The trial that is to be run, with its file: a new one, or what is left of it. None where
        another process has taken it over.
        """
        if left is None:
            return self._draw(number, claim)
        trial = left
        if left.state is TrialState.FAILED:
            trial = Trial(number, left.settings, left.epochs)
        if not claim.check():
            return None
        trials.write_trial(self._workdir, trial)
        return trial

    def _draw(self, number: int, claim: Claim) -> Trial | None:
        """A new trial. From looking at the others' settings to the file with its own no other
        process draws, which could else draw the same.
        """
        while not self._stop.requested:
            if (drawing := self._claims.take(trials.DRAWING)) is None:
                time.sleep(min(self._poll, _MOMENT))
                continue
            try:
                trial = Trial(number, suggest(self._search, self._trials(), number))
                if not claim.check():
                    return None
                if drawing.check():  # else it took so long that another process draws by now
                    trials.write_trial(self._workdir, trial)
                    return trial
            finally:
                # Its numbers must grow while others may draw: see `claims`.
                drawing.give_back()
        raise Interrupted(self._stop.number)

    def _run_claimed(self, trial: Trial, claim: Claim, stop: CellStop) -> None:
        watched = _Watched(self, trial, claim, stop)
        begun = time.perf_counter()
        config = loaded = None
        try:
            config = self._search.config(trial.settings)
            loaded = self._sharing.of(config)
            results = self._train(
                config,
                trials.folder_of(self._workdir, trial.number),
                stop=stop,
                console=Console(quiet=True),
                loaded=loaded,
                keep=(),
                watch=watched,
            )
        except Interrupted:
            cells.check_there(self._workdir)
            if watched.trial.state is TrialState.PRUNED:
                self._end(watched.trial, claim, begun)
            elif self._stop.requested:
                raise Interrupted(self._stop.number) from None
            else:
                self._say(f"trial {trial.number}: another process has taken it over")
        except Exception as error:
            loaded = None
            self._sharing.forget()  # memory may be what there was too little of
            cells.check_there(self._workdir)
            if isinstance(error, UserError) and isinstance(error.__cause__, Timeout):
                time.sleep(self._poll)  # its folder is in use without a claim
                return
            # Settings that cannot stand together, or with which training diverges, do so again.
            for_good = (
                config is None
                or isinstance(error, SettingsError)
                or isinstance(error.__cause__, NonFiniteLossError)
            )
            self._fail(watched.trial, claim, begun, error, for_good)
        else:
            cells.check_there(self._workdir)
            value = getattr(results.stage_two.dev, self._search.measure)
            ended = dataclasses.replace(watched.trial, state=TrialState.COMPLETE, value=value)
            self._end(ended, claim, begun)

    def _fail(
        self, trial: Trial, claim: Claim, begun: float, error: Exception, for_good: bool
    ) -> None:
        words = " ".join(str(error).split())
        reason = words if isinstance(error, UserError) else f"{type(error).__name__}: {words:.500}"
        self._end(
            dataclasses.replace(
                trial, state=TrialState.FAILED, reason=reason.rstrip(": "), again=not for_good
            ),
            claim,
            begun,
        )
        self._failures += not for_good
        if self._failures >= _MOST_FAILURES:
            raise UserError(
                f"{self._failures} trials failed one after the other, the last because of:"
                f" {reason} Mend that and run the same command again."
            ) from error

    def _end(self, trial: Trial, claim: Claim, begun: float) -> None:
        if claim.check():
            trials.write_trial(self._workdir, trial)
            if trial.state is TrialState.FAILED:
                self._failed_here.add(trial.number)
            else:
                cells.tidy(trials.folder_of(self._workdir, trial.number))
            claim.close()
        self._seconds.append(time.perf_counter() - begun)
        if trial.state is not TrialState.FAILED:
            self._failures = 0
        self._line(trial)

    def _sweep(self) -> None:
        """Finishes what processes that were killed left of trials that have ended."""
        for trial in self._trials():
            folder, name = (
                trials.folder_of(self._workdir, trial.number),
                trials.claim_of(trial.number),
            )
            kept = trial.state is TrialState.FAILED and trial.again
            left = not kept and not cells.is_tidy(folder)
            if self._ended(trial) and (left or self._claims.has(name)):
                claim = self._claims.take(name)
                if claim is not None:
                    if left:
                        cells.tidy(folder)
                    claim.close()
        if self._claims.has(trials.DRAWING) and (drawing := self._claims.take(trials.DRAWING)):
            drawing.close()

    def _line(self, trial: Trial) -> None:
        rest, total = self._rest(), self._search.trials
        shown = ", ".join(f"{name} {shown_value(value)}" for name, value in trial.settings.items())
        text = f"[{total - len(rest):{len(str(total))}}/{total}] trial {trial.number}  {shown}  "
        if trial.state is TrialState.FAILED:
            text += f"FAILED: {trial.reason}"
        else:
            text += f"dev {self._search.measure_words} {trial.score:.2f}"
        if trial.state is TrialState.PRUNED:
            text += f", pruned after epoch {max(trial.epochs)}"
        top = trials.best(self._trials())
        if top is not None and top.number == trial.number:
            text += ", the best so far"
        text += f"  {self._seconds[-1]:.0f} s"
        if rest:
            others = self._claims.claimants(map(trials.claim_of, rest))
            mean = sum(self._seconds) / len(self._seconds)
            span = datetime.timedelta(seconds=round(mean * len(rest) / (len(others) + 1)))
            text += f"  about {span} left"
        self._say(text)

    def _say(self, text: str) -> None:
        say(self._console, text)

    def look(self, trial: Trial, epochs: int, claim: Claim) -> Trial:
        """Notes a trial's epoch, of so many in all, and whether it is to end there."""
        others = [each for each in self._trials() if each.number != trial.number]
        if prune(self._search, others, trial, epochs):
            trial = dataclasses.replace(trial, state=TrialState.PRUNED)
        if claim.check():
            trials.write_trial(self._workdir, trial)
        return trial


class _Watched:
    """A trial as its run goes on; what `run.train` tells after each epoch.

    That a trial is pruned is written before its run is asked to stop: a process that is killed in
    between leaves it pruned.
    """

    def __init__(self, searcher: _Searcher, trial: Trial, claim: Claim, stop: CellStop) -> None:
        self.trial = trial
        self._searcher, self._claim, self._stop = searcher, claim, stop

    def __call__(
        self, stage: Stage, epoch: int, epochs: int, scores: Mapping[str, Mapping[str, Any]]
    ) -> None:
        if stage is not Stage.ONE or self._claim.lost:
            return
        score = float(scores["dev"][self._searcher.measure])
        trial = dataclasses.replace(self.trial, epochs={**self.trial.epochs, epoch: score})
        self.trial = self._searcher.look(trial, epochs, self._claim)
        if self.trial.state is TrialState.PRUNED:
            self._stop.ask()
