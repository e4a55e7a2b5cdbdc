"""Which parameter learns, how fast, and with how much decay."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from eacl_jax.config import StageOneConfig, StageTwoConfig
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.errors import UserError
from eacl_jax.model.names import path_name
from eacl_jax.training.optim import (
    DECAYED,
    RATE_GROUPS,
    Rates,
    assign,
    epoch_schedule,
    rate_schedule,
    stage_one_optimizer,
    stage_two_optimizer,
)
from eacl_jax.training.rates import stage_one_rates
from tests.stubs.encoders import CONFIGS


def params():
    linear = {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}
    norm = {"scale": jnp.ones(3), "bias": jnp.ones(3)}
    return {
        "encoder": {
            "embeddings": {"token": {"embedding": jnp.ones((4, 3))}, "norm": norm},
            "layers": {0: {"query": linear, "norm": norm}},
        },
        "predictor": linear,
        "mapping": {"hidden": linear, "norm": norm, "output": linear},
    }


def movement(**options):
    """How much each parameter moves in one step without gradients: decay alone."""
    p = params()
    config = StageOneConfig(encoder_lr=1e-2, head_lr=1e-1, weight_decay=0.5)
    optimizer = stage_one_optimizer(config, p, 10, **options)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, p), optimizer.init(p), p)
    return jax.tree.map(lambda u: float(u.reshape(-1)[0]), updates)


def test_decay_spares_biases_and_norms_and_rates_differ():
    moved = movement()
    assert moved["encoder"]["embeddings"]["token"]["embedding"] == pytest.approx(-0.005)
    assert moved["encoder"]["layers"][0]["query"] == {"kernel": pytest.approx(-0.005), "bias": 0}
    assert moved["encoder"]["layers"][0]["norm"] == {"scale": 0, "bias": 0}
    assert moved["mapping"]["hidden"] == {"kernel": pytest.approx(-0.05), "bias": 0}
    assert moved["mapping"]["norm"] == {"scale": 0, "bias": 0}


def test_compat_decays_the_mapping_norm_alone():
    moved = movement(decay_mapping_norm=True)
    assert moved["mapping"]["norm"] == {"scale": pytest.approx(-0.05), "bias": 0}
    assert moved["encoder"]["embeddings"]["norm"]["scale"] == 0


def test_whatever_is_called_a_bias_is_spared_from_decay():
    spared = (
        "q/query_bias",
        "content_bias",
        "distance_bias/embedding",
        "q/bias",
        "norm/scale",
        "bias_norm/scale",
    )
    decayed = ("q/kernel", "tokens/embedding", "unbiased_layers/q/kernel")
    tree = {f"encoder/{name}": 0 for name in (*spared, *decayed)}
    assert {
        name.removeprefix("encoder/") for name, value in assign(tree, DECAYED).items() if value
    } == set(decayed)


def test_frozen_parameters_do_not_decay():
    p = params()
    factors = jax.tree.map(lambda _: np.float32(1), p)
    factors["encoder"]["embeddings"] = jax.tree.map(
        lambda _: np.float32(0), p["encoder"]["embeddings"]
    )
    moved = movement(rates=Rates(factors))
    assert moved["encoder"]["embeddings"]["token"]["embedding"] == 0
    assert moved["encoder"]["layers"][0]["query"]["kernel"] != 0


def test_gradients_are_clipped_by_their_global_norm():
    p = params()
    optimizer = stage_one_optimizer(StageOneConfig(clip_norm=5.0, weight_decay=0.0), p, 10)
    state = optimizer.init(p)
    _, state = optimizer.update(jax.tree.map(lambda x: jnp.full_like(x, 100.0), p), state, p)
    moments = next(s for s in state if isinstance(s, optax.ScaleByAdamState)).mu
    assert float(optax.tree.norm(moments)) == pytest.approx(0.1 * 5.0, rel=1e-5)


def test_rates_are_halved_after_each_epoch():
    schedule = epoch_schedule(8.0, 0.5, 10)
    assert [float(schedule(jnp.int32(step))) for step in (0, 9, 10, 19, 20, 35)] == [
        8,
        8,
        4,
        4,
        2,
        1,
    ]


def test_rates_rise_and_fall_as_they_are_asked_to():
    def rates(**settings):
        schedule = rate_schedule(StageOneConfig(lr_decay=0.5, **settings), 8.0, 4, 8)
        return [float(schedule(jnp.int32(step))) for step in range(8)]

    assert rates() == [8, 8, 8, 8, 4, 4, 4, 4]
    assert rates(warmup=0.25) == [4, 8, 8, 8, 4, 4, 4, 4]
    np.testing.assert_allclose(rates(schedule="linear"), [8, 7, 6, 5, 4, 3, 2, 1], rtol=1e-6)
    linear = rates(schedule="linear", warmup=0.5)
    np.testing.assert_allclose(linear, [2, 4, 6, 8, 8, 6, 4, 2], rtol=1e-6)
    cosine = [4 * (1 + np.cos(np.pi * step / 8)) for step in range(8)]
    np.testing.assert_allclose(rates(schedule="cosine"), cosine, rtol=1e-5)


def test_an_average_of_the_weights_is_kept_beside_them():
    p = params()
    plain = stage_one_optimizer(StageOneConfig(), p, 10)
    optimizer = stage_one_optimizer(StageOneConfig(average=0.3), p, 10)
    alone, state, mean = plain.init(p), optimizer.init(p), p
    shared = {id(x) for x in jax.tree.leaves(p)}.intersection(map(id, jax.tree.leaves(state.mean)))
    assert not shared
    here = there = p
    for step in range(1, 8):
        gradients = jax.tree.map(lambda x, step=step: jnp.sin(step + x), here)
        updates, alone = plain.update(gradients, alone, here)
        here = jax.tree.map(jnp.add, here, updates)
        updates, state = optimizer.update(gradients, state, there)
        there = jax.tree.map(jnp.add, there, updates)
        kept = min(0.3, step / (step + 9))
        mean = jax.tree.map(lambda m, x, kept=kept: kept * m + (1 - kept) * x, mean, here)
    chex.assert_trees_all_close(there, here, rtol=1e-6)
    chex.assert_trees_all_close(state.mean, mean, rtol=1e-5)


def test_stage_two_holds_moments_for_the_anchors_and_nothing_else():
    p = {**params(), "anchors": jnp.ones((7, 5))}
    optimizer = stage_two_optimizer(StageTwoConfig(), p)
    state = optimizer.init(p)
    arrays = [x for x in jax.tree.leaves(state) if x.ndim]
    assert [x.shape for x in arrays] == [(7, 5), (7, 5)]
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, p), state, p)
    assert np.all(np.asarray(updates.pop("anchors")) != 0)
    assert not any(np.any(np.asarray(u)) for u in jax.tree.leaves(updates))


@pytest.mark.parametrize(("bias_lr", "moved"), [(0.0, 1e-4), (0.02, 0.02)])
def test_biases_may_have_a_rate_of_their_own(bias_lr, moved):
    p = {**params(), "anchors": jnp.ones((7, 5)), "biases": jnp.zeros(7)}
    optimizer = stage_two_optimizer(StageTwoConfig(biases=True, bias_lr=bias_lr), p)
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, p), optimizer.init(p), p)
    np.testing.assert_allclose(updates["biases"], -moved, rtol=1e-4)
    np.testing.assert_allclose(updates["anchors"], -1e-4, rtol=1e-4)


def test_a_table_must_cover_each_parameter_once():
    with pytest.raises(ValueError, match=r"a/kernel matches 2 rows; b matches 0 rows"):
        assign({"a": {"kernel": 1}, "b": 2}, (("a/.*", 1), (".*/kernel", 2)))


def rates_of(architecture, *, scan_layers, frozen_layers=0, text=True, more=None, **settings):
    """(shapes of a model's parameters and of `more`, their rates)."""
    encoder = abstract_encoder(
        CONFIGS[architecture], scan_layers=scan_layers, frozen_layers=frozen_layers
    )
    shapes = {**params(), "encoder": nnx.to_pure_dict(nnx.state(encoder, nnx.Param))}
    shapes |= more or {}
    return shapes, stage_one_rates(StageOneConfig(**settings), shapes, encoder, text=text)


def by_name(tree):
    """Numbers by the parameters' names; those of a scanned stack one by one, by the names that an
    unrolled one has.
    """
    numbers = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = path_name(path)
        if np.ndim(leaf):
            numbers |= {
                name.replace("layers", f"layers/{i}", 1): np.asarray(layer).item()
                for i, layer in enumerate(leaf)
            }
        else:
            numbers[name] = leaf.item()
    return numbers


TABLE = ("encoder/layers/0/.*/kernel=2", "encoder/layers/.*/kernel=0.5", ".*/bias=0", ".*=1")


# Every architecture has its names and its stack; what is made of their depth is the same for all.
@pytest.mark.parametrize(
    ("architecture", "kind", "settings"),
    [
        *((name, "factors", {"rates": TABLE, "layer_decay": 0.5}) for name in CONFIGS),
        ("roberta", "factors", {"layer_decay": 0.5}),
        ("roberta", "factors", {"frozen_layers": 1}),
        ("roberta", "frozen", {"rates": TABLE}),
        ("roberta", "first_epochs", {"unfreeze_layers": 2}),
    ],
)
def test_a_scanned_stack_has_the_rates_of_an_unrolled_one(architecture, kind, settings):
    (shapes, scanned), (unrolled_shapes, unrolled) = (
        rates_of(architecture, scan_layers=s, **settings) for s in (True, False)
    )
    one, other = getattr(scanned, kind), getattr(unrolled, kind)
    assert by_name(one) == by_name(other)
    assert len(set(by_name(one).values())) > 1
    for tree, like in ((one, shapes), (other, unrolled_shapes)):
        fit = jax.tree.map(
            lambda x, p: np.broadcast_shapes(np.shape(x), p.shape) == p.shape, tree, like
        )
        assert all(jax.tree.leaves(fit))
        assign(like, DECAYED)  # every architecture's names are in the tables of the optimizer
        assign(like, RATE_GROUPS)


def test_layer_decay_falls_from_the_top():
    factors = by_name(rates_of("roberta", scan_layers=False, layer_decay=0.5)[1].factors)
    assert factors["encoder/embeddings/tokens/embedding"] == 0.25
    assert factors["encoder/layers/0/attention/query/kernel"] == 0.5
    assert factors["encoder/layers/1/attention/query/kernel"] == 1
    assert factors["mapping/hidden/kernel"] == factors["predictor/bias"] == 1


def test_factors_of_freezing_decay_and_table_multiply():
    rates = ("encoder/layers/1/.*=3", "mapping/.*=0.5", ".*=1")
    factors = by_name(
        rates_of("roberta", scan_layers=True, layer_decay=0.5, frozen_layers=1, rates=rates)[
            1
        ].factors
    )
    assert factors["encoder/embeddings/tokens/embedding"] == 0
    assert factors["encoder/layers/0/attention/query/kernel"] == 0
    assert factors["encoder/layers/1/attention/query/kernel"] == 3
    assert (factors["mapping/hidden/kernel"], factors["predictor/kernel"]) == (0.5, 1)


def test_the_table_is_of_all_that_is_trained():
    more = {
        "label_encodings": np.ones((3, 4), np.float32),
        "others": {"meld": {"kernel": np.ones((4, 2), np.float32)}},
    }
    held = rates_of("roberta", scan_layers=True, more=more, rates=(".*=0",))[1]
    assert held.frozen["label_encodings"]
    assert all(jax.tree.leaves(held.frozen["others"]))
    rows = ("label_encodings=0.5", "others/meld/.*=2", ".*=1")
    factors = by_name(
        rates_of("roberta", scan_layers=True, more=more, layer_decay=0.5, rates=rows)[1].factors
    )
    assert (factors["label_encodings"], factors["others/meld/kernel"]) == (0.5, 2)
    first = rates_of("roberta", scan_layers=True, more=more, unfreeze_layers=1)[1].first_epochs
    assert by_name(first)["label_encodings"] <= 1
    rows = ("(encoder|mapping|predictor|others)/.*=1",)
    with pytest.raises(UserError, match="no row for the parameter label_encodings"):
        rates_of("roberta", scan_layers=True, more=more, rates=rows)


@pytest.mark.parametrize("rates", [(), TABLE])
def test_an_encoder_that_reads_no_text_is_held_with_its_gradients(rates):
    found = rates_of("roberta", scan_layers=True, text=False, rates=rates)[1]
    assert all(np.all(frozen) for frozen in jax.tree.leaves(found.frozen["encoder"]))
    assert not any(np.any(factor) for factor in jax.tree.leaves(found.factors["encoder"]))
    assert not found.frozen["mapping"]["hidden"]["kernel"]
    assert found.factors["mapping"]["hidden"]["kernel"] == 1


@pytest.mark.parametrize(("unfreeze", "expected"), [(1, (3, 2, 1)), (2, (2, 1, 1)), (3, (1, 1, 1))])
def test_layers_join_from_the_top_and_the_embeddings_last(unfreeze, expected):
    epochs = by_name(
        rates_of("roberta", scan_layers=False, unfreeze_layers=unfreeze)[1].first_epochs
    )
    names = (
        "embeddings/tokens/embedding",
        "layers/0/attention/query/kernel",
        "layers/1/attention/query/kernel",
    )
    assert tuple(epochs[f"encoder/{name}"] for name in names) == expected
    assert epochs["mapping/hidden/kernel"] <= 1


def test_all_that_is_amiss_in_the_table_is_named_at_once():
    rows = (
        "encoder/.*=1",
        "encoder/layers/1/.*=0.1",
        "mapping/norm/.*=1",
        "mapping/(hidden|output)/.*=1",
        "predictor/k=0",
    )
    with pytest.raises(UserError) as caught:
        rates_of("roberta", scan_layers=True, rates=rows)
    message = str(caught.value)
    assert message.startswith(
        "config.stage_one.rates must give every parameter a row and every row a parameter"
    )
    problems = [line.strip() for line in message.splitlines()[1:]]
    assert (
        problems
        == [
            "no row for the parameter predictor/bias",
            "no row for the parameter predictor/kernel",
            "no parameter left for the row 'encoder/layers/1/.*=0.1'",  # the row above it matches them all first
            "no parameter left for the row 'predictor/k=0'",  # not a whole name
        ]
    )


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, ()),
        ({"frozen_layers": 1}, ("factors",)),
        ({"layer_decay": 0.5}, ("factors",)),
        ({"rates": TABLE}, ("factors", "frozen")),
        ({"unfreeze_layers": 1}, ("first_epochs",)),
    ],
)
def test_each_choice_adds_what_it_needs(settings, kinds):
    rates = rates_of("roberta", scan_layers=True, **settings)[1]
    assert {kind for kind, tree in rates._asdict().items() if tree is not None} == set(kinds)


