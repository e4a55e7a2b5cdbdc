"""Devices: one mesh axis, `data`, over which batches are split; everything else is the same
everywhere.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from eacl_jax.data.batching import EXAMPLE, MARKS, ROW
from eacl_jax.model.batches import Batch

AXIS = "data"


def make_mesh(devices: int | Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices (of all processes), of the first `devices`, or of those given, each in
    its position by `in_order`. One device is a mesh of one.
    """
    chosen = (
        jax.devices()[:devices] if devices is None or isinstance(devices, int) else list(devices)
    )
    # `jax.make_mesh` refuses devices of several slices or GPU hosts. Explicit axes, its default,
    # would refuse embedding look-ups.
    return Mesh(np.array(in_order(chosen), object), (AXIS,), axis_types=(AxisType.Auto,))


def local_mesh() -> Mesh:
    """A mesh of this process' devices: for what one process asks without the others."""
    return make_mesh(jax.local_devices())


def in_order(devices: Sequence[jax.Device]) -> list[jax.Device]:
    """The devices as they follow each other along the data axis.

    The devices of a fast network (JAX's slice: a TPU slice; GPUs of a host, or of several joined by
    NVLink) are side by side, so that a ring over all crosses the slow network as few times as it
    can. In each they lie as JAX lays them out; where that is no ring of neighbours, those of a
    process are side by side, so that its rows of a batch are one block. That keeps GPU hosts
    together also where a backend tells no slices.
    """
    networks: dict[int, list[jax.Device]] = {}
    for device in devices:
        networks.setdefault(getattr(device, "slice_index", 0), []).append(device)
    # With a single axis this is `create_hybrid_device_mesh`, but for networks of any sizes.
    return [device for _, network in sorted(networks.items()) for device in _laid_out(network)]


def _laid_out(network: Sequence[jax.Device]) -> list[jax.Device]:
    devices = list(mesh_utils.create_device_mesh((len(network),), network))
    if _is_ring(devices):
        return devices
    first: dict[int, int] = {}
    for number, device in enumerate(devices):
        first.setdefault(device.process_index, number)
    return sorted(devices, key=lambda device: first[device.process_index])


def _is_ring(devices: Sequence[Any]) -> bool:
    """Whether each device is one step from the next, and the last from the first, on a TPU."""
    if not all(hasattr(device, "coords") for device in devices):
        return False
    coords = np.array([device.coords for device in devices])
    return bool((np.abs(coords - np.roll(coords, 1, axis=0)).sum(axis=1) == 1).all())


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
      shardings: one sharding for all, or a pytree of them, whose leaves may stand for branches.
    """
    shardings = jax.tree.broadcast(shardings, tree)

    def put_array(x: Any, sharding: NamedSharding) -> jax.Array:
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(put_array, tree, shardings)


def keep_or_put(tree: Any, sharding: NamedSharding) -> Any:
    """Like `put`, but arrays that lie so already are shared, not copied: for what no step is given
    to overwrite. Of arrays that are the same on more devices than wanted, those parts are shared.
    """

    def keep(x: Any) -> jax.Array:
        if getattr(x, "sharding", None) == sharding:
            return x
        if isinstance(x, jax.Array) and x.is_fully_replicated and sharding.is_fully_replicated:
            parts = {shard.device: shard.data for shard in x.addressable_shards}
            wanted = sharding.addressable_devices
            if parts.keys() >= wanted:
                return jax.make_array_from_single_device_arrays(
                    x.shape, sharding, [parts[device] for device in wanted]
                )
        return put(x, sharding)

    return jax.tree.map(keep, tree)
