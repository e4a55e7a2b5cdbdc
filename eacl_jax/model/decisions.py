"""From scores to answers where an utterance may have several labels, or none: a probability for
each label, and a threshold from which on it is answered.

A cosine has no zero of its own that would tell a label from none. So the probability of label c is
`sigmoid(scale * s_c + bias_c)`, with one scale and a bias for each label, fitted on dev, and its
threshold is the one with which dev's F1 of c is best.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from eacl_jax.files.records import bounded
from eacl_jax.model.calibration import BINS, HOLD, label_probabilities, sigmoid
from eacl_jax.model.scores import Answering

LEAST = 10
"""Utterances of dev with a label, below which its threshold is the common one."""
_LOG_SCALE = 10.0  # at most, either way
_BETTER = 0.1  # nats: less is how far a search ends from its minimum


class Affine(NamedTuple):
    """A scale and a bias a label, [C]: logits are `scale * scores + biases`."""

    scale: float
    biases: Float[np.ndarray, " C"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
    """How the scores of C labels become probabilities and answers.

    Attributes:
      scale: what each score is multiplied by.
      biases: what is then added, a number a label.
      thresholds: the probability from which on a label is answered, a number a label.
      bias, threshold: the same for a label that training did not know.
      common: whether one threshold was asked for all labels, as adapting then keeps to.
    """

    scale: float = bounded(at_least=1e-30, at_most=1e30)
    biases: tuple[float, ...] = bounded(at_least=-1e30, at_most=1e30)
    thresholds: tuple[float, ...] = bounded(at_least=0, at_most=1)
    bias: float = bounded(at_least=-1e30, at_most=1e30)
    threshold: float = bounded(at_least=0, at_most=1)
    common: bool = False

    @property
    def affine(self) -> Affine:
        """Scale and biases."""
        return Affine(self.scale, np.asarray(self.biases))

    def of_others(self, count: int) -> "Decisions":
        """For so many labels that training did not know."""
        return dataclasses.replace(
            self, biases=(self.bias,) * count, thresholds=(self.threshold,) * count
        )


@dataclasses.dataclass(frozen=True)
class SeveralAnswering(Answering):
    """`Answering` where an utterance may have several labels.

    Attributes:
      decisions: None where they are not fitted yet.
      classifies: representations are a classifier's logits and anchors its axes. What the methods
        call cosines are then the logits, as a cosine would lose how large they are.
    """

    decisions: Decisions | None = None
    classifies: bool = False

    def cosines(
        self, x: Float[np.ndarray, "N m"], anchors: Float[np.ndarray, "A m"]
    ) -> Float[np.ndarray, "N C"]:
        """See `Answering.cosines`."""
        if self.classifies:
            return x.astype(np.float64) @ anchors.T.astype(np.float64)
        return super().cosines(x, anchors)

    def plain_scores(self, cosines: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
        """Before scale and bias."""
        return cosines if self.classifies else super().scores(cosines)

    def scores(self, cosines: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
        """Logits of the labels' probabilities."""
        assert self.decisions is not None
        return self.decisions.scale * self.plain_scores(cosines) + np.asarray(self.decisions.biases)

    def probabilities(
        self, scores: Float[np.ndarray, "N C"], temperature: float
    ) -> Float[np.ndarray, "N C"]:
        """Each label's own; rows do not sum to 1."""
        return label_probabilities(scores, temperature)

    def decide(self, cosines: Float[np.ndarray, "N C"]) -> Bool[np.ndarray, "N C"]:
        """Which labels are answered: those whose probability reaches their threshold."""
        assert self.decisions is not None
        return sigmoid(self.scores(cosines)) >= np.asarray(self.decisions.thresholds)


def fit(
    scores: Float[np.ndarray, "N C"],
    gold: Bool[np.ndarray, "N C"],
    *,
    near: Affine | None = None,
    common: bool = False,
) -> Decisions:
    """Scale, biases and thresholds that suit annotated utterances.

    Args:
      scores: plain ones, of N utterances that did not choose the model's weights.
      gold: which labels they have.
      near: what scale and biases are held near to, the more the fewer the utterances; None: one
        bias for all labels, which is fitted first.
      common: whether all labels have the common threshold.
    """
    if near is None:
        near = common_affine(scores, gold)
    found = fit_affine(scores, gold, near=near)
    probability = sigmoid(found.scale * scores + found.biases)
    threshold = best_threshold(probability.reshape(-1), gold.reshape(-1))
    thresholds = [
        threshold
        if common or gold[:, label].sum() < LEAST
        else best_threshold(probability[:, label], gold[:, label])
        for label in range(gold.shape[1])
    ]
    return Decisions(
        scale=found.scale,
        biases=tuple(found.biases.tolist()),
        thresholds=tuple(thresholds),
        bias=float(np.mean(found.biases)),
        threshold=threshold,
        common=common,
    )


def common_affine(scores: Float[np.ndarray, "N C"], gold: Bool[np.ndarray, "N C"]) -> Affine:
    """The likeliest scale with one bias for all labels; see `fit_affine`."""
    found = fit_affine(scores.reshape(-1, 1), gold.reshape(-1, 1), near=None)
    return Affine(found.scale, np.full(scores.shape[1], found.biases[0]))


