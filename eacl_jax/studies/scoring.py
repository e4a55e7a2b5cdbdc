"""Scores from counts of a dialogue each, which add up: the same counts whether an utterance has one
label or may have several. Scores are in percent.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

SUMMARIES = ("weighted_f1", "macro_f1", "accuracy", "micro_f1", "jaccard")
LABEL_SCORES = ("f1", "precision", "recall")
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


def margins(counts: Float[np.ndarray, "... K"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each label was right, annotated and answered: [..., C] each."""
    classes = (counts.shape[-1] - _MORE) // 3
    right, gold, answered = (
        counts[..., start : start + classes] for start in range(0, 3 * classes, classes)
    )
    return right, gold, answered


def summary(
    counts: Float[np.ndarray, "... K"], measure: str, excluded: int | None = None
) -> np.ndarray:
    """A summary of counts, as `model.metrics.summarize` has it, and for several labels
    `summarize_several`.

    Args:
      counts: [..., K] of `dialogue_counts`, added up.
      measure: one of `SUMMARIES`.
      excluded: index of the label that micro F1 leaves out; None: it is of all labels.

    Returns:
      [...], in percent.

    Raises:
      ValueError: there is no such measure.
    """
    right, gold, answered = margins(counts)
    utterances, exact, jaccard = np.moveaxis(counts[..., -_MORE:], -1, 0)
    if measure == "accuracy":
        return 100 * exact / np.maximum(utterances, 1)
    if measure == "jaccard":
        return 100 * jaccard / np.maximum(utterances, 1)
    if measure == "micro_f1":
        kept = [label for label in range(right.shape[-1]) if label != excluded]
        both = (gold + answered)[..., kept].sum(-1)
        return 200 * right[..., kept].sum(-1) / np.maximum(both, 1)
    f1 = np.nan_to_num(label_scores(right, gold, answered, "f1"))
    if measure == "weighted_f1":
        return (f1 * gold).sum(-1) / np.maximum(gold.sum(-1), 1)
    if measure == "macro_f1":
        present = gold + answered > 0
        return (f1 * present).sum(-1) / np.maximum(present.sum(-1), 1)
    raise ValueError(f"no measure {measure!r} of counts")


def label_scores(
    right: Float[np.ndarray, "... C"],
    gold: Float[np.ndarray, "... C"],
    answered: Float[np.ndarray, "... C"],
    measure: str,
) -> Float[np.ndarray, "... C"]:
    """F1, precision or recall of every label in percent, NaN where it is 0 / 0: nothing was
    annotated or answered as the label, answered for precision, annotated for recall.

    Args:
      right, gold, answered: how often each label was right, annotated and answered.
      measure: one of `LABEL_SCORES`.
    """
    whole = {"f1": (gold + answered) / 2, "precision": answered, "recall": gold}[measure]
    return 100 * np.divide(right, whole, out=np.full_like(right, np.nan), where=whole > 0)