def test_by_default_the_optimizer_holds_what_it_always_did():
    p, config = params(), StageOneConfig()
    state = stage_one_optimizer(config, p, 10).init(p)
    assert [type(s).__name__ for s in state] == [
        "EmptyState",
        "ScaleByAdamState",
        "MaskedState",
        "PartitionState",
    ]


def random_like(tree, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), tree)


def test_a_step_is_as_long_as_its_factor():
    p = random_like(params(), 0)
    factors = jax.tree.map(
        lambda x: np.float32(np.random.default_rng(x.size).choice([0, 0.25, 1, 3])), p
    )
    factors["encoder"]["layers"][0]["query"]["kernel"] = np.array(
        [[0], [0.5], [2]], np.float32
    )  # like three stacked layers
    config = StageOneConfig(clip_norm=1e6)
    moved = []
    for rates in (None, Rates(factors)):
        optimizer = stage_one_optimizer(config, p, 10, rates=rates)
        moved.append(optimizer.update(random_like(p, 1), optimizer.init(p), p)[0])
    jax.tree.map(
        lambda one, f, other: np.testing.assert_allclose(other, one * f, rtol=1e-6),
        moved[0],
        factors,
        moved[1],
    )


@pytest.mark.parametrize(("factor", "first_epoch"), [(0, None), (None, 2), (0, 1), (1, 2)])
def test_the_clip_norm_passes_over_what_is_frozen(factor, first_epoch):
    p = params()
    frozen = factor == 0

    def with_encoder(at, elsewhere):
        return {
            **jax.tree.map(lambda _: elsewhere, p),
            "encoder": jax.tree.map(lambda _: at, p["encoder"]),
        }

    rates = Rates(
        None if factor is None else with_encoder(np.float32(factor), np.float32(1)),
        None if factor is None else with_encoder(np.asarray(frozen), np.asarray(False)),
        None if first_epoch is None else with_encoder(np.int32(first_epoch), np.int32(0)),
    )
    gradients = {
        **jax.tree.map(lambda x: jnp.full_like(x, 0.01), p),
        "encoder": jax.tree.map(lambda x: x * 1e6, p["encoder"]),
    }
    optimizer = stage_one_optimizer(StageOneConfig(clip_norm=5.0), p, 10, rates=rates)
    updates, state = optimizer.update(gradients, optimizer.init(p), p)
    assert not any(np.any(x) for x in jax.tree.leaves(updates["encoder"]))
    adam = next(
        s for s in getattr(state, "inner_state", state) if isinstance(s, optax.ScaleByAdamState)
    )
    np.testing.assert_allclose(adam.mu["predictor"]["kernel"], 0.1 * 0.01, rtol=1e-5)
    assert not any(np.any(x) for x in jax.tree.leaves((adam.mu["encoder"], adam.nu["encoder"])))


