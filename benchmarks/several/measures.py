"""Thresholds, scores and differences of systems, the same for all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from eacl_jax.model import decisions
from eacl_jax.model.metrics import summarize_several
from eacl_jax.studies import scoring, statistics

MEASURES = ("macro_f1", "micro_f1", "weighted_f1", "jaccard")


def decided(
    gold: Bool[np.ndarray, "N C"],
    dev: Float[np.ndarray, "N C"],
    test: Float[np.ndarray, "M C"],
    *,
    common: bool,
) -> Bool[np.ndarray, "M C"]:
    """What logits of test answer, by the scale, biases and thresholds that suit dev: the same fit
    for every system, whatever its logits have gone through.
    """
    found = decisions.fit(dev.astype(np.float64), gold, common=common)
    answering = decisions.SeveralAnswering(1.0, decisions=found, classifies=True)
    return answering.decide(test.astype(np.float64))


def measure(
    gold: Bool[np.ndarray, "N C"], answers: Bool[np.ndarray, "N C"], labels: Sequence[str]
) -> dict[str, float]:
    """`MEASURES` in percent, and `found`: how many labels have an F1 above 0."""
    scores: dict[str, Any] = summarize_several(gold, answers, labels)
    found = sum(value > 0 for value in scores["per_class_f1"].values())
    return {name: scores[name] for name in MEASURES} | {"found": found}


def redrawn(
    gold: Bool[np.ndarray, "N C"], answers: Sequence[np.ndarray], draws: statistics.Draws
) -> dict[str, Float[np.ndarray, "S B"]]:
    """Each of `MEASURES`, of S systems' answers [N, C], in each of B draws of utterances."""
    alone = np.arange(len(gold))
    counts = [scoring.dialogue_counts(gold, each.astype(bool), alone) for each in answers]
    drawn = [[times @ each for times in draws] for each in counts]
    return {
        name: np.stack(
            [np.concatenate([scoring.summary(part, name) for part in each]) for each in drawn]
        )
        for name in MEASURES
    }
