"""Devices: one mesh axis, `data`, over which batches are split; everything else is the same
everywhere.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from eacl_jax.data.batching import EXAMPLE, MARKS, ROW, Batch

AXIS = "data"


def make_mesh(devices: int | Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices (of all processes), of the first `devices`, or of those given. One
    device is a mesh of one.
    """
    chosen = (
        jax.devices()[:devices] if devices is None or isinstance(devices, int) else list(devices)
    )
    # make_mesh's default, Explicit axes, refuses embedding look-ups.
    return jax.make_mesh((len(chosen),), (AXIS,), axis_types=(AxisType.Auto,), devices=chosen)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_shardings(mesh: Mesh) -> Batch:
    """Rows are split over the data axis; the small per-example arrays are whole everywhere, as the
    contrastive loss needs them.
    """
    by_mark = {ROW: NamedSharding(mesh, PartitionSpec(AXIS)), EXAMPLE: replicated(mesh)}
    return Batch(**{name: by_mark[mark] for name, mark in MARKS.items()})


def put(tree: Any, shardings: Any) -> Any:
    """Copies host arrays, equal in every process, to the devices: each process copies only the
    parts that its devices hold.

    Args:
      tree: pytree of host arrays.
      shardings: one sharding for all, or a pytree of them.
    """
    if isinstance(shardings, NamedSharding):
        sharding = shardings
        shardings = jax.tree.map(lambda _: sharding, tree)

    def place(x: Any, sharding: NamedSharding) -> jax.Array:
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree, shardings)


def keep_or_put(tree: Any, sharding: NamedSharding) -> Any:
    """Like `put`, but arrays that lie so already are shared, not copied: for what no step is given
    to overwrite.
    """
    return jax.tree.map(
        lambda x: x if getattr(x, "sharding", None) == sharding else put(x, sharding), tree
    )
