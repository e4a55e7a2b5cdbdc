"""Sums over the rows of a matrix that is too large to stand whole: rows in blocks, shared by the
devices.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int

# A pytree of arrays [K, ...].
T = TypeVar("T")


class ScoreRows(NamedTuple):
    """How the scores of K vectors with each other, [K, K], are computed.

    Attributes:
      over: how rows are split over the devices of a mesh; each device computes its rows, with all
        columns. None: each device computes all rows.
      block: rows that a device computes at once, at most; they are computed once more for the
        gradient, so that no more than a few [block, K] are in memory.
      whole: up to so many utterances every device computes all rows at once: neither sharing nor
        blocks pay then.
    """

    over: NamedSharding | None = None
    block: int = 1024
    whole: int = 4096


def sum_by_rows(
    sum_of: Callable[[T, T], tuple[Array, ...]], everyone: T, rows: ScoreRows
) -> tuple[Array, ...]:
    """`sum_of(everyone, everyone)`, computed from parts of its first argument.

    Args:
      sum_of: scalars, which are sums over the rows of the first argument, of what each row gives
        with all rows, the second one. Rows of zeros and False are to count nowhere.
      everyone: pytree of arrays [K, ...], the same on all devices.
      rows: how many devices and blocks there are; `whole` is not looked at.
    """
    (count,) = {x.shape[0] for x in jax.tree.leaves(everyone)}
    devices = 1 if rows.over is None else rows.over.mesh.size
    share = -(-count // devices)
    blocks = -(-share // rows.block)
    block = -(-share // blocks)
    missing = devices * blocks * block - count
    everyone = jax.tree.map(
        lambda x: jnp.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1))), everyone
    )

    def of_device(starts: Int[Array, " blocks"], everyone: T) -> tuple[Array, ...]:
        def of_block(start: Int[Array, ""]) -> tuple[Array, ...]:
            part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, block), everyone)
            return sum_of(part, everyone)

        return jax.lax.map(jax.checkpoint(of_block), starts)

    if rows.over is not None and devices > 1:
        # Unchecked: JAX then takes the vectors for this device's own, whose gradients are summed up
        # over the devices once and not in each block.
        of_device = jax.shard_map(
            of_device,
            mesh=rows.over.mesh,
            in_specs=(rows.over.spec, PartitionSpec()),
            out_specs=rows.over.spec,
            check_vma=False,
        )
    sums = of_device(block * jnp.arange(devices * blocks), everyone)
    return tuple(jnp.sum(x) for x in sums)
