"""Features that join the text: values by hand, what is missing, layouts, chunks and devices."""

import dataclasses
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import Config, FeaturesConfig
from eacl_jax.data.batching import Frames, collate, plan
from eacl_jax.features.modality import Modality
from eacl_jax.model.anchors import Words
from eacl_jax.model.fusion import dropped, fusion_of
from eacl_jax.model.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.model.representer import Model
from eacl_jax.training import objective
from tests.data.test_batching import examples_of
from tests.stubs.toys import ENCODER

KINDS = ("gated", "concat", "attention")
VOICE = Modality(2, 1, (0.0, 0.0), (1.0, 1.0))
FACE = Modality(3, 4, (0.0,) * 3, (1.0,) * 3)
BOTH = {"face": FACE, "voice": VOICE}
N, D = 6, 8


def made(kind: str, *, moved: bool = True, **settings: Any) -> Any:
    """A fusion with weights as training might leave them."""
    config = FeaturesConfig(fusion=kind, hidden=5, **settings)  # type: ignore[arg-type]
    fusion = fusion_of(D, BOTH, config, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(fusion, nnx.Param)
    draw = np.random.default_rng(1)
    moves = jax.tree.map(lambda x: jnp.asarray(draw.normal(size=x.shape), x.dtype), state)
    return nnx.merge(graphdef, moves if moved else state)


def inputs() -> tuple[jax.Array, dict[str, Frames]]:
    draw = np.random.default_rng(0)
    h = jnp.asarray(draw.normal(size=(N, D)), jnp.float32)
    present = np.ones((N, 4), np.float32)
    present[1, 2:], present[2] = 0, 0
    features = {
        "face": Frames(draw.normal(size=(N, 4, 3)).astype(np.float32), present),
        "voice": Frames(
            draw.normal(size=(N, 1, 2)).astype(np.float32),
            np.array([[1], [1], [0], [1], [0], [1]], np.float32),
        ),
    }
    return h, features


def twin(kind: str, fusion: Any, h: np.ndarray, features: Any) -> np.ndarray:
    """The same in plain NumPy, an utterance after the other."""

    def linear(layer: Any, x: np.ndarray) -> np.ndarray:
        return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])

    rows = []
    for n in range(len(h)):
        text = np.asarray(h[n], np.float64)
        summaries, there = [], []
        for number, name in enumerate(sorted(features)):
            values, present = (np.asarray(each[n], np.float64) for each in features[name])
            frames = [linear(fusion.summaries[number].hidden, frame) for frame in values]
            kept = [np.maximum(f, 0) for f, p in zip(frames, present, strict=True) if p]
            summaries.append(np.mean(kept, axis=0) if kept else np.zeros(5))
            there.append(float(bool(kept)))
        if kind == "gated":
            row = text.copy()
            for number, (s, t) in enumerate(zip(summaries, there, strict=True)):
                gate = 1 / (1 + np.exp(-linear(fusion.gates[number], np.concatenate([text, s]))))
                row += t * gate * linear(fusion.outputs[number], s)
        elif kind == "concat":
            parts = [x for s, t in zip(summaries, there, strict=True) for x in (s, [t])]
            hidden = np.maximum(linear(fusion.hidden, np.concatenate([text, *parts])), 0)
            row = linear(fusion.output, hidden)
        else:
            values = [text, *(linear(o, s) for o, s in zip(fusion.outputs, summaries, strict=True))]
            query = linear(fusion.query, text)
            logits = [query @ linear(fusion.key, v) / D**0.5 for v in values]
            weights = np.exp(logits) * np.array([1.0, *there])
            row = (weights / weights.sum()) @ np.array(values)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_plain_numpy(kind: str) -> None:
    fusion, (h, features) = made(kind), inputs()
    found = fusion(h, features)
    np.testing.assert_allclose(
        found, twin(kind, fusion, np.asarray(h), features), rtol=2e-4, atol=2e-4
    )
    weights = fusion.weights(h, features)
    if kind == "concat":
        assert weights is None
    else:
        assert weights.shape == (N, 2)
        assert ((weights >= 0) & (weights <= 1)).all()
        assert (weights[2] == 0).all()
        assert weights[4, 1] == 0 < weights[4, 0]


