"""Gradients of a batch in chunks, for a loss that needs all of its representations at once.

A contrastive loss does not fall apart into parts of the batch, so chunks' losses cannot simply be
added up. But it sees the encoder only through the representations h: first all chunks are encoded
and nothing is kept but h, then comes the loss with its gradient by h, and then each chunk is
encoded once more and its part of that gradient carried on into the parameters (GradCache, arXiv
2101.06983). Memory is that of one chunk, the work one forward pass more, the result the same.

Several devices add up the gradients of their own rows over all chunks, and then with each other:
what they send to each other does not grow with the number of chunks.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from eacl_jax.data.batching import EXAMPLE, MARKS, ROW
from eacl_jax.dialogue import count
from eacl_jax.model.batches import Batch
from eacl_jax.model.mesh import AXIS, Mesh

log = logging.getLogger(__name__)

# (params, batch, key) -> h [N, d]
Encode = Callable[[Any, Batch, jax.Array], jax.Array]
# (params, h, constants, batch, key) -> (scalar, terms)
Objective = Callable[
    [Any, jax.Array, Any, Batch, jax.Array], tuple[jax.Array, dict[str, jax.Array]]
]


def chunked_value_and_grad(
    encode: Encode, objective: Objective, chunks: int, mesh: Mesh | None = None
) -> Callable[..., Any]:
    """`jax.value_and_grad(..., has_aux=True)` of `objective(params, encode(params, batch, key),
    ...)`, in chunks of rows.

    Args:
      encode: representations of a batch's examples, each from its own row alone.
      objective: the loss, given them; what else it makes of the parameters (heads, live anchors) is
        differentiated too.
      chunks: in how many parts the rows are encoded; their number is rounded up to a multiple.
      mesh: the devices that share the rows; None: one.

    Returns:
      `(params, constants, batch, key) -> ((value, terms), gradients)`. Each chunk has a dropout key
      of its own, and its rows draw the same masks on any number of devices.
    """
    numbers = np.arange(chunks, dtype=np.int32)

    def encode_part(params: Any, numbered: tuple[Any, Batch], key: jax.Array) -> jax.Array:
        number, part = numbered
        # Outside of an example's chunk its representation is 0: the chunks' sum is the whole.
        return part.weights[:, None] * encode(params, part, jax.random.fold_in(key, number))

    def encode_parts(params: Any, parts: Batch, key: jax.Array) -> jax.Array:
        def forward(h: jax.Array, part: Any) -> tuple[jax.Array, None]:
            return h + encode_part(params, part, key), None

        first = jax.tree.map(lambda x: x[0], parts)
        shape = jax.eval_shape(encode_part, params, (numbers[0], first), key)
        return lax.scan(forward, jnp.zeros(shape.shape, shape.dtype), (numbers, parts))[0]

    def add_gradients(
        gradients: Any, params: Any, by_h: jax.Array, parts: Batch, key: jax.Array
    ) -> Any:
        def backward(gradients: Any, part: Any) -> tuple[Any, None]:
            _, pull = jax.vjp(lambda params: encode_part(params, part, key), params)
            return jax.tree.map(jnp.add, gradients, pull(by_h)[0]), None

        return lax.scan(backward, gradients, (numbers, parts))[0]

    devices = 1 if mesh is None else mesh.size
    if mesh is not None and devices > 1:
        encode_parts, add_gradients = _spread(encode_parts, add_gradients, mesh)

    def value_and_grad(params: Any, constants: Any, batch: Batch, key: jax.Array) -> Any:
        parts = split_rows(batch, chunks, devices)
        h = encode_parts(params, parts, key)
        (value, terms), (gradients, by_h) = jax.value_and_grad(
            objective, argnums=(0, 1), has_aux=True
        )(params, h, constants, batch, jax.random.fold_in(key, chunks))
        return (value, terms), add_gradients(gradients, params, by_h, parts, key)

    return value_and_grad


def warn_of_idle(chunks: int, rows: int, devices: int) -> None:
    """Warns of chunks that would hold rows of padding alone.

    Args:
      chunks: the setting.
      rows: that a batch needs at most.
      devices: that share a chunk's rows.
    """
    if chunks > 1 and chunks > (most := -(-rows // devices)):
        log.warning(
            "config.stage_one.chunks=%d, and a batch has %s at most%s: the other chunks hold"
            " padding alone and take their time. %d is the most that saves memory.",
            chunks,
            count(rows, "row"),
            f" for {devices} devices" if devices > 1 else "",
            most,
        )


def _spread(
    encode_parts: Callable[..., Any], add_gradients: Callable[..., Any], mesh: Mesh
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both functions for devices that share the rows of each chunk: each does its own rows, and the
    sum over the devices comes last.
    """
    whole = PartitionSpec()
    rows = {EXAMPLE: whole, ROW: PartitionSpec(None, AXIS)}
    shared = Batch(**{name: rows[mark] for name, mark in MARKS.items()})

    def encode(params: Any, parts: Batch, key: jax.Array) -> jax.Array:
        return lax.psum(encode_parts(params, _local_examples(parts), key), AXIS)

    def pull(params: Any, by_h: jax.Array, parts: Batch, key: jax.Array) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return lax.psum(add_gradients(zeros, params, by_h, _local_examples(parts), key), AXIS)

    # Unchecked: JAX then takes the parameters for this device's own, and does not sum up their
    # gradients in each chunk.
    spread = partial(jax.shard_map, mesh=mesh, out_specs=whole, check_vma=False)
    encode = spread(encode, in_specs=(whole, shared, whole))
    pull = spread(pull, in_specs=(whole, whole, shared, whole))
    return encode, lambda gradients, *args: jax.tree.map(jnp.add, gradients, pull(*args))


def _local_examples(parts: Batch) -> Batch:
    """The chunks, with weight 0 and readout (0, 0) for examples whose rows other devices have."""
    rows = parts.tokens.shape[1]
    row = parts.readout[..., 0] - lax.axis_index(AXIS) * rows
    local = (row >= 0) & (row < rows)
    readout = jnp.stack([row, parts.readout[..., 1]], axis=-1)
    return replace(
        parts, readout=jnp.where(local[..., None], readout, 0), weights=parts.weights * local
    )


def split_rows(batch: Batch, chunks: int, devices: int = 1) -> Batch:
    """A batch of batches, with a leading axis of `chunks`; each has all N examples' readouts.

    In chunk c, `weights` is 1 for the examples whose rows it holds and 0 for others, whose readout
    is (0, 0) there. Every `chunks`-th row goes to the same chunk, so that devices that share the
    rows share each chunk, whose rows are a multiple of `devices`.
    """
    missing = -batch.tokens.shape[0] % (chunks * devices)

    def split(name: str, mark: str) -> Any:
        x = getattr(batch, name)
        if mark == EXAMPLE:
            return jax.tree.map(lambda each: jnp.broadcast_to(each, (chunks, *each.shape)), x)
        padded = jnp.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)))
        return jnp.swapaxes(padded.reshape(-1, chunks, *x.shape[1:]), 0, 1)

    row, column = batch.readout[:, 0], batch.readout[:, 1]
    member = row[None] % chunks == jnp.arange(chunks)[:, None]
    readout = jnp.where(member[:, :, None], jnp.stack([row // chunks, column], axis=1)[None], 0)
    parts = {name: split(name, mark) for name, mark in MARKS.items()}
    return Batch(**{**parts, "readout": readout, "weights": member.astype(jnp.float32)})
