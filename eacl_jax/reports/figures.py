"""The report's figures. Each `draw_*` gives a matplotlib `Figure` in one theme; `drawing.render`
makes the PNG of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from eacl_jax.reports.drawing import (
    MAP_WIDTH,
    SAVED_DPI,
    WIDTH,
    matrix_width,
    name_axes,
    new_figure,
    show_matrix,
)
from eacl_jax.reports.projection import Map
from eacl_jax.reports.theme import MARKERS, Theme


def values(
    rows: Sequence[Mapping[str, Any]], stage: int, x: str, y: str
) -> tuple[np.ndarray, np.ndarray]:
    """The finite pairs (x, y) of a stage's rows, in order of x; the last row counts where x repeats
    (a resumed run).
    """
    pairs: dict[float, float] = {}
    for row in rows:
        if row.get("stage") != stage or not all(
            isinstance(row.get(k), int | float) and np.isfinite(row[k]) for k in (x, y)
        ):
            continue
        pairs[float(row[x])] = float(row[y])
    ordered = sorted(pairs.items())
    return np.array([p[0] for p in ordered]), np.array([p[1] for p in ordered])


def draw_confusion(theme: Theme, counts: Int[np.ndarray, "C C"], names: Sequence[str]) -> Figure:
    """Counts of (gold row, answered column), coloured by the share of the row."""
    support = counts.sum(axis=1, keepdims=True)
    width = matrix_width(len(names))
    figure = new_figure(width, width * 0.94)
    axes = figure.add_subplot()
    shares = counts / np.maximum(support, 1)
    show_matrix(axes, shares, theme.share_map, 0.0, counts.astype(str), theme, 9)
    name_axes(
        axes, names, [f"{name} ({total})" for name, total in zip(names, support[:, 0], strict=True)]
    )
    axes.set_xlabel("answered by stage two")
    axes.set_ylabel("gold label (utterances)")
    return figure


def draw_cosines(theme: Theme, matrix: Float[np.ndarray, "C C"], names: Sequence[str]) -> Figure:
    """Cosine of every label's anchor to every other's, always on the scale from -1 to 1."""
    width = matrix_width(len(names))
    figure = new_figure(width, width * 0.94)
    axes = figure.add_subplot()
    # Adding 0.0 turns -0.0 into 0.0: "0.00", not "-0.00".
    texts = np.array(
        [[f"{value:.2f}".replace("-", "−") for value in row] for row in np.round(matrix, 2) + 0.0]
    )
    show_matrix(axes, matrix, theme.cosine_map, -1.0, texts, theme, 8.5)
    name_axes(axes, names, names)
    return figure


def draw_map(
    theme: Theme,
    places: Map,
    gold: Int[np.ndarray, " N"],
    names: Sequence[str],
    what: str = "anchor",
) -> Figure:
    """Test utterances by gold label, with each label's anchors of stage one (hollow) and of stage
    two (filled), one or several. A label index of C stands for several labels, or none. `what` an
    anchor is called.
    """
    columns = 4 if max(map(len, names)) <= 9 else 3
    figure = new_figure(MAP_WIDTH, 5.5 + 0.26 * -(-(len(names) + 2) // columns))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    _draw_utterances(theme, axes, places.points, gold[places.rows], len(names))
    of_anchors = np.repeat(np.arange(len(names)), len(places.after) // len(names))
    for label, first, second in zip(of_anchors, places.before, places.after, strict=True):
        _draw_anchor(theme, axes, int(label), first, second)
    _map_legend(theme, figure, names, what, columns)
    _label_anchors(figure, axes, places.after, of_anchors, names, theme)
    return figure


def _draw_utterances(
    theme: Theme,
    axes: Axes,
    points: Float[np.ndarray, "n 2"],
    gold: Int[np.ndarray, " n"],
    classes: int,
) -> None:
    others = points[gold == classes]
    if len(others):
        axes.scatter(
            others[:, 0],
            others[:, 1],
            s=14,
            marker=".",
            color=theme.muted,
            alpha=0.5,
            linewidths=0,
        )
    counts = np.bincount(gold[gold < classes], minlength=classes)
    # The rarest label last, so that the many do not bury the few.
    for label in np.argsort(-counts, kind="stable"):
        here = points[gold == label]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=15,
            marker=_marker(label),
            color=_colour(theme, label),
            alpha=0.7,
            linewidths=0,
        )


def _draw_anchor(
    theme: Theme,
    axes: Axes,
    label: int,
    first: Float[np.ndarray, "2"],
    second: Float[np.ndarray, "2"],
) -> None:
    """Where one is in both stages, and a line between."""
    colour, marker = _colour(theme, label), _marker(label)
    axes.plot(
        [first[0], second[0]],
        [first[1], second[1]],
        color=theme.ink,
        linewidth=1.2,
        zorder=4,
        path_effects=[withStroke(linewidth=4, foreground=theme.surface)],
    )
    hollow: dict[str, Any] = {"s": 210, "marker": marker, "facecolors": "none"}
    axes.scatter(first[0], first[1], edgecolors=theme.surface, linewidths=4.5, zorder=5, **hollow)
    axes.scatter(
        second[0],
        second[1],
        s=110,
        marker=marker,
        facecolors=colour,
        edgecolors=theme.ink,
        linewidths=1.4,
        zorder=6,
    )
    axes.scatter(first[0], first[1], edgecolors=colour, linewidths=2.2, zorder=7, **hollow)


def _map_legend(
    theme: Theme, figure: Figure, names: Sequence[str], what: str, columns: int
) -> None:
    keys = [_key(_marker(label), 7, _colour(theme, label)) for label in range(len(names))]
    keys.append(_key("o", 11, theme.ink, markerfacecolor="none", markeredgewidth=2))
    keys.append(_key("o", 8, theme.ink))
    # A legend leaves out texts that start with "_", so they are filled in afterwards.
    legend = figure.legend(
        keys,
        [" "] * len(keys),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.2,
        fontsize=11.5,
    )
    for text, name in zip(
        legend.get_texts(), [*names, f"{what}, stage one", f"{what}, stage two"], strict=True
    ):
        text.set_text(name)


def _key(marker: str, size: float, colour: str, **more: Any) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, markersize=size, color=colour, **more)


_TOGETHER = 80.0
"""Points between two anchors of a label from which on each has its name."""


def _colour(theme: Theme, label: int) -> str:
    return theme.series[label % len(theme.series)]


def _marker(label: int) -> str:
    return MARKERS[label % len(MARKERS)]


def _label_anchors(
    figure: Figure,
    axes: Axes,
    anchors: Float[np.ndarray, "A 2"],
    labels: Int[np.ndarray, " A"],
    names: Sequence[str],
    theme: Theme,
) -> None:
    """Writes each anchor's name where it hides no anchor or other name and is nearest to its own; a
    line leads to a far one. Anchors of one label that lie together are named once.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # Lays the axes out: until then data has no place in pixels.
    renderer = canvas.get_renderer()
    point = SAVED_DPI / 72
    centres = axes.transData.transform(anchors)
    taken = [np.concatenate([centre - 8 * point, centre + 8 * point]) for centre in centres]
    room = axes.get_window_extent(renderer)
    halo = [withStroke(linewidth=3.5, foreground=theme.surface)]
    to_data = axes.transData.inverted().transform
    named: list[int] = []
    for own, (centre, label) in enumerate(zip(centres, labels, strict=True)):
        others = labels != label
        alike = [other for other in named if not others[other]]
        if alike and np.linalg.norm(centres[alike] - centre, axis=1).min() < _TOGETHER * point:
            continue
        named.append(own)
        text = axes.text(
            0,
            0,
            names[label],
            fontweight="bold",
            fontsize=12,
            ha="center",
            va="center",
            zorder=9,
            path_effects=halo,
        )
        text.set_in_layout(
            False
        )  # Else the axes would be laid out again around it, and move away from under it.
        extent = text.get_window_extent(renderer)
        half = np.array([extent.width, extent.height]) / 2 + 1.5 * point
        best = (np.inf, 0.0, centre, taken[own])
        for away in (10.0, 22.0, 36.0, 52.0, 70.0):
            for direction in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)):
                middle = centre + np.array(direction) * (half + away * point)
                box = np.concatenate([middle - half, middle + half])
                cost = sum(_overlap(box, other) for other in taken)
                cost += 1e6 * bool(
                    box[0] < room.x0 or box[1] < room.y0 or box[2] > room.x1 or box[3] > room.y1
                )
                # Beside another anchor it would be read as that one's name.
                distances = np.linalg.norm(np.maximum(np.abs(centres - middle) - half, 0.0), axis=1)
                cost += (
                    20.0
                    * point**2
                    * float(np.maximum(distances[own] - distances[others], 0.0).sum())
                )
                if cost + 1e-3 * away < best[0]:
                    best = (cost + 1e-3 * away, away, middle, box)
        _, away, middle, box = best
        taken.append(box)
        text.set_position(tuple(to_data(middle)))
        if away > 10:
            nearest = np.clip(centre, box[:2], box[2:])
            ends = to_data(np.stack([centre, nearest]))
            axes.plot(ends[:, 0], ends[:, 1], color=theme.muted, linewidth=1, zorder=3)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(
        max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    )


