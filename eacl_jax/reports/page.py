"""Writes the run's report: one page that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.files.whole import write_text
from eacl_jax.reports import (
    abstention,
    annotators,
    drawing,
    figures,
    modalities,
    sections,
    sequence,
)
from eacl_jax.reports.gallery import Gallery, document
from eacl_jax.reports.names import drawn_words, figure_names
from eacl_jax.reports.projection import Map, label_cosines, project
from eacl_jax.reports.settings import settings_list
from eacl_jax.reports.several import WIDE, Several
from eacl_jax.reports.style import TABLES_STYLE

FIGURES = (
    "confusion",
    "map",
    "anchors_stage_one",
    "anchors_stage_two",
    "dev_by_epoch",
    "losses",
    "angle",
)
OF_SEVERAL = ("co_occurrence", "probabilities")
"""Figures in place of the confusion, where an utterance may have several labels."""
OF_FEATURES = (modalities.FIGURE,)
"""Where the model reads features beside the text."""


def write_report(
    folder: Path,
    *,
    config: Mapping[str, Any],
    corpus: str,
    labels: Sequence[str],
    results: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    gold: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    representations: np.ndarray,
    anchors: Mapping[str, np.ndarray],
    probabilities: np.ndarray | None,
    thresholds: Sequence[float],
) -> Path:
    """Writes `folder/index.html`, with its figures inside it and as `folder/figures/*.png` too.

    The page is self-contained, needs no JavaScript, follows the reader's light or dark setting and
    prints. The same arguments give the same bytes.

    Args:
      folder: made if it is not there; an older report in it is replaced.
      config: `Config.to_dict()`, or what JSON makes of it.
      corpus: the corpus' name for the title.
      labels: C label names in anchor order; any characters.
      results: the content of `results.json`: for "stage_one" and "stage_two" the `best_epoch` and
        the measures of "dev" and "test" in percent; `always_most_frequent` (`{"label", "test":
        {...}}`); may hold `modalities` and `sequence`.
      history: rows of `metrics.jsonl`; rows and keys may be missing, and a figure without data is
        left out.
      gold: int [N], label index of each test utterance; bool [N, C] where it may have several.
      predictions: the same, under "stage_one" and "stage_two".
      representations: float [N, m], test utterances after the mapping.
      anchors: float [C k, m] under "stage_one" and "stage_two", the k of a label side by side.
      probabilities: with several labels, stage two's of test, float [N, C]; else None.
      thresholds: with several labels, from which probability on stage two answers each; else none.

    Returns:
      Path of the page.
    """
    several = np.ndim(gold) == 2
    kind = bool if several else np.int64
    gold, answers = np.asarray(gold, kind), np.asarray(predictions["stage_two"], kind)
    before, after = np.asarray(anchors["stage_one"]), np.asarray(anchors["stage_two"])
    representations = np.asarray(representations)
    given = {stage: np.asarray(values) for stage, values in predictions.items()}
    names = figure_names(labels)
    gallery = Gallery(folder / "figures", (*FIGURES, *OF_SEVERAL, *OF_FEATURES, abstention.FIGURE))
    # Of several labels the frequent first: of many, the reader looks for these.
    order = np.argsort(-gold.sum(axis=0), kind="stable") if several else np.arange(len(labels))
    if several:
        assert probabilities is not None
        found = Several(
            labels, names, order, gold, answers, probabilities, thresholds, given["stage_one"]
        )
        by_label = found.section(gallery, results)
        groups = found.groups()
    else:
        by_label = _labels_section(gallery, results, labels, names, gold, given)
        groups = gold
    unsure = abstention.section(gallery, results)
    by_logits = sections.classifies(config)
    levels = annotators.levels_table(config, results)
    annotated = annotators.section(config, results)
    features = modalities.section(gallery, config, results, names, labels)
    chain = sequence.section(config, results)
    sorted_labels = [labels[i] for i in order]
    width = representations.shape[1]
    first, second = (
        vectors.reshape(len(labels), -1, width)[order].reshape(-1, width)
        for vectors in (before, after)
    )
    body = "".join(
        (
            f"<header>{sections.headline(config, corpus, results, labels, gold)}</header>",
            f"<main>{sections.measures_table(config, results)}",
            sections.calibration(config, results),
            levels,
            by_label,
            unsure,
            chain,
            features,
            annotated,
            _map_section(
                gallery, project(representations, before, after), names, groups, by_logits
            ),
            _axes_section(first, second, sorted_labels)
            if by_logits
            else _anchors_section(gallery, first, second, sorted_labels, [names[i] for i in order]),
            _learning_section(gallery, config, results, history),
            f"<h2>Settings</h2>{settings_list(config)}</main>",
        )
    )
    key, measure = sections.primary(config, results)
    title = (
        f"{corpus}: test {measure}"
        f" {sections.shown(sections.percent(results, 'stage_two', 'test', key))}"
    )
    page = folder / "index.html"
    write_text(page, document(title, body, TABLES_STYLE))
    return page


def _labels_section(
    gallery: Gallery,
    results: Mapping[str, Any],
    labels: Sequence[str],
    names: Sequence[str],
    gold: np.ndarray,
    predictions: Mapping[str, np.ndarray],
) -> str:
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (gold, predictions["stage_two"]), 1)
    said = sections.mistakes(counts, labels)
    confusion = gallery.show(
        "confusion",
        lambda theme: figures.draw_confusion(theme, counts, names),
        title="Confusion matrix: what is taken for what",
        alt=f"Confusion matrix of stage two on test, {len(labels)} by {len(labels)} labels.",
        caption=(
            "Each row is a gold label, each number how many of its utterances got the answer"
            f" below; the diagonal is right. Stronger colour: larger share of the row. {said}"
        ),
        width=drawing.matrix_width(len(labels)),
        shrinks=len(labels) <= drawing.ROOMY,
    )
    table = sections.class_table(results, labels, names, gold, predictions)
    kind = "alone" if len(labels) > WIDE else "pair"
    return f'<h2>Label by label</h2><div class="{kind}"><div>{table}</div>{confusion}</div>'


def _map_section(
    gallery: Gallery,
    places: Map | None,
    names: Sequence[str],
    gold: np.ndarray,
    by_logits: bool,
) -> str:
    if places is None:
        why = "there are no test utterances, or some vectors are not finite numbers"
        return f"<h2>Map of the test utterances</h2><p>Not drawn: {why}.</p>"
    shown = f"{len(places.rows):,}" + (
        f" of {len(gold):,}, drawn by a fixed seed" if len(places.rows) < len(gold) else ""
    )
    reading = {
        "t-SNE": (
            "t-SNE keeps neighbours together; how far apart two groups are, and how large, means"
            " little."
        ),
        "PCA": "PCA shows the two directions of largest variance.",
    }[places.method]
    others = (
        " Faint small dots: utterances with several labels, or none."
        if (gold[places.rows] == len(names)).any()
        else ""
    )
    each = len(places.after) // len(names)
    what = "axis" if by_logits else "anchor"
    marks = "the anchors" if each == 1 else f"the {each} anchors of each label"
    marks += " that an utterance is compared with"
    if by_logits:
        marks = "the labels’ axes, and dots the directions of the logits, whatever their size"
    caption = (
        f"A dot is a test utterance ({shown}) in the colour and shape of its gold label.{others}"
        f" Large marks are {marks}: hollow after stage one, filled after stage two, joined by a"
        " line where they moved. Good: every label’s dots"
        f" gather around {f'its {what}' if each == 1 else 'the anchors of its colour'}. {reading}"
    )
    figure = gallery.show(
        "map",
        lambda theme: figures.draw_map(theme, places, gold, names, what),
        title="What the encoder learned to tell apart",
        alt=(
            f"{places.method} map of the test utterances, coloured by gold label, with the"
            f" {'axes' if by_logits else 'anchors'} of both stages."
        ),
        caption=caption,
        width=drawing.MAP_WIDTH,
    )
    return f'<h2>Map of the test utterances</h2><div class="beside">{figure}</div>'


def _axes_section(before: np.ndarray, after: np.ndarray, labels: Sequence[str]) -> str:
    """In place of `_anchors_section` where the classifier alone was trained."""
    return (
        "<h2>The axes of the logits</h2><p>This run trained a classifier alone, whose logits"
        " answer: it has no anchors. Its labels’ axes stand at right angles after stage one,"
        " whatever was learned, so how far apart they are says nothing of how well labels are told"
        f" apart. {sections.turned(before, after, labels, 'axes')}</p>"
    )


def _anchors_section(
    gallery: Gallery,
    before: np.ndarray,
    after: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str],
) -> str:
    shown = []
    for stage, vectors, title in (
        ("stage_one", before, "Before stage two"),
        ("stage_two", after, "After stage two"),
    ):
        if not np.isfinite(vectors).all():
            continue
        matrix = label_cosines(vectors, len(labels))
        shown.append(
            gallery.show(
                f"anchors_{stage}",
                lambda theme, matrix=matrix: figures.draw_cosines(theme, matrix, names),  # type: ignore[misc]
                title=title,
                alt=f"Cosine of every label’s anchor to every other’s, {title.lower()}.",
                caption=sections.closest(matrix, labels),
                width=drawing.matrix_width(len(labels)),
                shrinks=len(labels) <= drawing.ROOMY,
            )
        )
    each = len(after) // len(labels)
    several = (
        f"A label has {each} anchors: a number is of the two, one of each label, that are nearest"
        " to each other. "
        if each > 1
        else ""
    )
    return (
        "<h2>How far apart the anchors are</h2><p>Cosine between the labels’ anchors: 1 is the same"
        " direction (blue), 0 a "
        "right angle, −1 opposite (orange). The lower off the diagonal, the better the labels are"
        " told apart. "
        f"{several}{sections.turned(before, after, labels)}</p>"
        f'<div class="{"alone" if len(labels) > WIDE else "pair"}">{"".join(shown)}</div>'
    )


def _learning_section(
    gallery: Gallery,
    config: Mapping[str, Any],
    results: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
) -> str:
    key, measure = sections.primary(config, results)
    what = "axes" if sections.classifies(config) else "anchors"
    if not any(f"dev_{key}" in row for row in history):
        key, measure = "weighted_f1", "weighted F1"
    drawn = drawn_words(measure, sections.measure_words(key, {}))
    shown = []
    chosen = {
        number: sections.at(results, stage, "best_epoch")
        for number, (stage, _) in enumerate(sections.STAGES, start=1)
        if not sections.at(results, stage, "mean_of")  # else none of them was kept
    }
    mean, marks, kept = _mean_of_epochs(results, key), "the chosen epochs ringed", ""
    if mean is not None:
        which = f"mean of the weights of epochs {', '.join(map(str, mean[0]))}"
        line = f"stage one’s {which} a dashed line at {mean[1]:.2f}"
        marks = f"the chosen epoch of stage two ringed, {line}"
        kept = f" of stage two; of stage one the {which} was kept, whose score is the dashed line"
    if any(len(figures.values(history, stage, "epoch", f"dev_{key}")[0]) for stage in (1, 2)):
        # Even in the reference dev chooses stage two's epoch; test only breaks ties.
        chosen_on = {1: "test" if sections.selected_on_test(config) else "dev", 2: "dev"}
        shown.append(
            gallery.show(
                "dev_by_epoch",
                lambda theme: figures.draw_dev(
                    theme, history, f"dev_{key}", drawn, chosen, chosen_on, what, mean
                ),
                title=f"Dev {escape(measure)} by epoch",
                alt=f"Dev {measure} by epoch of both stages, {marks}.",
                caption=(
                    f"The ring is the epoch that was kept{kept}. Epoch 0 of stage two: the"
                    f" {what} before any adaptation.{_without_chain(results, key)}"
                ),
                width=drawing.WIDTH,
            )
        )
    if len(figures.values(history, 1, "step", "loss")[0]):
        shown.append(
            gallery.show(
                "losses",
                lambda theme: figures.draw_losses(theme, history),
                title="Loss of stage one",
                alt="Losses of stage one by training step.",
                caption=(
                    f"{_losses(history, sections.classifies(config))}"
                    f"{_angle(history)}{_speed(history)}"
                ),
                width=drawing.WIDTH,
            )
        )
    if len(figures.values(history, 1, "step", "angle")[0]):
        shown.append(
            gallery.show(
                "angle",
                lambda theme: figures.draw_angle(theme, history),
                title="Angle between anchors in stage one",
                alt="Mean angle of each anchor to its nearest one by training step.",
                caption=(
                    "Mean angle of each anchor to the nearest one of another label, seen from the"
                    " anchors’ centre. The angle term makes it larger."
                ),
                width=drawing.WIDTH,
            )
        )
    content = (
        f'<div class="pair">{"".join(shown)}</div>' if shown else "<p>The run kept no history.</p>"
    )
    return f"<h2>How it learned</h2>{content}"


def _mean_of_epochs(results: Mapping[str, Any], key: str) -> tuple[Sequence[int], float] | None:
    """Stage one's epochs whose mean it kept, and the mean's score on dev; None: it kept one."""
    epochs, score = (
        sections.at(results, "stage_one", "mean_of"),
        sections.percent(results, "stage_one", "dev", key),
    )
    return (epochs, score) if epochs and score is not None else None


def _without_chain(results: Mapping[str, Any], key: str) -> str:
    """Why stage two's score on dev is another one here than in the tables, where it is."""
    if not sections.at(results, "sequence", "kept"):
        return ""
    chained = sections.shown(sections.percent(results, "stage_two", "dev", key))
    return (
        " All are scores of each utterance alone: with the chain, stage two’s chosen epoch has"
        f" {chained}."
    )


