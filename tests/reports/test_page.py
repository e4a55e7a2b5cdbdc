"""The page as its reader gets it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from eacl_jax.config import Config
from eacl_jax.reports import drawing, page, sections, write_report
from eacl_jax.reports.projection import project
from tests.reports.conftest import make_run

VOID = {"meta", "img", "br", "source"}


class Reader(HTMLParser):
    """Collects a page's text, table rows and attributes, and refuses tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, head: str) -> list[str]:
        (found,) = [row for row in self.rows if row and row[0].startswith(head)]
        return found


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words: figures cost most of a report's time."""
    monkeypatch.setattr(drawing, "render", lambda draw, theme: b"")


def test_page_stands_alone(report: tuple[Path, dict[str, Any]]) -> None:
    html = report[0].read_text(encoding="utf-8")
    reader = Reader(html)
    assert not reader.tags & {"script", "link", "iframe", "object"}
    assert "@import" not in html
    assert "url(" not in html
    sources = [value for _, name, value in reader.attributes if name in ("src", "srcset", "href")]
    assert len(sources) == 2 * len(page.FIGURES)
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert sorted(ids) == sorted(page.FIGURES)
    assert all(value for tag, name, value in reader.attributes if tag == "img" and name == "alt")


def test_figures_lie_beside_the_page(report: tuple[Path, dict[str, Any]]) -> None:
    files = sorted(report[0].parent.joinpath("figures").iterdir())
    assert [file.stem for file in files] == sorted(page.FIGURES)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_labels_are_text_not_markup(report: tuple[Path, dict[str, Any]]) -> None:
    html = report[0].read_text(encoding="utf-8")
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html
    rows = Reader(html)
    assert rows.row("<b>&")[1] == "12"
    assert "in figures: #5" in rows.row("喜")[0]


def test_headline_and_class_table_show_the_results(report: tuple[Path, dict[str, Any]]) -> None:
    run = report[1]
    reader = Reader(report[0].read_text(encoding="utf-8"))
    one, two = (run["results"][stage]["test"] for stage in ("stage_one", "stage_two"))
    always = 100 * f1_score(
        run["gold"], np.zeros_like(run["gold"]), average="weighted", zero_division=0
    )
    assert two["weighted_f1"] > one["weighted_f1"]
    assert f"Test weighted F1 {two['weighted_f1']:.2f} of 100" in reader.text
    for expected in (one["weighted_f1"], always):
        assert f"{expected:.2f}" in reader.text.split("Epochs were chosen")[0]
    assert "Always “glad & gay”" in reader.text
    assert "stage one epoch 2 of 8; stage two epoch 1 of 10" in reader.text
    assert "the test split was scored once" in reader.text
    assert "Warning" not in reader.text
    f1 = [values["per_class_f1"]["_calm"] for values in (one, two)]
    difference = round(f1[1], 2) - round(f1[0], 2)
    assert reader.row("_calm")[1:] == [
        "20",
        f"{f1[0]:.2f}",
        f"{f1[1]:.2f}",
        f"{difference:+.2f}".replace("-", "−"),
    ]


def test_epochs_are_not_counted_where_steps_ended_them() -> None:
    config = {"stage_one": {"epochs": 8, "max_steps": 30}, "stage_two": {"epochs": 10}}
    results = {"stage_one": {"best_epoch": 1}, "stage_two": {"best_epoch": 2}}
    text = sections._choice(config, results, "weighted F1")
    assert "Chosen: stage one epoch 1; stage two epoch 2 of 10." in text


def test_most_frequent_mistake_is_read_from_gold_to_answer(
    report: tuple[Path, dict[str, Any]],
) -> None:
    run = report[1]
    counts = confusion_matrix(
        run["gold"], run["predictions"]["stage_two"], labels=range(len(run["labels"]))
    )
    np.fill_diagonal(counts, 0)
    gold, answer = np.unravel_index(counts.argmax(), counts.shape)
    words = f"“{run['labels'][gold]}” answered as “{run['labels'][answer]}”, {counts.max()} time"
    assert words in Reader(report[0].read_text(encoding="utf-8")).text


