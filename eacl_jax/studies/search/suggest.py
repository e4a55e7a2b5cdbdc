"""The next trial's settings, whether a trial is worth going on with, and which settings mattered,
by optuna, which nothing else here knows.

Each call gets all trials so far and makes optuna's study of them anew, in memory: what is decided
depends on the trials and their numbers alone, so that a search that was killed goes on as if it had
not been, and there is no second record of trials beside their files.
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eacl_jax.errors import UserError
from eacl_jax.studies.search.definition import FIRST, Choices, Dimension, Search
from eacl_jax.studies.search.trials import Trial, TrialState
from eacl_jax.studies.settings import Settings

PRUNED_FROM, PRUNED_AFTER = 2, 5
"""No trial is pruned before this epoch, nor before so many trials are complete."""
_FEWEST = 10  # complete trials for importance
_TRIES = 20  # to find settings that no trial has
_SMALL = 10_000  # so many ways to choose can be listed


def require() -> Any:
    """The module optuna.

    Raises:
      UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "a study with `search` needs optuna, which is not installed: pip install"
            " 'eacl_jax[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def suggest(search: Search, trials: Sequence[Trial], number: int) -> Settings:
    """Settings of the trial of this number: the base's for the first, else by TPE (Bergstra et al.,
    2011), and at random before `startup` trials are done. No trial before has the same.

    Args:
      trials: those there are, running ones included, whose settings are then left to them.
    """
    if number == FIRST:
        return dict(search.start)
    # The first may be another process', and not written yet.
    tried = [search.start, *(trial.settings for trial in trials)]
    for each in range(_TRIES):
        found = _ask(search, trials, [search.seed, number, each])
        if found not in tried:
            return found
    rest = _untried(search, tried)
    return rest[np.random.default_rng([search.seed, number]).integers(len(rest))] if rest else found


def prune(search: Search, trials: Sequence[Trial], trial: Trial, epochs: int) -> bool:
    """Whether a trial's best epoch so far is below the median that complete trials had in this
    epoch. The first trial is what others are read against, and always completed; so is one whose
    last epoch this was: only stage two is left of it, by which trials are compared.

    Args:
      trials: the others.
      trial: with its epochs so far.
      epochs: of its stage one, which `stage_one.max_steps` may end before `stage_one.epochs`.
    """
    if trial.number == FIRST or not trial.epochs:
        return False
    if max(trial.epochs) >= epochs:
        return False
    optuna = require()
    pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNED_AFTER, n_warmup_steps=PRUNED_FROM)
    with _quiet():
        return bool(pruner.prune(_study(search, trials), _frozen(search, trial)))


def importances(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """By setting, which share of the dev score's variance it explains (fANOVA, Hutter et al.,
    2014), the largest first; empty where too few trials are complete to say.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if len(complete) < _FEWEST or len({trial.value for trial in complete}) < 2:
        return {}
    optuna = require()
    with _quiet():
        found = optuna.importance.get_param_importances(
            _study(search, complete),
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=search.seed),
        )
    return {name: float(value) for name, value in found.items()}


def _ask(search: Search, trials: Sequence[Trial], seeds: Sequence[int]) -> Settings:
    optuna = require()
    with _quiet():
        sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence(seeds).generate_state(1)[0]),
            n_startup_trials=search.startup,
            multivariate=True,
            constant_liar=True,
        )
        asked = _study(search, trials, sampler=sampler).ask(_distributions(search))
    return {each.setting: _external(each, asked.params[each.setting]) for each in search.space}


def _study(search: Search, trials: Sequence[Trial], **options: Any) -> Any:
    optuna = require()
    study = optuna.create_study(direction="maximize", **options)
    study.add_trials(
        [_frozen(search, trial) for trial in trials if trial.state is not TrialState.FAILED]
    )
    return study


def _frozen(search: Search, trial: Trial) -> Any:
    optuna = require()
    return optuna.trial.create_trial(
        state={
            TrialState.RUNNING: optuna.trial.TrialState.RUNNING,
            TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
            TrialState.PRUNED: optuna.trial.TrialState.PRUNED,
        }[trial.state],
        params={
            each.setting: _internal(each, trial.settings[each.setting]) for each in search.space
        },
        distributions=_distributions(search),
        value=trial.value,
        intermediate_values=dict(trial.epochs),
    )


def _distributions(search: Search) -> dict[str, Any]:
    optuna = require()
    found = {}
    for each in search.space:
        if isinstance(each, Choices):
            # Their numbers: optuna knows few kinds of values.
            made = optuna.distributions.CategoricalDistribution(range(len(each.values)))
        elif each.whole:
            made = optuna.distributions.IntDistribution(int(each.low), int(each.high), log=each.log)
        else:
            made = optuna.distributions.FloatDistribution(each.low, each.high, log=each.log)
        found[each.setting] = made
    return found


def _internal(dimension: Dimension, value: Any) -> Any:
    return dimension.index(value) if isinstance(dimension, Choices) else value


def _external(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension, Choices):
        return dimension.values[value]
    return dimension.rounded(value)


def _untried(search: Search, tried: Sequence[Settings]) -> list[Settings]:
    """All settings that no trial has; none where they cannot be counted."""
    if np.prod([each.size for each in search.space]) > _SMALL:
        return []
    values = [
        each.values if isinstance(each, Choices) else range(int(each.low), int(each.high) + 1)
        for each in search.space
    ]
    names = [each.setting for each in search.space]
    every = (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values))
    return [settings for settings in every if settings not in tried]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's notes that something of it is new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
