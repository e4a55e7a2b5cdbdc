"""`eacl study` of a file with `search`."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eacl_jax.errors import UserError
from eacl_jax.studies.definition import Study
from eacl_jax.studies.search import outcome, reading, runner, suggest, trials
from eacl_jax.studies.search.definition import Search, shown_value
from eacl_jax.training.loop import StopRequest
from eacl_jax.training.run_folder import CONFIG

if TYPE_CHECKING:
    from eacl_jax.reports.gallery import Gallery


def read(values: Mapping[str, Any], only: Sequence[str]) -> Search:
    """The checked search of a study file.

    Raises:
      UserError: something in it is wrong, or variants were chosen, of which a search has none yet.
    """
    if only:
        raise UserError("--only: a search runs all its trials; leave it out.")
    return reading.read_search(values)


def list_trials(search: Search, workdir: Path) -> Study:
    """Prints what is searched and what there is; gives the study that ends it, as far as that is
    known.
    """
    trials.check(search, workdir)
    found = trials.read_trials(search, workdir)
    measure = search.measure_words
    typer.echo(f"search: {search.trials} trials on dev of {search.corpus}, by {measure}")
    for each in search.space:
        typer.echo(
            f"  {each.setting}: {each.words}; base {shown_value(search.start[each.setting])}"
        )
    for trial in found:
        settings = ", ".join(
            f"{name} {shown_value(value)}" for name, value in trial.settings.items()
        )
        score = "" if trial.score is None else f", dev {trial.score:.2f}"
        reason = f": {trial.reason}" if trial.reason else ""
        again = trial in _to_try_again(search, found)
        state = "failed before, would be tried again" if again else trial.state
        typer.echo(f"  trial {trial.number}: {state}{score}{reason} ({settings})")
    there = {trial.number: trial for trial in found}
    left = sum(trials.is_left(there.get(number)) for number in range(search.trials))
    typer.echo(f"{search.trials} trials, of which {left} are left.")
    if left or trials.best(found) is None:
        typer.echo("When they have ended, what they found is run with the study's seeds too.")
        return search.base
    return outcome.conclude(search, found, workdir)


def run(search: Search, workdir: Path, stop: StopRequest, since: float, *, announce: bool) -> Study:
    """Runs the trials, and gives the study that ends the search."""
    found = runner.run_search(search, workdir, stop=stop, since=since, announce=announce)
    return outcome.conclude(search, found, workdir)


def tell_trials(search: Search, workdir: Path) -> bool:
    """Prints how the trials ended, which the same command would try again, and how the model of
    the best is trained; gives whether there are some to try again.
    """
    found = trials.read_trials(search, workdir)
    states = [trial.state for trial in found]
    counts = [f"{states.count(trials.TrialState.COMPLETE)} complete"]
    if pruned := states.count(trials.TrialState.PRUNED):
        counts.append(f"{pruned} pruned")
    counts.append(f"{states.count(trials.TrialState.FAILED)} failed")
    typer.echo(f"trials: {', '.join(counts)}.")
    again = _to_try_again(search, found)
    for trial in again:
        folder = trials.folder_of(workdir, trial.number)
        typer.echo(f"  trial {trial.number}: {trial.reason}\n    {folder}")
    if command := train_command(found, workdir):
        typer.echo(f"To train the best trial's model, which no trial keeps:\n  {command}")
    return bool(again)


def train_command(found: Sequence[trials.Trial], workdir: Path) -> str:
    """The command that trains the best trial's run again, and keeps its model; empty where the
    trial's folder does not tell its configuration any more.
    """
    top = trials.best(found)
    if top is None or not (config := trials.folder_of(workdir, top.number) / CONFIG).exists():
        return ""
    model = shlex.quote(f"{workdir}-trial-{top.number}")
    return f"eacl train --config={shlex.quote(str(config))} --workdir={model}"


def _to_try_again(search: Search, found: Sequence[trials.Trial]) -> list[trials.Trial]:
    """Trials that failed, and that a call of the command runs again."""
    return [
        trial
        for trial in found
        if trial.number < search.trials
        and trial.state is trials.TrialState.FAILED
        and trials.is_left(trial)
    ]


def write(search: Search, workdir: Path) -> "Callable[[Gallery], str]":
    """Writes `search.json`; gives what makes the page's section."""
    # matplotlib, for which a list of trials should not wait.
    from eacl_jax.studies.search import page

    found = trials.read_trials(search, workdir)
    importance = suggest.importances(search, found)
    trials.write_search(search, workdir, found, importance)
    command = train_command(found, workdir)
    return lambda gallery: page.search_section(gallery, search, found, importance, command)
