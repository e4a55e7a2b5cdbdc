"""Label words -> label encodings, the inputs from which anchors are mapped."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from eacl_jax.batching import Batch, collate, plan
from eacl_jax.dialogue import Taxonomy
from eacl_jax.prompts import Example


def label_batch(tokenizer: Any, taxonomy: Taxonomy) -> Batch:
    """The label words as a padded batch, one word or phrase a row, with the tokenizer's own first and last tokens.

    Returns:
      Batch with R = N = C, in anchor order.
    """
    examples = [
        Example(np.array(ids, np.int32), readout=0, label=index, dialogue=taxonomy.labels[index], utterance=0)
        for index, ids in enumerate(tokenizer(list(taxonomy.words), truncation=False, padding=False)["input_ids"])
    ]
    lengths = [len(e.tokens) for e in examples]
    return collate(examples, len(examples), plan(lengths, len(examples), layout="padded", max_tokens=max(lengths)))


def mean_over_tokens(hidden: Float[Array, "C L D"], segment_ids: Array) -> Float[Array, "C D"]:
    """Mean of the hidden states over each row's tokens, first and last included; float32 [C, D]."""
    valid = (segment_ids > 0).astype(jnp.float32)[..., None]
    return jnp.sum(hidden.astype(jnp.float32) * valid, axis=1) / jnp.sum(valid, axis=1)
