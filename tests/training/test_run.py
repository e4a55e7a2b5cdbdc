"""What a run asks for before it begins."""

from types import SimpleNamespace

import numpy as np
import pytest

from eacl_jax.config import Config
from eacl_jax.training.run import room


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        ({}, 3),
        ({"average": 0.9}, 4),
        ({"soup": 4, "soup_of": "last"}, 4),
        ({"soup": 4, "soup_of": "best", "average": 0.9}, 8),
    ],
)
def test_room_is_of_all_that_checkpoints_hold(settings, copies):
    config = Config.from_mapping({"stage_one": settings})
    experiment = SimpleNamespace(config=config, params={"a": np.zeros((2, 5)), "b": np.zeros(90)})
    assert room(experiment) == 3 * copies * 100 * 4
