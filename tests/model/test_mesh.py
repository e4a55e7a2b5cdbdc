"""The order of devices along the data axis, on stand-ins of machines that no test has, and what is
copied to them.

CPU devices belong to no slice and have no coordinates, so they show none of this.
"""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest
from jax.experimental import mesh_utils
from jax.sharding import AxisType

from eacl_jax.model.mesh import AXIS, in_order, keep_or_put, make_mesh, put, replicated


@dataclasses.dataclass(frozen=True)
class Device:
    """What JAX asks of a device to lay out a mesh."""

    id: int
    process_index: int
    platform: str
    device_kind: str


@dataclasses.dataclass(frozen=True)
class InSlice(Device):
    """A GPU, or whatever tells which devices have a fast network in common."""

    slice_index: int


@dataclasses.dataclass(frozen=True)
class Chip(InSlice):
    """A TPU chip, at its position in its slice."""

    coords: tuple[int, int, int]
    core_on_chip: int = 0


H100 = {"platform": "gpu", "device_kind": "NVIDIA H100 80GB HBM3"}


def gpus(hosts, each=8, **more):
    """A process a host, a slice a host: what JAX makes of hosts that only the network joins."""
    return [InSlice(i, i // each, **H100, slice_index=i // each) for i in range(hosts * each)]


def v5e(side, slices=1):
    """Slices of side x side chips, a host for each 2 x 2 of them; ids count along x, as JAX's do."""
    hosts = (side // 2) ** 2
    return [
        Chip(
            s * side**2 + y * side + x,
            s * hosts + (y // 2) * (side // 2) + x // 2,
            "tpu",
            "TPU v5 lite",
            slice_index=s,
            coords=(x, y, 0),
        )
        for s in range(slices)
        for y in range(side)
        for x in range(side)
    ]


def changes(devices, name):
    """How often a neighbour on the axis is of another slice or process; the fewest that there can
    be is one fewer than there are slices or processes.
    """
    values = [getattr(device, name) for device in devices]
    return sum(one != other for one, other in itertools.pairwise(values))


def shuffled(devices):
    return [devices[i] for i in np.random.default_rng(0).permutation(len(devices))]


def laid_out(devices):
    """In the order of the mesh, of which nothing but the order may depend on the devices."""
    mesh = make_mesh(devices)
    assert mesh.axis_names == (AXIS,)
    assert mesh.axis_types == (AxisType.Auto,)  # Explicit axes refuse embedding look-ups
    order = list(mesh.devices.flat)
    assert set(order) == set(devices)
    assert len(order) == len(devices)
    return order


@pytest.mark.parametrize("hosts", [8, 2, 1])
def test_gpus_lie_host_by_host_whatever_the_order_in_which_they_are_named(hosts):
    # A ring over all of them leaves each host once; inside, NVLink is the same between any two, and
    # ids are the order that JAX takes.
    devices = gpus(hosts)
    assert laid_out(shuffled(devices)) == devices
    assert changes(laid_out(shuffled(devices)), "slice_index") == hosts - 1


def test_jax_alone_refuses_two_hosts_of_gpus():
    # Why the order is made here. Where this no longer holds, `jax.make_mesh` may do.
    with pytest.raises(ValueError, match="multi-slice"):
        jax.make_mesh((16,), (AXIS,), axis_types=(AxisType.Auto,), devices=gpus(2))


def test_hosts_of_gpus_are_distinguished_by_their_process_where_no_slices_are():
    # Ids that alternate between hosts: by id, JAX's order, each step of a ring would cross the slow
    # network. One slice for all says as little as none.
    for kind in (Device, functools.partial(InSlice, slice_index=0)):
        devices = [kind(i, i % 2, **H100) for i in range(16)]
        order = laid_out(devices)
        assert changes(order, "process_index") == 1
        assert [d.id for d in order] == [*range(0, 16, 2), *range(1, 16, 2)]


def test_a_process_for_each_gpu_keeps_hosts_together():
    # Process 0 on host 0, process 1 on host 1, ...: slices are what is fast, not processes.
    devices = [InSlice(i, i, **H100, slice_index=i % 2) for i in range(16)]
    assert changes(laid_out(devices), "slice_index") == 1


def test_processes_are_side_by_side_where_several_hosts_share_a_slice():
    # Two racks of 4 hosts of 4 GPUs, NVLink throughout a rack; ids go round the hosts of a rack.
    devices = [
        InSlice(i, 4 * (i // 16) + i % 4, **H100, slice_index=i // 16) for i in range(2 * 16)
    ]
    order = laid_out(devices)
    assert changes(order, "slice_index") == 1
    assert changes(order, "process_index") == 7


def test_hosts_may_have_different_numbers_of_gpus():
    # One is broken, or the first 12 of 16 were asked for.
    devices = gpus(2)[:12]
    assert laid_out(shuffled(devices)) == devices


def test_a_slice_of_256_chips_lies_host_by_host():
    # A host's chips are 2 x 2 of the 16 x 16. By rows of chips, as JAX takes them, each process
    # would have two pieces of a batch.
    devices = v5e(16)
    assert changes(mesh_utils.create_device_mesh((256,), devices), "process_index") == 127
    order = laid_out(devices)
    assert changes(order, "process_index") == 63
    # The next host is the next one in the slice, but where a row of hosts ends.
    near = [
        abs(np.subtract(one.coords, other.coords)).sum() <= 2
        for one, other in itertools.pairwise(order)
    ]
    assert near.count(False) == 7


def test_four_slices_of_256_chips_lie_slice_by_slice_and_host_by_host_in_each():
    # The network between slices is the slow one: a ring crosses it four times, not once a row.
    devices = v5e(16, slices=4)
    order = laid_out(shuffled(devices))
    assert changes(order, "slice_index") == 3
    assert changes(order, "process_index") == 255
    one = [device.id for device in laid_out(v5e(16))]
    assert [device.id for device in order] == [256 * s + i for s in range(4) for i in one]


def test_a_ring_that_jax_knows_is_kept():
    # 4 x 4 chips of four hosts: each is next to the one before it, also the first to the last. Host
    # by host there would be steps of two.
    order = laid_out(v5e(4))
    coords = np.array([device.coords for device in order])
    assert (abs(coords - np.roll(coords, 1, axis=0)).sum(axis=1) == 1).all()
    assert order == list(mesh_utils.create_device_mesh((16,), v5e(4)).flat)


@pytest.mark.parametrize("devices", [gpus(8), v5e(4, slices=2)])
def test_networks_of_one_size_lie_as_in_jaxs_hybrid_mesh(devices):
    slices = len({device.slice_index for device in devices})
    hybrid = mesh_utils.create_hybrid_device_mesh((len(devices) // slices,), (slices,), devices)
    assert laid_out(devices) == list(hybrid.flat)


def test_cpu_devices_stay_as_they_are_given():
    assert list(make_mesh().devices.flat) == jax.devices()
    assert list(make_mesh(3).devices.flat) == jax.devices()[:3]
    assert in_order(jax.devices()[::-1]) == jax.devices()[::-1]
    # Of two processes, whose devices JAX lists one after the other.
    devices = [Device(i + 131072 * p, p, "cpu", "cpu") for p in range(2) for i in range(4)]
    assert laid_out(devices) == devices


def test_parts_that_lie_on_the_devices_wanted_are_shared():
    # A run's parameters lie on all its devices; the recognizer it ends with takes those of its
    # process, and there may be no room for two.
    wide, narrow = replicated(make_mesh(4)), replicated(make_mesh(jax.devices()[1:3]))
    x = put(np.arange(6.0, dtype=np.float32), wide)
    kept = keep_or_put(x, narrow)
    assert kept.sharding == narrow
    np.testing.assert_array_equal(kept, x)
    where = {s.device: s.data.unsafe_buffer_pointer() for s in x.addressable_shards}
    for shard in kept.addressable_shards:
        assert shard.data.unsafe_buffer_pointer() == where[shard.device]
    assert keep_or_put(x, wide) is x
    # To more devices than it lies on, it is copied.
    np.testing.assert_array_equal(keep_or_put(kept, wide), x)