def fit_affine(
    scores: Float[np.ndarray, "N C"], gold: Bool[np.ndarray, "N C"], *, near: Affine | None
) -> Affine:
    """The scale g and biases b that make the labels likeliest, less `HOLD log(g / near g)^2 + sum_c
    (b_c - near b_c)^2 / 2`; without `near` the scale is held near to 1, and biases are free.

    Args:
      scores: of N utterances.
      gold: which labels they have, with as many columns.
      near: where to begin and what to stay near to; also the answer where N is 0.
    """
    count = scores.shape[1]
    if near is None:
        rate = np.clip(gold.mean(axis=0), 1e-6, 1 - 1e-6) if len(gold) else np.full(count, 0.5)
        means = scores.mean(axis=0) if len(scores) else np.zeros(count)
        start, pull = Affine(1.0, np.log(rate / (1 - rate)) - means), 1e-6
    else:
        start, pull = near, 1.0
    if not len(scores):
        return start
    from scipy.optimize import minimize  # takes its time, and predicting does without

    log_scale, begun = np.log(start.scale), np.array([np.log(start.scale), *start.biases])
    bounds = [(-_LOG_SCALE, _LOG_SCALE), *[(None, None)] * count]

    def search(
        begin: np.ndarray, centre: Float[np.ndarray, " C"], *, pulled: bool = True
    ) -> tuple[float, np.ndarray]:
        """The least loss near `begin`, and where it is: a scale's logarithm, and the logits of
        scores of `centre`. Where scores hardly differ, these are found, and biases are not.
        """
        around = scores - centre

        def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
            scale = np.exp(at[0])
            logits = scale * around + at[1:]
            error = sigmoid(logits) - gold
            value = np.logaddexp(0, logits).sum() - logits[gold].sum()
            by_scale, by_middle = scale * (error * around).sum(), error.sum(axis=0)
            if pulled:
                away = at[1:] - scale * centre - start.biases
                value += HOLD * (at[0] - log_scale) ** 2 + pull * (away**2).sum() / 2
                by_scale += 2 * HOLD * (at[0] - log_scale) - pull * scale * (away * centre).sum()
                by_middle += pull * away
            return float(value), np.array([by_scale, *by_middle])

        found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds)
        return float(found.fun), found.x

    value, at = search(begun, np.zeros(count))
    found = Affine(float(np.exp(at[0])), at[1:])
    # Where scores hardly differ there are two minima, as of a temperature: that was the one near
    # `near`. The other is where the labels alone are likeliest, of which there is but one.
    spread = scores.std(axis=0).mean()
    if not spread:
        return found
    centre = scores.mean(axis=0)
    _, likeliest = search(np.array([-np.log(spread), *np.zeros(count)]), centre, pulled=False)
    other, at = search(likeliest, centre)
    if other < value - _BETTER:
        scale = np.exp(at[0])
        found = Affine(float(scale), at[1:] - scale * centre)
    return found


def recalibrated(
    before: Decisions, scores: Float[np.ndarray, "N C"], gold: Bool[np.ndarray, "N C"]
) -> Decisions:
    """Other probabilities, which fit annotated utterances, and the same answers; arguments as of
    `fit`. The fewer the utterances, the nearer they stay to what they were.
    """
    from scipy.special import logit  # takes its time, and predicting does without

    old = before.affine
    new = fit_affine(scores, gold, near=old)
    # Labels that training did not know are answered as before, too.
    moved = float(np.mean(new.biases - new.scale / old.scale * old.biases))
    bias = new.scale / old.scale * before.bias + moved

    def same(threshold: Any, old_bias: Any, new_bias: Any) -> Any:
        """The threshold that the same scores reach."""
        reached = logit(threshold)  # without bounds where it is 0 or 1, and so stays
        return sigmoid(new.scale * (reached - old_bias) / old.scale + new_bias)

    return Decisions(
        scale=new.scale,
        biases=tuple(new.biases.tolist()),
        thresholds=tuple(same(before.thresholds, old.biases, new.biases).tolist()),
        bias=bias,
        threshold=float(same(before.threshold, before.bias, bias)),
        common=before.common,
    )


def best_threshold(probability: Float[np.ndarray, " N"], gold: Bool[np.ndarray, " N"]) -> float:
    """The threshold with which `probability >= threshold` has the best F1: halfway between two
    probabilities; of equal ones the highest. 0.5 where no utterance has the label.

    Example:
      >>> best_threshold(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]))
      0.3
    """
    if not gold.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    ranked, right = probability[order], np.cumsum(gold[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + right[-1])
    # Equal probabilities are answered alike.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1
    last = int(np.argmax(f1))
    # Not the last probability itself, which another rounding would not reach.
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.999 * ranked[last]
    return float((ranked[last] + below) / 2)


def calibration_error(
    probability: Float[np.ndarray, "N C"], gold: Bool[np.ndarray, "N C"]
) -> float:
    """How far probabilities and frequencies are apart, in percent: the mean over labels of the
    expected calibration error of each.

    Args:
      probability: of each label.
      gold: which labels there are.
    """
    if not len(gold):
        return 0.0
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = [
        np.abs(np.bincount(at, weights=p - y, minlength=BINS)).sum()
        for at, p, y in zip(place.T, probability.T, gold.T, strict=True)
    ]
    return float(100 * np.mean(gaps) / len(gold))
