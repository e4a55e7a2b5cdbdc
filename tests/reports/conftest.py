"""A small run with everything a report can show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from eacl_jax.config import Config
from eacl_jax.reports import write_report

# Markup, what matplotlib would take for (faulty) mathematics or leave out of a legend, a character
# its font lacks, long twins.
LABELS = (
    "glad & gay",
    "<b>&",
    "$\\x$",
    "_calm",
    "喜",
    "an_awfully_long_label_of_one",
    "an_awfully_long_label_of_two",
)
SUPPORT = (30, 12, 9, 20, 6, 0, 25)


def measures(gold: np.ndarray, answers: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    scores = 100 * f1_score(gold, answers, labels=range(len(labels)), average=None, zero_division=0)
    return {
        "weighted_f1": 100 * float(f1_score(gold, answers, average="weighted", zero_division=0)),
        "accuracy": 100 * float(accuracy_score(gold, answers)),
        "macro_f1": float(scores.mean()),
        "per_class_f1": dict(zip(labels, map(float, scores), strict=True)),
    }


def make_run(
    labels: tuple[str, ...] = LABELS, support: tuple[int, ...] = SUPPORT, seed: int = 0
) -> dict[str, Any]:
    """Keyword arguments of `write_report` for utterances scattered about one centre a label."""
    rng = np.random.default_rng(seed)
    gold = rng.permutation(np.repeat(np.arange(len(labels)), support))
    centres = rng.normal(size=(len(labels), 16))
    representations = centres[gold] + 0.8 * rng.normal(size=(len(gold), 16))
    anchors = {"stage_one": centres + 0.6 * rng.normal(size=centres.shape), "stage_two": centres}
    most = max(range(len(labels)), key=lambda label: support[label])
    always = measures(gold, np.full_like(gold, most), labels)
    predictions, results = {}, {"corpus": "toy", "seed": 4}
    results["always_most_frequent"] = {"label": labels[most], "dev": always, "test": always}
    for number, stage in enumerate(("stage_one", "stage_two")):
        cosine = (representations @ anchors[stage].T) / np.linalg.norm(anchors[stage], axis=1)
        predictions[stage] = cosine.argmax(axis=1)
        split = measures(gold, predictions[stage], labels)
        results[stage] = {"best_epoch": 2 - number, "dev": split, "test": split}
    history: list[dict[str, Any]] = [
        {
            "stage": 1,
            "step": step,
            "epoch": 1,
            "loss": 3 - step / 50,
            "ce": 1.0,
            "contrastive": 2.0,
            "angle": -1.2,
        }
        for step in range(1, 60)
    ]
    history += [{"stage": 1, "epoch": epoch, "dev_weighted_f1": 50.0 + epoch} for epoch in (1, 2)]
    history += [
        {"stage": 2, "epoch": epoch, "dev_weighted_f1": 53.0 - epoch} for epoch in (0, 1, 2)
    ]
    return {
        "config": Config().to_dict(),
        "corpus": "toy",
        "labels": labels,
        "results": results,
        "history": history,
        "gold": gold,
        "predictions": predictions,
        "representations": representations,
        "anchors": anchors,
        "probabilities": None,
        "thresholds": (),
    }


@pytest.fixture
def run() -> dict[str, Any]:
    return make_run()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A written page and what it was written from; not to be changed."""
    arguments = make_run()
    return write_report(tmp_path_factory.mktemp("run") / "report", **arguments), arguments
