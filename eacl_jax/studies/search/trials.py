"""A search's trials and their files.

    search.config.json     which search it is
    trials/N.json          a trial: its settings, dev's score after each epoch, how it ended
    trials/N/              its run's folder; without checkpoints once it has ended
    search.json            all trials, when they are done
    .claims/trials/N/      which process runs which trial
    .claims/trials/drawing/  which process draws a trial's settings

Trials' runs score test when they end, as every run does; nothing of a search reads that.
"""

import contextlib
import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.records import read_json
from eacl_jax.studies.search.definition import FIRST, Search
from eacl_jax.studies.settings import Settings

CONFIG, FILE, FOLDER = "search.config.json", "search.json", "trials"
DRAWING = f"{FOLDER}/drawing"
"""The name among claims of drawing settings, which one process does at a time."""
_FORMAT, _TRIAL_FORMAT = "eacl_jax search 1", "eacl_jax trial 1"


class TrialState(enum.StrEnum):
    """How far a trial is."""

    RUNNING = "running"  # or left by a process that ended
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One look at settings.

    Attributes:
      number: from 0, which is the base.
      settings: that are searched.
      epochs: dev's score after each epoch of stage one.
      state: how far it is.
      value: dev's score of stage two at its chosen epoch; None where it was not reached.
      reason: why it failed; else empty.
      again: whether a later call of the command tries it again, for what failed may be mended.
    """

    number: int
    settings: Settings
    epochs: Mapping[int, float] = dataclasses.field(default_factory=dict)
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    reason: str = ""
    again: bool = False

    @property
    def score(self) -> float | None:
        """What is known of it: its value, or the best epoch of stage one."""
        return max(self.epochs.values(), default=None) if self.value is None else self.value


def folder_of(workdir: Path, number: int) -> Path:
    """The folder of a trial's run."""
    return workdir / FOLDER / str(number)


def file_of(workdir: Path, number: int) -> Path:
    """A trial's file."""
    return workdir / FOLDER / f"{number}.json"


def claim_of(number: int) -> str:
    """A trial's name among claims."""
    return f"{FOLDER}/{number}"


def write_trial(workdir: Path, trial: Trial) -> None:
    """Writes a trial's file.

    Raises:
      UserError: it cannot be written.
    """
    file = file_of(workdir, trial.number)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
    whole.write_json(file, {"format": _TRIAL_FORMAT, **dataclasses.asdict(trial)})


def read_trial(search: Search, workdir: Path, number: int) -> Trial | None:
    """A trial by its file; None where there is none.

    Raises:
      UserError: the file is damaged, or its settings are none of the search.
    """
    file = file_of(workdir, number)
    if not file.exists():
        return None
    found = read_json(file, "delete it and the folder beside it to run the trial anew")
    try:
        if found.pop("format") != _TRIAL_FORMAT or found["number"] != number:
            raise ValueError("another format or number")
        settings = found.pop("settings")
        epochs = {int(epoch): _score(score) for epoch, score in found["epochs"].items()}
        state, value = TrialState(found["state"]), found["value"]
        if value is not None or state is TrialState.COMPLETE:
            _score(value)
        return Trial(
            **{
                **found,
                "settings": {
                    each.setting: each.read(settings[each.setting]) for each in search.space
                },
                "epochs": epochs,
                "state": state,
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} is damaged or of another version; delete it and the folder beside it to run"
            " the trial anew."
        ) from error


def _score(value: Any) -> Any:
    """A score as JSON gives it back. Raises `ValueError` where it is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r:.80} is no score")
    return value


def read_trials(search: Search, workdir: Path) -> tuple[Trial, ...]:
    """All that are there, by number; also those of a call with more trials.

    Raises:
      UserError: a file is damaged.
    """
    numbers = [int(f.stem) for f in (workdir / FOLDER).glob("*.json") if f.stem.isdecimal()]
    found = (read_trial(search, workdir, number) for number in sorted(numbers))
    return tuple(trial for trial in found if trial is not None)


def best(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial of the highest value, the first of several; None where there is none."""
    complete = [trial for trial in trials if trial.value is not None]
    return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)


def is_left(trial: Trial | None) -> bool:
    """Whether a call of the command runs a trial: it has not ended, or it failed of something that
    may be mended.
    """
    if trial is None or trial.state is TrialState.RUNNING:
        return True
    return trial.state is TrialState.FAILED and trial.again


def ended(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that are complete, pruned or failed."""
    return tuple(trial for trial in trials if trial.state is not TrialState.RUNNING)


def count_words(trials: Sequence[Trial]) -> str:
    """`30 trials (20 complete, 9 pruned, 1 failed)`."""
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in TrialState if state in states]
    noun = "trial" if len(trials) == 1 else "trials"
    return f"{len(trials)} {noun}" + (f" ({', '.join(counts)})" if counts else "")


def check(search: Search, workdir: Path) -> None:
    """Refuses a folder of another search; writes nothing.

    Raises:
      UserError: says in what they differ; or there are trials, and not what they were of.
    """
    file = workdir / CONFIG
    if not file.exists():
        if any((workdir / FOLDER).glob("*.json")):
            raise UserError(
                f"workdir {workdir} holds trials but no {CONFIG}, which says of which search they"
                " are; restore it, or name another folder."
            )
        return
    there = read_json(file, "restore it, or name another folder")
    if there.pop("format", None) != _FORMAT or not isinstance(there.get("space"), dict):
        raise UserError(f"{file} was written by another version; name another folder.")
    now = json.loads(json.dumps(search.to_json()))
    there.setdefault("startup", now["startup"])  # folders of before do not say
    before, after = (each.pop("space") for each in (there, now))
    names = {**before, **after}
    different = [
        f"{name}: {one.get(name, 'not there')} there, {two.get(name, 'not there')} now"
        for one, two, keys in ((there, now, {**there, **now}), (before, after, names))
        for name in keys
        if one.get(name) != two.get(name)
    ]
    if different:
        raise UserError(
            f"workdir {workdir} holds another search; name another folder. They differ in\n  "
            + "\n  ".join(different)
        )


def register(search: Search, workdir: Path) -> None:
    """Makes the folder this search's.

    Raises:
      UserError: it is another's, or it cannot be written.
    """
    check(search, workdir)
    if not (workdir / CONFIG).exists():
        whole.write_json(workdir / CONFIG, {"format": _FORMAT, **search.to_json()})


def write_search(
    search: Search, workdir: Path, trials: Sequence[Trial], importance: Mapping[str, float]
) -> None:
    """Writes `search.json`.

    Raises:
      UserError: it cannot be written.
    """
    found = best(trials)
    whole.write_json(
        workdir / FILE,
        {
            "format": _FORMAT,
            **search.to_json(),
            "split": "dev",
            "base": FIRST,
            "best": None if found is None else found.number,
            "importance": dict(importance),
            "trials": [dataclasses.asdict(trial) for trial in trials],
        },
    )
