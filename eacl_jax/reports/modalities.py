"""The report's section of what features beside the text add: tables, and how much each modality
counts by label.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from eacl_jax.dialogue import counted
from eacl_jax.reports import drawing, sections
from eacl_jax.reports.gallery import Gallery
from eacl_jax.reports.names import figure_names
from eacl_jax.reports.sections import DASH, at, change_cell, percent, shown
from eacl_jax.reports.theme import MARKERS, Theme

FIGURE = "modality_weights"
_SPLITS = ("train", "dev", "test")
_FUSIONS = {
    "gated": "features are added to the text behind a gate between 0 and 1",
    "concat": "features and text go through one network",
    "attention": "features and text are weighted by attention",
    "words": "features are words in the text",
}
_MEASURES = ("weighted_f1", "macro_f1", "micro_f1", "jaccard", "accuracy")


def section(
    gallery: Gallery,
    config: Mapping[str, Any],
    results: Mapping[str, Any],
    names: Sequence[str],
    labels: Sequence[str],
) -> str:
    """What features add; nothing where the model reads none.

    Args:
      gallery: for the figure.
      config, results: as `write_report` has them.
      names: of the labels, in figures.
      labels: their own names.
    """
    found = at(results, "modalities")
    if not found:
        return ""
    each: Mapping[str, Any] = found["each"]
    beside = _weights(gallery, found, names, labels)
    pair = f'<div class="pair"><div>{_there(found)}{_numbers(each)}</div>{beside}</div>'
    return (
        f"<h2>What {_list(list(map(_quoted, each)))} add{'s' if len(each) == 1 else ''}</h2>"
        f"{_verdict(config, results, found)}{_table(config, results, found)}{pair}"
    )


def _quoted(name: str) -> str:
    return f"“{escape(name)}”"


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _without(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Words and scores of each set of features that is left out; one modality is all of them."""
    alone = found.get("text_alone")
    rows = [
        (f"without {name}", of["without"])
        for name, of in found["each"].items()
        if of.get("without") and not (alone and len(found["each"]) == 1)
    ]
    return [*rows, ("text alone", alone)] if alone else rows


def _verdict(
    config: Mapping[str, Any], results: Mapping[str, Any], found: Mapping[str, Any]
) -> str:
    key, measure = sections.primary(config, results)
    whole = percent(results, "stage_two", "test", key)
    how = _FUSIONS.get(found["fusion"], found["fusion"])
    if not found["text"]:
        how = "features answer alone: the text is not read"
    rows = _without(found)
    if not rows or whole is None:
        return f"<p>Here {how}.</p>"
    words, least = rows[-1]
    words = f"by the {words}" if least is found.get("text_alone") else words
    score = percent(least, "test", key)
    return (
        f'<p class="verdict">Test {escape(measure)} <strong>{shown(whole)}</strong> with all'
        f" features, <strong>{shown(score)}</strong> {escape(words)}.{_turned(least)}</p>"
        f"<p>Here {how}. It is one trained model, whose features are taken away when it"
        " answers; what a model gives that never had them, only a run of its own can say"
        " (<code>configs/studies/modalities.py</code>). Test chose nothing here.</p>"
    )


def _turned(least: Mapping[str, Any]) -> str:
    """A sentence of how many of test's answers turn without features, and which way; some may from
    one wrong label to another. Empty where that is not known.
    """
    changed, worse, better = (
        percent(least, side, "test") for side in ("changed", "worse", "better")
    )
    if changed is None:
        return ""
    if not changed:
        return " Then no answer changes."
    return (
        f" Then {counted(int(changed), 'answer changes', 'answers change')}:"
        f" {int(worse or 0):,} from right to wrong, {int(better or 0):,} from wrong to right."
    )


