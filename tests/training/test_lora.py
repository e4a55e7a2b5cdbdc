"""LoRA: what is trained, what it starts as, and what is left of it."""

import dataclasses
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.errors import UserError
from eacl_jax.model import low_rank
from eacl_jax.training import lora
from tests.stubs.encoders import CONFIGS

CONFIG = EncoderConfig(lora_rank=2, lora_alpha=6.0)
SCALE = 3.0


def encoder_of(architecture, scan_layers):
    """Shapes and depths of a tiny encoder's parameters."""
    encoder = abstract_encoder(CONFIGS[architecture], scan_layers=scan_layers, frozen_layers=0)
    shapes = nnx.to_pure_dict(nnx.state(encoder, nnx.Param))
    params = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), shapes)
    return params, nnx.to_pure_dict(encoder.depths()), encoder.num_layers


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_has_maps_and_begins_as_its_base(architecture):
    found = {}
    for scanned in (False, True):
        params, depths, layers = encoder_of(architecture, scanned)
        matrices = lora.adapters(params, depths, CONFIG, 0)
        chex.assert_trees_all_equal(low_rank.merged(params, matrices, SCALE), params)
        assert len(matrices) >= (1 if scanned else layers)
        found[scanned] = {name: np.asarray(pair["a"]) for name, pair in matrices.items()}
    # The same numbers, stacked or not, and others for each map.
    stacked = {
        re.sub(r"^layers\.", f"layers.{layer}.", name): drawn[layer]
        for name, drawn in found[True].items()
        if name.startswith("layers.")
        for layer in range(len(drawn))
    }
    chex.assert_trees_all_equal(found[False], stacked)
    assert len({drawn.tobytes() for drawn in stacked.values()}) == len(stacked)


def test_weights_are_the_base_and_the_scaled_product():
    rng = np.random.default_rng(0)
    base = {
        "one": {"query": {"kernel": rng.normal(size=(4, 3, 2))}, "key": {"kernel": np.ones((4, 6))}}
    }
    depths = jax.tree.map(lambda _: np.int32(1), base)
    matrices = lora.adapters(base, depths, CONFIG, 3)
    assert set(matrices) == {"one.query"}
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(2, 6))
    assert matrices["one.query"]["a"].shape == a.shape
    assert not matrices["one.query"]["b"].any()
    merged = low_rank.merged(base, {"one.query": {"a": a, "b": b}}, SCALE)
    expected = base["one"]["query"]["kernel"] + 3 * (a @ b).reshape(4, 3, 2)
    np.testing.assert_allclose(merged["one"]["query"]["kernel"], expected, rtol=1e-5)
    np.testing.assert_array_equal(merged["one"]["key"]["kernel"], 1)


def test_stacked_layers_have_matrices_each():
    base = {"query": {"kernel": np.zeros((5, 4, 6))}}
    matrices = lora.adapters(base, {"query": {"kernel": np.arange(5)}}, CONFIG, 0)["query"]
    assert (matrices["a"].shape, matrices["b"].shape) == ((5, 4, 2), (5, 2, 6))
    b = np.random.default_rng(1).normal(size=(5, 2, 6))
    merged = low_rank.merged(base, {"query": {**matrices, "b": b}}, SCALE)["query"]["kernel"]
    for layer in range(5):
        np.testing.assert_allclose(merged[layer], 3 * matrices["a"][layer] @ b[layer], rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_maps": "quer"}, r"lora_maps: no linear map .* like 'quer'; .*attention/query"),
        ({"lora_maps": ".*tokens"}, "lora_maps: no linear map"),
        ({"lora_rank": 24}, "lora_rank is 24, and .* maps 24 numbers to 24"),
    ],
)
def test_what_cannot_be_is_named(settings, message):
    params, depths, _ = encoder_of("roberta", False)
    with pytest.raises(UserError, match=message):
        lora.adapters(params, depths, dataclasses.replace(CONFIG, **settings), 0)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_stacked_maps_are_called_as_those_one_by_one(architecture):
    """A machine chooses whether layers are stacked (scan_layers=auto)."""
    regex = dataclasses.replace(CONFIG, lora_maps=r"layers/\d/(.*/)?(query|value|all)")
    chosen = []
    for scanned in (False, True):
        params, depths, layers = encoder_of(architecture, scanned)
        found = lora.adapters(params, depths, regex, 0)
        chosen.append(sum(len(pair["b"]) if scanned else 1 for pair in found.values()))
    assert chosen[0] == chosen[1] >= layers


def test_single_layers_of_a_stack_are_refused():
    settings = dataclasses.replace(CONFIG, lora_maps="layers/1/attention/query")
    params, depths, _ = encoder_of("roberta", False)
    assert set(lora.adapters(params, depths, settings, 0)) == {"layers.1.attention.query"}
    params, depths, _ = encoder_of("roberta", True)
    with pytest.raises(
        UserError,
        match=r"lora_maps: 'layers/1/attention/query' names single layers, layers/1/attention/query"
        r" but not layers/0/attention/query, while .* stacked .*set encoder\.scan_layers=never",
    ):
        lora.adapters(params, depths, settings, 0)


@pytest.mark.parametrize("scanned", [False, True])
def test_maps_are_offered_as_they_are_to_be_named(scanned):
    params, depths, _ = encoder_of("roberta", scanned)
    with pytest.raises(UserError) as caught:
        lora.adapters(params, depths, dataclasses.replace(CONFIG, lora_maps="none"), 0)
    offered = str(caught.value).partition("without /kernel, ")[2]
    assert "layers/0/attention/query" in offered.split(", ")
    assert "/kernel" not in offered


@pytest.mark.parametrize(("last", "kept"), [(True, (2, 3)), (False, (1, 3))])
def test_the_mean_of_epochs_has_the_mean_of_their_weights(last, kept):
    def trained(epoch):
        rng = np.random.default_rng(epoch)
        a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 4, 2), (3, 2, 6)))
        return {"lora": {"query": {"a": a, "b": b}}, "mapping": rng.normal(size=5)}

    base = {"query": {"kernel": np.ones((3, 4, 6), np.float32)}}
    epochs = lora.AdaptedEpochs(trained(1), 2, last=last)
    for epoch, dev in enumerate((0.9, 0.5, 0.7), start=1):
        epochs.add(epoch, [dev], trained(epoch))
    assert epochs.epochs == kept
    mean = epochs.mean()
    assert mean["lora"]["query"]["a"].shape == (3, 4, 4)
    weights = [low_rank.merged(base, trained(epoch)["lora"], SCALE) for epoch in kept]
    np.testing.assert_allclose(
        low_rank.merged(base, mean["lora"], SCALE)["query"]["kernel"],
        np.mean([found["query"]["kernel"] for found in weights], axis=0),
        rtol=1e-5,
        atol=1e-5,
    )
    both = [trained(epoch)["mapping"] for epoch in kept]
    np.testing.assert_allclose(mean["mapping"], np.mean(both, axis=0), rtol=1e-6)
