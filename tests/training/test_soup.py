"""Means of several epochs' weights: which epochs they are of, and that a stopped run's go on."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eacl_jax.training.soup import BestEpochs, LastEpochs, mean_with

DEV = [0.5, 0.9, 0.7, 0.9, 0.6, 0.7]
LIKE = {"a": jnp.zeros((2, 3)), "b": {"c": jnp.zeros(4)}}
MAKE = {"last": lambda: LastEpochs(LIKE, 3, len(DEV)), "best": lambda: BestEpochs(LIKE, 3)}
# Of equal ones the earlier: epoch 3 and not 6.
KEPT = {"last": (4, 5, 6), "best": (2, 3, 4)}


def weights(epoch):
    draw = np.random.default_rng(epoch).normal
    return {
        "a": jnp.asarray(draw(size=(2, 3)), jnp.float32),
        "b": {"c": jnp.asarray(draw(size=4), jnp.float32)},
    }


@pytest.mark.parametrize("of", MAKE)
def test_it_is_the_mean_of_the_right_epochs_stopped_or_not(of):
    soup, went_on = MAKE[of](), MAKE[of]()
    for epoch, dev in enumerate(DEV, start=1):
        soup.add(epoch, [dev], weights(epoch))
        went_on.add(epoch, [dev], weights(epoch))
        record, arrays = json.loads(json.dumps(went_on.record)), went_on.arrays
        went_on = MAKE[of]()
        went_on.restore(arrays, record)
    assert soup.epochs == went_on.epochs == KEPT[of]
    for path in (lambda tree: tree["a"], lambda tree: tree["b"]["c"]):
        expected = np.mean([path(weights(epoch)) for epoch in KEPT[of]], axis=0)
        np.testing.assert_allclose(path(soup.mean()), expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(path(soup.mean()), path(went_on.mean()))
        assert path(soup.mean()).dtype == np.float32


@pytest.mark.parametrize("of", MAKE)
def test_it_holds_no_memory_of_the_device_and_changes_no_array_that_is_being_saved(of):
    soup = MAKE[of]()
    for epoch in (4, 5, 6):
        arrays = soup.arrays
        before = jax.tree.map(np.array, arrays)
        given = jax.tree.map(lambda x, epoch=epoch: np.full(x.shape, epoch, np.float32), LIKE)
        soup.add(epoch, [0.5], given)
        jax.tree.map(lambda x: x.fill(7), given)
        jax.tree.map(np.testing.assert_array_equal, arrays, before)
    np.testing.assert_array_equal(soup.mean()["a"], np.full((2, 3), 5))


@pytest.mark.parametrize("of", MAKE)
def test_fewer_epochs_than_it_is_of(of):
    soup = {"last": LastEpochs(LIKE, 9, 2), "best": BestEpochs(LIKE, 9)}[of]
    for epoch in (1, 2):
        soup.add(epoch, [0.1], weights(epoch))
    assert soup.epochs == (1, 2)
    expected = (weights(1)["a"] + weights(2)["a"]) / 2
    np.testing.assert_allclose(soup.mean()["a"], expected, rtol=1e-5, atol=1e-7)


def test_what_all_have_alike_stays():
    frozen = {"w": np.float32([0.1, 1 / 3])}
    mean = frozen
    for count in range(1, 8):
        mean = mean_with(mean, frozen, count)
    np.testing.assert_array_equal(mean["w"], frozen["w"])
