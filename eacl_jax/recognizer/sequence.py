"""Answers to utterances in the light of those around them, by a model's chain over labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.model.calibration import likeliest_temperature
from eacl_jax.model.chain import Chain, Turns, log_marginals, log_unary
from eacl_jax.model.scores import probabilities
from eacl_jax.recognizer.prediction import Prediction


def whole(chain: Chain, alone: Sequence[Prediction], sizes: Sequence[int]) -> list[Prediction]:
    """The answers to whole dialogues, from those to each of their utterances alone: each by all
    utterances before and after it.

    Args:
      chain: the model's.
      alone: of all dialogues, one after the other.
      sizes: utterances of each dialogue.
    """
    if not alone:
        return []
    speakers = iter([each.speaker for each in alone])
    turns = Turns.of([[next(speakers) for _ in range(size)] for size in sizes])
    unary = log_unary(np.array([[*each.probabilities.values()] for each in alone]))
    answers, found = chain.whole(unary, turns)
    return [_changed(*row) for row in zip(alone, np.exp(found), answers, strict=True)]


def fit_temperature(
    chain: Chain,
    scores: Float[np.ndarray, "N C"],
    speakers: Sequence[Sequence[str]],
    gold: Int[np.ndarray, " N"],
    *,
    near: float,
) -> float:
    """The temperature of N utterances' scores with which the probabilities that the chain makes of
    them fit best; see `calibration.fit_temperature`.

    Args:
      chain: the model's.
      scores: of each utterance alone.
      speakers: of each dialogue's utterances.
      gold: label indices, -1 where an utterance is not annotated.
      near: the temperature before.
    """
    turns, rows = Turns.of(speakers), np.flatnonzero(gold >= 0)

    def likelihood(temperature: float) -> float:
        unary = log_unary(probabilities(scores, temperature))
        return float(log_marginals(unary, turns, chain.potentials)[rows, gold[rows]].sum())

    return likeliest_temperature(likelihood, near=near)


def after(chain: Chain, before: Prediction | None, alone: Prediction) -> Prediction:
    """The answer to an utterance by those before it, from that to it alone.

    Args:
      chain: the model's.
      before: the answer to the utterance before, made likewise; None for the first.
      alone: the answer to this one alone.
    """
    reached = log_unary(np.array([*alone.probabilities.values()]))
    if before is None:
        reached = reached + chain.potentials.start
    else:
        known, same = [*before.probabilities.values()], before.speaker == alone.speaker
        reached = reached + chain.after(known, same=same)
    probability = np.exp(reached - np.logaddexp.reduce(reached))
    return _changed(alone, probability, int(probability.argmax()))


def _changed(alone: Prediction, probability: np.ndarray, answer: int) -> Prediction:
    labels = [*alone.probabilities]
    return dataclasses.replace(
        alone,
        emotion=labels[answer],
        probabilities=dict(zip(labels, probability.tolist(), strict=True)),
    )
