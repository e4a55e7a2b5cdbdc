"""The kernels of attention agree, and refuse what they cannot do; what nobody reads is left out;
layers can be run again.
"""

from typing import Any

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.encoders import Encoder, attention, build
from eacl_jax.encoders.attention import Attention, attend, segment_mask, using
from eacl_jax.encoders.dropout import dropout, dropout_seed, keep_mask
from eacl_jax.errors import UserError
from tests.stubs.encoders import CONFIGS, FORMS, Inputs, rows, tiny


def _inputs(kind: str) -> tuple[dict[str, jax.Array], jax.Array]:
    """Queries, keys, values, and a bias of the given kind; and a mask of two segments and
    padding.
    """
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.normal(size=(2, 11, 3, 4)).astype(np.float32)
        for name in ("query", "key", "value")
    }
    if kind != "none":
        arrays["bias"] = generator.normal(
            size=((2,) if kind == "by row" else ()) + (3, 11, 11)
        ).astype(np.float32)
    return jax.tree.map(jnp.asarray, arrays), segment_mask(
        jnp.array([[1] * 5 + [2] * 4 + [0] * 2, [1] * 11])
    )


@pytest.mark.parametrize("kind", ["none", "by head", "by row"])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_recomputed_attention_equals_the_plain_one(kind: str, rate: float) -> None:
    arrays, mask = _inputs(kind)

    def loss(arrays: dict[str, jax.Array], kernel: Any) -> jax.Array:
        with using(Attention(kernel)):
            attended = attend(**arrays, mask=mask, dropout_rate=rate, dropout_key=jax.random.key(1))
        return jnp.sum(jnp.sin(attended * 3))

    plain, again = (jax.value_and_grad(loss)(arrays, kernel) for kernel in ("xla", "auto"))
    chex.assert_trees_all_close(plain, again, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["none", "by head", "by row"])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_a_few_rows_at_once_give_the_same(
    kind: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        name: jnp.asarray(generator.normal(size=(7, 9, 3, 4)).astype(np.float32))
        for name in ("query", "key", "value")
    }
    if kind != "none":
        shape = ((7,) if kind == "by row" else ()) + (3, 9, 9)
        arrays["bias"] = jnp.asarray(generator.normal(size=shape).astype(np.float32))
    mask = segment_mask(jnp.asarray(generator.integers(0, 3, (7, 9)).cumsum(axis=1) // 5))
    looped = []

    def results(at_once: int) -> Any:
        monkeypatch.setattr(attention, "_few_rows_at_once", lambda shape: shape[0] > at_once)
        monkeypatch.setattr(attention, "AT_ONCE", at_once)

        def loss(arrays: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
            attended = attend(**arrays, mask=mask, dropout_rate=rate, dropout_key=jax.random.key(1))
            return jnp.sum(jnp.sin(attended * 3)), attended

        made = jax.jit(jax.value_and_grad(loss, has_aux=True))
        looped.append(made.lower(arrays).as_text().count("stablehlo.while"))
        return made(arrays)

    expected = results(at_once=7)
    for at_once in (3, 1):
        chex.assert_trees_all_close(results(at_once), expected, rtol=1e-5, atol=1e-6)
    assert looped[0] < looped[1] == looped[2]


@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
@pytest.mark.parametrize(("scan_layers", "remat"), [(False, False), (True, True)])
def test_an_encoder_that_computes_a_few_rows_at_once_has_the_same_gradients(
    architecture: str, scan_layers: bool, remat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = rows([(7, 4), (9,), (3, 3, 3)], width=12)
    results = []
    for at_once in (3, 2):
        monkeypatch.setattr(
            attention, "_few_rows_at_once", lambda shape, few=at_once: shape[0] > few
        )
        monkeypatch.setattr(attention, "AT_ONCE", at_once)
        encoder = tiny(architecture, scan_layers=scan_layers)
        encoder.remat = remat
        key = jax.random.key(0, impl="rbg")
        results.append(jax.tree.leaves(_gradients(encoder, inputs, deterministic=False, rngs=key)))
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-4)


def test_all_rows_are_computed_at_once_where_several_devices_may_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert jax.device_count() > 1
    many = (24, 12, 272, 272)
    assert not attention._few_rows_at_once(many)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert attention._few_rows_at_once(many)
    assert not attention._few_rows_at_once((attention.AT_ONCE, 128, 272, 272))
    assert not attention._few_rows_at_once((8, 12, 144, 144))  # they fit
    (symbolic,) = jax.export.symbolic_shape("rows")
    assert not attention._few_rows_at_once((symbolic, 12, 272, 272))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not attention._few_rows_at_once(many)


@pytest.mark.parametrize("kind", ["none", "by head", "by row"])
def test_the_fused_kernel_is_given_the_same_problem(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, mask = _inputs(kind)
    expected = attend(**arrays, mask=mask, scale=0.3)
    fused = jax.nn.dot_product_attention
    monkeypatch.setattr(
        jax.nn, "dot_product_attention", lambda *args, implementation, **kw: fused(*args, **kw)
    )
    with using(Attention("cudnn", dropout=False)):
        chex.assert_trees_all_close(attend(**arrays, mask=mask, scale=0.3), expected, atol=1e-6)


def test_the_fused_kernel_says_what_it_needs() -> None:
    with pytest.raises(UserError, match=r"a GPU .*bfloat16.*attention_dropout=False"):
        build(CONFIGS["bert"], attention=Attention("cudnn"))


def test_without_attention_dropout_only_that_is_left_out() -> None:
    """Probabilities of one key are 1: with dropout, a query's output is its value or nothing."""
    ones = jnp.ones((1, 64, 2, 4))
    mask = jnp.eye(64, dtype=bool)[None]
    how: dict[str, Any] = {"dropout_rate": 0.5, "dropout_key": jax.random.key(0)}
    assert 0.3 < np.mean(np.asarray(attend(ones, ones, ones, mask, **how)) == 0) < 0.7
    with using(Attention(dropout=False)):
        np.testing.assert_allclose(attend(ones, ones, ones, mask, **how), 1)
    config = {**CONFIGS["bert"], "hidden_dropout_prob": 0.0}
    encoders = {kept: build(config, attention=Attention(dropout=kept)) for kept in (True, False)}
    inputs = rows([(7, 4)], width=12)
    hidden = {
        kept: e(*inputs, deterministic=False, rngs=nnx.Rngs(0)) for kept, e in encoders.items()
    }
    np.testing.assert_allclose(hidden[False], encoders[False](*inputs), atol=1e-6)
    assert np.abs(hidden[True] - hidden[False]).max() > 1e-2


def _gradients(encoder: Encoder, inputs: Inputs, **how: Any) -> Any:
    graphdef, params = nnx.split(encoder, nnx.Param)

    @jax.jit
    def run(params: nnx.State) -> Any:
        def loss(params: nnx.State) -> jax.Array:
            return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(*inputs, **how)))

        return jax.value_and_grad(loss)(params)

    return run(params)


READ = jnp.array([[2, 9, 0], [4, 4, 20]])


@pytest.mark.parametrize("architecture", sorted({*CONFIGS, *FORMS}))
def test_reading_some_columns_equals_reading_all(architecture: str) -> None:
    encoder, inputs = tiny(architecture), rows([(7, 4, 9), (13, 5)], width=23)
    graphdef, params = nnx.split(encoder, nnx.Param)
    whole, some = jax.jit(
        lambda params: [nnx.merge(graphdef, params)(*inputs, **how) for how in ({}, {"read": READ})]
    )(params)
    np.testing.assert_allclose(
        some, np.take_along_axis(np.asarray(whole), np.asarray(READ)[:, :, None], 1), atol=1e-5
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("scan_layers", [True, False], ids=["scan", "unrolled"])
@pytest.mark.parametrize(
    ("architecture", "frozen_layers"), [("bert", 0), ("bert", 2), ("mpnet", 1)]
)
def test_reading_some_columns_has_the_same_gradients(
    architecture: str, frozen_layers: int, scan_layers: bool
) -> None:
    inputs = rows([(7, 4, 9), (13, 5)], width=23)
    encoder = tiny(architecture, scan_layers=scan_layers, frozen_layers=frozen_layers)
    graphdef, params = nnx.split(encoder, nnx.Param)

    def loss(params: nnx.State, read: Any) -> jax.Array:
        hidden = nnx.merge(graphdef, params)(*inputs, read=read)
        return jnp.sum(
            jnp.sin(
                hidden if read is not None else jnp.take_along_axis(hidden, READ[:, :, None], 1)
            )
        )

    some, whole = (
        jax.jit(jax.grad(loss), static_argnums=() if read is not None else 1)(params, read)
        for read in (READ, None)
    )
    chex.assert_trees_all_close(jax.tree.leaves(some), jax.tree.leaves(whole), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", ["bert", "deberta-v2-everything", "modernbert-everything", "xlnet"]
)
def test_layers_run_again_give_the_same_gradients(architecture: str) -> None:
    inputs = rows([(7, 4), (9,)], width=12)
    results = []
    for remat in (False, True):
        encoder = tiny(architecture)
        encoder.remat = remat
        results.append(
            jax.tree.leaves(
                _gradients(encoder, inputs, deterministic=False, rngs=jax.random.key(0, impl="rbg"))
            )
        )
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-4)


def test_running_layers_again_keeps_less() -> None:
    inputs = rows([(40,)] * 8, width=40)

    def temporary(remat: bool) -> int:
        encoder = build({**CONFIGS["bert"], "num_hidden_layers": 8}, remat=remat)
        graphdef, params = nnx.split(encoder, nnx.Param)
        loss = jax.grad(lambda params: jnp.sum(nnx.merge(graphdef, params)(*inputs) ** 2))
        return jax.jit(loss).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert temporary(remat=True) < 0.6 * temporary(remat=False)


def test_masks_keep_what_they_should_and_differ() -> None:
    shape, rate = (64, 512), 0.1
    masks = np.stack(
        [keep_mask(dropout_seed(jax.random.key(seed)), rate, shape) for seed in range(20)]
    )
    # 5 standard deviations around the rate, over all and in each row and column.
    for axis in ((0, 1, 2), (0, 1), (0, 2)):
        count = masks.size / np.prod([masks.shape[i] for i in range(3) if i not in axis])
        assert np.abs(masks.mean(axis) - 0.9).max() < 5 * np.sqrt(0.09 / count)
    # Neighbours, rows and seeds are uncorrelated: a coefficient has deviation 1 / sqrt(count).
    dropped = masks - masks.mean()
    pairs = {
        "column": (dropped[..., 1:], dropped[..., :-1]),
        "row": (dropped[:, 1:], dropped[:, :-1]),
    }
    pairs["seed"] = (dropped[1:], dropped[:-1])
    for first, second in pairs.values():
        assert np.abs(np.mean(first * second) / dropped.var()) < 5 / np.sqrt(first.size)


def test_dropout_scales_what_is_left_and_its_gradient_alike() -> None:
    key, values = jax.random.key(3), jnp.full((50, 40), 2.0)
    dropped, pull = jax.vjp(lambda x: dropout(x, 0.25, key), values)
    assert set(np.unique(dropped)) == {0.0, np.float32(2 / 0.75)}
    np.testing.assert_allclose(pull(jnp.full_like(values, 2.0))[0], dropped, rtol=1e-6)
    assert dropout(values, 0.25, None) is values
