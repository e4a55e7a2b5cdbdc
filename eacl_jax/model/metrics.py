"""Scores from a confusion matrix, which is all the state there is: it adds up over batches and
hosts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int


def confusion_matrix(
    gold: Int[np.ndarray, " N"], predicted: Int[np.ndarray, " N"], classes: int
) -> Int[np.ndarray, "C C"]:
    """[C, C] counts; rows are gold labels, columns predictions. Both inputs are [N] with values in
    0..C-1.
    """
    if gold.shape != predicted.shape:
        raise ValueError(f"gold and predicted differ in shape: {gold.shape} and {predicted.shape}")
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(
        classes, classes
    )


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
      `weighted_f1`, `accuracy`, `macro_f1`, `per_class_f1` (by label), and `micro_f1` if a label is
      excluded.
    """
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
    }
    if excluded_label:
        kept = np.array([label != excluded_label for label in labels])
        both = gold[kept].sum() + predicted[kept].sum()
        result["micro_f1"] = 100 * float(2 * correct[kept].sum() / max(both, 1))
    return result


def title(name: str) -> str:
    """A score's name as a person reads it: `dev_weighted_f1` -> `dev weighted F1`."""
    return name.replace("_", " ").replace("f1", "F1")
