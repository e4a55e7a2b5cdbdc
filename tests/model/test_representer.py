"""What stands for an utterance: the same in any layout, and nobody else's tokens in it."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import CompatConfig, Config, EncoderConfig, LossConfig, ModelConfig
from eacl_jax.data.batching import Batch, collate, plan
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.anchors import Words
from eacl_jax.model.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.model.representer import Model, mean_over_examples
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import objective
from tests.stubs.toys import make_config, make_encoder_folder, recognizer_of

READOUTS = ("mask", "first", "last", "mean")
TAXONOMY = Taxonomy(("joy", "anger", "neutral"), ("joy", "anger", "neutral"))
TALK = [
    Dialogue(
        "a", (Utterance("Ann", "hello there", "joy"), Utterance("Bob", "good day " * 4, "anger"))
    ),
    Dialogue(
        "b",
        (
            Utterance("Cleo", "the day is a it", "joy"),
            Utterance("Ann", "end", "neutral"),
            Utterance("Ann", "s", "joy"),
        ),
    ),
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return encoders.load(
        EncoderConfig(path=str(make_encoder_folder(tmp_path_factory.mktemp("encoder"))))
    )


def network(loaded, readout, **options):
    """(graphdef, params) of a model without dropout."""
    model = Model(
        loaded.module, 3, ModelConfig(dropout=0.0, **options), readout=readout, rngs=nnx.Rngs(0)
    )
    graphdef, state = nnx.split(model, nnx.Param)
    return graphdef, nnx.to_pure_dict(state)


def read(graphdef, params, batch):
    return np.asarray(jax.jit(lambda p, b: nnx.merge(graphdef, p).read(b))(params, batch))


def batches(examples, size=7):
    lengths = [len(e.tokens) for e in examples]
    return {
        name: collate(examples, size, plan(lengths, size, layout=name, max_tokens=64))
        for name in ("padded", "packed")
    }


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("readout", READOUTS)
def test_packed_and_padded_read_the_same(loaded, readout):
    examples = PromptBuilder(loaded.tokenizer, Config().prompt, readout=readout).build(
        TALK, TAXONOMY
    )
    graphdef, params = network(loaded, readout)
    by_layout = {
        name: read(graphdef, params, batch)[: len(examples)]
        for name, batch in batches(examples).items()
    }
    np.testing.assert_allclose(by_layout["packed"], by_layout["padded"], atol=1e-5)
    # Each example alone, in a row of its own length, read with numpy.
    encode = jax.jit(lambda p, *inputs: nnx.merge(graphdef, p).encoder(*inputs))
    for example, found in zip(examples, by_layout["packed"], strict=True):
        tokens = example.tokens[None]
        hidden = np.asarray(
            encode(params, tokens, np.arange(tokens.size)[None], np.ones_like(tokens))
        )[0]
        special = {"mask": loaded.tokenizer.mask_token_id, "first": 0, "last": -1}
        if readout == "mean":
            expected = hidden.mean(axis=0)
        elif readout == "mask":
            expected = hidden[tokens[0].tolist().index(special["mask"])]
        else:
            expected = hidden[special[readout]]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def packed(*segments):
    """A batch of one example a segment of each row, and examples of padding."""
    ids = np.array(segments, np.int32)
    readout = [
        (row, list(ids[row]).index(s))
        for row in range(len(ids))
        for s in sorted(set(ids[row]) - {0})
    ]
    readout.append((0, ids.shape[1] - 1))
    empty = np.zeros(len(readout), np.float32)
    return Batch(ids, ids, ids, np.array(readout, np.int32), empty.astype(np.int32), empty)


def test_mean_takes_the_tokens_of_an_example_and_no_others():
    batch = packed([1, 1, 2, 2, 2, 0, 0], [1, 1, 1, 1, 0, 0, 0])
    hidden = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32)
    found = np.asarray(mean_over_examples(hidden, batch))
    of_example = [hidden[0, :2], hidden[0, 2:5], hidden[1, :4]]
    np.testing.assert_allclose(found[:3], [tokens.mean(axis=0) for tokens in of_example], atol=1e-6)
    for example, (row, columns) in enumerate(
        ((0, slice(0, 2)), (0, slice(2, 5)), (1, slice(0, 4)))
    ):
        others = 100 * np.ones_like(hidden)
        others[row, columns] = hidden[row, columns]
        np.testing.assert_array_equal(
            np.asarray(mean_over_examples(others, batch))[example], found[example]
        )


def test_mean_is_float32_under_bfloat16():
    batch = packed([1] * 256 + [0])
    hidden = np.full(
        (1, 257, 2), 1.0078125, jnp.bfloat16
    )  # a sum in bfloat16 would stop growing at 256
    found = mean_over_examples(hidden, batch)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0], 1.0078125, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_mean_learns_with_padding_and_padding_counts_nothing(loaded, layout):
    graphdef, params = network(loaded, "mean")

    examples = PromptBuilder(loaded.tokenizer, Config().prompt, readout="mean").build(
        TALK, TAXONOMY
    )
    batch = batches(examples)[layout]
    loss = jax.jit(
        jax.value_and_grad(
            objective.StageOneLoss(partial(nnx.merge, graphdef), Words(), LossConfig()),
            has_aux=True,
        )
    )
    constants = {
        "label_encodings": np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    }
    (value, _), gradients = loss(params, constants, batch, jax.random.key(0))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    # Filler that points into padding is as good.
    readout = batch.readout.copy()
    readout[len(examples) :] = next(zip(*np.nonzero(batch.segment_ids == 0), strict=True))
    moved = Batch(
        batch.tokens, batch.positions, batch.segment_ids, readout, batch.labels, batch.weights
    )
    (again, _), others = loss(params, constants, moved, jax.random.key(0))
    np.testing.assert_allclose(again, value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), others, gradients
    )


def test_mean_over_rows_on_eight_devices(loaded):
    graphdef, params = network(loaded, "mean")
    examples = PromptBuilder(loaded.tokenizer, Config().prompt, readout="mean").build(
        TALK, TAXONOMY
    )
    lengths = [len(e.tokens) for e in examples]
    batch = collate(examples, 8, plan(lengths, 8, layout="packed", max_tokens=64, row_multiple=8))
    mesh = make_mesh(8)
    spread = read(graphdef, put(params, replicated(mesh)), put(batch, batch_shardings(mesh)))
    np.testing.assert_allclose(spread, read(graphdef, params, batch), atol=1e-5)


def recognizer(loaded, *, compat=None, **changes):
    config = make_config({"prompt.max_tokens": 128}, anchors__source="live", **changes)
    config = dataclasses.replace(config, compat=compat or config.compat)
    graphdef, params = network(loaded, config.readout)
    anchors = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    return recognizer_of(
        config,
        TAXONOMY,
        loaded,
        graphdef,
        params,
        anchors={"stage_one": anchors, "stage_two": anchors},
        calibration={"stage_one": 1.0, "stage_two": 1.0},
    )


@pytest.mark.slow
def test_a_saved_recognizer_reads_as_before(loaded, tmp_path):
    reps = {}
    for readout in ("last", "mean"):
        trained = recognizer(loaded, model__readout=readout)
        reps[readout] = trained.encode(TALK)
        trained.save_pretrained(tmp_path / readout)
        again = EmotionRecognizer.from_pretrained(tmp_path / readout)
        assert again.settings.readout == readout
        np.testing.assert_array_equal(again.encode(TALK), reps[readout])
    assert np.abs(reps["last"] - reps["mean"]).max() > 1e-2


def test_the_compat_switch_overrides_the_readout_in_the_recognizer_too(loaded, tmp_path):
    # Refused in a run of its own; a study's variants may have both.
    first = CompatConfig(readout_first=True)
    trained = recognizer(loaded, compat=first, model__readout="mean")
    trained.save_pretrained(tmp_path)
    reps = EmotionRecognizer.from_pretrained(tmp_path).encode(TALK)
    np.testing.assert_array_equal(reps, recognizer(loaded, model__readout="first").encode(TALK))


def test_a_readout_that_is_not_known_is_refused(loaded, tmp_path):
    recognizer(loaded).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "readout": "median"}))
    with pytest.raises(
        UserError, match=r"config.readout: expected one of mask, first, last, mean; got 'median'"
    ):
        EmotionRecognizer.from_pretrained(tmp_path)


def test_an_encoder_that_gives_other_columns_than_are_read_is_refused(loaded):
    class Whole(nnx.Module):
        """Takes `read` for one more option."""

        hidden_size = 16

        def __call__(self, tokens, positions, segment_ids, **options):
            return jnp.zeros((*tokens.shape, self.hidden_size))

    model = Model(Whole(), 3, ModelConfig(), rngs=nnx.Rngs(0))
    examples = PromptBuilder(loaded.tokenizer, Config().prompt).build(TALK, TAXONOMY)
    with pytest.raises(ValueError, match=r"gave \d+ columns where read asks for \d+"):
        model.read(batches(examples)["padded"])
