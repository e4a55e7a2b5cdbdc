"""A search's figures. Each `draw_*` gives a matplotlib `Figure` in one theme."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from eacl_jax.reports.drawing import WIDTH, new_figure
from eacl_jax.reports.names import figure_names
from eacl_jax.reports.theme import Theme
from eacl_jax.studies.figures import wrapped
from eacl_jax.studies.search.definition import FIRST, Choices, Dimension
from eacl_jax.studies.search.trials import Trial, TrialState, best

_ROW, _AROUND = 0.36, 1.0  # inches


def _styles(theme: Theme) -> dict[str, dict[str, Any]]:
    """By kind of trial, how it is drawn."""
    plain = {"linestyle": "", "color": theme.ink}
    return {
        "pruned": {**plain, "marker": "x", "color": theme.muted, "markersize": 6},
        "complete": {**plain, "marker": "o", "markersize": 6},
        "base": {**plain, "marker": "s", "markersize": 8, "color": theme.before},
        "best": {**plain, "marker": "D", "markersize": 8, "color": theme.after},
    }


def _kinds(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Trials with a score by how they are drawn, each once."""
    top = best(trials)
    found: dict[str, list[Trial]] = {"pruned": [], "complete": [], "base": [], "best": []}
    for trial in trials:
        if trial.state is TrialState.PRUNED and trial.score is not None:
            found["pruned"].append(trial)
        elif trial.state is TrialState.COMPLETE:
            first, chosen = trial.number == FIRST, trial is top
            found["base" if first else "best" if chosen else "complete"].append(trial)
    return found


def _mark(
    axes: Axes, theme: Theme, trials: Sequence[Trial], positions: Mapping[int, float]
) -> list[Line2D]:
    """Draws each trial with a position, and gives the keys."""
    keys = []
    for kind, style in _styles(theme).items():
        if here := [trial for trial in _kinds(trials)[kind] if trial.number in positions]:
            axes.plot([positions[t.number] for t in here], [t.score or 0.0 for t in here], **style)
            keys.append(Line2D([], [], label=f" {kind}", **style))
    return keys


def draw_trials(theme: Theme, trials: Sequence[Trial], measure: str) -> Figure:
    """Dev's score of each trial in the order of their numbers, and the best so far."""
    figure = new_figure(WIDTH, 3.6)
    axes = figure.add_subplot()
    complete = [trial for trial in trials if trial.value is not None]
    line = np.maximum.accumulate([trial.value or 0.0 for trial in complete]).tolist()
    # To the last trial, which may have been pruned.
    numbers = [*(trial.number for trial in complete), trials[-1].number]
    style: dict[str, Any] = {"color": theme.after, "linewidth": 1.6}
    axes.step(numbers, [*line, line[-1]], where="post", **style)
    keys = _mark(axes, theme, trials, {trial.number: trial.number for trial in trials})
    keys.append(Line2D([], [], label=" best so far", **style))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", linewidth=0.8)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{measure} on dev, %")
    figure.legend(
        handles=keys,
        loc="outside lower center",
        ncols=5,
        columnspacing=1.2,
        handletextpad=0.3,
        frameon=False,
        fontsize=9,
    )
    return figure


def draw_importance(theme: Theme, importance: Mapping[str, float]) -> Figure:
    """Shares by setting, the largest at the top."""
    figure = new_figure(WIDTH, _AROUND + _ROW * len(importance))
    axes = figure.add_subplot()
    values = [100 * value for value in importance.values()]
    axes.barh(range(len(values)), values, height=0.6, color=theme.after)
    for row, value in enumerate(values):
        axes.annotate(f"{value:.0f}", (value, row), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(values)), wrapped(list(importance)))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(0, 1.1 * max(values, default=1.0))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the score’s variance, %")
    return figure


def draw_setting(
    theme: Theme, trials: Sequence[Trial], dimension: Dimension, measure: str
) -> Figure:
    """Dev's score of each trial by its value of one setting."""
    figure = new_figure(WIDTH, 3.2)
    axes = figure.add_subplot()
    values = {trial.number: trial.settings[dimension.setting] for trial in trials}
    if isinstance(dimension, Choices):
        names = figure_names([str(value) for value in dimension.values], 18)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        # Beside one another, by the golden section of their numbers.
        positions: dict[int, float] = {
            number: dimension.index(value) + 0.4 * ((0.618 * number) % 1 - 0.5)
            for number, value in values.items()
        }
    else:
        positions = values
        if dimension.log:
            axes.set_xscale("log")
            steps = (1.0, 3.0) if dimension.high < 1000 * dimension.low else (1.0,)
            axes.xaxis.set_major_locator(LogLocator(subs=steps))
            # Powers of ten would be mathematics, which figures do not read.
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.minorticks_off()
        elif dimension.whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    keys = _mark(axes, theme, trials, positions)
    if not isinstance(dimension, Choices) and not dimension.log:
        axes.margins(x=0.06)
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(dimension.setting)
    axes.set_ylabel(f"{measure} on dev, %")
    figure.legend(handles=keys, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure
