"""How the anchors of an epoch answer: what is fitted to dev beside them, without training."""

import numpy as np
from jaxtyping import Float

from eacl_jax.model.decisions import Affine
from eacl_jax.model.rarity import log_prior
from eacl_jax.model.scores import Answering, decide
from eacl_jax.training.experiment import Experiment

FACTORS = tuple(number / 20 for number in range(41))
"""Factors of the log prior that are tried on dev."""


def fitted(
    experiment: Experiment,
    cosines: Float[np.ndarray, "N C"],
    *,
    near: Affine | None = None,
    biases: tuple[float, ...] = (),
) -> tuple[float | None, Answering]:
    """How anchors answer, as suits dev.

    Args:
      experiment: the run's inputs.
      cosines: of dev's examples with the labels, see `Answering.cosines`.
      near: see `Task.fit`.
      biases: added to the labels' scores, where stage two learnt them; empty: none.

    Returns:
      With `evaluation.prior` (or `logit_adjustment`) the factor a, of `FACTORS`, with which scores
      plus (or less) `a log prior` answer dev best, of equal ones the smallest; else None. And how
      to answer.
    """
    evaluation, gold = experiment.config.evaluation, experiment.gold("dev")
    plain = experiment.task.fit(experiment.answering(biases), cosines, gold, near)
    if not evaluation.prior and not evaluation.logit_adjustment:
        return None, plain
    step = log_prior(experiment.counts).astype(np.float64)
    if evaluation.logit_adjustment:
        step = -step
    scores = plain.scores(cosines)
    found = [
        experiment.task.measure(gold, decide(scores + factor * step))[evaluation.primary]
        for factor in FACTORS
    ]
    factor = FACTORS[int(np.argmax(found))]
    if not factor:
        return factor, plain
    offsets = factor * step + (np.asarray(biases) if biases else 0)
    return factor, experiment.answering(tuple(offsets.tolist()))