def draw_dev(
    theme: Theme,
    history: Sequence[Mapping[str, Any]],
    key: str,
    measure: str,
    chosen: Mapping[int, int | None],
    chosen_on: Mapping[int, str],
    what: str = "anchors",
    mean: tuple[Sequence[int], float] | None = None,
) -> Figure:
    """The measure that chose the epoch, by epoch, one panel a stage on one scale; the chosen epochs
    are ringed, and the score of a mean of epochs is a dashed line.

    Args:
      key: field of the epoch rows. measure: its name in words.
      chosen: epoch by stage (1 or 2). chosen_on: the split that chose it, by stage.
      what: stage two moves.
      mean: the epochs whose weights' mean stage one kept, and its score in percent; None where it
        kept an epoch.
    """
    figure = new_figure(WIDTH, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, stage, colour in ((left, 1, theme.before), (right, 2, theme.after)):
        epochs, scores = values(history, stage, "epoch", key)
        axes.set_title(
            "stage one: learning" if stage == 1 else f"stage two: {what} only",
            fontsize=10.5,
            loc="left",
        )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.grid(axis="y", linewidth=0.8)
        axes.margins(x=0.12)
        axes.plot(
            epochs, scores, color=colour, linewidth=2, marker="o", markersize=5, clip_on=False
        )
        for epoch, score in zip(epochs, scores, strict=True):
            if epoch != chosen.get(stage):
                continue
            axes.plot(
                [epoch],
                [score],
                marker="o",
                markersize=13,
                markerfacecolor="none",
                markeredgecolor=theme.ink,
                linestyle="",
            )
            middle = (epochs[0] + epochs[-1]) / 2
            side = "center" if len(epochs) == 1 else ("left" if epoch < middle else "right")
            axes.annotate(
                f"chosen on {chosen_on[stage]}\n{score:.2f}",
                (epoch, score),
                xytext=({"center": 0, "left": -6, "right": 6}[side], 12),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=9.5,
                fontweight="bold",
                path_effects=[withStroke(linewidth=3, foreground=theme.surface)],
            )
    if mean is not None:
        _mark_mean(theme, left, *mean)
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.3 * (high - low))  # Room for the words over ring and dashed line.
    left.set_ylabel(f"{measure} on dev, %")
    return figure