@pytest.mark.usefixtures("without_figures")
def test_label_that_test_lacks_has_dashes(run: dict[str, Any], tmp_path: Path) -> None:
    for answers in run["predictions"].values():
        answers[answers == 5] = 0
    reader = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8"))
    assert reader.row("an_awfully_long_label_of_one")[1:] == ["0", "–", "–", "–"]
    assert "no test utterance has this label" in reader.text
    assert not re.search(r"\bnan\b", reader.text, re.IGNORECASE)


@pytest.mark.usefixtures("without_figures")
def test_label_that_is_answered_and_not_there_counts_0(run: dict[str, Any], tmp_path: Path) -> None:
    run["predictions"]["stage_one"][:] = 0
    run["predictions"]["stage_two"][:3] = 5
    reader = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8"))
    times = int((run["predictions"]["stage_two"] == 5).sum())
    shown = f"0.00answered {times} times"
    assert reader.row("an_awfully_long_label_of_one")[1:] == ["0", "–", shown, "–"]
    assert "annotated or answered; one only answered counts 0" in reader.text


@pytest.mark.usefixtures("without_figures")
def test_many_labels_have_the_whole_width(tmp_path: Path) -> None:
    run = make_run(tuple(f"label {number}" for number in range(28)), (5,) * 28)
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    assert '<h2>Label by label</h2><div class="alone">' in html
    least = [int(each) for each in re.findall(r"min-width:(\d+)px", html)]
    assert min(least) > 900  # 28 columns that a phone scrolls through


@pytest.mark.usefixtures("without_figures")
def test_captions_lie_outside_of_what_scrolls(run: dict[str, Any], tmp_path: Path) -> None:
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    assert "<caption>" not in html.split("<h2>Settings</h2>")[0]
    assert '<p class="caption">F1 on test by label, in percent</p><div class="scroll">' in html


@pytest.mark.usefixtures("without_figures")
def test_sentences_are_whole_whatever_labels_hold(run: dict[str, Any], tmp_path: Path) -> None:
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    assert "Always “<bdi>glad &amp; gay</bdi>”" in html
    assert "Faint: each logged step" in html
    assert "the total may lie below the other terms" in html
    captions = re.findall("<caption>(.*?)</caption>", html)
    assert all(caption.endswith((".</span>", "general")) for caption in captions)


@pytest.mark.usefixtures("without_figures")
def test_one_of_something_is_no_plural(tmp_path: Path) -> None:
    text = Reader(write_report(tmp_path, **make_run(("only",), (1,))).read_text("utf-8")).text
    assert "1 test utterance, 1 label" in text
    assert "1 labels" not in text


@pytest.mark.slow
def test_same_run_gives_the_same_bytes_whatever_matplotlib_is_set_to(
    report: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "axes.linewidth", 31.0)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20.0)
    again = write_report(tmp_path / "another folder", **report[1])
    assert again.read_bytes() == report[0].read_bytes()
    assert matplotlib.rcParams["axes.linewidth"] == 31.0


def test_a_part_of_a_corpus_is_told_at_the_head(run: dict[str, Any]) -> None:
    given = [run[name] for name in ("config", "corpus", "results", "labels", "gold")]
    assert "dialogues of each split" not in sections.headline(*given)
    run["config"]["data"]["max_dialogues"] = 7
    assert "at most the first 7 dialogues of each split" in sections.headline(*given)


@pytest.mark.usefixtures("without_figures")
def test_choosing_on_test_is_a_warning(run: dict[str, Any], tmp_path: Path) -> None:
    run["config"]["compat"].update(select_on_test=True, trailing_space=True)
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "Warning: the epoch was chosen on the test split." in text
    assert "scored once" not in text
    assert "departs from the paper: compat.trailing_space" in text


@pytest.mark.usefixtures("without_figures")
def test_what_one_answer_would_give_and_epoch_0_are_told(
    run: dict[str, Any], tmp_path: Path
) -> None:
    run["results"]["always_most_frequent"] = {"label": "_calm", "test": {"weighted_f1": 12.34}}
    run["results"]["stage_two"]["best_epoch"] = 0
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "Always “_calm”12.34" in text
    assert "epoch 0, the anchors as stage one left them" in text