def _losses(history: Sequence[Mapping[str, Any]], classifies: bool) -> str:
    """What the figure of the losses shows, as HTML; whether a classifier alone was trained."""
    curves = figures.loss_curves(history)
    terms = [escape(name) for name in curves if name not in (figures.TOTAL, figures.MOVED)]
    total, kind = "the total", "Its terms"
    if classifies:
        more = ", with what is added to it" if terms else ""
        total, kind = f"the classifier’s cross-entropy{more}", "Added to it"
    beside = f" {kind}, before weighting: {', '.join(terms)}." if terms else ""
    moved = (
        f" “{figures.MOVED}”: the same total where the word embeddings are moved, whose gradients"
        " count too."
        if figures.MOVED in curves
        else ""
    )
    smoothed = (
        " Faint: each logged step; bold: their running mean."
        if any(figures.window(steps) > 1 for steps, _ in curves.values())
        else ""
    )
    return f"What training makes smaller: {total}.{beside}{moved}{smoothed}"


def _angle(history: Sequence[Mapping[str, Any]]) -> str:
    """Why the total may lie below its terms."""
    angles = figures.values(history, 1, "step", "angle")[1]
    return (
        " The weighted angle term is negative, so the total may lie below the other terms; the"
        " angle has a figure of its own."
        if (angles < 0).any()
        else ""
    )


def _speed(history: Sequence[Mapping[str, Any]]) -> str:
    _, speeds = figures.values(history, 1, "step", "examples_per_second")
    speeds = speeds[1:]  # the first step compiles
    return f" Median speed: {np.median(speeds):,.0f} examples a second." if len(speeds) else ""
