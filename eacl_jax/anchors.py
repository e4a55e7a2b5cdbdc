"""Label words -> label encodings, the inputs from which anchors are mapped."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from eacl_jax.batching import Batch, collate, plan
from eacl_jax.dialogue import Taxonomy
from eacl_jax.prompts import Example

_LABELS_AT_ONCE = 8


def label_batch(tokenizer: Any, taxonomy: Taxonomy) -> Batch:
    """The label words as a padded batch, one word or phrase a row, with the tokenizer's own first and last tokens.

    Returns:
      Batch with R = N = C, in anchor order.
    """
    examples = _label_examples(tokenizer, taxonomy)
    lengths = [len(e.tokens) for e in examples]
    return collate(examples, len(examples), plan(lengths, len(examples), layout="padded", max_tokens=max(lengths)))


def label_batches(tokenizer: Any, taxonomy: Taxonomy) -> Iterator[tuple[Batch, int]]:
    """Like `label_batch`, in batches of eight rows, so that labels of any number are compiled once; yields (batch, how many of
    its rows count).
    """
    examples = _label_examples(tokenizer, taxonomy)
    for start in range(0, len(examples), _LABELS_AT_ONCE):
        some = examples[start : start + _LABELS_AT_ONCE]
        filled = [*some, *[some[0]] * (_LABELS_AT_ONCE - len(some))]
        lengths = [len(e.tokens) for e in filled]
        # Whole steps of length, however short the words are.
        yield collate(filled, _LABELS_AT_ONCE, plan(lengths, _LABELS_AT_ONCE, layout="padded", max_tokens=10**9)), len(some)


def _label_examples(tokenizer: Any, taxonomy: Taxonomy) -> list[Example]:
    return [
        Example(np.array(ids, np.int32), readout=0, label=index, dialogue=taxonomy.labels[index], utterance=0)
        for index, ids in enumerate(tokenizer(list(taxonomy.words), truncation=False, padding=False)["input_ids"])
    ]


def mean_over_tokens(hidden: Float[Array, "C L D"], segment_ids: Array) -> Float[Array, "C D"]:
    """Mean of the hidden states over each row's tokens, first and last included; float32 [C, D]."""
    valid = (segment_ids > 0).astype(jnp.float32)[..., None]
    return jnp.sum(hidden.astype(jnp.float32) * valid, axis=1) / jnp.sum(valid, axis=1)
