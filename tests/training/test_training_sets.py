"""Several corpora in one stage one: whose batch comes when, and what its step learns."""

import dataclasses
import itertools
from collections import Counter

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import LossConfig, ModelConfig
from eacl_jax.data.batching import collate, plan
from eacl_jax.data.pipeline import by_turns, endless_batches, iterate
from eacl_jax.model.anchors import LiveWords
from eacl_jax.model.representer import Model, branches
from eacl_jax.training import objective
from eacl_jax.training.training_sets import as_of, batches_per_epoch, constants_of, in_turn
from tests.data.test_batching import examples_of
from tests.stubs.toys import ENCODER


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_batches_are_in_proportion(power):
    counts = batches_per_epoch([1010, 101, 8080], 10, power)
    assert counts == (101, round(101 * 0.1**power), round(101 * 8**power))
    assert batches_per_epoch([100, 1], 10, 1.0) == (10, 1)


def test_the_others_are_spread_over_the_epoch():
    order = in_turn([9, 3, 1])
    assert Counter(which for which, _ in order) == {0: 9, 1: 3, 2: 1}
    assert [number for which, number in order if which == 0] == list(range(9))
    steps = [step for step, (which, _) in enumerate(order) if which == 1]
    assert all(b - a > 2 for a, b in itertools.pairwise(steps))


def test_each_goes_through_its_examples_and_goes_on_after_a_stop():
    first = endless_batches(10, 2, 0, lambda indices: ("first", indices.tolist()))
    other = endless_batches(6, 2, 0, lambda indices: ("other", indices.tolist()))
    alone = iterate(first)
    mixed = iterate(by_turns([first, other], in_turn([5, 2])))
    seen = [next(mixed) for _ in range(21)]
    # The first set's are those of a run without others, an epoch of them a pass.
    expected = [next(alone) for _ in range(15)]
    assert [each for each in seen if each[0] == "first"] == expected
    theirs = [i for name, indices in seen if name == "other" for i in indices]
    assert sorted(theirs) == sorted([*range(6)] * 2)
    assert sorted(theirs[:6]) == list(range(6))
    state = mixed.get_state()
    after = [next(mixed) for _ in range(9)]
    again = iterate(by_turns([first, other], in_turn([5, 2])))
    again.set_state(state)
    assert [next(again) for _ in range(9)] == after


@pytest.mark.slow
def test_a_step_learns_from_the_batchs_own_labels():
    """Their words' anchors and classifier; the encoder and the mapping are those of all."""
    words = collate(examples_of([4, 5]), 2, plan([4, 5], 2, layout="padded", max_tokens=8))
    batch = collate(examples_of([5, 9, 7]), 3, plan([5, 9, 7], 3, layout="packed", max_tokens=32))
    batch = dataclasses.replace(batch, labels=np.array([1, 0, 1], np.int32))
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

    def model(classes):
        encoder = encoders.build({**ENCODER, "vocab_size": 40, **quiet})
        return nnx.split(
            Model(encoder, classes, ModelConfig(dropout=0.0), rngs=nnx.Rngs(classes)), nnx.Param
        )

    (graphdef, state), (other_graphdef, other_state) = model(3), model(2)
    params, other = nnx.to_pure_dict(state), nnx.to_pure_dict(other_state)
    source, constants, key = LiveWords(2), {"labels": words}, jax.random.key(0)
    alone = objective.StageOneLoss(
        lambda p: nnx.merge(other_graphdef, p), source, LossConfig()
    ).value_and_grad()
    weights = {**params, "predictor": other["predictor"]}
    expected, by = jax.jit(alone)(weights, constants, batch, key)
    merge = as_of("their", lambda p: nnx.merge(graphdef, branches(p)))
    step = constants_of(
        "their", objective.StageOneLoss(merge, source, LossConfig()).value_and_grad()
    )
    found, gradients = jax.jit(step)(
        {**params, "others": {"their": other["predictor"]}},
        {"others": {"their": constants}},
        batch,
        key,
    )
    chex.assert_trees_all_close(found, expected, rtol=1e-6)
    chex.assert_trees_all_close(gradients["others"]["their"], by["predictor"], rtol=1e-5)
    chex.assert_trees_all_close(gradients["encoder"], by["encoder"], rtol=1e-4, atol=1e-6)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients["predictor"]))
