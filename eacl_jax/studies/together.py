"""A study whose runs are each done by several processes together: the first chooses a cell, claims
it and writes; the others take part in its training.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jax.errors import JaxRuntimeError

from eacl_jax.config import Config
from eacl_jax.recognizer.results import Results
from eacl_jax.studies.definition import Cell
from eacl_jax.studies.sharing import Sharing
from eacl_jax.training import processes
from eacl_jax.training.loop import Interrupted, StopRequest

Train = Callable[..., Results]
_CELL, _OUTCOME = "cell", "outcome"
_attempts = itertools.count()  # the same in all processes
_MINUTES = 300.0  # seconds for others to fail as this process did
_NONE_YET = ""
_LONGEST = 7 * 86400.0  # seconds for which the first may be busy with other things


def lead(name: str, train: Callable[[], Results]) -> Results:
    """Trains a cell, with the others where there are some.

    Args:
      name: of the cell.
      train: does it.

    Raises:
      LateError: it failed here, and others are still at it.
      Exception: what `train` raises, in all processes.
    """
    processes.agree(_CELL, name)
    return _with_outcome(train)


def dismiss() -> None:
    """Lets the others go: there are no more cells."""
    processes.agree(_CELL, None)


def pause(stop: StopRequest) -> None:
    """Has all ask whether to stop while there is no cell to train.

    Raises:
      loop.Interrupted: they were asked to.
    """
    processes.agree(_CELL, _NONE_YET)
    if stop.reached():
        raise Interrupted(stop.number)


def follow(
    cells: Mapping[str, Cell],
    folder_of: Callable[[Cell], Path],
    *,
    train: Train,
    load: Callable[[Config], Any],
    stop: StopRequest,
) -> None:
    """Takes part in the cells that the first process chooses, until it says that all is done.

    Args:
      cells: of the study, by name.
      folder_of: a cell's folder.
      train: as `run.train`.
      load: as `experiment.load`.
      stop: with which the caller may ask to stop.

    Raises:
      loop.Interrupted: the processes were asked to stop.
      LateError: a cell failed here, and others are still at it.
    """
    sharing = Sharing(load)
    while (name := processes.agree(_CELL, None, _LONGEST)[0]) is not None:
        if name == _NONE_YET:
            if stop.reached():
                raise Interrupted(stop.number)
            continue
        cell = cells[name]

        def trained(cell: Cell = cell) -> Results:
            loaded = sharing.of(cell.config)
            return train(cell.config, folder_of(cell), stop=stop, loaded=loaded, keep=())

        try:
            _with_outcome(trained)
        except (Interrupted, processes.LateError):
            raise
        except Exception:  # the first has printed and written what
            sharing.forget()


def _with_outcome(train: Callable[[], Results]) -> Results:
    """What `train` gives; an error once all have come to the end of it, else of the whole run."""
    if processes.count() == 1:
        return train()
    results, error = None, None
    try:
        with processes.attempt(f"{_CELL} {next(_attempts)}", Interrupted):
            results = train()
    except Interrupted:
        raise
    except Exception as raised:
        error = raised
    # What JAX's runtime says is mostly that another process is not there: that one knows why.
    absent = isinstance(error, (JaxRuntimeError, processes.AbsentError))
    problem = None if error is None else [absent, f"{error}"]
    brought = [problem, processes.points()]
    patience = processes.PATIENCE if error is None else _MINUTES
    try:
        found = processes.agree(_OUTCOME, brought, patience)
    except processes.LateError as late:
        raise late if error is None else processes.LateError(f"{error} ({late})") from error
    processes.go_on_from(max(asked for _, asked in found))
    failed = {number: problem for number, (problem, _) in enumerate(found) if problem is not None}
    causes = {number: text for number, (absent, text) in failed.items() if not absent}
    problems = causes or {number: text for number, (_, text) in failed.items()}
    if error is not None and len(problems) == len(found) and len({*problems.values()}) == 1:
        raise error
    if problems:
        each = (f"{processes.names([number])}: {text}" for number, text in problems.items())
        raise processes.CommonError("; ".join(each)) from error
    assert results is not None
    return results
