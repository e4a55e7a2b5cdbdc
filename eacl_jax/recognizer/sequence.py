"""Answers to utterances in the light of those around them, by a model's chain over labels."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.model.calibration import likeliest_temperature
from eacl_jax.model.chain import (
    Chain,
    Turns,
    log_filtered,
    log_marginals,
    log_unary,
    viterbi,
)
from eacl_jax.model.scores import probabilities
from eacl_jax.recognizer.prediction import Prediction


def whole(chain: Chain, dialogues: Sequence[Sequence[Prediction]]) -> list[list[Prediction]]:
    """The answers to whole dialogues, from those to each of their utterances alone: each by all
    that is said before and after.
    """
    alone = [each for dialogue in dialogues for each in dialogue]
    if not alone:
        return [list(dialogue) for dialogue in dialogues]
    unary, turns = _laid_out(dialogues)
    found = log_marginals(unary, turns, chain.scores)
    if chain.decoding == "viterbi":
        answers = viterbi(unary, turns, chain.scores)
    else:
        answers = found.argmax(axis=1)
    rows = iter(zip(alone, np.exp(found), answers, strict=True))
    return [[_changed(*next(rows)) for _ in dialogue] for dialogue in dialogues]


def so_far(chain: Chain, dialogue: Sequence[Prediction]) -> list[Prediction]:
    """The answers to one dialogue as it goes on: each by what is said until then."""
    found = log_filtered(*_laid_out([dialogue]), chain.scores)
    return [
        _changed(alone, row, int(row.argmax()))
        for alone, row in zip(dialogue, np.exp(found), strict=True)
    ]


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
        return float(log_marginals(unary, turns, chain.scores)[rows, gold[rows]].sum())

    return likeliest_temperature(likelihood, near=near)


class Said(NamedTuple):
    """What a chain knows of a conversation: who spoke last, and the probabilities of the labels of
    what was said, given all until then.
    """

    speaker: str
    probabilities: tuple[float, ...]


def after(chain: Chain, before: Said | None, alone: Prediction) -> Prediction:
    """The answer to an utterance by what was said before it, from that to it alone.

    Args:
      chain: the model's.
      before: of the utterance before; None for the first.
      alone: the answer to this one alone.
    """
    reached = log_unary(np.array([*alone.probabilities.values()]))
    if before is None:
        reached = reached + chain.scores.start
    else:
        same = before.speaker == alone.speaker
        reached = reached + chain.after(before.probabilities, same=same)
    probability = np.exp(reached - np.logaddexp.reduce(reached))
    return _changed(alone, probability, int(probability.argmax()))


def _laid_out(dialogues: Sequence[Sequence[Prediction]]) -> tuple[np.ndarray, Turns]:
    rows: Iterator[list[float]] = (
        [*each.probabilities.values()] for dialogue in dialogues for each in dialogue
    )
    turns = Turns.of([[each.speaker for each in dialogue] for dialogue in dialogues])
    return log_unary(np.array([*rows])), turns


def _changed(alone: Prediction, probability: np.ndarray, answer: int) -> Prediction:
    labels = [*alone.probabilities]
    return dataclasses.replace(
        alone,
        emotion=labels[answer],
        probabilities=dict(zip(labels, probability.tolist(), strict=True)),
    )
