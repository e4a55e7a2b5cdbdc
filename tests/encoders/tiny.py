"""Encoders small enough to compare number by number, and batches for them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from eacl_jax.encoders import Encoder, build

_SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 48,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    # Large, so that attention is far from uniform and a mistake shows.
    "initializer_range": 0.3,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**_SIZES, "model_type": "bert", "type_vocab_size": 2, "pad_token_id": 0, "layer_norm_eps": 1e-12},
    "roberta": {**_SIZES, "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1},
    "mpnet": {**_SIZES, "model_type": "mpnet", "pad_token_id": 1, "relative_attention_num_buckets": 32},
}


class Inputs(NamedTuple):
    """What an encoder is called with."""

    tokens: np.ndarray
    positions: np.ndarray
    segment_ids: np.ndarray


def rows(lengths: Sequence[Sequence[int]], *, width: int, seed: int = 0, vocab_size: int = 61) -> Inputs:
    """One row for each sequence of segment lengths, then padding up to `width`; tokens at random, none of them special."""
    inputs = Inputs(*(np.zeros((len(lengths), width), np.int32) for _ in range(3)))
    generator = np.random.default_rng(seed)
    for row, segments in enumerate(lengths):
        start = 0
        for number, length in enumerate(segments, start=1):
            here = (row, slice(start, start + length))
            inputs.tokens[here] = generator.integers(5, vocab_size, length)
            inputs.positions[here] = np.arange(length)
            inputs.segment_ids[here] = number
            start += length
    return inputs


def tiny(architecture: str, **options: Any) -> Encoder:
    """A tiny encoder; `changes` go into its config.json."""
    changes = options.pop("changes", {})
    return build({**CONFIGS[architecture], **changes}, **options)


def jitted(encoder: Encoder) -> Callable[..., jax.Array]:
    """`encoder` as a compiled function of its inputs."""
    graphdef, params = nnx.split(encoder, nnx.Param)
    run = jax.jit(lambda params, *inputs: nnx.merge(graphdef, params)(*inputs))
    return lambda inputs: run(params, *inputs)
