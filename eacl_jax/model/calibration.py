"""Probabilities that mean what they say: one temperature, fitted on dev (arXiv 1706.04599)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.model.checks import check_labels

BINS = 15
FITS = 5.0
"""Expected calibration error, in percent, up to which probabilities are said to fit."""
# Nats. Chosen on smalltalk 1's dev split: temperatures fitted to 1 to 200 of its utterances, from
# four starts, on the others.
HOLD = 4.0
# e^-10 to e^10: scores of a model that tells little apart differ by thousandths, and may still be
# calibrated.
_LIMIT = 10.0
_STEP = 0.5  # of log temperatures that are tried: a minimum is wider


def probabilities(scores: Float[np.ndarray, "N C"], temperature: float) -> Float[np.ndarray, "N C"]:
    """`softmax(scores / temperature)`, rows sum to 1."""
    scaled = scores / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def label_probabilities(
    scores: Float[np.ndarray, "N C"], temperature: float
) -> Float[np.ndarray, "N C"]:
    """`sigmoid(scores / temperature)`, for labels of which an utterance may have several."""
    return sigmoid(scores / temperature)


def sigmoid(logits: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`1 / (1 + exp(-logits))`: SciPy's, which takes its time to import."""
    with np.errstate(over="ignore"):  # 1 / (1 + infinity) is 0
        return 1 / (1 + np.exp(-logits))


def fit_temperature(
    scores: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"], *, near: float = 1.0
) -> float:
    """The temperature T that makes the labels likeliest under `softmax(scores / T)`, less `HOLD *
    log(T / near)^2`.

    It changes no prediction. A handful of examples that are answered right would make T zero and
    every probability 100%: they move it little from where it was, and hundreds go where they must.

    Args:
      scores: of examples that did not choose the model's weights.
      labels: in 0..C-1.
      near: the temperature before; what is answered where there are no examples.

    Raises:
      ValueError: there is not one label for each row, or one is another number.
    """
    _check_labels(scores, labels)
    if not len(labels):
        return near
    from scipy.special import log_softmax  # takes its time, and predicting does without

    def likelihood(temperature: float) -> float:
        picked = log_softmax(scores / temperature, axis=1)[np.arange(len(labels)), labels]
        return float(picked.sum())

    return likeliest_temperature(likelihood, near=near)


def likeliest_temperature(likelihood: Callable[[float], float], *, near: float) -> float:
    """The temperature T with the largest log likelihood less `HOLD * log(T / near)^2`."""
    from scipy.optimize import minimize_scalar  # takes its time, and predicting does without

    def loss(log_temperature: float) -> float:
        away = log_temperature - np.log(near)
        return HOLD * away**2 - likelihood(float(np.exp(log_temperature)))

    def least(low: float, high: float) -> tuple[float, float]:
        found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
        return float(found.fun), float(found.x)

    # Where scores hardly differ there are two minima: where the labels are likeliest, and near
    # `near`, where all labels are about as likely. One search may end in either.
    found = [least(-_LIMIT, _LIMIT)]
    grid = np.linspace(-_LIMIT, _LIMIT, 2 * int(_LIMIT / _STEP) + 1)
    losses = np.array([np.inf, *(loss(float(each)) for each in grid), np.inf])
    lowest = (losses[1:-1] <= losses[:-2]) & (losses[1:-1] <= losses[2:])
    for middle in grid[lowest]:
        if abs(middle - found[0][1]) > _STEP:
            found.append(least(max(middle - _STEP, -_LIMIT), min(middle + _STEP, _LIMIT)))
    return float(np.exp(min(found)[1]))


def expected_calibration_error(
    probability: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    *,
    answers: Int[np.ndarray, " N"] | None = None,
) -> float:
    """How far confidence and accuracy are apart, in percent: the mean over `BINS` bins of
    confidence, weighted by their examples (arXiv 1706.04599, eq. 3).

    Args:
      probability: rows sum to 1.
      labels: in 0..C-1.
      answers: what is answered; None: the most probable label.

    Raises:
      ValueError: there is not one label, and one answer, for each row, or one is another number.
    """
    _check_labels(probability, labels)
    if answers is not None:
        _check_labels(probability, answers)
    if not len(labels):
        return 0.0
    if answers is None:
        answers = probability.argmax(axis=1)
    confidence, correct = probability[np.arange(len(labels)), answers], answers == labels
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(bin_of, weights=confidence - correct, minlength=BINS)
    return float(100 * np.abs(gap).sum() / len(labels))


def _check_labels(rows: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]) -> None:
    """Raises `ValueError` unless each row has a label, as NumPy would take others for something."""
    count, classes = rows.shape
    if np.shape(labels) != (count,):
        raise ValueError(f"labels must be [N], one for each of {count} rows; got {labels.shape}")
    check_labels(labels, classes)
