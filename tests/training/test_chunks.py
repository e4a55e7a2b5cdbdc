"""A batch encoded in chunks gives the gradients of the whole."""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import Config
from eacl_jax.data.batching import collate, plan
from eacl_jax.model.anchors import Words
from eacl_jax.model.representer import Model
from eacl_jax.training import stage_one
from eacl_jax.training.chunks import chunked_value_and_grad, split_rows
from tests.data.test_batching import examples_of
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


@pytest.mark.parametrize("readout", ["mask", "mean"])
@pytest.mark.parametrize(("layout", "chunks"), [("packed", 2), ("padded", 3), ("packed", 5)])
def test_chunks_give_the_same_loss_and_gradients(layout: str, chunks: int, readout: str) -> None:
    batch = batch_of(layout)
    results = []
    for count in (1, chunks):
        part, params = experiment(readout=readout)
        results.append(
            jax.jit(stage_one.stage_one_value_and_grad(*part, chunks=count))(
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
    encode, objective = stage_one._encode(part[0]), stage_one._objective(*part)
    batch, key, chunks = batch_of("packed"), jax.random.key(0), 2

    def loss(params: Any) -> jax.Array:
        parts = split_rows(batch, chunks)
        h = jnp.zeros(())
        for c in range(chunks):
            piece = jax.tree.map(lambda x, c=c: x[c], parts)
            h = h + piece.weights[:, None] * encode(params, piece, jax.random.fold_in(key, c))
        return objective(params, h, CONSTANTS, batch, jax.random.fold_in(key, chunks))[0]

    (value, _), gradients = jax.jit(chunked_value_and_grad(encode, objective, chunks))(
        params, CONSTANTS, batch, key
    )
    chex.assert_trees_all_close(
        (value, gradients), jax.jit(jax.value_and_grad(loss))(params), rtol=1e-4, atol=1e-5
    )


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


@pytest.mark.slow
def test_chunks_hold_less_memory() -> None:
    examples = examples_of([60] * 32)
    batch = collate(examples, 32, plan([60] * 32, 32, layout="padded", max_tokens=64))

    def temporary(chunks: int) -> int:
        part, params = experiment()
        step = jax.jit(stage_one.stage_one_value_and_grad(*part, chunks=chunks))
        return (
            step.lower(params, CONSTANTS, batch, jax.random.key(0))
            .compile()
            .memory_analysis()
            .temp_size_in_bytes
        )

    assert temporary(8) < 0.4 * temporary(1)
