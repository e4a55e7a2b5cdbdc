"""Which parameter learns, how fast, and with how much decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from eacl_jax.config import StageOneConfig, StageTwoConfig
from eacl_jax.optim import assign, epoch_schedule, stage_one_optimizer, stage_two_optimizer


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


def test_frozen_parameters_do_not_decay():
    p = params()
    trainable = jax.tree.map(lambda _: np.float32(1), p)
    trainable["encoder"]["embeddings"] = jax.tree.map(lambda _: np.float32(0), p["encoder"]["embeddings"])
    moved = movement(trainable=trainable)
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
    assert [float(schedule(jnp.int32(step))) for step in (0, 9, 10, 19, 20, 35)] == [8, 8, 4, 4, 2, 1]


def test_stage_two_holds_moments_for_the_anchors_and_nothing_else():
    p = {**params(), "anchors": jnp.ones((7, 5))}
    optimizer = stage_two_optimizer(StageTwoConfig(), p)
    state = optimizer.init(p)
    arrays = [x for x in jax.tree.leaves(state) if x.ndim]
    assert [x.shape for x in arrays] == [(7, 5), (7, 5)]
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, p), state, p)
    assert np.all(np.asarray(updates.pop("anchors")) != 0)
    assert not any(np.any(np.asarray(u)) for u in jax.tree.leaves(updates))


def test_a_table_must_cover_each_parameter_once():
    with pytest.raises(ValueError, match=r"a/kernel matches 2 rows; b matches 0 rows"):
        assign({"a": {"kernel": 1}, "b": 2}, (("a/.*", 1), (".*/kernel", 2)))
