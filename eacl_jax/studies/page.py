"""Writes a study's page: it needs nothing beside itself."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from eacl_jax.files.whole import write_text
from eacl_jax.reports.drawing import WIDTH
from eacl_jax.reports.gallery import Gallery, document
from eacl_jax.reports.style import STUDY_STYLE
from eacl_jax.reports.theme import Theme
from eacl_jax.studies import figures, sections, words
from eacl_jax.studies.curves import curves
from eacl_jax.studies.names import slug
from eacl_jax.studies.statistics import LEVEL
from eacl_jax.studies.table import Comparison, Row, Table
from eacl_jax.studies.unanswered import unanswered

PAGE = "index.html"


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
            f"{sections.settings(table)}{sections.reading(table)}</main>",
        )
    )
    page = folder / PAGE
    write_text(page, document(f"{table.name}: a study", body, STUDY_STYLE))
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
            _curves(show, table, rows),
            _cost(show, table, rows),
        )
    )


def _part(name: str) -> str:
    return f'<h3 class="part">{name}</h3>'


def _pair(shown: Sequence[str]) -> str:
    return f'<div class="pair">{"".join(shown)}</div>' if shown else ""


def _scores(show: _Figures, table: Table, rows: Sequence[Row]) -> str:
    reference = words.reference(table, rows)
    intervals = words.has_intervals(rows, table.measures)
    bar = f" bar: its {LEVEL}% interval over test dialogues;" if intervals else ""
    caption = f"Large dot: mean over seeds;{bar} small dots: single seeds."
    if words.best(rows, table.measures[0]):
        caption += " Blue: the highest mean."
    if reference is not None:
        caption += f" Dashed: “{words.row_name(reference)}”."
    if intervals:
        caption += (
            " Bars of two variants may overlap although they differ: answers to the same dialogues"
            " move together, so read the differences below."
        )
    return _pair(
        [
            show.show(
                f"scores {measure}",
                lambda theme, measure=measure: figures.draw_scores(  # type: ignore[misc]
                    theme, rows, measure, reference
                ),
                heading=f"{words.heading(measure, rows)} by variant",
                caption=caption if number == 0 else "Read as the figure before.",
                width=figures.SCORES_WIDTH,
            )
            for number, measure in enumerate(_measured(rows, table.measures))
        ]
    )


def _measured(rows: Sequence[Row], measures: Sequence[str]) -> list[str]:
    """The measures by which a row has a score, which its figure would show."""
    return [m for m in measures if any(row.scores["test"][m].mean is not None for row in rows)]


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
                heading=f"Differences in {words.compared_words(found[0])}",
                caption="Read as the figure before."
                if shown
                else _differences_caption(table, found),
                width=figures.DIFFERENCES_WIDTH,
            )
        )
    return _pair(shown)


def _differences_caption(table: Table, found: Sequence[Comparison]) -> str:
    """What a figure of differences shows, of which few test dialogues leave no interval."""
    there = [each.difference for each in found if each.difference is not None]
    intervals = any(each.low is not None for each in there)
    bar = (
        f"; bar: its {LEVEL}% interval, by drawing the same test dialogues for both"
        if intervals
        else ""
    )
    if any(each.wide_low is not None for each in there):
        bar += "; thin line: by drawing seeds too, cut where it is wider than the frame"
    colour = (
        "In colour: p < 0.05 after Holm’s correction, also where seeds are drawn too (the larger p"
        " stands beside); grey: no difference can be shown, which is not to say that there is none."
        if intervals
        else "Whether a difference is more than chance cannot be stated."
    )
    return (
        f"Dot: the difference, mean over seeds{bar}. Right of 0: better than what it is compared"
        f" with, which is “{table.variants[0]}” where no other is named. {colour}"
    )


def _alike(rows: Sequence[Row], key: Callable[[Row], object]) -> list[list[Row]]:
    """Rows that can stand in one figure: of variants that answer in other labels there are
    several.
    """
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


_LABELS = (
    (
        "f1",
        "F1",
        "Percent, mean over seeds; in brackets how many test utterances have the label. A label of"
        " few utterances moves by many points from seed to seed.",
    ),
    ("precision", "Precision", "Of the answers with the label, percent right."),
    ("recall", "Recall", "Of the utterances with the label, percent found."),
)
_DASHES = {
    "f1": " A dash: no test utterance has the label, and none was answered it.",
    "precision": " A dash: none was answered it.",
    "recall": " A dash: no test utterance has it.",
}


def _labels(show: _Figures, rows: Sequence[Row]) -> str:
    groups = _alike(rows, lambda row: tuple((each.label, each.support) for each in row.labels))
    f1, *others = (
        "".join(
            show.show(
                f"labels {score} {number or ''}",
                lambda theme, some=some, score=score: figures.draw_labels(theme, some, score),  # type: ignore[misc]
                heading=f"{name} of each label",
                caption=caption + (_DASHES[score] if _has_dashes(some, score) else ""),
                width=figures.labels_width(some),
                shrinks=False,
            )
            for number, some in enumerate(groups)
        )
        for score, name, caption in _LABELS
    )
    return (
        f"{_part('Label by label')}{f1}"
        "<details><summary>Precision and recall of each label</summary>"
        f"{''.join(others)}</details>"
    )


def _has_dashes(rows: Sequence[Row], score: str) -> bool:
    return any(getattr(each, score).mean is None for row in rows for each in row.labels)


def _similar(show: _Figures, rows: Sequence[Row]) -> str:
    groups = _alike(rows, lambda row: tuple((pair.first, pair.second) for pair in row.similar))
    parts = [_similar_alike(show, some, f"{n or ''}") for n, some in enumerate(groups)]
    return f"{_part('Similar emotions')}{''.join(parts)}" if any(parts) else ""


def _similar_alike(show: _Figures, rows: Sequence[Row], number: str) -> str:
    shown = []
    if rows[0].similar:
        shown.append(
            show.show(
                f"confused {number}",
                lambda theme: figures.draw_confused(theme, rows),
                heading="Similar emotions taken for each other",
                caption=(
                    f"Percent of the utterances of the first label{_alone(rows)} that were answered"
                    f" as the second, mean over seeds. The lower the better{_unanswered(rows)}."
                    f"{_without_first(rows)}"
                ),
                width=figures.table_width(figures.confused_heads(rows[0])),
                shrinks=False,
            )
        )
    angled = [row for row in rows if row.smallest_angle is not None]
    if angled:
        shown.append(
            show.show(
                f"angles {number}",
                lambda theme: figures.draw_angles(theme, angled),
                heading="Angles between anchors",
                caption=(
                    "The further apart two labels’ anchors, the more room between the emotions."
                    " “Closest” is the smallest angle between any two labels; mean over seeds."
                    f" {words.without_angles(rows)}"
                ).strip(),
            )
        )
    # Not side by side: half a page is too narrow for the first.
    return "".join(_pair([each]) for each in shown) + (
        sections.similar_table(rows) if rows[0].similar else ""
    )


def _unanswered(rows: Sequence[Row]) -> str:
    """Where a low number is no merit."""
    pairs = [label for pair in rows[0].similar for label in (pair.first, pair.second)]
    found = unanswered(rows, pairs)
    return (
        ", but the two are not distinguished where the second is never answered (a dash: in no"
        f" seed): {found}"
        if found
        else ""
    )


def _without_first(rows: Sequence[Row]) -> str:
    """Why some label has no share of utterances that were answered as another."""
    pairs = [pair for row in rows for pair in row.similar]
    missing = any(None in (pair.first_as_second, pair.second_as_first) for pair in pairs)
    return " A dash too: no test utterance has the first." if missing else ""


def _alone(rows: Sequence[Row]) -> str:
    """Of which utterances similar emotions are measured, where these may have several."""
    return " without the second" if "jaccard" in rows[0].scores["test"] else ""


def _curves(show: _Figures, table: Table, rows: Sequence[Row]) -> str:
    measure, corpus = table.measures[0], rows[0].corpus
    shown = []
    if not _measured(rows, [measure]):
        return ""
    intervals = words.has_intervals(rows, [measure])
    band = f" band: {LEVEL}% interval over test dialogues;" if intervals else ""
    for number, curve in enumerate(curves(table, corpus)):
        beside = ", ".join(f"{name} = {value}" for name, value in curve.others.items())
        shown.append(
            show.show(
                f"curve {number} {curve.setting}",
                lambda theme, curve=curve: figures.draw_curve(theme, curve, measure),  # type: ignore[misc]
                heading=f"{words.heading(measure, rows)} by {curve.setting}",
                caption=(
                    f"Line: mean over seeds;{band} small dots: single seeds."
                    f"{f' Here {beside}.' if beside else ''}"
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
    line = f"; line: {LEVEL}% interval of its score" if words.has_intervals(one, [measure]) else ""
    first = f"A mark a variant{line}. Marks of the same cost stand side by side."
    shown = [
        show.show(
            f"cost {cost}",
            lambda theme, cost=cost: figures.draw_cost(theme, one, measure, cost),  # type: ignore[misc]
            heading=f"{words.heading(measure, one)} by {figures.cost_words(cost)}",
            caption="" if number else first,
        )
        for number, cost in enumerate(figures.costs_that_differ(one))
        if _measured(one, [measure])
    ]
    return f"{_part('Cost')}{sections.cost_table(one)}{_pair(shown)}"
