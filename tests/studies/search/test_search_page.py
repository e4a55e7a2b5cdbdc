"""The search's section of a study's page."""

import io
import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from eacl_jax.reports import drawing
from eacl_jax.reports.theme import LIGHT
from eacl_jax.studies.gather import gather
from eacl_jax.studies.page import write_page
from eacl_jax.studies.search import figures, trials
from eacl_jax.studies.search.page import search_section
from eacl_jax.studies.search.runner import run_search
from eacl_jax.studies.search.trials import Trial, TrialState
from tests.stubs.searches import SearchTrain, make_search
from tests.stubs.study import make_study


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search and its trials, the last of which failed."""
    search = make_search()
    found = run_search(
        search,
        tmp_path_factory.mktemp("searched") / "search",
        train=SearchTrain(steps=3),
        load=lambda _: None,
        console=Console(file=io.StringIO()),
    )
    failed = Trial(16, found[1].settings, state=TrialState.FAILED, reason="a <bad> loss")
    return search, (*found, failed)


def every_figure(search, found):
    return [
        figures.draw_trials(LIGHT, found, search.measure_words),
        figures.draw_importance(LIGHT, {"loss.temperature": 0.7, "loss.form": 0.3}),
        *(figures.draw_setting(LIGHT, found, each, search.measure_words) for each in search.space),
    ]


@pytest.mark.slow
def test_nothing_in_a_figure_runs_out_of_it(searched):
    with drawing.styled(LIGHT):
        for figure in every_figure(*searched):
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            (axes,) = figure.axes
            texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
            ends = sorted(axes.get_xlim())
            texts = [
                t for t in texts if not t.get_text() or ends[0] <= t.get_position()[0] <= ends[1]
            ]
            keys = [t for legend in figure.legends for t in legend.get_texts()]
            for text in [*texts, *keys, axes.xaxis.label, axes.yaxis.label]:
                if text.get_text():
                    box = text.get_window_extent(canvas.get_renderer())
                    assert min(box.x0, box.y0) >= 0, text
                    assert box.x1 <= figure.bbox.x1 + 1, text
                    assert "$" not in text.get_text()


def test_every_trial_with_a_score_is_marked_once(searched):
    search, found = searched
    with drawing.styled(LIGHT):
        for figure in (
            figures.draw_trials(LIGHT, found, search.measure_words),
            *every_figure(search, found)[2:],
        ):
            marks = [line for line in figure.axes[0].lines if line.get_marker() not in ("", "None")]
            scores = [float(y) for line in marks for y in line.get_ydata()]
            assert sorted(scores) == sorted(t.score for t in found if t.state != "failed")
            best = marks[-1]
            assert list(best.get_ydata()) == [trials.best(found).value]


def test_the_line_is_the_best_so_far(searched):
    search, found = searched
    with drawing.styled(LIGHT):
        line = figures.draw_trials(LIGHT, found, search.measure_words).axes[0].lines[0]
    assert list(line.get_ydata()) == sorted(line.get_ydata())
    assert line.get_xdata()[-1] == 16
    assert line.get_ydata()[-1] == trials.best(found).value


def test_the_page_has_the_search(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "render", lambda draw, theme: bytes(draw(theme) is None))
    search, found = searched
    study, runs = make_study({"base": (1.0, {}), "b": (1.1, {})}, corpora=["meld"], dialogues=20)
    page = write_page(
        tmp_path,
        gather(study, runs),
        lambda gallery: search_section(gallery, search, found, {"loss.form": 1.0}),
    ).read_text(encoding="utf-8")
    section = page[page.index("<h2>The search") :]
    assert "17 trials (" in section
    assert "1 failed)" in section
    assert "failed: a &lt;bad&gt; loss" in section
    assert "compared by weighted F1 on dev" in section
    assert section.count("<tr>") >= 17 + len(search.space)
    ids = re.findall(r'<figure id="(search[^"]+)"', section)
    assert len(ids) == 2 + len(search.space)
    assert {f"{each}.png" for each in ids} <= {f.name for f in (tmp_path / "figures").iterdir()}
    for each in search.space:
        assert f"<code>{each.setting}</code></th><td" in section
