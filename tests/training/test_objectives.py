"""Every source of anchors and every objective: the same loss, gradients and memory whether padded,
packed, in chunks, or on eight devices.
"""

from functools import partial
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import EncoderConfig, LossConfig, ModelConfig
from eacl_jax.data.batching import Batch, collate, plan
from eacl_jax.model.anchors import Axes, Beginning, Fixed, Learned, LiveWords, Prototypes, Words
from eacl_jax.model.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.model.rarity import Rarity
from eacl_jax.model.regularizers import divergence
from eacl_jax.model.representer import Model
from eacl_jax.training import lora, objective, stage_one
from tests.data.test_batching import examples_of
from tests.stubs.hlo import collective_bytes
from tests.stubs.toys import ENCODER

LENGTHS = [5, 60, 17, 33, 8, 41, 12, 50]
COUNTS = np.array([5, 2, 1])
RARE = LossConfig(balanced=True, class_weight=0.5, focal=2.0, logit_adjustment=1.0)
ENCODINGS = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
CASES = {
    "words": (Words(), LossConfig(), 1),
    "live": (LiveWords(3), LossConfig(), 1),
    "clusters": (Fixed(lambda _: ENCODINGS), LossConfig(), 2),
    "learned, rare labels": (Learned(), RARE, 1),
    "prototypes": (Prototypes(8), LossConfig(use_anchors=False, ce_weight=0.0), 1),
    "classifier": (Axes(3), LossConfig(ce_weight=1.0), 1),
    "several labels": (Words(), LossConfig(ce_weight=0.5), 1),
    "regularized": (LiveWords(3), LossConfig(r_drop=2.0, adversarial=0.5, smoothing=0.1), 1),
    "lora": (LiveWords(3), LossConfig(), 1),
    "teachers": (LiveWords(3), LossConfig(ce_weight=0.5, logit_adjustment=1.0), 1),
    "teachers of several labels": (Words(), LossConfig(ce_weight=0.5), 1),
    "teachers of a classifier": (Axes(3), LossConfig(ce_weight=1.0), 1),
}
LORA = EncoderConfig(lora_rank=2)
# Both, none, and shares.
SEVERAL = np.array([[1, 1, 0], [0, 0, 0], [0.5, 0, 1], *np.eye(3)[[0, 1, 2, 0, 1]]], np.float32)


MIXED = np.random.default_rng(2).dirichlet(np.ones(3), 8).astype(np.float32)


def laid_out(layout, targets=None, mixed=None):
    return collate(
        examples_of(LENGTHS),
        8,
        plan(LENGTHS, 8, layout=layout, max_tokens=64, row_multiple=8),
        targets=targets,
        mixed=mixed,
    )


@pytest.mark.parametrize(
    ("labels", "binary", "ce_weight", "r_drop"),
    [
        ("one", False, 0.5, 0.0),
        ("one", False, 1.0, 0.0),
        ("shares", False, 0.5, 0.0),
        ("several", True, 0.5, 1.0),
        ("several", True, 1.0, 0.0),
    ],
)
def test_an_added_term_reaches_every_branch(monkeypatch, labels, binary, ce_weight, r_drop):
    """By one function, and is recorded by its name."""
    rng = np.random.default_rng(3)
    h, kernel, anchors = (jnp.asarray(rng.normal(size=n), jnp.float32) for n in [(8, 4)] * 3)
    kernel, anchors = kernel[:4, :3], anchors[:3]
    batch = SimpleNamespace(
        labels=jnp.arange(8) % 3 if labels == "one" else jnp.asarray(SEVERAL),
        weights=jnp.ones(8),
        mixed=None,
    )
    model = SimpleNamespace(
        read=lambda batch, **_: h,
        auxiliary_logits=lambda h, **_: h @ kernel,
        mapping=lambda h: h,
    )
    source = SimpleNamespace(anchors=lambda *_: anchors, memory=lambda *_: {})
    settings = LossConfig(ce_weight=ce_weight, r_drop=r_drop)
    found = objective.stage_one_loss(lambda params: model, source, settings, binary=binary)

    def squares(settings, batch, h, logits, reps, anchors):
        assert (reps is None) == (anchors is None) == (settings.ce_weight == 1)
        return {"squares": (0.25, jnp.mean(logits**2))}

    before, terms = found(None, {}, batch, jax.random.key(0))
    monkeypatch.setattr(objective, "added_terms", squares)
    value, more = found(None, {}, batch, jax.random.key(0))
    term = jnp.mean((h @ kernel) ** 2)
    np.testing.assert_allclose(
        [value, more.pop("squares")], [before + 0.25 * term, term], rtol=1e-6
    )
    assert more == terms


