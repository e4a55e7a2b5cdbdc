"""A study's page and figures: what they state, and that nothing runs into anything else."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from eacl_jax.reports import drawing
from eacl_jax.reports.theme import LIGHT
from eacl_jax.studies import figures, sections, statistics, words
from eacl_jax.studies.curves import curves
from eacl_jax.studies.gather import gather
from eacl_jax.studies.page import write_page
from eacl_jax.studies.tables import latex, markdown, rows_csv
from tests.stubs.study import make_study
from tests.stubs.toys import make_config

LONG = "a name that is far too long for the room beside a row & <b>bold</b>"
VARIANTS = {
    "plain": (1.0, {}),
    LONG: (1.3, {"loss.temperature": 0.5}),
    "hot": (1.6, {"loss.temperature": 1.0}),
    "喜": (1.1, {"loss.ce_weight": 1.0}),
}


@pytest.fixture(scope="module")
def table():
    study, runs = make_study(VARIANTS, corpora=["meld"], seeds=[0, 1], dialogues=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "DRAWS", 1000)
        return gather(study, runs[:-1], {"meld/喜/1": "out of <memory>"}, ["meld/x/9"])


@pytest.fixture(autouse=True)
def without_pixels(monkeypatch):
    """Figures are made, and not painted, which costs most of a page's time."""
    monkeypatch.setattr(drawing, "render", lambda draw, theme: bytes(draw(theme) is None))


def page_of(table, folder) -> str:
    return write_page(folder, table).read_text(encoding="utf-8")


def every_figure(table):
    rows = words.shown_rows(table, "meld")
    found = [c for c in table.comparisons if c.measure == "macro_f1"]
    (curve,) = curves(table, "meld")
    costs = {row.variant: row for row in rows}
    return {
        "scores": figures.draw_scores(LIGHT, rows, "macro_f1", rows[1]),
        "labels": figures.draw_labels(LIGHT, rows, "recall"),
        "differences": figures.draw_differences(LIGHT, found, "plain"),
        "confused": figures.draw_confused(LIGHT, rows),
        "angles": figures.draw_angles(LIGHT, rows),
        "cost": figures.draw_cost(LIGHT, list(costs.values()), "macro_f1", "trained"),
        "curve": figures.draw_curve(LIGHT, curve, "macro_f1"),
    }


def test_the_p_beside_a_difference_is_the_one_that_decides(table):
    (found, *_) = (c for c in table.comparisons if c.measure == "macro_f1")
    for dialogues, seeds, shown in ((0.001, 0.39, "p = 0.39"), (0.2, 0.01, "p = 0.20")):
        given = dataclasses.replace(found, p_holm=dialogues, wide_p_holm=seeds)
        (axes,) = figures.draw_differences(LIGHT, [given], "plain").axes
        assert any(text.get_text().endswith(shown) for text in axes.texts)
    lone = dataclasses.replace(found, p_holm=0.001, wide_p_holm=None)
    (axes,) = figures.draw_differences(LIGHT, [lone], "plain").axes
    assert any(text.get_text().endswith("one seed") for text in axes.texts)


def test_lines_of_seeds_do_not_squeeze_the_bars(table):
    (found, *_) = (c for c in table.comparisons if c.measure == "macro_f1")
    difference = dataclasses.replace(found.difference, low=-2.0, high=1.0, wide_high=150.0)
    given = dataclasses.replace(found, difference=difference)
    (axes,) = figures.draw_differences(LIGHT, [given], "plain").axes
    assert axes.get_xlim()[1] <= 3 * max(2.0, abs(difference.mean))


def drawn_labels(axes, direction: int):
    """Labels of the ticks of an axis that lie within it: matplotlib makes some beyond, too."""
    axis, ends = ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))[direction]
    return [
        label
        for label in axis.get_ticklabels()
        if min(ends) <= label.get_position()[direction] <= max(ends)
    ]


def test_nothing_in_a_figure_runs_out_of_it_or_into_names(table):
    with drawing.styled(LIGHT):
        for name, figure in every_figure(table).items():
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            renderer, (axes,) = canvas.get_renderer(), figure.axes
            names = drawn_labels(axes, 1)
            texts = [*axes.texts, *names, *drawn_labels(axes, 0)]
            boxes = [t.get_window_extent(renderer) for t in texts if t.get_text()]
            for box in boxes:
                assert min(box.x0, box.y0) >= 0, name
                assert box.x1 <= figure.bbox.x1 + 1, name
                assert box.y1 <= figure.bbox.y1 + 1, name
            shown = [t.get_window_extent(renderer) for t in names if t.get_text()]
            for one, two in itertools.pairwise(shown):
                assert not one.overlaps(two), name


