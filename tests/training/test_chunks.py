"""A batch encoded in chunks gives the gradients of the whole."""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import Config
from eacl_jax.data.batching import collate, plan
from eacl_jax.model.anchors import Words
from eacl_jax.model.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.model.representer import Model
from eacl_jax.training import objective
from eacl_jax.training.chunks import chunked_value_and_grad, split_rows
from eacl_jax.training.loop import create_state, make_train_step
from tests.data.test_batching import examples_of
from tests.stubs.hlo import collective_bytes
from tests.stubs.toys import ENCODER

LENGTHS = [5, 60, 17, 33, 8, 41, 12, 50, 30]


def experiment(rate: float = 0.0, **settings: Any) -> tuple[Any, Any]:
    """What the loss is made of, and parameters. `settings` are of the model."""
    mapping = Config().to_dict()
    mapping["model"] |= {
        "dropout": rate,
        **{k: v for k, v in settings.items() if k in mapping["model"]},
    }
    config = Config.from_mapping(mapping)
    encoder = encoders.build(
        {
            **ENCODER,
            "vocab_size": 40,
            "hidden_dropout_prob": rate,
            "attention_probs_dropout_prob": rate,
        }
    )
    graphdef, state = nnx.split(Model(encoder, 3, config.model, rngs=nnx.Rngs(0)), nnx.Param)

    return (partial(nnx.merge, graphdef), Words(), config.loss), nnx.to_pure_dict(state)  # type: ignore[arg-type]


def batch_of(layout: str) -> Any:
    return collate(examples_of(LENGTHS), 12, plan(LENGTHS, 12, layout=layout, max_tokens=64))  # type: ignore[arg-type]


CONSTANTS = {"label_encodings": np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("layout", "chunks", "readout"),
    [
        ("padded", 3, "mean"),
        ("packed", 2, "mask"),
        ("packed", 2, "mean"),
        ("padded", 3, "mask"),
        ("packed", 5, "mask"),
        ("packed", 5, "mean"),
    ],
)
def test_chunks_give_the_same_loss_and_gradients(layout: str, chunks: int, readout: str) -> None:
    batch = batch_of(layout)
    results = []
    for count in (1, chunks):
        part, params = experiment(readout=readout)
        results.append(
            jax.jit(objective.StageOneLoss(*part).value_and_grad(count))(
                params, CONSTANTS, batch, jax.random.key(0)
            )
        )
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_both_passes_of_a_chunk_draw_the_same_dropout() -> None:
    """With dropout, the gradients are those of the loss that the chunks' forward passes add up
    to.
    """
    part, params = experiment(rate=0.3)
    whole = objective.StageOneLoss(*part)
    encode, of_encoded = whole.encode, whole.of_encoded
    batch, key, chunks = batch_of("packed"), jax.random.key(0), 2

    def loss(params: Any) -> jax.Array:
        parts = split_rows(batch, chunks)
        h = jnp.zeros(())
        for c in range(chunks):
            piece = jax.tree.map(lambda x, c=c: x[c], parts)
            h = h + piece.weights[:, None] * encode(params, piece, jax.random.fold_in(key, c))
        return of_encoded(params, h, CONSTANTS, batch, jax.random.fold_in(key, chunks))[0]

    (value, _), gradients = jax.jit(chunked_value_and_grad(encode, of_encoded, chunks))(
        params, CONSTANTS, batch, key
    )
    chex.assert_trees_all_close(
        (value, gradients), jax.jit(jax.value_and_grad(loss))(params), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_every_example_is_in_one_chunk_with_its_tokens() -> None:
    batch = batch_of("packed")
    parts = split_rows(batch, 3)
    np.testing.assert_array_equal(parts.weights.sum(0), 1)
    for index, example in enumerate(examples_of(LENGTHS)):
        chunk = int(np.argmax(parts.weights[:, index]))
        row, column = parts.readout[chunk, index]
        segment = parts.segment_ids[chunk, row] == parts.segment_ids[chunk, row, column]
        np.testing.assert_array_equal(parts.tokens[chunk, row][segment], example.tokens)
        assert parts.positions[chunk, row, column] == example.readout


def compiled(chunks: int, devices: int, rows: int, rate: float = 0.3) -> tuple[Any, Any]:
    """A training step on padded rows, and what it is called with."""
    mesh, optimizer = make_mesh(devices), optax.sgd(1.0)
    part, params = experiment(rate)
    lengths = [5 + 55 * i // rows for i in range(rows - 2)]
    layout = plan(lengths, rows, layout="padded", max_tokens=64, row_multiple=8)
    batch = collate(examples_of(lengths), rows, layout)
    state = put(create_state(params, CONSTANTS, optimizer), replicated(mesh))
    arguments = state, put(batch, batch_shardings(mesh)), jax.random.key(0)
    step = make_train_step(
        objective.StageOneLoss(*part, mesh=mesh).value_and_grad(chunks), optimizer, mesh
    )
    return step.lower(*arguments).compile(), arguments


@pytest.mark.slow
def test_devices_send_gradients_once_however_many_chunks_there_are() -> None:
    sent = [collective_bytes(compiled(chunks, 8, 32)[0].as_text()) for chunks in (2, 4)]
    parameters = sum(x.nbytes for x in jax.tree.leaves(experiment()[1]))
    assert sent[0] == sent[1]
    assert sent[0] < 1.3 * parameters


@pytest.mark.slow
# Three chunks do not part four rows a device evenly.
@pytest.mark.parametrize("chunks", [2, 3])
def test_devices_that_share_chunks_take_the_step_of_one(chunks: int) -> None:
    """With dropout. The step's length is 1, so that parameters show the gradients."""
    results = []
    for devices in (1, 8):
        step, arguments = compiled(chunks, devices, 32)
        state, metrics = step(*arguments)
        results.append(jax.device_get((state.params, metrics)))
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_chunks_hold_less_memory() -> None:
    examples = examples_of([60] * 32)
    batch = collate(examples, 32, plan([60] * 32, 32, layout="padded", max_tokens=64))

    def temporary(chunks: int) -> int:
        part, params = experiment()
        step = jax.jit(objective.StageOneLoss(*part).value_and_grad(chunks))
        return (
            step.lower(params, CONSTANTS, batch, jax.random.key(0))
            .compile()
            .memory_analysis()
            .temp_size_in_bytes
        )

    assert temporary(8) < 0.4 * temporary(1)
