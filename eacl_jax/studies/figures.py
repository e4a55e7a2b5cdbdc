"""The study's figures. Each `draw_*` gives a matplotlib `Figure` in one theme."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eacl_jax.config import Stage
from eacl_jax.model.metrics import title
from eacl_jax.reports.drawing import WIDTH, new_figure, show_matrix
from eacl_jax.reports.names import drawn_words, figure_names
from eacl_jax.reports.several import WIDE
from eacl_jax.reports.theme import MARKERS, Theme
from eacl_jax.studies import words
from eacl_jax.studies.curves import Curve
from eacl_jax.studies.statistics import Estimate
from eacl_jax.studies.table import Comparison, Row
from eacl_jax.studies.unanswered import never

# Inches: of a row of a figure, and of what stands above and below the rows.
_ROW, _AROUND = 0.36, 1.0
# Letters of a line beside a row.
_LINE = 24
# Inches; numbers stand to the right of the rows.
SCORES_WIDTH, DIFFERENCES_WIDTH = WIDTH, WIDTH + 0.2


def wrapped(names: Sequence[str]) -> list[str]:
    """Names of variants as figures write them beside their rows: on two lines at most, a long one
    without its middle; one that cannot be drawn, or looks like another, becomes its number, `#3`.
    """
    lines = [textwrap.wrap(name, _LINE) or [name] for name in figure_names(names, 1000)]
    short = [
        "\n".join(each if len(each) <= 2 else (each[0], f"… {' '.join(each)[2 - _LINE :].strip()}"))
        for each in lines
    ]
    return [
        name if short.count(name) == 1 else f"#{number}"
        for number, name in enumerate(short, start=1)
    ]


def _rows_figure(
    names: Sequence[str], width: float, around: float = _AROUND
) -> tuple[Figure, Axes]:
    """A figure of one row a name, the first at the top."""
    lines = sum(max(1, name.count("\n") + 0.4) for name in names)
    figure = new_figure(width, around + _ROW * lines)
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _beside(axes: Axes, texts: Sequence[str], head: str) -> None:
    """Texts to the right of the rows."""
    across = axes.get_yaxis_transform()
    for row, text in enumerate(texts):
        axes.text(1.02, row, text, transform=across, va="center", fontsize=9.5)
    axes.text(1.02, -0.62, head, transform=across, va="bottom", fontsize=8.5)


def draw_scores(theme: Theme, rows: Sequence[Row], measure: str, reference: Row | None) -> Figure:
    """Mean of each variant with its interval, its seeds as small dots; a line goes through the mean
    of the one that others are read against.
    """
    figure, axes = _rows_figure(wrapped([words.row_name(row) for row in rows]), SCORES_WIDTH)
    found = [row.scores["test"][measure] for row in rows]
    mean = None if reference is None else reference.scores["test"][measure].mean
    if mean is not None:
        axes.axvline(mean, color=theme.muted, linewidth=1.2, linestyle=(0, (4, 3)))
    for number, (row, each) in enumerate(zip(rows, found, strict=True)):
        colour = theme.after if words.is_best(rows, row, measure) else theme.ink
        _whisker(axes, each, number, colour)
        for value in _several(each):
            axes.plot(value, number + 0.26, marker=".", markersize=5, color=theme.muted)
    axes.set_xlabel(f"{words.drawn_measure(measure, rows)} on test, %")
    _beside(axes, [words.mean_words(each) for each in found], "mean ± deviation")
    return figure


def _several(found: Estimate) -> list[float]:
    """The seeds' values; none of one seed, which is the mean."""
    return [value for value in found.values if value is not None and len(found.values) > 1]


def _whisker(axes: Axes, found: Estimate, row: float, colour: str) -> None:
    if found.mean is None:
        return
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
    axes.plot(found.mean, row, marker="o", markersize=8, color=colour)


def draw_labels(theme: Theme, rows: Sequence[Row], score: str) -> Figure:
    """A label's score by variant, as a matrix; the number of its test utterances at the head.

    Args:
      score: "f1", "precision" or "recall".
    """
    names = wrapped([words.row_name(row) for row in rows])
    means = [[getattr(each, score).mean for each in row.labels] for row in rows]
    values = np.array(means, np.float64)  # None becomes NaN
    if len(rows[0].labels) > WIDE:
        return _table_figure(theme, values.T, _beside_labels(rows[0]), names, scale=100.0)
    return _table_figure(theme, values, names, label_heads(rows[0]), scale=100.0)


def labels_width(rows: Sequence[Row]) -> float:
    """Width in inches of `draw_labels`, where labels stand beside the rows if they are many."""
    if len(rows[0].labels) > WIDE:
        return table_width(wrapped([words.row_name(row) for row in rows]))
    return table_width(label_heads(rows[0]))


def _beside_labels(row: Row) -> list[str]:
    return [head.replace("\n", " ") for head in label_heads(row)]


def label_heads(row: Row) -> list[str]:
    """Labels, and how many test utterances have them."""
    names = figure_names([each.label for each in row.labels])
    return [f"{name}\n({each.support:,})" for name, each in zip(names, row.labels, strict=True)]


