"""Scores from a confusion matrix, which is all the state there is: it adds up over batches and
hosts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int


def confusion_matrix(
    gold: Int[np.ndarray, " N"], predicted: Int[np.ndarray, " N"], classes: int
) -> Int[np.ndarray, "C C"]:
    """[C, C] counts; rows are gold labels, columns predictions. Both inputs are [N] with values in
    0..C-1.

    Raises:
      ValueError: they differ in shape, or hold other values.
    """
    if gold.shape != predicted.shape:
        raise ValueError(f"gold and predicted differ in shape: {gold.shape} and {predicted.shape}")
    for name, values in (("gold", gold), ("predicted", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(
                f"{name} must be from 0 to {classes - 1}, got {values.min()} to {values.max()}"
            )
    # In the arrays' own type, the product of small integers would wrap.
    cells = gold.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def summarize(
    confusion: Int[np.ndarray, "C C"], labels: Sequence[str], excluded_label: str = ""
) -> dict[str, Any]:
    """Scores in percent.

    Weighted F1 averages the classes' F1 by their gold counts; macro F1 averages the classes that
    occur in gold or predictions. F1 of a class is `2 tp / (gold + predicted)`, 0 where both are 0
    (as scikit-learn's `zero_division=0`).

    Args:
      confusion: [C, C], rows gold.
      labels: the C names.
      excluded_label: if given, `micro_f1` is reported over all the other labels.

    Returns:
      `weighted_f1`, `accuracy`, `macro_f1`, `per_class_f1` (by label), beside it `support` and
      `answered`, how many utterances have each label and were answered it, and `micro_f1` if a
      label is excluded.

    Raises:
      ValueError: the excluded label is none of the labels.
    """
    if excluded_label and excluded_label not in labels:
        raise ValueError(
            f"excluded_label must be one of {', '.join(labels)}, got {excluded_label!r}"
        )
    correct = np.diag(confusion).astype(np.float64)
    gold, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * correct / np.maximum(gold + predicted, 1)
    total = max(int(confusion.sum()), 1)
    present = (gold + predicted) > 0
    result: dict[str, Any] = {
        "weighted_f1": 100 * float(np.sum(f1 * gold)) / total,
        "accuracy": 100 * float(correct.sum()) / total,
        "macro_f1": 100 * float(f1[present].mean()) if present.any() else 0.0,
        "per_class_f1": {
            label: 100 * float(value) for label, value in zip(labels, f1, strict=True)
        },
        **_counts(labels, gold, predicted),
    }
    if excluded_label:
        kept = np.array([label != excluded_label for label in labels])
        both = gold[kept].sum() + predicted[kept].sum()
        result["micro_f1"] = 100 * float(2 * correct[kept].sum() / max(both, 1))
    return result


def summarize_several(
    gold: Bool[np.ndarray, "N C"],
    answers: Bool[np.ndarray, "N C"],
    labels: Sequence[str],
    scores: Float[np.ndarray, "N C"] | None = None,
) -> dict[str, Any]:
    """Scores in percent where utterances may have several labels, or none.

    F1 of a label, and their weighted and macro average, are as of `summarize`.

    Args:
      gold: which labels the utterances have.
      answers: which ones were answered.
      labels: the C names.
      scores: by which the labels of an utterance are ranked.

    Returns:
      `weighted_f1`; `accuracy`: how many have exactly their labels answered; `macro_f1`;
      `per_class_f1`, `support` and `answered` (by label); `micro_f1`: F1 of all pairs of utterance
      and label; `jaccard`: mean over the utterances of the labels that are annotated and answered
      among those that are either, 1 where there are none of either; with scores
      `ranking_precision`, the label ranking average precision of the utterances that have a label.
    """
    correct = (gold & answers).sum(axis=0).astype(np.float64)
    annotated, answered = gold.sum(axis=0), answers.sum(axis=0)
    f1 = 2 * correct / np.maximum(annotated + answered, 1)
    present = (annotated + answered) > 0
    common, either = (gold & answers).sum(axis=1), (gold | answers).sum(axis=1)
    result: dict[str, Any] = {
        "weighted_f1": 100 * float(np.sum(f1 * annotated)) / max(int(annotated.sum()), 1),
        "accuracy": 100 * float(np.mean(common == either)) if len(gold) else 0.0,
        "macro_f1": 100 * float(f1[present].mean()) if present.any() else 0.0,
        "per_class_f1": {
            label: 100 * float(value) for label, value in zip(labels, f1, strict=True)
        },
        **_counts(labels, annotated, answered),
        "micro_f1": 200 * float(correct.sum()) / max(int((annotated + answered).sum()), 1),
        "jaccard": 100 * float(np.where(either, common / np.maximum(either, 1), 1).mean())
        if len(gold)
        else 0.0,
    }
    if scores is not None and (some := gold.any(axis=1)).any():
        # Takes its time, and predicting does without.
        from sklearn.metrics import label_ranking_average_precision_score

        precision = label_ranking_average_precision_score(gold[some], scores[some])
        result["ranking_precision"] = 100 * float(precision)
    return result


def _counts(
    labels: Sequence[str], annotated: Int[np.ndarray, " C"], answered: Int[np.ndarray, " C"]
) -> dict[str, dict[str, int]]:
    """What tells a score of 0 from one of nothing."""
    return {
        name: dict(zip(labels, map(int, counts), strict=True))
        for name, counts in (("support", annotated), ("answered", answered))
    }


def co_occurrence(
    gold: Bool[np.ndarray, "N C"], answers: Bool[np.ndarray, "N C"]
) -> Int[np.ndarray, "C C"]:
    """[C, C] counts of the utterances that have the row's label and were answered the column's. An
    utterance counts in as many cells as it has pairs of these.
    """
    return gold.astype(np.int64).T @ answers.astype(np.int64)


def title(name: str, excluded_label: str = "") -> str:
    """A score's name as a person reads it: `dev_weighted_f1` -> `dev weighted F1`.

    Args:
      name: of the score.
      excluded_label: that micro F1 leaves out, which its name then says: `micro F1 without
        neutral`; others leave none out.
    """
    text = name.replace("_", " ").replace("f1", "F1").replace("jaccard", "Jaccard")
    left_out = excluded_label if name.endswith("micro_f1") else ""
    return f"{text} without {left_out}" if left_out else text
