"""Encoders small enough to compare number by number, and batches for them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

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

_T5: dict[str, Any] = {
    "vocab_size": 61,
    "d_model": 24,
    "num_layers": 2,
    "num_heads": 3,
    # Not the model's width by the number of heads.
    "d_kv": 10,
    "d_ff": 40,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "layer_norm_epsilon": 1e-6,
    "dropout_rate": 0.1,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
_DEBERTA: dict[str, Any] = {
    **_SIZES,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "max_relative_positions": -1,
    "pos_att_type": "c2p|p2c",
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pad_token_id": 0,
}

# An architecture's usual form, as its published checkpoints have it.
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {
        **_SIZES,
        "model_type": "bert",
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "layer_norm_eps": 1e-12,
    },
    "deberta": {**_DEBERTA, "model_type": "deberta"},
    "deberta-v2": {
        **_DEBERTA,
        "model_type": "deberta-v2",
        "position_buckets": 6,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "electra": {
        **_SIZES,
        "model_type": "electra",
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "embedding_size": 16,
    },
    "modernbert": {
        **{
            name: _SIZES[name]
            for name in ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size")
        },
        "model_type": "modernbert",
        "num_hidden_layers": 4,
        "max_position_embeddings": 48,
        "hidden_activation": "gelu",
        "norm_eps": 1e-5,
        "local_attention": 4,
        "pad_token_id": 0,
        "attention_dropout": 0.1,
        "initializer_range": 0.3,
    },
    "mpnet": {
        **_SIZES,
        "model_type": "mpnet",
        "pad_token_id": 1,
        "relative_attention_num_buckets": 32,
    },
    "mt5": {**_T5, "model_type": "mt5", "feed_forward_proj": "gated-gelu"},
    "roberta": {**_SIZES, "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1},
    "t5": {**_T5, "model_type": "t5", "feed_forward_proj": "relu"},
    "xlnet": {
        "model_type": "xlnet",
        "vocab_size": 61,
        "d_model": 24,
        "n_layer": 2,
        "n_head": 3,
        "d_inner": 40,
        "layer_norm_eps": 1e-12,
        "dropout": 0.1,
        "pad_token_id": 0,
        "initializer_range": 0.3,
    },
}

# Further forms: what else a config.json may ask for. Architecture, and changes to its usual form.
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-one-head-relu": (
        "bert",
        {"num_attention_heads": 1, "hidden_act": "relu", "type_vocab_size": 1},
    ),
    "bert-gelu-new": ("bert", {"hidden_act": "gelu_new", "num_attention_heads": 6}),
    "deberta-everything": (
        "deberta",
        {
            "talking_head": True,
            "position_biased_input": True,
            "type_vocab_size": 2,
            "embedding_size": 16,
            "max_relative_positions": 5,
        },
    ),
    "deberta-c2p": ("deberta", {"pos_att_type": ["c2p"]}),
    "deberta-plain": (
        "deberta",
        {"relative_attention": False, "pos_att_type": None, "position_biased_input": True},
    ),
    "deberta-v2-everything": (
        "deberta-v2",
        {
            "share_att_key": False,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "conv_groups": 2,
            "position_biased_input": True,
            "type_vocab_size": 2,
            "embedding_size": 16,
            "max_relative_positions": 9,
            "pos_att_type": "p2c|c2p",
        },
    ),
    "deberta-v2-p2c": (
        "deberta-v2",
        {"pos_att_type": "p2c", "position_buckets": -1, "norm_rel_ebd": "none"},
    ),
    "electra-one-width": ("electra", {"embedding_size": 24}),
    "modernbert-everything": (
        "modernbert",
        {
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "hidden_activation": "silu",
            "layer_types": [
                "sliding_attention",
                "full_attention",
                "sliding_attention",
                "full_attention",
            ],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 7.0},
            },
        },
    ),
    "roberta-two-types": (
        "roberta",
        {"type_vocab_size": 2, "num_attention_heads": 4, "pad_token_id": 3},
    ),
    "mpnet-far": ("mpnet", {"max_position_embeddings": 180, "num_attention_heads": 2}),
    "t5-gated": (
        "t5",
        {"feed_forward_proj": "gated-relu", "dense_act_fn": "silu", "num_layers": 3},
    ),
    "xlnet-clamped": ("xlnet", {"clamp_len": 4, "ff_activation": "relu"}),
}


def form(name: str) -> dict[str, Any]:
    """The config.json of an architecture's usual form, or of one of `FORMS`."""
    architecture, changes = FORMS.get(name, (name, {}))
    return CONFIGS[architecture] | changes


class Inputs(NamedTuple):
    """What an encoder is called with."""

    tokens: np.ndarray
    positions: np.ndarray
    segment_ids: np.ndarray


def rows(
    lengths: Sequence[Sequence[int]], *, width: int, seed: int = 0, vocab_size: int = 61
) -> Inputs:
    """One row for each sequence of segment lengths, then padding up to `width`; tokens at random,
    none of them special.
    """
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


def tiny(name: str, **options: Any) -> Encoder:
    """A tiny encoder of an architecture, or of one of `FORMS`; `changes` go into its
    config.json.
    """
    changes = options.pop("changes", {})
    return build({**form(name), **changes}, **options)


def jitted(encoder: Encoder) -> Callable[..., jax.Array]:
    """`encoder` as a compiled function of its inputs."""
    graphdef, params = nnx.split(encoder, nnx.Param)
    run = jax.jit(lambda params, *inputs: nnx.merge(graphdef, params)(*inputs))
    return lambda inputs: run(params, *inputs)


def make_tokenizer(size: int = 6) -> PreTrainedTokenizerFast:
    """RoBERTa's special tokens, "so", and fillers up to `size`."""
    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
        "so",
        *(f"word{i}" for i in range(size - 6)),
    ]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
