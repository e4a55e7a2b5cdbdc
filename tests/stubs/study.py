"""A study whose runs never happened: random answers, better or worse by variant, easy or hard by
dialogue.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eacl_jax.config import Stage
from eacl_jax.model import metrics
from eacl_jax.recognizer.results import Baseline, Calibration, Results, SplitScores, StageScores
from eacl_jax.studies.definition import Cell, Side, Study
from eacl_jax.studies.gather import CellResult
from eacl_jax.training.cost import Cost
from eacl_jax.training.outputs import Outputs, SplitOutputs
from tests.stubs.toys import make_config

LABELS = {
    "meld": ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
    "emorynlp": ("neutral", "joyful", "scared", "mad", "peaceful", "powerful", "sad"),
}
SHARES = (0.46, 0.16, 0.11, 0.13, 0.08, 0.03, 0.03)
# By variant: how far utterances lie from their label's centre, and settings.
ABLATION: Mapping[str, tuple[float, dict[str, Any]]] = {
    "as published": (1.0, {}),
    "no angle term": (1.02, {"loss.angle_weight": 0.0}),
    "random anchors": (1.15, {"compat.stale_anchors": True}),
    "cross-entropy alone": (1.25, {"loss.ce_weight": 1.0}),
}


def make_study(
    variants: Mapping[str, tuple[float, dict[str, Any]]] = ABLATION,
    *,
    corpora: Sequence[str] = ("meld", "emorynlp"),
    seeds: Sequence[int] = (0, 1, 2),
    dialogues: int = 60,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> tuple[Study, list[CellResult]]:
    """The study, and all its runs; every variant is compared with the first, and stages of the
    first.
    """
    cells = [
        Cell(corpus, variant, seed, make_config({**(settings or {}), **changed, "seed": seed}))
        for corpus in corpora
        for variant, (_, changed) in variants.items()
        for seed in seeds
    ]
    first, *others = variants
    given = {
        "name": "ablation",
        "question": "What do the angle term, anchors from label words and stage two add?",
        "corpora": tuple(corpora),
        "variants": tuple(variants),
        "axes": {"what is left out": tuple(variants)},
        "seeds": tuple(seeds),
        "cells": tuple(cells),
        "comparisons": (
            *((Side(first), Side(other)) for other in others),
            (Side(first, Stage.ONE), Side(first)),
        ),
    }
    study = Study(**(given | changes))
    runs = [make_run(cell, variants[cell.variant][0], dialogues) for cell in cells]
    return study, runs


def make_run(cell: Cell, noise: float, dialogues: int) -> CellResult:
    """A run's numbers; test utterances are the same for all runs of a corpus."""
    labels = LABELS[cell.corpus]
    anchors = {
        stage: _centres(labels) + (0.25 - 0.1 * number) * _rng(cell, stage).normal(size=(7, 24))
        for number, stage in enumerate(Stage)
    }
    splits = {}
    for split in ("dev", "test"):
        corpus = np.random.default_rng(zlib.crc32(f"{cell.corpus} {split}".encode()))
        sizes = corpus.integers(4, 14, dialogues)
        numbers = np.repeat(np.arange(dialogues), sizes)
        gold = corpus.choice(7, p=SHARES, size=len(numbers))
        hard = corpus.gamma(4.0, 0.25, dialogues)[numbers][:, None]
        apart = corpus.normal(size=(len(gold), 24)) + 0.5 * _rng(cell, split).normal(
            size=(len(gold), 24)
        )
        representations = _centres(labels)[gold] + 1.7 * noise * hard * apart
        scores = {
            str(stage): (representations @ (a / np.linalg.norm(a, axis=1, keepdims=True)).T).astype(
                np.float32
            )
            for stage, a in anchors.items()
        }
        answers = {stage: score.argmax(1) for stage, score in scores.items()}
        splits[split] = SplitOutputs(gold, numbers, answers, scores)
    outputs = Outputs(labels, splits, anchors, representations.astype(np.float16))
    rng = _rng(cell, "cost")
    cost = Cost(
        parameters=22_800_000,
        trained=22_800_000 if noise < 1.1 else 5_000_000,
        train_examples=9_989,
        examples_per_second=float(rng.uniform(80, 100) * noise),
        epochs=8,
        seconds=float(rng.uniform(300, 400)),
        peak_bytes=int(rng.integers(2_000_000_000, 3_000_000_000)),
        device="cpu (1)",
        resumed=False,
    )
    return CellResult(cell, _results(cell, outputs), outputs, cost)


def _centres(labels: Sequence[str]) -> np.ndarray:
    centres = np.random.default_rng(5).normal(size=(7, 24))
    if "disgust" in labels:  # Near to anger, so that some are taken for the other.
        centres[5] = centres[3] + 0.6 * centres[5]
    return centres


def _rng(cell: Cell, what: str) -> np.random.Generator:
    return np.random.default_rng(
        zlib.crc32(f"{cell.corpus} {cell.variant} {cell.seed} {what}".encode())
    )


def _results(cell: Cell, outputs: Outputs) -> Results:
    def scores(split: str, answers: np.ndarray) -> SplitScores:
        confusion = metrics.confusion_matrix(outputs.splits[split].gold, answers, 7)
        excluded = cell.config.evaluation.excluded_label
        return SplitScores(**metrics.summarize(confusion, outputs.labels, excluded))

    def stage(name: Stage) -> StageScores:
        found = {s: scores(s, outputs.splits[s].answers[name]) for s in ("dev", "test")}
        error = {"dev": 3.0 + cell.seed, "test": 4.0 + cell.seed}
        return StageScores(
            best_epoch=3 + cell.seed,
            calibration=Calibration(
                temperature=1.2,
                expected_calibration_error=error,
                expected_calibration_error_uncalibrated=error,
            ),
            **found,
        )

    most = {s: scores(s, np.zeros_like(outputs.splits[s].gold)) for s in ("dev", "test")}
    return Results(
        cell.corpus,
        cell.seed,
        stage(Stage.ONE),
        stage(Stage.TWO),
        Baseline(outputs.labels[0], **most),
    )
