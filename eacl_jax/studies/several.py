"""Scores where an utterance may have several labels, from counts of a dialogue each, which add up
as confusion matrices do. Scores are in percent.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

SUMMARIES = ("weighted_f1", "macro_f1", "accuracy", "micro_f1", "jaccard")
_MORE = 3  # utterances, those that are exactly right, and the sum of their Jaccard indices


def dialogue_counts(
    gold: Bool[np.ndarray, "N C"],
    answers: Bool[np.ndarray, "N C"],
    dialogues: Int[np.ndarray, " N"],
) -> Float[np.ndarray, "D K"]:
    """K = 3 C + 3 counts a dialogue: of each label how often it was right, annotated and answered,
    then of the utterances how many there are, how many are exactly right, and the sum of their
    Jaccard indices. Dialogues without an utterance here are left out.
    """
    _, numbers = np.unique(dialogues, return_inverse=True)
    common, either = (gold & answers).sum(axis=1), (gold | answers).sum(axis=1)
    each = np.column_stack(
        [
            gold & answers,
            gold,
            answers,
            np.ones(len(gold)),
            common == either,
            np.where(either, common / np.maximum(either, 1), 1.0),
        ]
    ).astype(np.float64)
    found = np.zeros((int(numbers.max()) + 1 if len(numbers) else 0, each.shape[1]))
    np.add.at(found, numbers, each)
    return found


def support(counts: Float[np.ndarray, "... K"]) -> Float[np.ndarray, "... C"]:
    """How many utterances have each label."""
    return _parts(counts)[1]


def summary(counts: Float[np.ndarray, "... K"], measure: str) -> np.ndarray:
    """A summary of counts, as `model.metrics.summarize_several` has it.

    Args:
      counts: [..., K] of `dialogue_counts`, added up.
      measure: one of `SUMMARIES`.

    Returns:
      [...], in percent.

    Raises:
      ValueError: there is no such measure.
    """
    right, gold, answered = _parts(counts)
    utterances, exact, jaccard = np.moveaxis(counts[..., -_MORE:], -1, 0)
    if measure == "accuracy":
        return 100 * exact / np.maximum(utterances, 1)
    if measure == "jaccard":
        return 100 * jaccard / np.maximum(utterances, 1)
    if measure == "micro_f1":
        return 200 * right.sum(-1) / np.maximum((gold + answered).sum(-1), 1)
    f1 = label_scores(counts, "f1")
    if measure == "weighted_f1":
        return (f1 * gold).sum(-1) / np.maximum(gold.sum(-1), 1)
    if measure == "macro_f1":
        present = gold + answered > 0
        return (f1 * present).sum(-1) / np.maximum(present.sum(-1), 1)
    raise ValueError(f"no measure {measure!r} of several labels")


def label_scores(counts: Float[np.ndarray, "... K"], measure: str) -> np.ndarray:
    """F1, precision or recall of every label, 0 where it is 0 / 0: [..., K] -> [..., C], in
    percent.
    """
    right, gold, answered = _parts(counts)
    whole = {"f1": (gold + answered) / 2, "precision": answered, "recall": gold}[measure]
    return 100 * np.divide(right, whole, out=np.zeros_like(right), where=whole > 0)


def _parts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    classes = (counts.shape[-1] - _MORE) // 3
    right, gold, answered = (
        counts[..., start : start + classes] for start in range(0, 3 * classes, classes)
    )
    return right, gold, answered
