"""Attention over packed rows: who may look at whom, and the one place where the kernel is chosen."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from eacl_jax.encoders.dropout import dropout


def segment_mask(segment_ids: Int[Array, "rows length"]) -> Bool[Array, "rows length length"]:
    """True where a query (axis 1) may attend to a key (axis 2): inside one segment.

    Padding is segment 0 and attends to padding. Nobody else sees it, and no query is ever left without a key, so that rows of
    nothing but padding stay finite, in value and in gradient.
    """
    return segment_ids[:, :, None] == segment_ids[:, None, :]


def attend(
    query: Float[Array, "rows length heads width"],
    key: Float[Array, "rows keys heads width"],
    value: Float[Array, "rows keys heads width"],
    mask: Bool[Array, "rows length keys"],
    *,
    bias: Float[Array, "*rows heads length keys"] | None = None,
    scale: float | None = None,
    talking_heads: tuple[Float[Array, "heads heads"], Float[Array, "heads heads"]] | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Float[Array, "rows length heads width"]:
    """softmax(scale * query key^T + bias) value, over the keys that `mask` allows.

    Every architecture attends through here. Scores and softmax are float32 whatever the inputs' type. Dropout falls on the
    probabilities; no `dropout_key`, no dropout.

    Args:
      query: one a token.
      key, value: one a token; there may be more of them than queries.
      mask: from `segment_mask`, or narrower.
      bias: added to the scaled scores, the same for all rows or one for each.
      scale: 1 / sqrt(width) unless given.
      talking_heads: two matrices [in, out] that mix the heads' scores before, and their probabilities after, the softmax
        (arXiv 2003.02436).
      dropout_rate: of the probabilities.
      dropout_key: where its randomness comes from.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = jnp.einsum("rqhw,rkhw->rhqk", query, key, preferred_element_type=jnp.float32) * scale
    if bias is not None:
        scores = scores + bias.astype(jnp.float32)
    if talking_heads is not None:
        scores = jnp.einsum("rhqk,hg->rgqk", scores, talking_heads[0])
    scores = jnp.where(mask[:, None], scores, jnp.finfo(jnp.float32).min)
    probabilities = dropout(jax.nn.softmax(scores, axis=-1), dropout_rate, dropout_key)
    if talking_heads is not None:
        probabilities = jnp.einsum("rhqk,hg->rgqk", probabilities, talking_heads[1])
    return jnp.einsum("rhqk,rkhw->rqhw", probabilities.astype(value.dtype), value)