@pytest.mark.usefixtures("without_figures")
def test_a_mean_of_epochs_is_told(run: dict[str, Any], tmp_path: Path) -> None:
    def told(html: str) -> tuple[str, list[str]]:
        reader = Reader(html)
        alts = [value for _, name, value in reader.attributes if name == "alt"]
        return reader.text, [alt for alt in alts if alt.startswith("Dev weighted F1")]

    text, alts = told(write_report(tmp_path, **run).read_text(encoding="utf-8"))
    assert "The ring is the epoch that was kept. Epoch 0" in text
    assert set(alts) == {"Dev weighted F1 by epoch of both stages, the chosen epochs ringed."}
    run["results"]["stage_one"]["mean_of"] = [2, 5]
    run["results"]["stage_one"]["dev"] = {"weighted_f1": 52.5}
    text, alts = told(write_report(tmp_path, **run).read_text(encoding="utf-8"))
    assert "stage one the mean of the weights of epochs 2, 5;" in text
    mean = "mean of the weights of epochs 2, 5"
    assert f"kept of stage two; of stage one the {mean} was kept, whose score is the" in text
    (alt,) = set(alts)
    assert f"of stage two ringed, stage one’s {mean} a dashed line at 52.50." in alt


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("steps", "terms", "ce_weight", "caption"),
    [
        (
            60,
            ("ce", "contrastive", "angle"),
            0.1,
            "the total. Its terms, before weighting: contrastive, cross-entropy. Faint: each",
        ),
        (
            40,
            ("ce", "contrastive", "divergence", "<own"),
            0.1,
            "the total. Its terms, before weighting: contrastive, cross-entropy, divergence"
            " (R-Drop), <own. Median",
        ),
        (40, (), 1.0, "the classifier’s cross-entropy. Median"),
        (
            40,
            ("divergence", "adversarial"),
            1.0,
            "the classifier’s cross-entropy, with what is added to it. Added to it, before"
            " weighting: divergence (R-Drop). “embeddings moved (FGM)”: the same total where",
        ),
    ],
)
def test_the_caption_of_the_losses_is_of_what_is_drawn(
    run: dict[str, Any],
    tmp_path: Path,
    steps: int,
    terms: tuple[str, ...],
    ce_weight: float,
    caption: str,
) -> None:
    run["config"]["loss"]["ce_weight"] = ce_weight
    numbers = {"loss": 3.0, "examples_per_second": 9.0, **dict.fromkeys(terms, 1.0)}
    run["history"] = [{"stage": 1, "step": step, **numbers} for step in range(steps)]
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert f"What training makes smaller: {caption}" in text
    assert ("Faint" in text) == (steps >= 50)


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("kept", "dev", "words"),
    [
        (True, 41.5, []),
        (True, 33.25, ["not answered better with it (33.25, and 40.00 without): it was kept all"]),
        (False, 33.25, ["not answered better with it, so the model does without"]),
    ],
)
def test_what_a_chain_does_to_dev_is_told(
    run: dict[str, Any], tmp_path: Path, kept: bool, dev: float, words: list[str]
) -> None:
    scores = {"alone": 40.0, "whole": dev, "so_far": 30.0}
    found = {
        how: {split: {"weighted_f1": score} for split in ("dev", "test")}
        for how, score in scores.items()
    }
    run["results"]["sequence"] = {"kept": kept, **found}
    if kept:
        run["results"]["stage_two"]["dev"] = {"weighted_f1": dev}
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert text.count("not answered better") == len(words)
    assert all(each in text for each in words)
    caption = f"each utterance alone: with the chain, stage two’s chosen epoch has {dev:.2f}."
    assert (caption in text) == kept


@pytest.mark.usefixtures("without_figures")
def test_calibration_is_told_where_it_was_measured(run: dict[str, Any], tmp_path: Path) -> None:
    assert (
        "calibration" not in Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    )
    run["results"]["stage_two"]["calibration"] = {
        "temperature": 1.5,
        "expected_calibration_error": {"dev": 7.0, "test": 5.62},
        "expected_calibration_error_uncalibrated": {"dev": 13.0, "test": 11.65},
    }
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert (
        "differ by 5.62 points (expected calibration error, 15 bins; 11.65 before scores were"
        " divided by 1.50" in text
    )
    assert "share of train" not in text
    run["results"]["stage_one"]["calibration"] = {"prior": 0.2}
    run["results"]["stage_two"]["calibration"]["prior"] = 0.0
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert (
        "added a times the log of its share of train (evaluation.prior), a being 0.20 in stage"
        " one and 0.00 in stage two, chosen on dev." in text
    )


