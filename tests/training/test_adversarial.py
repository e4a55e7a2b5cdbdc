"""FGM: what a step makes of the two gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.training.adversarial import adversarial_value_and_grad
from tests.stubs.encoders import CONFIGS


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_has_the_table_by_this_name(architecture):
    encoder = abstract_encoder(CONFIGS[architecture], scan_layers=False, frozen_layers=0)
    params = nnx.to_pure_dict(nnx.state(encoder, nnx.Param))
    table = params["embeddings"]["tokens"]["embedding"]
    assert table.shape[0] == CONFIGS[architecture]["vocab_size"]


def test_gradients_here_and_a_step_away_are_added():
    """Of a loss whose gradient is its parameters, cubed: by hand."""
    table, other = jnp.array([[1.0, -2.0]]), jnp.array(3.0)
    params = {"encoder": {"embeddings": {"tokens": {"embedding": table}}}, "head": other}

    def loss(params, constants, batch, key):
        cubed = params["encoder"]["embeddings"]["tokens"]["embedding"] ** 3
        return constants * cubed.sum() * params["head"], {"ce": params["head"]}

    plain = jax.value_and_grad(loss, has_aux=True)
    (value, terms), gradients = adversarial_value_and_grad(plain, 0.5)(params, 2.0, None, None)
    first = 2 * 3 * np.array([1.0, 4.0]) * 3
    moved = np.array([1.0, -2.0]) + 0.5 * first / np.linalg.norm(first)
    assert value == 2 * (1 - 8) * 3
    np.testing.assert_allclose(terms["adversarial"], 2 * (moved**3).sum() * 3, rtol=1e-5)
    assert terms["ce"] == 3
    found = gradients["encoder"]["embeddings"]["tokens"]["embedding"]
    np.testing.assert_allclose(found, [first + 2 * 3 * moved**2 * 3], rtol=1e-5)
    np.testing.assert_allclose(gradients["head"], 2 * (-7 + (moved**3).sum()), rtol=1e-5)
