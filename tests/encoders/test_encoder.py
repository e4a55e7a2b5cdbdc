"""What every architecture's call promises: segments kept apart, padding harmless, dropout by key,
layers frozen.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from eacl_jax.encoders import Encoder
from eacl_jax.encoders.attention import attend
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.errors import SettingsError
from eacl_jax.model.mesh import AXIS, make_mesh
from tests.stubs.encoders import CONFIGS, FORMS, Inputs, jitted, rows, tiny

architectures = pytest.mark.parametrize("architecture", sorted(CONFIGS))
forms = pytest.mark.parametrize("architecture", sorted({*CONFIGS, *FORMS}))
# What depends on the layers alone is tested once for those that share their code: ELECTRA's and
# RoBERTa's are BERT's.
LAYERED = [
    "bert",
    "deberta",
    "deberta-v2-everything",
    "modernbert-everything",
    "mpnet",
    "t5",
    "xlnet",
]
layered = pytest.mark.parametrize("architecture", LAYERED)
scanned = pytest.mark.parametrize("scan_layers", [True, False], ids=["scan", "unrolled"])


def _key(seed: int) -> jax.Array:
    """A key whose generator compiles fast."""
    return jax.random.key(seed, impl="rbg")


@pytest.mark.slow_after(1)
@forms
def test_packed_equals_separate_rows(architecture: str) -> None:
    encode = jitted(tiny(architecture))
    packed = rows([(7, 4, 9), (13,)], width=23)
    separate = Inputs(*(np.zeros((4, 23), np.int32) for _ in range(3)))
    pieces = [(0, 0, 7), (0, 7, 4), (0, 11, 9), (1, 0, 13)]
    for row, (source, start, length) in enumerate(pieces):
        for ours, theirs in zip(separate, packed, strict=True):
            ours[row, :length] = theirs[source, start : start + length]
        separate.segment_ids[row, :length] = 1
    together, apart = encode(packed), encode(separate)
    for row, (source, start, length) in enumerate(pieces):
        np.testing.assert_allclose(
            together[source, start : start + length], apart[row, :length], atol=1e-5
        )


@forms
def test_nothing_leaks_between_segments_or_from_padding(architecture: str) -> None:
    encode = jitted(tiny(architecture))
    inputs = rows([(7, 4, 9), (13, 2)], width=23)
    before = np.asarray(encode(inputs))
    for row, start, stop in [
        (0, 0, 7),
        (0, 7, 11),
        (0, 11, 20),
        (0, 20, 23),
        (1, 13, 15),
        (1, 15, 23),
    ]:
        tokens = inputs.tokens.copy()
        tokens[row, start:stop] = (tokens[row, start:stop] + 17) % 61
        after = np.asarray(encode(inputs._replace(tokens=tokens)))
        elsewhere = np.ones((2, 23), bool)
        elsewhere[row, start:stop] = False
        np.testing.assert_allclose(after[elsewhere], before[elsewhere], atol=1e-6)
        assert np.abs(after[row, start:stop] - before[row, start:stop]).max() > 0.1


@pytest.mark.slow_after(1)
@layered
def test_gradient_stays_inside_a_segment(architecture: str) -> None:
    encoder = tiny(architecture)
    graphdef, params = nnx.split(encoder, nnx.Param)
    inputs = rows([(5, 6)], width=14)
    # Each column its own token, so that a row of the table's gradient belongs to one column.
    inputs.tokens[0] = np.arange(14) + 10

    @jax.jit
    def gradient(params: nnx.State) -> nnx.State:
        return jax.grad(
            lambda params: jnp.sum(jnp.sin(nnx.merge(graphdef, params)(*inputs)[0, 5:11]))
        )(params)

    touched = np.abs(gradient(params)["embeddings"]["tokens"]["embedding"][...]).max(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(touched), np.arange(15, 21))


@pytest.mark.slow_after(1)
@layered
def test_rows_of_padding_stay_finite(architecture: str) -> None:
    encoder = tiny(architecture)
    graphdef, params = nnx.split(encoder, nnx.Param)
    inputs = rows([(5,), ()], width=9)

    @jax.jit
    def run(params: nnx.State) -> tuple[jax.Array, nnx.State]:
        return jax.value_and_grad(
            lambda params: jnp.sum(nnx.merge(graphdef, params)(*inputs) ** 3)
        )(params)

    value, gradient = run(params)
    assert np.isfinite(value)
    chex.assert_tree_all_finite(jax.tree.leaves(gradient))


@layered
@pytest.mark.slow
def test_scanned_equals_unrolled(architecture: str) -> None:
    inputs = rows([(7, 4), (9,)], width=12)
    results = []
    for scan_layers in (True, False):
        graphdef, params = nnx.split(
            tiny(architecture, scan_layers=scan_layers, frozen_layers=1), nnx.Param
        )

        def loss(params: nnx.State, key: jax.Array, graphdef: Any = graphdef) -> jax.Array:
            hidden = nnx.merge(graphdef, params)(
                *inputs, deterministic=False, rngs=nnx.Rngs(dropout=key)
            )
            return jnp.sum(jnp.sin(hidden))

        value, gradient = jax.jit(jax.value_and_grad(loss))(params, _key(3))
        results.append((value, gradient["layers"], gradient["embeddings"]))
    (value, stacked, below), (value_unrolled, layers, below_unrolled) = results
    np.testing.assert_allclose(value, value_unrolled, rtol=1e-5)
    chex.assert_trees_all_close(below, below_unrolled, atol=2e-4)
    for index in range(len(layers)):
        chex.assert_trees_all_close(
            jax.tree.leaves(jax.tree.map(lambda leaf, index=index: leaf[index], stacked)),
            jax.tree.leaves(layers[index]),
            atol=2e-4,
        )


@layered
@scanned
@pytest.mark.slow
def test_dropout_follows_its_key_through_split_and_merge(
    architecture: str, scan_layers: bool
) -> None:
    encoder = tiny(architecture, scan_layers=scan_layers)
    graphdef, params, rest = nnx.split(encoder, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    inputs = rows([(7, 4), (9,)], width=12)
    traces = []

    @jax.jit
    def step(params: nnx.State, key: jax.Array) -> tuple[jax.Array, nnx.State]:
        traces.append(key)

        def loss(params: nnx.State) -> jax.Array:
            return jnp.sum(
                jnp.sin(
                    nnx.merge(graphdef, params)(*inputs, deterministic=False, rngs=nnx.Rngs(key))
                )
            )

        return jax.value_and_grad(loss)(params)

    first, second, again = step(params, _key(1)), step(params, _key(2)), step(params, _key(1))
    chex.assert_trees_all_equal(first, again)
    assert abs(first[0] - second[0]) > 1e-3
    assert len(traces) == 1
    with pytest.raises(ValueError, match="needs rngs"):
        encoder(*inputs, deterministic=False)


def test_layers_draw_different_dropout() -> None:
    """Two equal layers that only drop out: the second must not drop exactly what the first did."""
    changes = {
        "num_hidden_layers": 2,
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.5,
        "initializer_range": 0.0,
    }
    encoder = tiny("bert", changes=changes)
    # With zero weights and these biases a layer adds dropout(1) to what it normalizes: its pattern
    # is visible in the output.
    encoder.layers.attention.output.bias[...] = jnp.ones((2, 24))
    encoder.layers.attention_norm.bias[...] = jnp.zeros((2, 24))
    inputs = rows([(12,)], width=12)
    single = nnx.merge(*nnx.split(encoder))
    patterns = []
    for layer in range(2):
        # Only one of the two layers adds anything.
        single.layers.attention.output.bias[...] = jnp.zeros((2, 24)).at[layer].set(1.0)
        hidden = jax.jit(lambda m, k: m(*inputs, deterministic=False, rngs=k))(single, _key(0))
        patterns.append(np.asarray(hidden[0]) > 0)
    assert 0.3 < np.mean(patterns[0] == patterns[1]) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        "bert with prefix",
        *(pytest.param(name, marks=pytest.mark.slow) for name in LAYERED),
    ],
)
def test_devices_that_share_the_rows_draw_what_one_draws(architecture: str) -> None:
    name, _, prefix = architecture.partition(" with ")
    encoder = tiny(name, **({"prefix": PrefixShape(3)} if prefix else {}))
    graphdef, params = nnx.split(encoder, nnx.Param)
    inputs = rows([(7, 4), (9,), (11,), (5, 2)], width=12)

    def encode(params: nnx.State, *inputs: Any) -> jax.Array:
        return nnx.merge(graphdef, params)(*inputs, deterministic=False, rngs=_key(0))

    spread = jax.shard_map(
        encode,
        mesh=make_mesh(2),
        in_specs=(P(), *[P(AXIS)] * 3),
        out_specs=P(AXIS),
        check_vma=False,
    )
    np.testing.assert_allclose(
        jax.jit(spread)(params, *inputs), jax.jit(encode)(params, *inputs), atol=1e-5
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("field", "changed"), [("hidden_dropout_prob", 0.0), ("attention_probs_dropout_prob", 0.0)]
)
def test_each_dropout_rate_comes_from_the_config(field: str, changed: float) -> None:
    inputs = rows([(9,)], width=9)
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    rng = _key(0)
    base = tiny("roberta", changes=quiet)(*inputs)
    np.testing.assert_array_equal(
        tiny("roberta", changes=quiet)(*inputs, deterministic=False, rngs=rng), base
    )
    other = dict.fromkeys(quiet, 0.2) | {field: changed}
    assert (
        np.abs(tiny("roberta", changes=other)(*inputs, deterministic=False, rngs=rng) - base).max()
        > 0.1
    )


def _products(jaxpr: Any) -> int:
    """Matrix products that a jaxpr computes, those inside scans as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        total += equation.primitive.name == "dot_general"
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += times * _products(inner)
    return total