@pytest.mark.usefixtures("without_figures")
def test_micro_f1_leads_where_the_run_is_judged_by_it(run: dict[str, Any], tmp_path: Path) -> None:
    run["config"]["evaluation"] = {"primary": "micro_f1", "excluded_label": "_calm"}
    for stage, value in (("stage_one", 41.0), ("stage_two", 40.5)):
        run["results"][stage]["test"]["micro_f1"] = value
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "Test micro F1 without _calm 40.50 of 100: 0.50 below stage one." in text
    assert "by dev micro F1 without _calm;" in text
    assert "Micro F1 without “_calm” is that of all other labels together" in text
    assert "Always" not in text  # Weighted F1's baseline is no measure of micro F1.


@pytest.mark.usefixtures("without_figures")
def test_settings_mark_what_differs_from_the_defaults(run: dict[str, Any], tmp_path: Path) -> None:
    run["config"] = json.loads(
        json.dumps(Config().to_dict())
    )  # Tuples become lists: no difference.
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "0 differ from the defaults" in text
    run["config"]["loss"]["temperature"] = 0.25
    run["config"]["data"]["labels"] = ["<i>"]
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    assert "2 differ from the defaults" in html
    assert html.count('<tr class="changed">') == 2
    assert Reader(html).row("temperature")[1] == "0.25 (default: 0.1)"


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_utterances_and_no_history(run: dict[str, Any], tmp_path: Path, count: int) -> None:
    stale = tmp_path / "figures" / "losses.png"
    stale.parent.mkdir()
    stale.write_bytes(b"from an earlier run")
    run.update(gold=run["gold"][:count], representations=run["representations"][:count], history=[])
    run["predictions"] = dict.fromkeys(run["predictions"], run["predictions"]["stage_one"][:count])
    run["anchors"] = dict.fromkeys(run["anchors"], run["anchors"]["stage_one"])
    run["results"] = {"stage_one": {}, "stage_two": {}}
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "Stage two left the anchors where they were." in text
    assert "The run kept no history." in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert not stale.exists()
    assert (tmp_path / "figures" / "map.png").exists() == (count > 0)


@pytest.mark.usefixtures("without_figures")
def test_diverged_run_is_still_reported(run: dict[str, Any], tmp_path: Path) -> None:
    run["anchors"]["stage_two"] = np.full_like(run["anchors"]["stage_two"], np.nan)
    run["history"] = [{"stage": 1, "step": 1, "loss": float("nan")}, {"stage": 1, "epoch": 1}]
    run["results"]["stage_two"]["test"]["weighted_f1"] = float("nan")
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "the run diverged" in text
    assert "Test weighted F1 – of 100" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_words_about_mistakes_and_anchors() -> None:
    counts = np.array([[5, 1, 0], [4, 4, 0], [1, 0, 0]])
    assert (
        sections.mistakes(counts, ["a", "<", "c"])
        == "The most frequent mistake: “<bdi>&lt;</bdi>” answered as “<bdi>a</bdi>”, 4 times (50% of “<bdi>&lt;</bdi>”). Never"
        " answered: “<bdi>c</bdi>”."
    )
    before, after = np.eye(3), np.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 2]])
    cosines = np.array([[1, 0.7071068, 0], [0.7071068, 1, 0], [0, 0, 1]])
    assert (
        sections.closest(cosines, ["a", "b", "c"])
        == "Closest: “<bdi>a</bdi>” and “<bdi>b</bdi>”, cosine 0.71, 45° apart."
    )
    assert sections.turned(before, after, ["a", "b", "c"]).endswith(
        "by 15.0° on average, most of all “<bdi>b</bdi>”: 45.0°."
    )


