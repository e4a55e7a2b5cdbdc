"""Products whose operands alone are bfloat16."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.encoders.products import product
from tests.encoders.test_encoder import layered
from tests.stubs.encoders import jitted, rows, tiny


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.asarray(jnp.asarray(values, jnp.bfloat16).astype(jnp.float32), np.float64)


def test_only_operands_are_rounded_forward_and_backward() -> None:
    generator = np.random.default_rng(0)
    x, kernel, gradient = (
        generator.standard_normal(shape).astype(np.float32)
        for shape in ((3, 5, 64), (64, 7), (3, 5, 7))
    )
    found, backward = jax.vjp(product, x, kernel)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, _rounded(x) @ _rounded(kernel), rtol=1e-5, atol=1e-5)
    by_x, by_kernel = backward(jnp.asarray(gradient))
    np.testing.assert_allclose(by_x, _rounded(gradient) @ _rounded(kernel).T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        by_kernel,
        np.einsum("abk,abn->kn", _rounded(x), _rounded(gradient)),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.slow_after(1)
@layered
@pytest.mark.parametrize("scan_layers", [False, True], ids=["unrolled", "scan"])
def test_encoders_stay_near_float32(architecture: str, scan_layers: bool) -> None:
    encoder = tiny(architecture, dtype="bfloat16_products", scan_layers=scan_layers)
    exact = tiny(architecture, scan_layers=scan_layers)
    inputs = rows([(7, 4), (9,)], width=12)
    valid = inputs.segment_ids > 0

    def gradient_of(of: nnx.Module) -> np.ndarray:
        graphdef, params = nnx.split(of, nnx.Param)

        def loss(params: nnx.State) -> jax.Array:
            return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(*inputs)) * valid[..., None])

        return np.concatenate(
            [np.ravel(leaf) for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(params))]
        )

    found, wanted = jitted(encoder)(inputs), jitted(exact)(inputs)
    assert found.dtype == jnp.float32
    most = 4e-2 if "everything" in architecture else 2e-2
    for ours, theirs, bound in (
        (np.asarray(found)[valid], np.asarray(wanted)[valid], most),
        (gradient_of(encoder), gradient_of(exact), 2 * most),
    ):
        assert 1e-5 < np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < bound


def test_every_linear_map_multiplies_so() -> None:
    encoder = tiny("bert", dtype="bfloat16_products", scan_layers=False)
    graphdef, params = nnx.split(encoder, nnx.Param)
    inputs = rows([(7, 4), (9,)], width=12)
    program = str(jax.make_jaxpr(lambda params: nnx.merge(graphdef, params)(*inputs))(params))
    rounded = re.findall(r":bf16\[[^\]]*\] = convert_element_type", program)
    assert len(rounded) == 2 * 6 * encoder.num_layers
