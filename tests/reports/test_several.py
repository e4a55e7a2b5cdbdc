"""The page of a run whose utterances may have several labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eacl_jax.config import Config
from eacl_jax.model.metrics import co_occurrence
from eacl_jax.model.task import SeveralLabels
from eacl_jax.reports import drawing, page, write_report
from eacl_jax.reports.several import Several, reliability
from tests.reports.test_page import Reader

LABELS = ("glad & gay", "<b>&", "calm", "never")


def make_run() -> dict[str, Any]:
    """Keyword arguments of `write_report`: utterances near the sum of their labels' centres."""
    rng = np.random.default_rng(0)
    gold = rng.random((80, 4)) < [0.2, 0.5, 0.3, 0.1]
    gold[0] = [True, False, False, True]
    centres = rng.normal(size=(4, 8))
    representations = gold @ centres + rng.normal(size=(80, 8))
    task = SeveralLabels(LABELS, {"mood": ("good", "good", "calm", "calm")})
    predictions, results = {}, {"corpus": "toy", "seed": 1}
    for number, stage in enumerate(("stage_one", "stage_two")):
        scores = representations @ centres.T - 3
        scores += (1 - number) * rng.normal(size=scores.shape)
        predictions[stage] = scores > 0
        predictions[stage][:, 3] = False
        measured = task.measure(gold, predictions[stage], scores)
        results[stage] = {"best_epoch": 1, "dev": measured, "test": measured}
    annotators: dict[str, Any] = {
        "agreement": {
            "test": {
                "utterances": 50,
                "annotators": [2, 3],
                "alpha": 0.41,
                "pairwise": 0.5,
                "by_label": {LABELS[0]: 0.63, LABELS[1]: None},
            }
        }
    }
    for stage in ("stage_one", "stage_two"):
        strata = {
            name: {"utterances": count, "scores": {"macro_f1": 12.5, "jaccard": 33.25}}
            for name, count in (("agreed", 30), ("differed", 20))
        }
        annotators[stage] = {"test": strata | {"divergence": 0.75}}
    return {
        "config": Config().to_dict(),
        "corpus": "toy",
        "labels": LABELS,
        "results": results | {"annotators": annotators},
        "history": [],
        "gold": gold,
        "predictions": predictions,
        "representations": representations,
        "anchors": {"stage_one": centres + 0.1, "stage_two": centres},
        "probabilities": 1 / (1 + np.exp(-scores)),
        "thresholds": (0.5, 0.25, 0.5, 0.125),
    }


@pytest.mark.slow
def test_the_page_tells_several_labels(tmp_path: Path) -> None:
    run = make_run()
    html = write_report(tmp_path, **run).read_text(encoding="utf-8")
    reader = Reader(html)
    ids = {value for _, name, value in reader.attributes if name == "id"}
    assert {*page.OF_SEVERAL} < ids
    assert "confusion" not in ids
    assert "of which an utterance may have several or none" in reader.text
    gold, answers = run["gold"], run["predictions"]["stage_two"]
    row = reader.row(LABELS[1])
    right = (gold & answers).sum(axis=0)
    f1 = run["results"]["stage_two"]["test"]["per_class_f1"][LABELS[1]]
    assert row[1:5] == [
        str(gold[:, 1].sum()),
        str(answers[:, 1].sum()),
        f"{100 * right[1] / answers[:, 1].sum():.1f}",
        f"{100 * right[1] / gold[:, 1].sum():.1f}",
    ]
    assert (row[6], row[8], row[9]) == (f"{f1:.2f}", "0.25", "–")
    assert reader.row(LABELS[0])[9] == "0.63"
    assert "Never answered: “never”." in reader.text
    sizes = np.bincount(np.minimum(gold.sum(axis=1), 3), minlength=4)
    assert [cell.split()[0] for cell in reader.row("annotated")[1:]] == list(map(str, sizes))
    level = run["results"]["stage_two"]["test"]["levels"]["mood"]
    assert reader.row("mood, stage two")[1] == f"{level['weighted_f1']:.2f}"
    assert ["test", "50", "2–3", "0.41", "50%"] in reader.rows
    assert reader.row("they differed (20), stage two")[1:] == ["12.50", "33.25"]
    assert "is 0.75 nats" in reader.text


def test_label_that_is_answered_and_not_there_counts_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "render", lambda draw, theme: b"")
    run = make_run()
    run["gold"][:, 3] = False
    run["predictions"]["stage_two"][:2, 3] = True
    for stage in ("stage_one", "stage_two"):
        run["results"][stage]["test"]["per_class_f1"]["never"] = 0.0
    reader = Reader(write_report(tmp_path, **run).read_text(encoding="utf-8"))
    assert reader.row("never")[1:7] == ["0", "2", "0.0", "–", "–", "0.00"]


@pytest.mark.parametrize("count", [0, 1])
def test_few_utterances(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "render", lambda draw, theme: b"")
    run = make_run()
    for name in ("gold", "representations", "probabilities"):
        run[name] = run[name][:count]
    run["predictions"] = {name: found[:count] for name, found in run["predictions"].items()}
    Reader(write_report(tmp_path, **run).read_text(encoding="utf-8"))


def test_co_occurrence_is_that_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    drawn = []
    monkeypatch.setattr(
        "eacl_jax.reports.several.draw_co_occurrence", lambda *given: drawn.append(given)
    )
    gold, answers = run["gold"], run["predictions"]["stage_two"]

    class Shown:
        def show(self, name: str, draw: Any, **_: Any) -> str:
            if name == "co_occurrence":
                draw(None)
            return ""

    order = np.argsort(-gold.sum(axis=0), kind="stable")
    given = (run["probabilities"], run["thresholds"], run["predictions"]["stage_one"])
    of = Several(LABELS, LABELS, order, gold, answers, *given)
    of.section(Shown(), run["results"])  # type: ignore[arg-type]
    ((_, counts, support, names),) = drawn
    np.testing.assert_array_equal(counts, co_occurrence(gold, answers)[np.ix_(order, order)])
    np.testing.assert_array_equal(support, gold.sum(axis=0)[order])
    assert names == [LABELS[i] for i in order]
    groups = of.groups()
    assert groups[0] == 4
    alone = np.flatnonzero(gold.sum(axis=1) == 1)
    assert all(gold[i, groups[i]] for i in alone)


def test_probabilities_are_counted_in_bins() -> None:
    found = reliability(np.array([[0.05, 1.0], [0.07, 0.95]]), np.array([[0, 1], [1, 1]], bool))
    assert [each[1:] for each in found] == [(0.5, 2), (1.0, 2)]
    assert [each[0] for each in found] == pytest.approx([0.06, 0.975])
