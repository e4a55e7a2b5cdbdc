"""The report's section of features beside the text."""

import re
from pathlib import Path
from typing import Any

import pytest

from eacl_jax.reports import drawing, modalities, write_report
from eacl_jax.reports.theme import LIGHT
from tests.reports.conftest import LABELS, make_run
from tests.reports.test_page import Reader


def removed(scores: dict[str, Any], points: float) -> dict[str, Any]:
    less = {**scores, "weighted_f1": scores["weighted_f1"] - points}
    return {
        "dev": less,
        "test": less,
        "changed": {"dev": 9, "test": 12},
        "better": {"dev": 2, "test": 3},
        "worse": {"dev": 4, "test": 6},
    }


def with_features(fusion: str, names: tuple[str, ...] = ("voice",)) -> dict[str, Any]:
    run = make_run()
    scores = run["results"]["stage_two"]["test"]
    weights = dict.fromkeys(LABELS, 0.5) | {LABELS[3]: None}
    each = {
        name: {
            "utterances": {"train": 99, "dev": 50, "test": 102},
            "width": 2,
            "columns": ["mean <pitch>", "rate"] if name == "voice" else [],
            "mean": [-52.25, 0.5] if name == "voice" else [],
            "deviation": [7.25, 1.0] if name == "voice" else [],
            "weights": weights if fusion == "gated" else None,
            "without": removed(scores, 4.0),
        }
        for name in names
    }
    run["results"]["modalities"] = {
        "fusion": fusion,
        "text": True,
        "utterances": {"train": 100, "dev": 100, "test": 102},
        "each": each,
        "text_alone": removed(scores, 5.0),
    }
    return run


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "render", lambda draw, theme: b"")


@pytest.mark.usefixtures("without_figures")
def test_it_says_what_is_lost_without(tmp_path: Path) -> None:
    run = with_features("gated")
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    reader = Reader(html)
    whole = run["results"]["stage_two"]["test"]["weighted_f1"]
    assert f"Test weighted F1 {whole:.2f} with all features, {whole - 5:.2f} by the" in reader.text
    assert "Then 12 answers change: 6 from right to wrong" in reader.text
    # One modality is all of them: there is no other row.
    assert "without voice" not in reader.text
    assert reader.row("text alone, test")[1:3] == [f"{whole - 5:.2f}", "−5.00"]
    assert reader.row("voice")[1:] == ["991% missing", "5050% missing", "102none missing"]
    assert reader.row("mean <pitch>")[1:] == ["−52.25", "7.25"]
    assert "<pitch>" not in html
    assert 'id="modality_weights"' in html


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (12, "Then 12 answers change: 0 from right to wrong, 0 from wrong to right."),
        (1, "Then 1 answer changes: 0 from right"),
        (0, "Then no answer changes."),
    ],
)
def test_answers_that_turn_from_wrong_to_wrong_are_told(
    tmp_path: Path, changed: int, said: str
) -> None:
    run = with_features("gated")
    nothing = {"dev": 0, "test": 0}
    least = run["results"]["modalities"]["text_alone"]
    least |= {"changed": {"dev": 0, "test": changed}, "better": nothing, "worse": nothing}
    assert said in Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text


@pytest.mark.usefixtures("without_figures")
def test_each_of_several_is_left_out(tmp_path: Path) -> None:
    text = Reader(write_report(tmp_path, **with_features("gated", ("face", "voice"))).read_text())
    assert text.row("without face, dev")[2] == "−4.00"
    assert text.row("text alone, dev")[2] == "−5.00"
    assert "each number: “face” (2 numbers)" in text.text


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("fusion", "why"), [("words", "words in a prompt"), ("concat", "this fusion has no number")]
)
def test_no_weights_where_there_are_none(tmp_path: Path, fusion: str, why: str) -> None:
    html = write_report(tmp_path, **with_features(fusion)).read_text(encoding="utf-8")
    assert 'id="modality_weights"' not in html
    assert f"No weights by label: {why}" in html


@pytest.mark.usefixtures("without_figures")
def test_features_alone_say_so(tmp_path: Path) -> None:
    run = with_features("gated")
    run["results"]["modalities"] |= {"text": False, "text_alone": None}
    run["results"]["modalities"]["each"]["voice"]["without"] = None
    text = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8")).text
    assert "Here features answer alone: the text is not read." in text
    assert "added to the text" not in text
    assert not re.search(r"\b(nan|None)\b", text)


@pytest.mark.usefixtures("without_figures")
def test_a_run_without_features_has_no_such_section(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    old = tmp_path / "figures" / f"{modalities.FIGURE}.png"
    old.write_bytes(b"of an earlier run")
    html = write_report(tmp_path, **make_run()).read_text(encoding="utf-8")
    assert "standardized" not in html
    assert not old.exists()


def test_the_figure_has_a_mark_for_each_known_weight() -> None:
    weights = {"voice": [0.2, None, 1.0], "_face": [0.0, 0.5, 0.9]}
    with drawing.styled(LIGHT):
        figure = modalities.draw_weights(LIGHT, weights, ["a", "b", "c"], "gates")
    (axes,) = figure.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.2, 1.0], [0.0, 0.5, 0.9]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["voice", "face"]
    assert drawing.render(
        lambda theme: modalities.draw_weights(theme, {"v": [None]}, ["a"], "gates"), LIGHT
    ).startswith(b"\x89PNG")
