"""What is fitted to dev beside the anchors."""

from types import SimpleNamespace

import numpy as np
import pytest

from eacl_jax.config import EvaluationConfig
from eacl_jax.model.rarity import log_prior
from eacl_jax.model.scores import Answering
from eacl_jax.model.task import SingleLabel
from eacl_jax.training.deciding import FACTORS, fitted

COUNTS = np.array([90, 9, 1])
GOLD = np.array([0, 0, 0, 0, 0, 1, 1, 2])


def experiment(**evaluation):
    return SimpleNamespace(
        config=SimpleNamespace(evaluation=EvaluationConfig(**evaluation)),
        counts=COUNTS,
        gold=lambda split: {"dev": GOLD}[split],
        task=SingleLabel(("a", "b", "c")),
        answering=lambda offsets=(): Answering(0.1, offsets=offsets),
    )


@pytest.fixture
def cosines():
    """The most frequent label's are too low by a little, but for one utterance of another label."""
    found = np.full((8, 3), 0.1)
    found[np.arange(8), GOLD] = 0.5
    found[:5, 1] = 0.6
    return found


@pytest.mark.parametrize("biases", [(), (0.2, 0.0, -0.1)])
def test_the_smallest_of_the_best_factors_counts(cosines, biases):
    factor, answering = fitted(experiment(prior=True), cosines, biases=biases)
    prior = log_prior(COUNTS).astype(np.float64)
    scores = Answering(0.1).scores(cosines) + np.array(biases or (0, 0, 0))
    right = [bool(((scores + a * prior).argmax(axis=1) == GOLD).all()) for a in FACTORS]
    assert not right[0]
    assert factor == FACTORS[right.index(True)]
    np.testing.assert_allclose(answering.offsets, factor * prior + np.array(biases or (0, 0, 0)))
    np.testing.assert_array_equal(answering.decide(cosines), GOLD)


def test_taking_the_prior_out_cannot_help_here(cosines):
    factor, answering = fitted(experiment(logit_adjustment=True), cosines)
    assert factor == 0
    assert answering.offsets == ()


def test_without_a_setting_biases_alone_are_added(cosines):
    assert fitted(experiment(), cosines) == (None, Answering(0.1))
    factor, answering = fitted(experiment(), cosines, biases=(1.0, 0.0, 0.0))
    assert factor is None
    assert answering.offsets == (1.0, 0.0, 0.0)
