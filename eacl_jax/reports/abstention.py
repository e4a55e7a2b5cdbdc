"""The report's section on where stage two is unsure: leaving those utterances unanswered, or
answering them with several labels.
"""

import functools
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from eacl_jax.reports import drawing
from eacl_jax.reports.gallery import Gallery
from eacl_jax.reports.sections import at, shown
from eacl_jax.reports.theme import Theme

FIGURE = "surest"
_TOLD = "70"
"""Percent of dev's utterances: of whose share the text tells."""


def section(gallery: Gallery, results: Mapping[str, Any]) -> str:
    """What abstaining gives on test; nothing where the run did not measure it."""
    found = at(results, "abstention")
    if not found:
        return ""
    points = [
        (float(each["answered"]), float(each["right"]), float(each["confidence"]))
        for each in found["surest"].values()
        if each["right"] is not None
    ]
    some, every = found["surest"][_TOLD], found["surest"]["100"]
    sentence = (
        f" Where answers with a confidence below {100 * some['confidence']:.0f}% are left out,"
        f" {shown(some['answered'])}% of the utterances are answered, and"
        f" <strong>{shown(some['right'])}%</strong> of these are right; of all,"
        f" {shown(every['right'])}%."
        if some["right"] is not None
        else ""
    )
    figure = gallery.show(
        FIGURE,
        lambda theme: _draw(theme, points),
        title="Answering only the surest",
        alt="How many answers are right, by the share of test utterances that are answered.",
        caption=(
            "Each point is a least confidence, chosen so that on dev 10%, 20% and so on are"
            f" answered.{sentence} A line that rises to the left: confidence tells right answers"
            " from wrong ones."
        ),
        width=drawing.WIDTH,
    )
    rows = "".join(
        f'<tr><th scope="row">{coverage}%</th><td class="number">{shown(each["coverage"])}%</td>'
        f'<td class="number">{each["size"]:.2f}</td>'
        f'<td class="number">{shown(each["single"])}%</td></tr>'
        for coverage, each in found["sets"].items()
    )
    heads = "".join(
        f'<th scope="col" class="number">{head}</th>'
        for head in ("hold the right one", "labels in a set", "sets of one label")
    )
    table = (
        "<div><h3>Several labels where one is not sure</h3>"
        '<div class="scroll"><table class="narrow"><thead><tr><th scope="col">coverage asked</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="caption">On test. A set holds each label that is as probable as the right one'
        " was in that share of dev’s utterances (split-conformal prediction). It holds the right"
        " label of new ones as often, on average, as far as they are like dev’s.</p></div>"
    )
    return f'<h2>How sure it is</h2><div class="pair">{figure}{table}</div>'


def _draw(theme: Theme, points: list[tuple[float, float, float]]) -> Figure:
    """Right answers by those that are given; each point is (answered, right, least confidence)."""
    figure = drawing.new_figure(drawing.WIDTH, 3.6)
    axes = figure.add_subplot()
    answered, right, confidence = zip(*sorted(points), strict=True)
    axes.plot(
        answered, right, color=theme.after, linewidth=2, marker="o", markersize=5, clip_on=False
    )
    axes.set_xlim(0, 100)
    axes.set_xlabel("utterances answered, the surest first")
    axes.set_ylabel("right answers")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(decimals=0))
    axes.grid(axis="y", linewidth=0.8)
    axes.margins(y=0.2)
    _name_points(figure, list(zip(answered, right, confidence, strict=True)))
    return figure


def _name_points(figure: Figure, points: list[tuple[float, float, float]]) -> None:
    """Writes what the last point of the line says, and the first and the middle one, above or below
    it, where that hides neither the line nor another name; `points` as of `_draw`, sorted.
    """
    (axes,) = figure.axes
    (line,) = axes.lines
    write = functools.partial(axes.annotate, textcoords="offset points", fontsize=9.5)
    *others, (answered, right, _) = points
    place: dict[str, Any] = {"xytext": (8, 0), "va": "center", "fontweight": "bold"}
    named = [write(f"all: {right:.0f}%", (answered, right), **place)]
    for answered, right, confidence in (*others[:1], *others[len(points) // 2 :][:1]):
        words = f"{right:.0f}%, confidence from {100 * confidence:.0f}%"
        for below in (False, True):
            place = {"xytext": (7, -7 if below else 7), "va": "top" if below else "bottom"}
            name = write(words, (answered, right), **place)
            figure.draw_without_rendering()  # lays the axes out, which make room for names
            box = name.get_window_extent()
            drawn = line.get_path().transformed(line.get_transform())
            hides = [box.overlaps(other.get_window_extent()) for other in named]
            if not any(hides) and not drawn.intersects_bbox(box, filled=False):
                named.append(name)
                break
            name.remove()
