"""The part of the report by label, where an utterance may have several labels, or none."""

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure

from eacl_jax.reports import drawing, sections
from eacl_jax.reports.gallery import Gallery
from eacl_jax.reports.sections import DASH, STAGES, percent, quoted, shown
from eacl_jax.reports.theme import Theme

WIDE = 12
"""Matrices of more labels than this stand alone in their row."""
_BINS = 10
_MOST = 3
"""Labels of an utterance from which on they are counted together."""


@dataclasses.dataclass(frozen=True)
class Several:
    """What is shown.

    Attributes:
      labels: the C labels, in anchor order.
      names: for figures.
      order: in which labels are shown.
      gold, answers: of test and stage two.
      probabilities: of the same.
      thresholds: from which on each label is answered.
      before: answers of stage one.
    """

    labels: Sequence[str]
    names: Sequence[str]
    order: Int[np.ndarray, " C"]
    gold: Bool[np.ndarray, "N C"]
    answers: Bool[np.ndarray, "N C"]
    probabilities: Float[np.ndarray, "N C"]
    thresholds: Sequence[float]
    before: Bool[np.ndarray, "N C"]

    def groups(self) -> Int[np.ndarray, " N"]:
        """The label of each utterance that has one, else C."""
        alone = self.gold.sum(axis=1) == 1
        return np.where(alone, self.gold.argmax(axis=1), len(self.labels))

    def section(self, gallery: Gallery, results: Mapping[str, Any]) -> str:
        """Table, co-occurrence and probabilities."""
        counts = (self.gold.astype(np.int64).T @ self.answers)[self.order][:, self.order]
        support = self.gold.sum(axis=0)[self.order]
        names = [self.names[i] for i in self.order]
        matrix = gallery.show(
            "co_occurrence",
            lambda theme: draw_co_occurrence(theme, counts, support, names),
            title="Which labels are answered where a label is",
            alt=f"Co-occurrence of annotated and answered labels, {len(names)} by {len(names)}.",
            caption=(
                "Each row is an annotated label, each number how many of its utterances were"
                " answered the label below; an utterance counts once for each pair. On the diagonal"
                " the label was found. Beside it, the answer may be right too: the utterance may"
                " have both labels. Stronger colour: larger share of the row."
                f" {self._mistakes()}"
            ),
            width=drawing.matrix_width(len(names)),
            shrinks=len(names) <= drawing.ROOMY,
        )
        shown = [matrix]
        if len(self.gold):
            bins = reliability(self.probabilities, self.gold)
            shown.append(
                gallery.show(
                    "probabilities",
                    lambda theme: draw_reliability(theme, bins),
                    title="Whether probabilities mean what they say",
                    alt="Share of annotated labels by the probability that stage two gave them.",
                    caption=(
                        "All pairs of test utterance and label, sorted into ten bins by stage two’s"
                        " probability: how often the label was there. Good: dots on the dashed"
                        " line. The number is how many pairs a bin has."
                    ),
                    width=drawing.WIDTH,
                )
            )
        kind = "alone" if len(names) > WIDE else "pair"
        return (
            f"<h2>Label by label</h2>{self._how_many()}{self._table(results)}"
            f'<div class="{kind}">{"".join(shown)}</div>'
        )

    def _how_many(self) -> str:
        words = ["none", "one", "two", "three or more"]
        rows = ""
        for name, found in (("annotated", self.gold), ("answered by stage two", self.answers)):
            sizes = np.minimum(found.sum(axis=1), _MOST)
            counts = np.bincount(sizes, minlength=_MOST + 1)
            cells = "".join(
                f'<td class="number">{count:,}'
                f' <span class="quiet">({100 * count / max(len(found), 1):.0f}%)</span></td>'
                for count in counts
            )
            rows += f'<tr><th scope="row">{name}</th>{cells}</tr>'
        head = "".join(f'<th scope="col" class="number">{word}</th>' for word in words)
        return (
            '<p class="caption">How many labels a test utterance'
            " has</p>"
            '<div class="scroll"><table class="narrow">'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
            "</div>"
        )

    def _table(self, results: Mapping[str, Any]) -> str:
        right = (self.gold & self.answers).sum(axis=0)
        support, answered = self.gold.sum(axis=0), self.answers.sum(axis=0)
        agreement = sections.at(results, "annotators", "agreement", "test", "by_label")
        rows = []
        for i in self.order:
            label, name = self.labels[i], self.names[i]
            first, second = (
                percent(results, stage, "test", "per_class_f1", label)
                if support[i] or given[:, i].any()
                else None
                for (stage, _), given in zip(STAGES, (self.before, self.answers), strict=True)
            )
            alias = (
                f'<br><span class="quiet">in figures: {escape(name)}</span>'
                if name != label
                else ""
            )
            cells = [
                f"{support[i]:,}",
                f"{answered[i]:,}",
                f"{100 * right[i] / answered[i]:.1f}" if answered[i] else DASH,
                f"{100 * right[i] / support[i]:.1f}" if support[i] else DASH,
                *(
                    f'{shown(value)}<span class="fill {kind}" style="width:{value or 0:.2f}%">'
                    "</span>"
                    for value, kind in ((first, "before"), (second, "after"))
                ),
            ]
            end = [f"{self.thresholds[i]:.2f}"]
            if agreement:
                end.append(shown(percent(agreement, label)))
            rows.append(
                f'<tr><th scope="row">{escape(label)}{alias}</th>'
                + "".join(f'<td class="number">{cell}</td>' for cell in cells)
                + sections.change_cell(first, second)
                + "".join(f'<td class="number">{cell}</td>' for cell in end)
                + "</tr>"
            )
        heads = ["in test", "answered", "precision", "recall", "F1, stage one", "F1, stage two"]
        heads += ["change", "threshold", *["annotators’ alpha"] * bool(agreement)]
        head = "".join(f'<th scope="col" class="number">{name}</th>' for name in heads)
        return (
            '<p class="caption">Scores on test by label, in'
            " percent, the most frequent label first. Answered, precision (of the answers, how many"
            " are right) and recall (of the annotated, how many are found) are stage two’s."
            " Threshold: the probability from which on stage two answers the label, chosen on dev."
            + (
                " Annotators’ alpha: how far they agree on the label, see below."
                if agreement
                else ""
            )
            + '</p><div class="scroll"><table class="narrow classes"><thead>'
            + f'<tr><th scope="col">label</th>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>" + self._notes(support, answered)
        )

    def _notes(self, support: np.ndarray, answered: np.ndarray) -> str:
        never = [self.labels[i] for i in self.order if support[i] and not answered[i]]
        absent = [self.labels[i] for i in self.order if not support[i]]
        notes = []
        if never:
            notes.append(f"Never answered: {', '.join(map(quoted, never))}.")
        if absent:
            notes.append(
                f"No test utterance has {', '.join(map(quoted, absent))}. Macro F1 counts alike all"
                " labels that are annotated or answered; one only answered counts 0."
            )
        return f'<p class="quiet">{" ".join(notes)}</p>' if notes else ""

    def _mistakes(self) -> str:
        """Which label is answered most often instead of another, in words."""
        missed = (self.gold & ~self.answers).astype(np.int64)
        added = (self.answers & ~self.gold).astype(np.int64)
        taken = missed.T @ added
        if not taken.sum():
            return ""
        first, second = divmod(int(taken.argmax()), len(self.labels))
        count, of = int(taken[first, second]), int(self.gold[:, first].sum())
        return (
            f"Most often mistaken: {quoted(self.labels[first])} missing and"
            f" {quoted(self.labels[second])} answered instead, {count:,}"
            f" {'time' if count == 1 else 'times'} ({100 * count / of:.0f}% of"
            f" {quoted(self.labels[first])})."
        )