@pytest.mark.slow_after(1)
@layered
@scanned
def test_no_backward_pass_through_frozen_layers(architecture: str, scan_layers: bool) -> None:
    inputs = rows([(7, 4), (9,)], width=12)

    def count(frozen_layers: int) -> tuple[int, int]:
        graphdef, params = nnx.split(
            tiny(architecture, scan_layers=scan_layers, frozen_layers=frozen_layers), nnx.Param
        )

        def loss(params: nnx.State) -> jax.Array:
            return jnp.sum(nnx.merge(graphdef, params)(*inputs) ** 2)

        return _products(jax.make_jaxpr(loss)(params).jaxpr), _products(
            jax.make_jaxpr(jax.grad(loss))(params).jaxpr
        )

    layers = tiny(architecture).num_layers
    forward, everything = count(0)
    # What lies outside the layers, a layer's products, and those of its backward pass.
    outside = {"deberta-v2-everything": 4, "mpnet": 1, "t5": 1}.get(architecture, 0)
    a_layer = (forward - outside) // layers
    assert forward == outside + layers * a_layer == count(layers)[0]
    assert count(layers)[1] == forward
    # A backward pass has two products for each, and one more that makes the attention scores again.
    assert count(1)[1] <= forward + (layers - 1) * (2 * a_layer + 1) < everything