def test_figures_draw_the_numbers(table):
    with drawing.styled(LIGHT):
        drawn = every_figure(table)
    texts = [t.get_text() for t in drawn["labels"].axes[0].texts]
    rows = words.shown_rows(table, "meld")
    assert texts[:7] == [words.number(label.recall.mean, 1) for label in rows[0].labels]
    found = [c for c in table.comparisons if c.measure == "macro_f1"]
    dots = [line for line in drawn["differences"].axes[0].lines if len(line.get_xdata()) == 1]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [c.difference.mean for c in found]
    line = drawn["curve"].axes[0].lines[0]
    assert list(line.get_xdata()) == [0.1, 0.5, 1.0]


def test_names_beside_rows():
    assert figures.wrapped(["a", LONG, "喜"]) == ["a", figures.wrapped([LONG])[0], "#3"]
    shown = figures.wrapped([LONG])[0].split("\n")
    assert len(shown) == 2
    assert max(map(len, shown)) <= 25
    assert figures.wrapped([f"{LONG} {LONG} {n} {LONG}" for n in "ab"]) == ["#1", "#2"]


def test_marks_of_one_cost_do_not_hide_each_other():
    first, second, third = figures.beside(np.array([5.0, 5.0, 20.0]))
    assert first < 5 < second
    assert third == 20