def test_map_of_separate_groups_keeps_each_anchor_in_its_group() -> None:
    rng = np.random.default_rng(0)
    centres, gold = np.eye(4, 12) * 3, np.repeat(np.arange(4), 30)
    places = project(centres[gold] + 0.1 * rng.normal(size=(120, 12)), centres + 0.1, centres)
    assert places is not None
    assert places.method == "t-SNE"
    distances = np.linalg.norm(places.points[:, None] - places.after, axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), gold)
    assert np.linalg.norm(places.before - places.after, axis=1).max() < 0.2 * np.ptp(places.points)


@pytest.mark.slow
def test_map_of_many_draws_some_and_of_equal_vectors_stays_finite() -> None:
    rng = np.random.default_rng(0)
    many = project(rng.normal(size=(1700, 3)), np.eye(3), np.eye(3))
    assert many is not None
    assert len(many.rows) == len(many.points) == 1500
    assert len(set(many.rows)) == 1500
    equal = project(np.ones((20, 1)), np.ones((2, 1)), np.ones((2, 1)))
    assert equal is not None
    assert all(np.isfinite(v).all() for v in (equal.points, equal.before, equal.after))
    assert project(np.full((20, 3), np.nan), np.eye(3), np.eye(3)) is None


@pytest.mark.usefixtures("without_figures")
def test_several_anchors_a_label_are_compared_by_the_nearest(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchors = np.repeat(np.eye(7, 16), 2, axis=0)  # two a label
    anchors[5], anchors[1] = [1, 0, 0.1] + [0] * 13, -anchors[0]  # of label 2 near label 0
    run["anchors"] = {"stage_one": np.eye(14, 16), "stage_two": anchors}
    drawn: dict[str, np.ndarray] = {}

    def keep(draw: Any, theme: Any) -> bytes:
        draw(theme)
        return b""

    def draw_map(theme: Any, places: Any, *_: Any) -> None:
        drawn["map"] = places.after

    def draw_cosines(theme: Any, matrix: np.ndarray, names: Any) -> None:
        drawn["cosines"] = matrix

    monkeypatch.setattr(drawing, "render", keep)
    for name, draw in {"draw_map": draw_map, "draw_cosines": draw_cosines}.items():
        monkeypatch.setattr(page.figures, name, draw)
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert drawn["map"].shape == (14, 2)
    assert drawn["cosines"][0, 2] == pytest.approx(1 / np.sqrt(1.01))
    np.testing.assert_allclose(np.diag(drawn["cosines"]), 1)
    assert "A label has 2 anchors: a number is of the two" in text
    assert "the 2 anchors of each label that an utterance is compared with" in text
    assert "Closest: “glad & gay” and “$\\x$”, cosine 1.00, 6° apart." in text


def test_of_several_anchors_the_label_that_turned_most_is_named() -> None:
    before = np.eye(4)
    after = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])
    assert sections.turned(before, after, ["a", "b"]).endswith(
        "most of all one of “<bdi>b</bdi>”: 45.0°."
    )


@pytest.mark.usefixtures("without_figures")
def test_a_classifiers_axes_are_no_anchors(run: dict[str, Any], tmp_path: Path) -> None:
    run["config"]["loss"]["ce_weight"] = 1.0
    run["results"]["stage_two"]["best_epoch"] = 0
    run["results"]["stage_two"]["calibration"] = {
        "temperature": 1.5,
        "expected_calibration_error": {"dev": 7.0, "test": 5.62},
        "expected_calibration_error_uncalibrated": {"dev": 13.0, "test": 11.65},
    }
    for stage in ("stage_one", "stage_two"):
        run["anchors"][stage] = np.eye(7, 16)
    run["history"] = [{k: v for k, v in row.items() if k != "angle"} for row in run["history"]]
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    text = Reader(html).text.partition("All 1")[0]
    assert "it is not that of a softmax of the logits" in text
    assert 'id="anchors_stage' not in html
    assert "Stage two left the axes where they were." in text
    assert "it has no anchors" in text
    assert text.partition("Settings")[0].count("anchor") == 1
    run["results"]["stage_two"]["test"]["jaccard"] = 50.0
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "softmax" not in text  # several labels: the size of logits counts
