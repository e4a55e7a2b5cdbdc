"""Gradients of a batch in chunks, for a loss that needs all of its representations at once.

A contrastive loss does not fall apart into parts of the batch, so chunks' losses cannot simply be
added up. But it sees the encoder only through the representations h: first all chunks are encoded
and nothing is kept but h, then comes the loss with its gradient by h, and then each chunk is
encoded once more and its part of that gradient carried on into the parameters (GradCache, arXiv
2101.06983). Memory is that of one chunk, the work one forward pass more, the result the same.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from eacl_jax.data.batching import EXAMPLE, MARKS, Batch

# (params, batch, key) -> h [N, d]
Encode = Callable[[Any, Batch, jax.Array], jax.Array]
# (params, h, constants, batch, key) -> (scalar, terms)
Objective = Callable[
    [Any, jax.Array, Any, Batch, jax.Array], tuple[jax.Array, dict[str, jax.Array]]
]


def chunked_value_and_grad(encode: Encode, objective: Objective, chunks: int) -> Callable[..., Any]:
    """`jax.value_and_grad(..., has_aux=True)` of `objective(params, encode(params, batch, key),
    ...)`, in chunks of rows.

    Args:
      encode: representations of a batch's examples.
      objective: the loss, given them; what else it makes of the parameters (heads, live anchors) is
        differentiated too.
      chunks: in how many parts the rows are encoded; their number is rounded up to a multiple.

    Returns:
      `(params, constants, batch, key) -> ((value, terms), gradients)`. Each chunk has a dropout key
      of its own.
    """

    def value_and_grad(params: Any, constants: Any, batch: Batch, key: jax.Array) -> Any:
        parts = split_rows(batch, chunks)
        numbers = jnp.arange(chunks)

        def encode_part(params: Any, number: jax.Array, part: Batch) -> jax.Array:
            # Outside of an example's chunk its representation is 0: the chunks' sum is the whole.
            return part.weights[:, None] * encode(params, part, jax.random.fold_in(key, number))

        def forward(h: jax.Array, part: Any) -> tuple[jax.Array, None]:
            return h + encode_part(params, *part), None

        shape = jax.eval_shape(encode_part, params, numbers[0], jax.tree.map(lambda x: x[0], parts))
        h, _ = lax.scan(forward, jnp.zeros(shape.shape, shape.dtype), (numbers, parts))
        (value, terms), (gradients, by_h) = jax.value_and_grad(
            objective, argnums=(0, 1), has_aux=True
        )(params, h, constants, batch, jax.random.fold_in(key, chunks))

        def backward(gradients: Any, part: Any) -> tuple[Any, None]:
            _, pull = jax.vjp(lambda params: encode_part(params, *part), params)
            return jax.tree.map(jnp.add, gradients, pull(by_h)[0]), None

        gradients, _ = lax.scan(backward, gradients, (numbers, parts))
        return (value, terms), gradients

    return value_and_grad


def split_rows(batch: Batch, chunks: int) -> Batch:
    """A batch of batches, with a leading axis of `chunks`; each holds all N examples' places.

    In chunk c, `weights` is 1 for the examples whose rows it holds and 0 for others, whose readout
    is (0, 0) there. Every `chunks`-th row goes to the same chunk, so that devices that share the
    rows share each chunk.
    """
    missing = -batch.tokens.shape[0] % chunks

    def split(name: str, mark: str) -> jax.Array:
        x = getattr(batch, name)
        if mark == EXAMPLE:
            return jnp.broadcast_to(x, (chunks, *x.shape))
        padded = jnp.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)))
        return jnp.swapaxes(padded.reshape(-1, chunks, *x.shape[1:]), 0, 1)

    row, column = batch.readout[:, 0], batch.readout[:, 1]
    member = row[None] % chunks == jnp.arange(chunks)[:, None]
    readout = jnp.where(member[:, :, None], jnp.stack([row // chunks, column], axis=1)[None], 0)
    parts = {name: split(name, mark) for name, mark in MARKS.items()}
    return Batch(**{**parts, "readout": readout, "weights": member.astype(jnp.float32)})
