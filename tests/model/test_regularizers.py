"""What is added to the objective against overfitting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import entropy

from eacl_jax.model.regularizers import along_gradient, divergence


def draw():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 3)).astype(np.float32)
    return one, other, np.array([1.0, 1.0, 0.0, 1.0, 0.5], np.float32)


@pytest.mark.parametrize("binary", [False, True])
def test_it_is_the_mean_of_both_divergences(binary):
    one, other, weights = draw()
    total = 0.0
    for row, beside, weight in zip(one, other, weights, strict=True):
        if binary:
            pairs = [
                ([expit(a), 1 - expit(a)], [expit(b), 1 - expit(b)])
                for a, b in zip(row, beside, strict=True)
            ]
        else:
            pairs = [(softmax(row), softmax(beside))]
        total += weight * sum((entropy(p, q) + entropy(q, p)) / 2 for p, q in pairs)
    found = divergence(jnp.asarray(one), jnp.asarray(other), weights=weights, binary=binary)
    np.testing.assert_allclose(found, total / weights.sum(), rtol=1e-4)
    assert divergence(one, one, binary=binary) == 0


def test_shapes_that_do_not_fit_are_refused():
    one, other, weights = draw()
    with pytest.raises(ValueError, match=r"must both be \[N, C\]"):
        divergence(one, other[:, :1])
    with pytest.raises(ValueError, match=r"must both be \[N, C\]"):
        divergence(one[0], other[0])
    with pytest.raises(ValueError, match=r"weights must be \[N\]"):
        divergence(one, other, weights=weights[:1])


def test_its_gradient_by_finite_differences_and_at_extremes():
    one, other, weights = draw()
    jax.test_util.check_grads(
        lambda a, b: divergence(a, b, weights=weights), (one, other), 1, ["rev"], rtol=1e-2
    )
    far = jnp.array([[1e4, -1e4]])
    value, slope = jax.value_and_grad(lambda a: divergence(a, -far))(far)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_a_step_along_a_gradient_has_its_length():
    gradient = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(along_gradient(gradient, 10.0), [[6, 0], [0, 8]], rtol=1e-6)
    np.testing.assert_array_equal(along_gradient(jnp.zeros((2, 2)), 1.0), np.zeros((2, 2)))
