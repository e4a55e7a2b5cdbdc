"""Writes a study's page: it needs nothing beside itself."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from eacl_jax.files.whole import write_text
from eacl_jax.model.metrics import title
from eacl_jax.reports.drawing import WIDTH
from eacl_jax.reports.gallery import Gallery, document
from eacl_jax.reports.theme import Theme
from eacl_jax.studies import figures, sections, words
from eacl_jax.studies.curves import curves
from eacl_jax.studies.names import slug
from eacl_jax.studies.statistics import LEVEL
from eacl_jax.studies.table import Row, Table

PAGE = "index.html"
_STYLE = """
.answers { padding-left: 1.2rem; max-width: 54rem; } .answers li { margin: .35rem 0; }
.part { font-size: 1.12rem; margin: 2.2rem 0 .7rem; padding-top: .7rem;
  border-top: 1px dotted var(--line); }
.pair { margin: 1.2rem 0 1.8rem; } .scores { max-width: 54rem; } main p.quiet { max-width: 54rem; }
.cost td:last-child { white-space: nowrap; }
td small { color: var(--muted); display: block; } td.best { font-weight: 700; }
td.best small { font-weight: 400; } td.text { white-space: normal; }
"""


def write_page(folder: Path, table: Table, more: Callable[[Gallery], str] | None = None) -> Path:
    """Writes `index.html` into a study's folder, with its figures inside and in `figures/` too.

    The page needs no JavaScript, follows the reader's light or dark setting and prints. The same
    table gives the same bytes.

    Args:
      folder: the study's.
      table: its numbers.
      more: makes HTML that stands after the corpora, with its figures.
    """
    pictures = folder / "figures"
    gallery = Gallery(pictures, [file.stem for file in pictures.glob("*.png")])
    body = "".join(
        (
            f"<header>{sections.headline(table)}</header><main>",
            *(_corpus(gallery, table, corpus) for corpus in table.corpora),
            more(gallery) if more is not None else "",
            f"{sections.settings(table)}{sections.reading()}</main>",
        )
    )
    page = folder / PAGE
    write_text(page, document(f"{table.name}: a study", body, _STYLE))
    return page


class _Figures:
    """Shows figures of one corpus."""

    def __init__(self, gallery: Gallery, corpus: str, number: int) -> None:
        self._gallery, self._corpus = gallery, corpus
        self._prefix = f"{number}-{slug(corpus)}".strip("-")

    def show(
        self,
        name: str,
        draw: Callable[[Theme], Figure],
        *,
        heading: str,
        caption: str,
        width: float = WIDTH,
        shrinks: bool = True,
    ) -> str:
        """HTML of a figure; heading and caption are text."""
        return self._gallery.show(
            f"{self._prefix}-{slug(name)}",
            draw,
            title=escape(heading),
            alt=f"{heading}, {self._corpus}.",
            caption=escape(caption),
            width=width,
            shrinks=shrinks,
        )


def _corpus(gallery: Gallery, table: Table, corpus: str) -> str:
    rows = words.shown_rows(table, corpus)
    heading = f"<h2>{escape(corpus)}</h2>"
    if not rows:
        return f"{heading}<p>No run is complete.</p>"
    show = _Figures(gallery, corpus, 1 + table.corpora.index(corpus))
    return "".join(
        (
            heading,
            sections.scores_table(table, rows),
            _scores(show, table, rows),
            _differences(show, table, corpus),
            _labels(show, rows),
            _similar(show, rows),
            _curves(show, table, corpus),
            _cost(show, table, rows),
        )
    )


def _part(name: str) -> str:
    return f'<h3 class="part">{name}</h3>'


def _pair(shown: Sequence[str]) -> str:
    return f'<div class="pair">{"".join(shown)}</div>' if shown else ""


def _scores(show: _Figures, table: Table, rows: Sequence[Row]) -> str:
    reference = words.reference(table, rows)
    caption = (
        f"Large dot: mean over seeds; bar: its {LEVEL}% interval over test dialogues; small dots:"
        " single seeds. Blue: the highest mean."
    )
    if reference is not None:
        caption += f" Dashed: “{words.row_name(reference)}”."
    caption += (
        " Bars of two variants may overlap although they differ: answers to the same dialogues move"
        " together, so read the differences below."
    )
    return _pair(
        [
            show.show(
                f"scores {measure}",
                lambda theme, measure=measure: figures.draw_scores(  # type: ignore[misc]
                    theme, rows, measure, reference
                ),
                heading=f"{words.heading(measure)} by variant",
                caption=caption if number == 0 else "Read as the figure before.",
                width=figures.SCORES_WIDTH,
                shrinks=False,
            )
            for number, measure in enumerate(table.measures)
        ]
    )


def _differences(show: _Figures, table: Table, corpus: str) -> str:
    shown: list[str] = []
    for measure in table.measures:
        found = [c for c in table.comparisons if (c.corpus, c.measure) == (corpus, measure)]
        if not any(each.difference for each in found):
            continue
        shown.append(
            show.show(
                f"differences {measure}",
                lambda theme, found=found: figures.draw_differences(
                    theme, found, table.variants[0]
                ),  # type: ignore[misc]
                heading=f"Differences in {title(measure)}",
                caption=(
                    f"Bar: {LEVEL}% interval of the difference, by drawing the same test dialogues"
                    " for both. Right of 0: better than what it is compared with, which is"
                    f" “{table.variants[0]}” where no other is named. In colour:"
                    " p < 0.05 after Holm’s correction; grey: no difference can be shown, which is"
                    " not to say that there is none."
                )
                if not shown
                else "Read as the figure before.",
                width=figures.DIFFERENCES_WIDTH,
                shrinks=False,
            )
        )
    return _pair(shown)


def _labels(show: _Figures, rows: Sequence[Row]) -> str:
    names = [each.label for each in rows[0].labels]
    same = [row for row in rows if [each.label for each in row.labels] == names]
    width = figures.table_width(figures.label_heads(rows[0]))

    def matrix(score: str, heading: str, caption: str) -> str:
        return show.show(
            f"labels {score}",
            lambda theme: figures.draw_labels(theme, same, score),
            heading=heading,
            caption=caption,
            width=width,
            shrinks=False,
        )

    f1 = matrix(
        "f1",
        "F1 of each label",
        "Percent, mean over seeds; in brackets how many test utterances have the label. A label of"
        " few utterances moves by many points from seed to seed.",
    )
    others = matrix(
        "precision", "Precision of each label", "Of the answers with the label, percent right."
    ) + matrix("recall", "Recall of each label", "Of the utterances with the label, percent found.")
    return (
        f"{_part('Label by label')}{f1}"
        "<details><summary>Precision and recall of each label</summary>"
        f"{others}</details>"
    )


def _similar(show: _Figures, rows: Sequence[Row]) -> str:
    rows = [row for row in rows if row.similar]
    rows = [row for row in rows if len(row.similar) == len(rows[0].similar)]
    shown = []
    if rows:
        shown.append(
            show.show(
                "confused",
                lambda theme: figures.draw_confused(theme, rows),
                heading="Similar emotions taken for each other",
                caption=(
                    "Percent of the utterances of the first label that were answered as the second,"
                    " mean over seeds. The lower the better."
                ),
                width=figures.table_width(figures.confused_heads(rows[0])),
                shrinks=False,
            )
        )
    angled = [row for row in rows if row.smallest_angle is not None]
    if angled:
        shown.append(
            show.show(
                "angles",
                lambda theme: figures.draw_angles(theme, angled),
                heading="Angles between anchors",
                caption=(
                    "The further apart two labels’ anchors, the more room between the emotions. “"
                    "Closest” is the smallest angle between any two labels; mean over seeds."
                ),
                shrinks=False,
            )
        )
    table = sections.similar_table(rows) if rows else ""
    return f"{_part('Similar emotions')}{_pair(shown)}{table}" if shown else ""


def _curves(show: _Figures, table: Table, corpus: str) -> str:
    measure = table.measures[0]
    shown = []
    for number, curve in enumerate(curves(table, corpus)):
        beside = ", ".join(f"{name} = {value}" for name, value in curve.others.items())
        shown.append(
            show.show(
                f"curve {number} {curve.setting}",
                lambda theme, curve=curve: figures.draw_curve(theme, curve, measure),  # type: ignore[misc]
                heading=f"{words.heading(measure)} by {curve.setting}",
                caption=(
                    f"Line: mean over seeds; band: {LEVEL}% interval over test dialogues; small"
                    f" dots: single seeds.{f' Here {beside}.' if beside else ''}"
                ),
            )
        )
    return _part("Sensitivity") + _pair(shown) if shown else ""


def _cost(show: _Figures, table: Table, rows: Sequence[Row]) -> str:
    rows = [row for row in rows if row.cost is not None]
    if not rows:
        return ""
    last = {row.variant: row for row in rows}  # A run has one cost, whichever stage answers.
    one = list(last.values())
    measure = table.measures[0]
    first = (
        f"A mark a variant; line: {LEVEL}% interval of its score. Marks of the same cost stand side"
        " by side."
    )
    shown = [
        show.show(
            f"cost {cost}",
            lambda theme, cost=cost: figures.draw_cost(theme, one, measure, cost),  # type: ignore[misc]
            heading=f"{words.heading(measure)} by {figures.cost_words(cost)}",
            caption="" if number else first,
        )
        for number, cost in enumerate(figures.costs_that_differ(one))
    ]
    return f"{_part('Cost')}{sections.cost_table(one)}{_pair(shown)}"