@pytest.mark.slow_after(1)
@layered
@scanned
def test_depths_tell_where_gradients_are_cut(architecture: str, scan_layers: bool) -> None:
    encoder = tiny(architecture, scan_layers=scan_layers, frozen_layers=1)
    graphdef, params = nnx.split(encoder, nnx.Param)
    inputs = rows([(7, 4), (9,)], width=12)
    gradient = jax.jit(
        jax.grad(lambda params: jnp.sum(jnp.sin(nnx.merge(graphdef, params)(*inputs))))
    )(params)
    depths = encoder.depths()
    assert jax.tree.structure(depths) == jax.tree.structure(params)

    def agree(path: Any, depth: np.ndarray, gradient: jax.Array) -> None:
        assert jnp.broadcast_shapes(depth.shape, gradient.shape) == gradient.shape
        assert depth.min() >= 0
        assert depth.max() <= encoder.num_layers + 1
        moved = np.abs(np.asarray(gradient)).reshape(depth.size, -1).max(axis=1) > 0
        unused = any(part in jax.tree_util.keystr(path) for part in ("type_bias", "'types'"))
        np.testing.assert_array_equal(moved, (np.ravel(depth) > 1) & (not unused))

    jax.tree_util.tree_map_with_path(agree, depths, gradient)


@pytest.mark.slow_after(1)
@layered
def test_bfloat16_computes_in_it_and_keeps_float32_parameters(architecture: str) -> None:
    encoder = tiny(architecture, dtype="bfloat16")
    inputs = rows([(7, 4), (9,)], width=12)
    hidden = jitted(encoder)(inputs)
    assert hidden.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(encoder, nnx.Param))} == {
        jnp.dtype("float32")
    }
    exact = np.asarray(jitted(tiny(architecture))(inputs))
    valid = inputs.segment_ids > 0
    error = np.linalg.norm((np.asarray(hidden, np.float32) - exact)[valid]) / np.linalg.norm(
        exact[valid]
    )
    assert error < (4e-2 if "everything" in architecture else 2e-2)