# Those that have most of it, a memory and several labels.
_NOT_LONG = ("words", "prototypes", "several labels", "regularized", "lora", "teachers")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in _NOT_LONG else pytest.mark.long) for name in CASES],
)
def test_layout_chunks_and_devices_change_nothing(name):
    source, settings, per_label = CASES[name]
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = encoders.build({**ENCODER, "vocab_size": 40, **quiet})
    model = Model(
        encoder,
        3,
        ModelConfig(dropout=0.0),
        classifies=settings.ce_weight == 1,
        rngs=nnx.Rngs(0),
    )
    graphdef, state = nnx.split(model, nnx.Param)
    words = collate(examples_of([4, 5, 6]), 3, plan([4, 5, 6], 3, layout="padded", max_tokens=8))
    beginning = Beginning(
        labels=words,
        encode=lambda _: ENCODINGS[:3],
        readouts=lambda: ENCODINGS,
        members=np.eye(3, dtype=bool),
        names=("a", "b", "c"),
        width=16,
        seed=0,
    )
    params = {**nnx.to_pure_dict(state), **source.parameters(beginning)}
    several = name.endswith("several labels")
    targets = SEVERAL if several else None
    mixed = MIXED if name.startswith("teachers") else None
    constants = source.constants(beginning)

    def merge(params):
        return nnx.merge(graphdef, {k: params[k] for k in ("encoder", "predictor", "mapping")})

    if name == "lora":
        base, depths = params.pop("encoder"), nnx.to_pure_dict(encoder.depths())
        matrices = lora.adapters(base, depths, LORA, 0)
        moved = jax.tree.map(lambda x: x + 0.1, matrices)  # of zeros `a` has no gradient
        params, constants = {**params, lora.ADAPTERS: moved}, {**constants, lora.BASE: base}

    results = []
    for layout, devices, chunks in (("padded", 1, 1), ("packed", 8, 1), ("packed", 1, 2)):
        value_and_grad = objective.stage_one_value_and_grad(
            merge,
            source,
            settings,
            anchors_per_label=per_label,
            rarity=Rarity.of(settings, COUNTS),
            binary=several,
            chunks=chunks,
        )
        if name == "lora":
            value_and_grad = lora.lora_value_and_grad(value_and_grad, LORA)
        step = jax.jit(value_and_grad)
        mesh = make_mesh(devices)
        whole = partial(put, shardings=replicated(mesh))
        results.append(
            jax.device_get(
                step(
                    whole(params),
                    whole(constants),
                    put(laid_out(layout, targets, mixed), batch_shardings(mesh)),
                    jax.random.key(0),
                )
            )
        )
    (_, terms), gradients = results[0]
    assert ("memory" in terms) == (name == "prototypes")
    if name == "lora":
        assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradients[lora.ADAPTERS]))
    else:
        assert np.abs(gradients["encoder"]["embeddings"]["tokens"]["embedding"]).max() > 0
    if "label_encodings" in params:
        assert np.abs(gradients["label_encodings"]).max() > 0
    for other in results[1:]:
        np.testing.assert_allclose(other[0][0], results[0][0][0], rtol=1e-5)
        chex.assert_trees_all_close(results[0], other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("kind", ["one label", "several labels", "shares"])
def test_r_drop_adds_the_divergence_of_two_readings(kind):
    """With dropout, and of logits that answer as the labels are."""
    model = Model(encoders.build({**ENCODER, "vocab_size": 40}), 3, ModelConfig(), rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(state)
    shares = SEVERAL + (SEVERAL.sum(axis=1, keepdims=True) == 0)
    targets = {
        "one label": None,
        "several labels": SEVERAL,
        "shares": shares / shares.sum(axis=1, keepdims=True),
    }[kind]
    h = jnp.asarray(np.random.default_rng(1).normal(size=(8, 32)), jnp.float32)
    batch, key = laid_out("padded", targets), jax.random.key(3)

    binary = kind == "several labels"

    def loss(settings, h, key):
        merge, constants = partial(nnx.merge, graphdef), {"label_encodings": ENCODINGS[:3]}
        of_encoded = objective.objective_of(merge, Words(), settings, binary=binary)
        return of_encoded(params, h, constants, batch, key)

    value, terms = loss(LossConfig(r_drop=2.0), h, key)
    halves, keys = (h[:, :16], h[:, 16:]), jax.random.split(key)
    mean = sum(loss(LossConfig(), *pair)[0] for pair in zip(halves, keys, strict=True)) / 2
    logits = [
        model.auxiliary_logits(half, deterministic=False, rngs=nnx.Rngs(dropout=one))
        for half, one in zip(halves, keys, strict=True)
    ]
    apart = divergence(*logits, weights=batch.weights, binary=binary)
    assert apart > 1e-2
    np.testing.assert_allclose(terms["divergence"], apart, rtol=1e-5)
    np.testing.assert_allclose(value, mean + 2 * apart, rtol=1e-5)


@pytest.mark.slow
def test_devices_share_the_scores_of_a_large_batch():
    """The loss as training calls it: what the devices send is the gradients of the representations,
    which each has from its own rows. Nothing is run.
    """
    model = Model(encoders.build({**ENCODER, "vocab_size": 40}), 3, ModelConfig(), rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model, nnx.Param)
    params, mesh = nnx.to_pure_dict(state), make_mesh(8)
    of_encoded = objective.objective_of(
        partial(nnx.merge, graphdef), Words(), LossConfig(), mesh=mesh
    )

    def loss(h, labels, weights):
        batch = Batch(None, None, None, None, labels, weights)
        constants = {"label_encodings": ENCODINGS[:3]}
        return of_encoded(params, h, constants, batch, jax.random.key(0))[0]

    def sent(size):
        arguments = [
            jax.ShapeDtypeStruct(shape, dtype, sharding=replicated(mesh))
            for shape, dtype in (((size, 16), "float32"), ((size,), "int32"), ((size,), "float32"))
        ]
        return collective_bytes(jax.jit(jax.grad(loss)).lower(*arguments).compile().as_text())

    assert sent(64) == 0
    assert sent(5000) >= 5000 * 16 * 4


def test_one_process_has_all_rows():
    for devices in (1, 8):
        assert stage_one.local_rows(batch_shardings(make_mesh(devices)).tokens, 16) == range(16)


def test_a_process_has_the_rows_from_its_devices_first_to_their_last():
    class Sharding:
        def addressable_devices_indices_map(self, shape):
            assert shape == (16,)
            return {0: (slice(12, 14),), 1: (slice(4, 6),)}

    assert stage_one.local_rows(Sharding(), 16) == range(4, 14)
