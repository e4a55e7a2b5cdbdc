"""How many devices a batch's rows keep busy, by hand."""

import logging

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from eacl_jax.data.batching import choose_shapes
from eacl_jax.errors import UserError
from eacl_jax.model.device_use import DeviceUse, rows_needed, well_used
from eacl_jax.model.mesh import AXIS, make_mesh


@pytest.mark.parametrize(
    ("rows", "devices", "made", "share"),
    [
        (33, 256, 256, 33 / 256),  # a row each for 33, padding for the others
        (33, 33, 33, 1.0),
        (33, 32, 64, 33 / 64),  # one has two rows, so all have
        (64, 8, 64, 1.0),
        (5, 8, 8, 5 / 8),
        (1, 1, 1, 1.0),
        (37, 1, 37, 1.0),  # one device makes no rows but those needed
    ],
)
def test_rows_come_in_multiples_of_the_devices(rows, devices, made, share):
    use = DeviceUse(64, rows, devices)
    assert use.made == made
    assert use.share == pytest.approx(share)


@pytest.mark.parametrize(
    ("rows", "devices", "enough"),
    [(33, 256, 64), (32, 256, 32), (1, 8, 1), (2, 8, 2), (3, 8, 4), (3, 7, 4), (5, 6, 6)],
)
def test_enough_devices_are_as_fast_and_more_than_half_used(rows, devices, enough):
    use = DeviceUse(64, rows, devices)
    assert use.enough == enough
    fewer = DeviceUse(64, rows, use.enough)
    assert fewer.made // use.enough == use.made // devices == 1  # rows that each computes
    assert fewer.share > 1 / 2


def test_a_filling_batch_has_a_row_for_each_device():
    # 64 examples in 32 rows are two a row, so 256 devices take 512.
    assert DeviceUse(64, 32, 256).filling == 512
    assert DeviceUse(64, 33, 256).filling == 497  # 496.5


def test_padded_rows_are_one_an_example_and_packed_ones_are_those_of_one_device():
    lengths = [33] * 100
    assert rows_needed(lengths, 64, layout="padded", max_tokens=40) == 64
    # Two of 33 tokens share a row of 80, which makes 32 rows; 4% are added for batches that need
    # more.
    assert rows_needed(lengths, 64, layout="packed", max_tokens=40) == 34


@pytest.mark.parametrize("devices", [1, 2, 8, 256])
def test_the_rows_are_those_that_training_makes(devices):
    lengths = np.random.default_rng(0).integers(8, 64, 500).tolist()
    rows = rows_needed(lengths, 64, layout="packed", max_tokens=64)
    shapes = choose_shapes(lengths, 64, max_tokens=64, row_multiple=devices)
    assert DeviceUse(64, rows, devices).made == shapes.counts[-1]
    # Which examples share a row does not depend on the devices.
    assert shapes.length == choose_shapes(lengths, 64, max_tokens=64).length


class Remote:
    """A device of a process, for which no program runs."""

    platform = device_kind = "stand-in"

    def __init__(self, process_index):
        self.process_index = process_index


def spread(devices, processes):
    return Mesh(np.array([Remote(i * processes // devices) for i in range(devices)]), (AXIS,))


def take(mesh, rows, *, examples=10_000, least=0.1, may_leave_out=True):
    return well_used(
        mesh,
        DeviceUse(64, rows, mesh.size),
        examples=examples,
        least=least,
        may_leave_out=may_leave_out,
    )


def test_where_half_of_the_rows_hold_something_all_devices_are_taken_without_a_word(caplog):
    for mesh, rows in ((make_mesh(1), 1), (make_mesh(8), 4), (spread(256, 64), 128)):
        assert take(mesh, rows, least=1.0) is mesh
    assert not caplog.records


@pytest.mark.parametrize(("rows", "taken"), [(3, 4), (2, 2), (1, 1)])
def test_a_process_on_its_own_leaves_devices_out(caplog, rows, taken):
    with caplog.at_level(logging.WARNING):
        mesh = take(make_mesh(8), rows, least=1.0)
    assert list(mesh.devices.flat) == jax.devices()[:taken]
    assert (
        f"need {rows} rows, and 8 devices make 8 of them, of which {rows / 8:.0%} hold"
        in caplog.text
    )
    assert f"the first {taken} devices are used; batches of {-(-512 // rows)} ex" in caplog.text


def test_several_processes_are_warned_and_go_on_with_all_devices(caplog):
    mesh = spread(256, 64)
    with caplog.at_level(logging.WARNING):
        assert take(mesh, 33) is mesh
    assert "need 33 rows, and 256 devices make 256 of them, of which 13% hold" in caplog.text
    assert "33 devices or fewer would be well used, or batches of 497 examples" in caplog.text


def test_too_small_a_share_is_refused_with_the_same_numbers_where_nothing_can_be_left_out(caplog):
    wanted = r"33 rows, and 512 devices make 512 .* 6% hold .*least_device_use=0\.1 .*33 devices"
    with pytest.raises(UserError, match=wanted):
        take(spread(512, 128), 33)
    # Devices that the caller chose are not left out either.
    with pytest.raises(UserError, match="1 rows, and 8 devices"):
        take(make_mesh(8), 1, least=0.2, may_leave_out=False)
    mesh = spread(512, 128)
    assert take(mesh, 33, least=0) is mesh
    assert take(mesh, 64, least=0.125) is mesh  # exactly what is asked for


def test_a_batch_larger_than_the_corpus_is_no_advice(caplog):
    with caplog.at_level(logging.WARNING):
        take(spread(256, 64), 33, examples=496)
        take(make_mesh(8), 2, examples=100)
    assert "batches of" not in caplog.text