def confused_heads(row: Row) -> list[str]:
    """What is taken for what, and how many test utterances have it."""
    support = {each.label: each.support for each in row.labels}
    found = []
    for pair in row.similar:
        names = figure_names((pair.first, pair.second))
        counts = support[pair.first], support[pair.second]
        for (a, b), of in zip((names, names[::-1]), counts, strict=True):
            found.append(f"{a} ({of:,})\nas {b}")
    return found


def _column(heads: Sequence[str]) -> tuple[float, bool]:
    """Width in inches of a column, and whether its head is turned to fit."""
    longest = max(len(line) for head in heads for line in head.split("\n"))
    upright = max(0.62, 0.075 * longest)
    return (upright, False) if upright * len(heads) <= 7.5 else (0.6, True)


def table_width(heads: Sequence[str]) -> float:
    """Width in inches of a figure with such heads over its columns."""
    return 2.2 + _column(heads)[0] * max(len(heads), 3)


def _table_figure(
    theme: Theme, values: np.ndarray, names: Sequence[str], heads: Sequence[str], scale: float
) -> Figure:
    _, long = _column(heads)
    figure = new_figure(table_width(heads), (1.3 if long else 0.7) + 0.42 * len(names))
    axes = figure.add_subplot()
    texts = np.array([[words.number(_known(v), 1) for v in row] for row in values])
    shares = np.nan_to_num(values) / scale
    show_matrix(axes, np.clip(shares, 0, 1), theme.share_map, 0.0, texts, theme, 9.5)
    axes.set_aspect("auto")
    turned: dict[str, Any] = (
        {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if long else {}
    )
    axes.set_xticks(
        range(len(heads)),
        heads,
        fontsize=9,
        **turned,
    )
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(which="both", length=0)
    return figure


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# Of the longest bar, how far a line of seeds drawn is shown.
_WIDEST = 3


def draw_differences(theme: Theme, found: Sequence[Comparison], reference: str) -> Figure:
    """Differences with their intervals about a line at 0, those that can be shown in colour.

    Args:
      found: of one corpus and measure.
      reference: the variant that rows do not name when they are compared with it.
    """
    names = wrapped([_compared(each, reference) for each in found])
    figure, axes = _rows_figure(names, DIFFERENCES_WIDTH)
    axes.axvline(0, color=theme.ink, linewidth=1.2)
    texts, ends = [], [0.01]
    for row, each in enumerate(found):
        difference = each.difference
        if difference is None:
            texts.append("not compared")
            continue
        ends += [end for end in (difference.low, difference.high) if end is not None]
        ends.append(difference.mean)
        colour = theme.muted
        if words.differs(each):
            colour = theme.after if difference.mean > 0 else theme.warn
        estimate = Estimate(difference.mean, None, difference.low, difference.high)
        if difference.wide_low is not None and difference.wide_high is not None:
            wide = (difference.wide_low, difference.wide_high)
            axes.plot(wide, (row, row), color=colour, linewidth=1, alpha=0.6)
        _whisker(axes, estimate, row, colour)
        texts.append(f"{words.signed(difference.mean)}{_deciding_p(each)}")
    # Intervals of few seeds may be wider than all that can be: the others stay legible.
    reach = min(max(map(abs, axes.get_xlim())), _WIDEST * max(map(abs, ends)))
    axes.set_xlim(-reach, reach)
    measure = drawn_words(words.compared_words(found[0]), title(found[0].measure))
    axes.set_xlabel(f"{measure}, points more or less")
    _beside(axes, texts, "difference, corrected p")
    return figure


def _deciding_p(found: Comparison) -> str:
    """The p-value that decides on the colour: the larger of both ways to draw."""
    if found.p_holm is None:
        return ""
    if found.wide_p_holm is None:
        return "  one seed"
    return f"  {words.p_value(max(found.p_holm, found.wide_p_holm))}"


def _compared(found: Comparison, reference: str) -> str:
    plain = found.first[0] == reference != found.second[0]
    if plain and Stage.ONE not in (found.first[1], found.second[1]):
        return found.second[0]
    return words.pair_words(found)


def draw_confused(theme: Theme, rows: Sequence[Row]) -> Figure:
    """Percent of one label's utterances that were answered as a similar one, by variant; nothing
    where that one is never answered.
    """
    values = np.array(
        [
            [
                np.nan if share is None or never(row, other) else share
                for pair in row.similar
                for share, other in (
                    (pair.first_as_second, pair.second),
                    (pair.second_as_first, pair.first),
                )
            ]
            for row in rows
        ],
        np.float64,
    )
    names = wrapped([words.row_name(row) for row in rows])
    most = max(float(np.nanmax(values, initial=0.0)), 1.0)
    # Shares are small: the worst is nearly the strongest colour.
    return _table_figure(theme, values, names, confused_heads(rows[0]), scale=1.25 * most)


def draw_angles(theme: Theme, rows: Sequence[Row]) -> Figure:
    """Angles between anchors by variant: the smallest of all, and of each similar pair."""
    pairs = [(pair.first, pair.second) for pair in rows[0].similar]
    around = _AROUND + 0.3 * (1 + len(pairs) // 2)
    figure, axes = _rows_figure(wrapped([words.row_name(row) for row in rows]), WIDTH, around)
    keys = []
    series = [("closest of all labels", theme.ink, "|", [row.smallest_angle for row in rows])]
    for number, pair in enumerate(pairs):
        name = " and ".join(figure_names(pair))
        angles = [row.similar[number].angle for row in rows]
        colour = theme.series[number % len(theme.series)]
        series.append((name, colour, MARKERS[number % len(MARKERS)], angles))
    for name, colour, marker, angles in series:
        size = 18 if marker == "|" else 8
        style: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": size}
        style |= {"color": colour, "markeredgewidth": 2 if marker == "|" else 0}
        known = np.array([(a, row) for row, a in enumerate(angles) if a is not None])
        axes.plot(*known.reshape(-1, 2).T, **style)
        keys.append(Line2D([], [], label=" " + name, **style))
    axes.set_xlim(left=0)
    axes.set_xlabel("angle between anchors, degrees")
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=9.5)
    return figure


_COSTS = (
    ("seconds_an_epoch", "seconds an epoch", 1.0),
    ("trained", "trained parameters, millions", 1e-6),
    ("peak_bytes", "most memory, GB", 1e-9),
)


def cost_words(cost: str) -> str:
    """A cost's name and unit, for a person."""
    return next(label for name, label, _ in _COSTS if name == cost)


def costs_that_differ(rows: Sequence[Row]) -> list[str]:
    """Which costs are worth a panel: all rows have them, and they differ by a tenth or more."""
    found = []
    for name, _, _ in _COSTS:
        values = [getattr(row.cost, name, None) for row in rows]
        known = [value for value in values if value is not None]
        if len(known) == len(rows) and known and max(known) > 1.1 * min(known):
            found.append(name)
    return found


def draw_cost(theme: Theme, rows: Sequence[Row], measure: str, cost: str) -> Figure:
    """Score with its interval against a cost, a mark a variant.

    Args:
      cost: one of `costs_that_differ`.
    """
    names = figure_names([words.row_name(row) for row in rows], 30)
    label, scale = next((label, scale) for name, label, scale in _COSTS if name == cost)
    figure = new_figure(WIDTH, 3.4 + 0.24 * -(-len(rows) // 2))
    axes = figure.add_subplot()
    keys = []
    across = beside(np.array([getattr(row.cost, cost) * scale for row in rows]))
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        colour = theme.series[number % len(theme.series)]
        marker = MARKERS[number % len(MARKERS)]
        found, x = row.scores["test"][measure], across[number]
        if found.low is not None and found.high is not None:
            axes.plot([x, x], [found.low, found.high], color=colour, linewidth=1.2, alpha=0.6)
        if found.mean is not None:
            axes.plot(x, found.mean, marker=marker, markersize=9, color=colour)
        keys.append(
            Line2D(
                [], [], linestyle="", marker=marker, markersize=8, color=colour, label=" " + name
            )
        )
    axes.margins(x=0.12)
    axes.grid(linewidth=0.8)
    axes.set_xlabel(label)
    axes.set_ylabel(f"{words.drawn_measure(measure, rows)} on test, %")
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=9.5)
    return figure


def beside(values: np.ndarray) -> np.ndarray:
    """Where marks stand on an axis, equal ones side by side, so that none hides another."""
    step = 0.035 * max(float(np.ptp(values)), 1e-9)
    moved = values.copy()
    for number, value in enumerate(values):
        near = np.flatnonzero(np.abs(values - value) < step)
        moved[number] += step * (np.searchsorted(near, number) - (len(near) - 1) / 2)
    return moved


def draw_curve(theme: Theme, curve: Curve, measure: str) -> Figure:
    """Score by a setting's value, a band of the interval, a dot a seed."""
    figure = new_figure(WIDTH, 3.4)
    axes = figure.add_subplot()
    x = [value for value, _ in curve.points]
    found = [row.scores["test"][measure] for _, row in curve.points]
    low, high = (np.array([getattr(e, end) for e in found], np.float64) for end in ("low", "high"))
    axes.fill_between(x, low, high, color=theme.after, alpha=0.18, linewidth=0)
    means = np.array([each.mean for each in found], np.float64)
    axes.plot(x, means, color=theme.after, linewidth=2, marker="o")
    for value, each in zip(x, found, strict=True):
        seeds = _several(each)
        axes.plot([value] * len(seeds), seeds, linestyle="", marker=".", color=theme.muted)
    if min(x) > 0 and max(x) >= 20 * min(x):
        axes.set_xscale("log")
    axes.set_xticks(x, [f"{value:g}" for value in x])
    axes.minorticks_off()
    axes.grid(axis="y", linewidth=0.8)
    axes.set_xlabel(curve.setting)
    shown = words.drawn_measure(measure, [row for _, row in curve.points])
    axes.set_ylabel(f"{shown} on test, %")
    return figure