def test_softmax_is_float32_under_bfloat16() -> None:
    """Scores near 60 that differ by tenths: bfloat16 would round them to halves."""
    generator = np.random.default_rng(0)
    query = jnp.full((1, 1, 1, 4), 8.0, jnp.bfloat16)
    key = jnp.asarray(4.0 + generator.uniform(-0.1, 0.1, (1, 6, 1, 4)), jnp.bfloat16)
    value = jnp.asarray(generator.standard_normal((1, 6, 1, 4)), jnp.bfloat16)
    bias = jnp.asarray(generator.standard_normal((1, 1, 6)), jnp.float32)
    scores = np.einsum(
        "qw,kw->qk", *(np.asarray(x, np.float64)[0, :, 0] for x in (query, key))
    ) / 2 + np.asarray(bias[0])
    probabilities = np.exp(scores - scores.max())
    expected = probabilities / probabilities.sum() @ np.asarray(value, np.float64)[0, :, 0]
    result = attend(query, key, value, jnp.ones((1, 1, 6), bool), bias=bias)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(result[0, :, 0], np.float32), expected, atol=1e-2)


def test_layer_norm_is_float32_under_bfloat16() -> None:
    """What the embeddings' LayerNorm sees, and every scale, differ by less than bfloat16 can
    tell.
    """
    layer_norm = tiny("bert", dtype="bfloat16").embeddings.norm
    layer_norm.scale[...] = 1 + jnp.arange(24) / 1024
    values = 256 + np.arange(24, dtype=np.float32)[None] % 7 / 64
    expected = (values - values.mean()) / values.std() * (1 + np.arange(24) / 1024)
    np.testing.assert_allclose(layer_norm(jnp.asarray(values)), expected, atol=1e-4)
    assert layer_norm(jnp.asarray(values, jnp.bfloat16)).dtype == jnp.bfloat16


@architectures
def test_attributes(architecture: str) -> None:
    encoder = tiny(architecture)
    # Where a table of positions, or config.json, limits them.
    usable = {"bert": 48, "electra": 48, "modernbert": 48, "roberta": 46, "mpnet": 46}.get(
        architecture
    )
    layers = 4 if architecture == "modernbert" else 2
    assert (encoder.hidden_size, encoder.num_layers, encoder.vocab_size, encoder.max_length) == (
        24,
        layers,
        61,
        usable,
    )


@pytest.mark.parametrize(
    ("architecture", "usable"), [("bert", 48), ("roberta", 46), ("deberta-everything", 48)]
)
def test_position_beyond_the_table_gives_nan(architecture: str, usable: int) -> None:
    longest = rows([(usable,), (1,)], width=usable + 1)
    encode = jitted(tiny(architecture))
    assert np.isfinite(encode(longest)).all()
    longest.positions[0, -1] = usable
    assert np.isnan(encode(longest)[0, -1]).all()


def test_more_frozen_layers_than_layers() -> None:
    with pytest.raises(
        SettingsError, match=r"frozen_layers must be from 0 to the encoder's 2 layers .* got 3"
    ):
        tiny("bert", frozen_layers=3)


def test_seed_and_layout_of_random_weights() -> None:
    first, other = tiny("roberta", seed=1), tiny("roberta", seed=2)
    unrolled = tiny("roberta", seed=1, scan_layers=False)
    kernel = first.layers.feed_forward.up.kernel[...]
    assert abs(float(jnp.std(kernel)) - 0.3) < 0.01
    assert not np.allclose(kernel, other.layers.feed_forward.up.kernel[...])
    assert not np.allclose(kernel[0], kernel[1])
    np.testing.assert_array_equal(kernel[1], unrolled.layers[1].feed_forward.up.kernel[...])
    np.testing.assert_array_equal(first.embeddings.norm.scale[...], 1.0)
    np.testing.assert_array_equal(first.layers.attention.query.bias[...], 0.0)


def test_every_architecture_is_an_encoder() -> None:
    assert all(isinstance(tiny(architecture), Encoder) for architecture in CONFIGS)
