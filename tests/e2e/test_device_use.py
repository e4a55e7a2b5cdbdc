"""Devices that a run takes, of the eight that there are."""

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.model import device_use
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment
from tests.stubs.toys import make_config


def test_a_run_takes_the_devices_that_its_batches_have_rows_for(toy):
    padded = make_config(toy, batch__layout="padded", stage_one__batch_size=2)
    loaded = experiment.load(padded)
    prepared = experiment.prepare(padded, loaded=loaded)
    assert prepared.mesh == make_mesh(2)
    assert prepared.row_multiple == 2
    assert prepared.params["mapping"]["output"]["bias"].sharding.mesh == make_mesh(2)
    # A batch four times as large has something for all.
    large = make_config(toy, batch__layout="padded", stage_one__batch_size=8)
    assert experiment.prepare(large, loaded=loaded).mesh == make_mesh()


def test_devices_that_are_given_are_taken_or_refused(toy):
    config = make_config(toy, batch__layout="padded", stage_one__batch_size=2)
    assert experiment.prepare(config, mesh=make_mesh(8)).mesh.size == 8
    strict = make_config(
        toy, batch__layout="padded", stage_one__batch_size=2, run__least_device_use=0.3
    )
    with pytest.raises(UserError, match=r"2 rows, and 8 devices make 8 of them, of which 25% hold"):
        experiment.prepare(strict, mesh=make_mesh(8))
    assert experiment.prepare(strict).mesh.size == 2  # which is no reason to refuse


def test_one_device_is_taken_unasked(toy, monkeypatch):
    monkeypatch.setattr(device_use, "choose_shapes", None)
    config = make_config(toy, run__least_device_use=1.0)
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    assert prepared.mesh == make_mesh(1)
    assert np.isfinite(prepared.params["mapping"]["output"]["bias"]).all()