def test_gates_begin_as_the_text_alone_and_learn() -> None:
    fusion, (h, features) = made("gated", moved=False), inputs()
    np.testing.assert_array_equal(fusion(h, features), h)
    graphdef, state = nnx.split(fusion, nnx.Param)
    found = jax.grad(lambda params: (nnx.merge(graphdef, params)(h, features) ** 2).sum())(state)
    outputs = nnx.to_pure_dict(found)["outputs"]
    assert all(np.abs(each["kernel"]).max() > 0 for each in outputs.values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_leaves_no_trace(kind: str) -> None:
    fusion, (h, features) = made(kind), inputs()
    other = {
        name: Frames(np.where(present[..., None] > 0, values, 99.0), present)
        for name, (values, present) in features.items()
    }
    np.testing.assert_array_equal(fusion(h, other), fusion(h, features))
    if kind != "concat":  # which learns from what is not there
        np.testing.assert_allclose(fusion(h, features)[2], h[2], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind: str) -> None:
    fusion, (h, features) = made(kind), inputs()
    graphdef, state = nnx.split(fusion, nnx.Param)
    aim = jnp.asarray(np.random.default_rng(2).normal(size=(N, D)), jnp.float32)

    def value(params: Any) -> jax.Array:
        return (nnx.merge(graphdef, params)(h, features) * aim).sum()

    gradient = jax.grad(value)(state)
    draw = np.random.default_rng(3)
    way = jax.tree.map(lambda x: jnp.asarray(draw.normal(size=x.shape), x.dtype), state)
    step = 1e-3
    ahead, behind = (
        value(jax.tree.map(lambda x, w, s=sign: x + s * step * w, state, way)) for sign in (1, -1)
    )
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, w: (g * w).sum(), gradient, way)))
    assert float(ahead - behind) / (2 * step) == pytest.approx(float(slope), rel=2e-2)


def test_modality_dropout_takes_a_share_of_each_alone() -> None:
    present = np.ones((4000, 1), np.float32)
    features = {name: Frames(np.ones((4000, 1, 2)), present) for name in ("face", "voice")}
    kept = dropped(features, 0.25, jax.random.key(0))
    face, voice = (np.asarray(kept[name].present[:, 0]) for name in ("face", "voice"))
    assert face.mean() == pytest.approx(0.75, abs=0.03)
    assert (face * voice).mean() == pytest.approx(0.75**2, abs=0.03)


LENGTHS = [5, 60, 17, 33, 8, 41, 12, 50, 30]


def model_and_params(**settings: Any) -> tuple[Any, Any, Config]:
    config = Config.from_mapping(Config().to_dict() | {"model": {"dropout": 0.0}})
    encoder = encoders.build(
        {
            **ENCODER,
            "vocab_size": 40,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
    )
    features = FeaturesConfig(hidden=5, dropout=0.0, **settings)
    model = Model(encoder, 3, config.model, modalities=BOTH, features=features, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(state)
    draw = np.random.default_rng(5)
    params["fusion"] = jax.tree.map(
        lambda x: jnp.asarray(draw.normal(size=x.shape), x.dtype), params["fusion"]
    )
    return graphdef, params, config


def batch_of(layout: str) -> Any:
    draw = np.random.default_rng(0)
    examples = [
        type(each)(
            each.tokens,
            each.readout,
            each.label,
            each.dialogue,
            each.utterance,
            features={
                "voice": draw.normal(size=(1, 2)).astype(np.float32),
                **({"face": draw.normal(size=(3, 3)).astype(np.float32)} if n % 2 else {}),
            },
        )
        for n, each in enumerate(examples_of(LENGTHS))
    ]
    made = plan(LENGTHS, 12, layout=layout, max_tokens=64)  # type: ignore[arg-type]
    return collate(examples, 12, made, modalities=BOTH)


@pytest.mark.slow
def test_packed_equals_padded_and_features_count() -> None:
    graphdef, params, _ = model_and_params()
    model = nnx.merge(graphdef, params)
    packed, padded = (model.read(batch_of(layout)) for layout in ("packed", "padded"))
    np.testing.assert_allclose(packed[:9], padded[:9], rtol=2e-5, atol=2e-5)
    without = batch_of("packed")
    for name, (values, present) in without.features.items():
        without.features[name] = Frames(values, np.zeros_like(present))
    assert np.abs(model.read(without)[:9] - packed[:9]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["gated", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])]
)
def test_chunks_and_devices_take_the_step_of_the_whole(kind: str) -> None:
    graphdef, params, config = model_and_params(fusion=kind)
    constants = {
        "label_encodings": np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    }
    merge = partial(nnx.merge, graphdef)
    results = []
    for chunks, devices in ((1, 1), (3, 1), (1, 8), (2, 4)):
        mesh = make_mesh(devices)
        loss = objective.StageOneLoss(merge, Words(), config.loss, mesh=mesh)
        step = loss.value_and_grad(chunks)
        batch = put(_sixteen_rows(batch_of("padded")), batch_shardings(mesh))
        placed = put(params, replicated(mesh)), put(constants, replicated(mesh))
        results.append(jax.device_get(jax.jit(step)(*placed, batch, jax.random.key(0))))
    for other in results[1:]:
        chex.assert_trees_all_close(results[0], other, rtol=1e-3, atol=1e-4)


def _sixteen_rows(batch: Any) -> Any:
    """With rows for eight devices."""

    def more(x: np.ndarray) -> np.ndarray:
        return np.pad(x, ((0, 4), (0, 0)))

    return dataclasses.replace(
        batch,
        tokens=more(batch.tokens),
        positions=more(batch.positions),
        segment_ids=more(batch.segment_ids),
    )
