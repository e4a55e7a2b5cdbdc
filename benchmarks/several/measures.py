"""Thresholds, scores and differences of systems, the same for all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from eacl_jax.model import decisions
from eacl_jax.model.metrics import summarize_several
from eacl_jax.studies import statistics

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
    columns = [gold]
    for each in answers:
        common, either = (gold & each).sum(axis=1), (gold | each).sum(axis=1)
        jaccard = np.where(either, common / np.maximum(either, 1), 1)
        columns += [each, gold & each, jaccard[:, None]]
    of_utterances = np.concatenate(columns, axis=1).astype(np.float64)
    classes = gold.shape[1]
    parts: dict[str, list[list[np.ndarray]]] = {name: [[] for _ in answers] for name in MEASURES}
    for times in draws:
        sums = times @ of_utterances
        annotated = sums[:, :classes]
        for system in range(len(answers)):
            at = classes + system * (2 * classes + 1)
            answered, correct = sums[:, at : at + classes], sums[:, at + classes : at + 2 * classes]
            both = annotated + answered
            f1 = 2 * correct / np.maximum(both, 1)
            found = {
                "macro_f1": f1.sum(axis=1) / np.maximum((both > 0).sum(axis=1), 1),
                "micro_f1": 2 * correct.sum(axis=1) / np.maximum(both.sum(axis=1), 1),
                "weighted_f1": (f1 * annotated).sum(axis=1) / np.maximum(annotated.sum(axis=1), 1),
                "jaccard": sums[:, at + 2 * classes] / len(gold),
            }
            for name, values in found.items():
                parts[name][system].append(100 * values)
    return {
        name: np.stack([np.concatenate(each) for each in systems])
        for name, systems in parts.items()
    }