def _table(config: Mapping[str, Any], results: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    rows = _without(found)
    whole = at(results, "stage_two") or {}
    first, _ = sections.primary(config, results)
    keys = [first, *(k for k in _MEASURES if k != first and k in (at(whole, "test") or {}))][:3]
    body = ""
    for split in ("test", "dev"):
        cells = "".join(
            f'<td class="number">{shown(percent(whole, split, key))}</td><td></td>' for key in keys
        )
        body += f'<tr><th scope="row">all features, {split}</th>{cells}</tr>'
        for words, scores in rows:
            cells = "".join(
                f'<td class="number">{shown(percent(scores, split, key))}</td>'
                + change_cell(percent(whole, split, key), percent(scores, split, key))
                for key in keys
            )
            body += f'<tr><th scope="row">{escape(words)}, {split}</th>{cells}</tr>'
    head = "".join(
        f'<th scope="col" class="number">{escape(sections.measure_words(key, config))}</th>'
        '<th scope="col" class="number">change</th>'
        for key in keys
    )
    return (
        '<p class="caption">Stage two’s scores in percent, with all'
        " features and where some are left out; change: against all.</p>"
        '<div class="scroll"><table class="narrow">'
        "<thead><tr><td></td>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _there(found: Mapping[str, Any]) -> str:
    """How many utterances have what."""
    body = ""
    for name, of in found["each"].items():
        cells = ""
        for split in _SPLITS:
            has, total = of["utterances"].get(split, 0), found["utterances"].get(split, 0)
            missing = 100 * (total - has) / total if total else 0.0
            share = (
                "none missing"
                if has == total
                else f"{missing:.{2 if missing < 1 else 0}f}% missing"
            )
            cells += f'<td class="number">{has:,}<br><span class="quiet">{share}</span></td>'
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    totals = "".join(f'<td class="number">{found["utterances"].get(s, 0):,}</td>' for s in _SPLITS)
    head = "".join(f'<th scope="col" class="number">{split}</th>' for split in _SPLITS)
    return (
        '<p class="caption">Annotated utterances that have each'
        " kind of features</p>"
        '<div class="scroll"><table class="narrow">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody>"
        f'<tfoot><tr><th scope="row">utterances</th>{totals}</tr></tfoot></table></div>'
    )


def _weights(
    gallery: Gallery, found: Mapping[str, Any], names: Sequence[str], labels: Sequence[str]
) -> str:
    weights = {
        name: [of["weights"].get(label) for label in labels]
        for name, of in found["each"].items()
        if of.get("weights")
    }
    if not weights:
        why = (
            "words in a prompt have no weight of their own"
            if found["fusion"] == "words"
            else "this fusion has no number that says how much a modality counts"
        )
        return f'<div><p class="quiet">No weights by label: {why}.</p></div>'
    gates = found["fusion"] == "gated"
    what = "Gates" if gates else "Attention"
    return gallery.show(
        FIGURE,
        lambda theme: draw_weights(theme, weights, names, what.lower()),
        title=f"{what} by label",
        alt=f"Mean {what.lower()} of each modality by gold label, on dev.",
        caption=(
            "Mean over the dev utterances with the label that have the features. "
            + (
                "0: the gate is shut, 1: open. What comes through may still be small."
                if gates
                else "What is left up to 1 goes to the text."
                if found["text"]
                else "The modalities of an utterance share 1."
            )
        ),
        width=drawing.WIDTH,
    )


def draw_weights(
    theme: Theme,
    weights: Mapping[str, Sequence[float | None]],
    names: Sequence[str],
    what: str,
) -> Figure:
    """A row a label, a mark a modality, between 0 and 1."""
    figure = drawing.new_figure(drawing.WIDTH, 1.4 + (0.26 + 0.14 * len(weights)) * len(names))
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    shift = 0.6 / max(len(weights), 1)
    for number, (name, values) in enumerate(
        zip(figure_names(list(weights)), weights.values(), strict=True)
    ):
        own = rows + (number - (len(weights) - 1) / 2) * shift
        known = [i for i, value in enumerate(values) if value is not None]
        found = [float(values[i] or 0.0) for i in known]
        colour = theme.series[number % len(theme.series)]
        axes.hlines(own[known], 0, found, color=colour, linewidth=2.2, alpha=0.55)
        axes.plot(
            found,
            own[known],
            linestyle="",
            marker=MARKERS[number % len(MARKERS)],
            markersize=7.5,
            color=colour,
            label=name.lstrip("_"),
            clip_on=False,
            zorder=3,
        )
        for x, y in zip(found, own[known], strict=True) if len(weights) <= 2 else []:
            axes.annotate(
                f"{x:.2f}",
                (x, y),
                xytext=(8, 0) if x < 0.85 else (-9, 0),
                textcoords="offset points",
                ha="left" if x < 0.85 else "right",
                va="center",
                fontsize=8.5,
                path_effects=[withStroke(linewidth=3, foreground=theme.surface)],
            )
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"mean {'gate' if what == 'gates' else what} on dev")
    axes.set_ylabel("gold label")
    axes.grid(axis="x", linewidth=0.8)
    if len(weights) > 1:
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
    return figure


def _numbers(each: Mapping[str, Any]) -> str:
    """What the numbers are, and how they are standardized; of wide modalities their width alone."""
    tables = ""
    wide = [
        f"{_quoted(name)} ({of['width']:,} numbers)"
        for name, of in each.items()
        if not of.get("columns")
    ]
    for name, of in each.items():
        if not of.get("columns"):
            continue
        rows = "".join(
            f'<tr><th scope="row">{escape(column)}</th><td class="number">{_number(mean)}</td>'
            f'<td class="number">{_number(deviation)}</td></tr>'
            for column, mean, deviation in zip(
                of["columns"], of["mean"], of["deviation"], strict=True
            )
        )
        tables += (
            f'<p class="caption">“{escape(name)}”: mean and'
            " standard deviation over the training utterances, by which each number is"
            ' standardized</p><div class="scroll"><table class="narrow"><thead>'
            '<tr><th scope="col">number</th><th scope="col"'
            ' class="number">mean</th><th scope="col" class="number">deviation</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )
    note = (
        f'<p class="quiet">Standardized by train’s mean and deviation of each number:'
        f" {_list(wide)}.</p>"
        if wide
        else ""
    )
    summary = "How features are standardized"
    return f"<details><summary>{summary}</summary>{tables}{note}</details>"


def _number(value: Any) -> str:
    if value is not None and value >= 1e30:
        return "always the same"
    return DASH if value is None else f"{value:,.4g}".replace("-", "−")