def draw_co_occurrence(
    theme: Theme,
    counts: Int[np.ndarray, "C C"],
    support: Int[np.ndarray, " C"],
    names: Sequence[str],
) -> Figure:
    """Counts of (annotated row, answered column), coloured by the share of the row's utterances."""
    width = drawing.matrix_width(len(names))
    figure = drawing.new_figure(width, width * 0.94)
    axes = figure.add_subplot()
    shares = counts / np.maximum(support, 1)[:, None]
    texts = np.where(counts > 0, counts.astype(str), "")
    drawing.show_matrix(axes, shares, theme.share_map, 0.0, texts, theme, 9)
    rows = [f"{name} ({total})" for name, total in zip(names, support, strict=True)]
    drawing.name_axes(axes, names, rows)
    axes.set_xlabel("answered by stage two")
    axes.set_ylabel("annotated label (utterances)")
    return figure


def reliability(
    probabilities: Float[np.ndarray, "N C"], gold: Bool[np.ndarray, "N C"]
) -> list[tuple[float, float, int]]:
    """Mean probability, share that is annotated, and number of pairs of utterance and label, of
    each bin of equal width that has some.
    """
    p, y = probabilities.reshape(-1), gold.reshape(-1)
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    return [
        (float(p[here].mean()), float(y[here].mean()), int(here.sum()))
        for number in range(_BINS)
        if (here := bins == number).any()
    ]


def draw_reliability(theme: Theme, bins: Sequence[tuple[float, float, int]]) -> Figure:
    """Dots of `reliability`, with their counts."""
    figure = drawing.new_figure(drawing.WIDTH, 4.4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1.2, linestyle=(0, (4, 3)))
    x, y, counts = zip(*bins, strict=True)
    axes.plot(x, y, color=theme.after, linestyle="", marker="o", markersize=8)
    for at_x, at_y, count in zip(x, y, counts, strict=True):
        right = at_y <= at_x
        axes.annotate(
            f"{count:,}",
            (at_x, at_y),
            xytext=(7, -5) if right else (-7, 5),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top" if right else "bottom",
            fontsize=8.5,
            color=theme.muted,
        )
    axes.set_xlim(-0.06, 1.1)
    axes.set_ylim(-0.08, 1.06)
    axes.grid(linewidth=0.8)
    axes.set_xlabel("probability of a label")
    axes.set_ylabel("share of the pairs with the label")
    return figure