def test_layers_join_without_a_trace_of_the_time_before():
    """Frozen until its epoch: no movement, no moments; then as if Adam had begun there. Compiled
    once.
    """
    p = params()
    first_epochs = jax.tree.map(lambda _: np.int32(0), p)
    joining = np.array([[3], [2], [1]], np.int32)  # like three stacked layers
    first_epochs["encoder"]["layers"][0]["query"]["kernel"] = joining
    config = StageOneConfig(clip_norm=1e6, encoder_lr=1e-2, lr_decay=1.0, weight_decay=0.1)
    optimizer = stage_one_optimizer(config, p, 4, rates=Rates(first_epochs=first_epochs))
    traces = []

    @jax.jit
    def step(gradients, state):
        traces.append(1)
        return optimizer.update(gradients, state, p)

    state, updates, moments = optimizer.init(p), [], []
    for number in range(12):
        update, state = step(random_like(p, number), state)
        updates.append(update)
        adam = next(s for s in state.inner_state if isinstance(s, optax.ScaleByAdamState))
        moments.append(
            [np.asarray(m["encoder"]["layers"][0]["query"]["kernel"]) for m in (adam.mu, adam.nu)]
        )
    assert len(traces) == 1
    for layer, start in ((0, 8), (1, 4), (2, 0)):
        for number in range(start):
            assert not np.any(updates[number]["encoder"]["layers"][0]["query"]["kernel"][layer])
            assert not any(np.any(m[layer]) for m in moments[number])
        plain = stage_one_optimizer(config, p, 4)
        expected_state = plain.init(p)
        for number in range(start, 12):
            expected, expected_state = plain.update(random_like(p, number), expected_state, p)
            np.testing.assert_allclose(
                updates[number]["encoder"]["layers"][0]["query"]["kernel"][layer],
                expected["encoder"]["layers"][0]["query"]["kernel"][layer],
                rtol=1e-4,
            )
            if not start:  # what learns from the start: as without unfreezing
                np.testing.assert_allclose(
                    updates[number]["predictor"]["kernel"],
                    expected["predictor"]["kernel"],
                    rtol=1e-6,
                )