def test_the_page_needs_nothing_beside_itself(table, tmp_path):
    html = page_of(table, tmp_path)
    ids = re.findall(r'<figure id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) == 13
    assert sorted(f"{each}.png" for each in ids) == sorted(
        file.name for file in (tmp_path / "figures").iterdir()
    )
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert len(sources) == 2 * len(ids)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in html
    assert "<b>" not in html


def test_the_page_begins_with_question_and_answers(table, tmp_path):
    html = page_of(table, tmp_path)
    head = html[: html.index("</header>")]
    assert "What do the angle term" in head
    answers = re.findall(r"<li>(.*?)</li>", head)
    compared = [c for c in table.comparisons if c.measure == "weighted_f1"]
    for answer, each in zip(answers, compared, strict=False):
        assert words.verdict(each).replace("<", "&lt;") in answer
    assert "“hot” against “plain”" in head
    assert "no difference can be shown" in head
    assert "out of &lt;memory&gt;" in head
    assert "meld/x/9" in head


def test_what_was_run_stands_under_the_title(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 100)
    variants = {"a": (1.0, {}), "b": (1.1, {"stage_one.epochs": 2, "stage_one.max_steps": 9})}
    settings = {"encoder.path": "/home/ann/large", "stage_two.epochs": 3}
    found = gather(*make_study(variants, corpora=["meld"], dialogues=3, settings=settings))
    recipe = (
        "Encoder large, computed in float32; 8 or 2 epochs of stage one, 3 of stage two; in some"
        " variants stage one ended after 9 steps at most."
    )
    html = page_of(found, tmp_path)
    assert f"3 seeds. {recipe}</p>" in html
    for text in (markdown(found), latex(found)):
        assert recipe in text
    cut = make_study(
        variants, corpora=["meld", "emorynlp"], dialogues=3, settings={"data.max_dialogues": 3}
    )
    text = words.recipes(gather(*cut))
    assert text.endswith(
        "; at most the first 3 dialogues of each split, so that scores cannot be compared with"
        " others on the whole corpus."
    )
    assert text.count("Encoder") == 1  # alike on both corpora
    cells = [
        dataclasses.replace(each.cell, config=make_config({"stage_one.epochs": 5}))
        if each.cell.corpus == "meld"
        else each.cell
        for each in cut[1]
    ]
    other = gather(dataclasses.replace(cut[0], cells=tuple(cells)), cut[1])
    assert words.recipes(other).startswith("meld: Encoder ")
    assert " emorynlp: Encoder " in words.recipes(other)


def test_the_page_has_the_numbers_and_what_they_do_not_show(table, tmp_path):
    html = page_of(table, tmp_path)
    for row in words.shown_rows(table, "meld"):
        assert words.mean_words(row.scores["test"]["macro_f1"]) in html
    for note in words.notes(table, words.shown_rows(table, "meld")):
        assert note.replace("&", "&amp;").replace("<", "&lt;")[:40] in html
    assert "in figures: #5" in html
    # In the figure's caption and under the table.
    assert (
        html.count("Without angles and silhouettes: “喜”, which answers by the classifier’s logits")
        == 2
    )
    assert "loss.temperature" in html


def test_silhouettes_before_training_say_of_what_they_are_and_which_variants_have_none(table):
    rows = words.shown_rows(table, "meld")
    assert "before training" not in sections.similar_table(rows)
    with_some = [
        dataclasses.replace(
            row,
            similar=[dataclasses.replace(pair, silhouette_before=0.25) for pair in row.similar],
        )
        for row in rows
    ]
    assert "of the texts alone" in sections.similar_table(with_some)
    assert "none of variants that read no text" not in sections.similar_table(with_some)
    html = sections.similar_table([*with_some[1:], rows[0]])
    assert "none of variants that read no text" in html


def test_a_name_that_looks_like_a_number_in_figures_stays_text(table, tmp_path):
    name = "#<img src=x onerror=alert(1)>"
    rows = [
        dataclasses.replace(row, variant=name) if row.variant == "hot" else row
        for row in table.rows
    ]
    html = page_of(dataclasses.replace(table, rows=tuple(rows)), tmp_path)
    assert "<img src=x" not in html
    assert "in figures: #&lt;" not in html


def test_settings_of_corpora_that_differ_stand_in_a_table_each(table):
    settings = table.settings["meld"]
    alike = dataclasses.replace(table, settings={"meld": settings, "talk": settings})
    assert sections.settings(alike).count("<table") == 1
    there = {**settings, "hot": {"loss.temperature": 0.77, "loss.ce_weight": 0.1}}
    html = sections.settings(dataclasses.replace(table, settings={"meld": settings, "talk": there}))
    assert html.count("<table") == 2
    assert html.index("<h3>talk</h3>") < html.index("0.77")
    assert sections.settings(dataclasses.replace(table, settings={"meld": {"plain": {}}})) == ""


def test_many_answers_are_folded(table, tmp_path):
    many = dataclasses.replace(table, comparisons=table.comparisons * 4)
    html = page_of(many, tmp_path)
    unsure = [c for c in many.comparisons if c.measure == "weighted_f1" and not words.differs(c)]
    assert (
        f"<summary>{len(unsure)} comparisons in which no difference of recipes can be shown" in html
    )
    assert "that cannot be made" not in html


def test_comparisons_that_wait_for_runs_are_folded(table, tmp_path):
    (first, *_) = (each for each in table.comparisons if each.measure == "weighted_f1")
    sure = dataclasses.replace(first, p_holm=0.001, wide_p_holm=0.001)
    unsure = dataclasses.replace(first, p_holm=0.9)
    unmade = dataclasses.replace(
        first, difference=None, p_holm=None, note="no seed is complete on both sides"
    )

    def summaries(*comparisons):
        html = page_of(dataclasses.replace(table, comparisons=comparisons), tmp_path)
        head = html[: html.index("</header>")]
        return re.findall(r"<summary>(\d+ (?:more )?comparison.*?)</summary>", head)

    assert summaries(sure, unsure, *[unmade] * 7) == [
        "1 more comparison in which no difference of recipes can be shown",
        "7 more comparisons that cannot be made",
    ]
    assert summaries(unsure, *[unmade] * 8)[1] == "8 comparisons that cannot be made"
    assert not summaries(*[unmade] * 9)  # they are all that there is to tell


def test_what_makes_numbers_doubtful_stands_at_the_top(tmp_path):
    study, runs = make_study(
        VARIANTS,
        corpora=["meld"],
        seeds=[0],
        dialogues=1,
        settings={"compat.select_on_test": True},
        notes=("The encoder knew test.",),
        comparisons=(),
    )
    html = page_of(gather(study, runs), tmp_path)
    head = html[: html.index("</header>")]
    assert "chosen on the test split" in head
    assert "One seed: there is no deviation" in head
    assert "1 test dialogue: there is no interval" in head
    assert "The encoder knew test." in head
    assert "The study names no comparison" in head


@pytest.mark.slow
def test_rows_in_other_labels_have_figures_of_their_labels(table, tmp_path):
    other = dataclasses.replace(
        table.rows[-1],
        variant="in other labels",
        stage="",
        labels=table.rows[-1].labels[:3],
        similar=(),
        smallest_angle=50.0,
        cost=None,
    )
    html = page_of(dataclasses.replace(table, rows=(*table.rows, other)), tmp_path)
    assert html.count("<h3>F1 of each label</h3>") == 2
    assert html.count("<h3>Angles between anchors</h3>") == 2
    assert html.count("<h3>Similar emotions taken for each other</h3>") == 1


def test_nothing_is_complete(table, tmp_path):
    study, _ = make_study(VARIANTS, corpora=["meld"], seeds=[0])
    html = page_of(gather(study, [], missing=["meld/plain/0"]), tmp_path)
    assert "No run is complete." in html
    assert "cannot be compared: no seed is complete on both sides." in html


@pytest.mark.parametrize(("dialogues", "intervals"), [(5, False), (6, True)])
def test_intervals_are_spoken_of_where_there_are_some(dialogues, intervals, tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 100)
    study, runs = make_study(VARIANTS, corpora=["meld"], seeds=[0, 1], dialogues=dialogues)
    found = gather(study, runs)
    html = page_of(found, tmp_path)
    promises = ("interval over", "bar: its", "band: ", "; line: ", "An interval", "In colour")
    for text, some in (
        (html, promises),
        (markdown(found), promises[:1]),
        (latex(found), promises[:1]),
    ):
        assert {promise: promise in text for promise in some} == dict.fromkeys(some, intervals)
    assert ("5 test dialogues: there is no interval and no p-value" in html) != intervals


def test_what_there_is_no_score_of_has_a_dash_and_a_reason(tmp_path, monkeypatch):
    """Disgust and fear are neither annotated nor answered, so that no similar pair is whole."""
    monkeypatch.setattr(statistics, "DRAWS", 100)
    study, runs = make_study(VARIANTS, corpora=["meld"], seeds=[0, 1], dialogues=6)
    few = [dataclasses.replace(run, outputs=without_labels(run.outputs, (5, 6))) for run in runs]
    found = gather(dataclasses.replace(study, measures=("similar_pairs_f1", "macro_f1")), few)
    html = page_of(found, tmp_path)
    reason = "Similar pairs F1: there is none, as no pair has test utterances of both its labels."
    for text in (html, markdown(found), latex(found)):
        assert reason in text
    assert '<td class="number">–</td>' in html
    assert "Similar pairs F1 by" not in html  # there is nothing to draw
    assert "Macro F1 by variant" in html
    assert "A dash too: no test utterance has the first." in html
    assert "| hot | – | " in markdown(found)
    assert "A dash: no test utterance has the label, and none was answered it." in html
    assert "cannot be compared: no pair of similar labels has test utterances of both." in html
    rows = words.shown_rows(found, "meld")
    assert not words.best(rows, "similar_pairs_f1")
    (drawn,) = figures.draw_labels(LIGHT, rows, "f1").axes
    assert [text.get_text() for text in drawn.texts][5:7] == ["–", "–"]
    csv = rows_csv(found).splitlines()
    assert (
        dict(zip(csv[0].split(","), csv[1].split(","), strict=False))["test_f1_mean of fear"] == ""
    )
    # Where some draws lack a label of a pair there is no interval, and no p-value.
    some = gather(dataclasses.replace(study, measures=("similar_pairs_f1",)), runs)
    assert re.search(
        r"There is no interval of it: in \d+\.\d% of the draws of test", page_of(some, tmp_path)
    )
    assert "cannot be stated: in " in page_of(some, tmp_path)


def without_labels(outputs, labels):
    """Outputs in which neutral stands for some labels, as annotated and as answered."""

    def split(of):
        def kept(values):
            return np.where(np.isin(values, labels), 0, values)

        answers = {stage: kept(each) for stage, each in of.answers.items()}
        return dataclasses.replace(of, gold=kept(of.gold), answers=answers)

    splits = {name: split(of) for name, of in outputs.splits.items()}
    return dataclasses.replace(outputs, splits=splits)
