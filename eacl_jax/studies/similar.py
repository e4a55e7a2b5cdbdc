"""Pairs of similar emotions: how often one is taken for the other, and how far apart they lie.

Source: arXiv 2403.20289, whose claim is that anchors tell similar emotions apart.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import silhouette_score

from eacl_jax.reports.projection import label_cosines
from eacl_jax.studies.scoring import label_scores

# A silhouette takes the distance of every two utterances.
MOST = 2000
FEWEST = 5
"""Utterances that each of two groups needs for a silhouette."""


@dataclasses.dataclass(frozen=True)
class Similar:
    """Of two labels, on a split. None is a number that cannot be given, for there is no utterance
    or no vector of it, or too few.

    Attributes:
      first, second: the labels.
      first_as_second, second_as_first: percent of the utterances of one that the other was
        answered to, among all labels. Where an utterance may have several labels, of those that
        have the one and not the other; so are the utterances of the pair below.
      f1: mean of both labels' F1 in percent, where only their utterances are asked and only they
        can be answered; None where one of them has no utterance.
      angle: of their anchors in degrees, the smallest where a label has several.
      silhouette: of their two groups of representations by cosine distance, -1 to 1: 1 far apart,
        0 touching; None with fewer than `FEWEST` in one of them.
      silhouette_before: the same of the texts alone by the encoder before training.
    """

    first: str
    second: str
    first_as_second: float | None
    second_as_first: float | None
    f1: float | None
    angle: float | None
    silhouette: float | None
    silhouette_before: float | None


def similar(
    labels: Sequence[str],
    pair: tuple[str, str],
    *,
    gold: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"],
    answers: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"],
    scores: Float[np.ndarray, "N C"] | None = None,
    anchors: Float[np.ndarray, "A m"] | None = None,
    representations: Float[np.ndarray, "N m"] | None = None,
    before: Float[np.ndarray, "N d"] | None = None,
) -> Similar:
    """Measures a pair.

    Args:
      labels: the C labels.
      pair: two of them.
      gold, answers: of the split's utterances; see `SeedAnswers`.
      scores: of the labels.
      anchors: C k, the k of a label side by side.
      representations: of the utterances.
      before: readouts of the same utterances' texts by the encoder before training.
    """
    first, second = (labels.index(label) for label in pair)
    taken = [_answered(answers, other) for other in (second, first)]
    f1 = None
    if scores is not None:
        counts = pair_counts([(first, second)], gold, scores, np.zeros(len(gold), np.int64))
        f1 = _finite(float(pairs_f1(counts.sum(axis=0))))
    gold = _one_of(gold, first, second)
    mine = np.isin(gold, (first, second))
    angles = None if anchors is None else anchor_angles(anchors, len(labels))
    return Similar(
        *pair,
        _share(taken[0][gold == first]),
        _share(taken[1][gold == second]),
        f1,
        None if angles is None else _finite(angles[first, second]),
        None if representations is None else _silhouette(representations[mine], gold[mine]),
        None if before is None else _silhouette(before[mine], gold[mine]),
    )


def pair_counts(
    pairs: Sequence[tuple[int, int]],
    gold: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"],
    scores: Float[np.ndarray, "N C"],
    dialogues: Int[np.ndarray, " N"],
) -> Int[np.ndarray, "D P 2 2"]:
    """Of each dialogue and pair a confusion matrix, rows gold, in which only the utterances of the
    pair are asked, and only its two labels can be answered.

    Args:
      pairs: P pairs of label indices.
      gold: of the utterances; see `Similar` for several labels an utterance.
      scores: of the labels; the higher of the two is the answer.
      dialogues: of the utterances; each gets a matrix, also without an utterance of the pair.
    """
    _, numbers = np.unique(dialogues, return_inverse=True)
    count = int(numbers.max()) + 1 if len(numbers) else 0
    found = np.zeros((count, len(pairs), 2, 2), np.int64)
    for column, (first, second) in enumerate(pairs):
        one = _one_of(gold, first, second)
        mine = np.isin(one, (first, second))
        chosen = (scores[mine, second] > scores[mine, first]).astype(np.int64)
        right = (one[mine] == second).astype(np.int64)
        np.add.at(found[:, column], (numbers[mine], right, chosen), 1)
    return found


def pairs_f1(counts: np.ndarray) -> np.ndarray:
    """[..., P, 2, 2] counts -> [...], percent: the mean over the pairs of the mean of both labels'
    F1. NaN without a pair, and where one has no utterance of one of its labels.
    """
    counts = np.asarray(counts, np.float64)
    right, gold = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1)
    f1 = label_scores(right, gold, counts.sum(axis=-2), "f1").mean(axis=-1)
    whole = (gold > 0).all(axis=-1)
    pairs = max(counts.shape[-3], 1)
    return np.where(whole.all(axis=-1) & whole.any(axis=-1), f1.sum(axis=-1) / pairs, np.nan)


def _answered(answers: np.ndarray, label: int) -> Bool[np.ndarray, " N"]:
    return answers[:, label] if answers.ndim == 2 else answers == label


def _one_of(gold: np.ndarray, first: int, second: int) -> Int[np.ndarray, " N"]:
    """Label indices; of several labels those of utterances with one of the two alone, else -1."""
    if gold.ndim == 1:
        return gold
    alone = gold[:, first] ^ gold[:, second]
    return np.where(alone, np.where(gold[:, first], first, second), -1)


def anchor_angles(anchors: Float[np.ndarray, "A m"], classes: int) -> Float[np.ndarray, "C C"]:
    """Angles of every two labels' anchors in degrees: the smallest where a label has several
    (A = C k); of a label with itself 0.
    """
    angles = np.degrees(np.arccos(label_cosines(anchors, classes)))
    np.fill_diagonal(angles, 0.0)
    return angles


def smallest_angle(anchors: Float[np.ndarray, "A m"], classes: int) -> float | None:
    """Between anchors of different labels, in degrees; None for one label, or where an anchor is
    not finite.
    """
    angles = anchor_angles(anchors, classes)
    between = angles[~np.eye(classes, dtype=bool)]
    return _finite(between.min()) if len(between) else None


def _silhouette(vectors: np.ndarray, groups: np.ndarray) -> float | None:
    if len(groups) > MOST:
        rows = np.random.default_rng(0).choice(len(groups), MOST, replace=False)
        vectors, groups = vectors[rows], groups[rows]
    members = np.unique(groups, return_counts=True)[1]
    if len(members) < 2 or members.min() < FEWEST or not np.isfinite(vectors).all():
        return None
    return float(silhouette_score(np.asarray(vectors, np.float64), groups, metric="cosine"))


def _share(hits: np.ndarray) -> float | None:
    return 100 * float(hits.mean()) if len(hits) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