_LONGEST = len("5, 6, 7, 8")
"""Of a mean of more epochs than that the figure says how many they are, not which."""


def _mark_mean(theme: Theme, axes: Axes, epochs: Sequence[int], score: float) -> None:
    """A dashed line where the score of a mean of epochs is, with its name and value over it."""
    named = ", ".join(map(str, epochs))
    which = f"epochs {named}" if len(named) <= _LONGEST else f"{len(epochs)} epochs"
    axes.axhline(score, color=theme.ink, linewidth=1.2, linestyle="--", zorder=1)
    axes.annotate(
        f"mean of {which}:\n{score:.2f}",
        (0.0, score),
        xycoords=axes.get_yaxis_transform(),
        xytext=(4, 4),
        textcoords="offset points",
        va="bottom",
        fontsize=9.5,
        fontweight="bold",
        path_effects=[withStroke(linewidth=3, foreground=theme.surface)],
    )


TOTAL, MOVED = "total", "embeddings moved (FGM)"
"""Curves of `loss_curves` that are no terms of the total."""
# Terms of the loss that have a name of their own; others are drawn under theirs.
_TERMS = {
    "contrastive": "contrastive",
    "ce": "cross-entropy",
    "divergence": "divergence (R-Drop)",
    "adversarial": MOVED,
}
_NO_TERMS = ("stage", "step", "epoch", "loss", "grad_norm", "examples_per_second", "angle")


def loss_curves(
    history: Sequence[Mapping[str, Any]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and values of what `draw_losses` draws, by its name in the legend: stage one's loss and
    its terms, but for the angle, which has a figure of its own.
    """
    first: Mapping[str, Any] = next(
        (row for row in history if row.get("stage") == 1 and "loss" in row), {}
    )
    others = {name: name for name in first if name not in (*_TERMS, *_NO_TERMS)}
    found = {
        name: values(history, 1, "step", key)
        for key, name in ({"loss": TOTAL} | _TERMS | others).items()
    }
    return {name: curve for name, curve in found.items() if len(curve[0])}


def draw_losses(theme: Theme, history: Sequence[Mapping[str, Any]]) -> Figure:
    """What `loss_curves` gives, by step; the running mean stands out where there are many steps."""
    figure = new_figure(WIDTH, 3.6)
    axes = figure.add_subplot()
    for number, (name, (steps, losses)) in enumerate(loss_curves(history).items()):
        colour = theme.ink if name == TOTAL else theme.series[(2 + number) % len(theme.series)]
        _smoothed(axes, steps, losses, colour, name, 2.4 if name == TOTAL else 1.8)
    axes.set_xlabel("training step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=3 if len(names) <= 4 else 2,  # of the longest names no three stand side by side
        frameon=False,
    )
    return figure


def draw_angle(theme: Theme, history: Sequence[Mapping[str, Any]]) -> Figure:
    """Mean angle of each anchor to its nearest one, in degrees, by step of stage one."""
    figure = new_figure(WIDTH, 3.6)
    axes = figure.add_subplot()
    steps, terms = values(history, 1, "step", "angle")
    _smoothed(axes, steps, -np.degrees(terms), theme.before, "", 2.4)
    axes.set_xlabel("training step")
    axes.set_ylabel("angle to the nearest anchor, degrees")
    axes.set_ylim(bottom=0.0)
    axes.grid(axis="y", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return figure


def window(steps: np.ndarray) -> int:
    """How many of a curve's steps its running mean is over; 1: it is drawn as it is."""
    return max(1, len(steps) // 25)


def _smoothed(
    axes: Axes, steps: np.ndarray, losses: np.ndarray, colour: str, name: str, width: float
) -> None:
    over = window(steps)
    if over == 1:
        axes.plot(
            steps,
            losses,
            color=colour,
            linewidth=width,
            label=name,
            marker="o" if len(steps) == 1 else "",
        )
        return
    axes.plot(steps, losses, color=colour, linewidth=0.8, alpha=0.3)
    means = np.convolve(losses, np.ones(over) / over, mode="valid")
    axes.plot(
        np.convolve(steps, np.ones(over) / over, mode="valid"),
        means,
        color=colour,
        linewidth=width,
        label=name,
    )
