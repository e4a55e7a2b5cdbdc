"""Many runs on one corpus and encoder, read once."""

import jax
import numpy as np
import pytest

from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment
from tests.stubs.toys import make_config


def test_runs_with_shared_inputs_begin_as_if_each_had_read_its_own(toy):
    loaded = experiment.load(make_config(toy))
    for seed in (0, 3):
        config = make_config(toy, seed=seed)
        own = experiment.prepare(config, mesh=make_mesh(1))
        shared = experiment.prepare(config, mesh=make_mesh(1), loaded=loaded)
        assert shared.corpus is loaded.corpus
        assert shared.fingerprint == own.fingerprint
        assert shared.encoder_identity == own.encoder_identity
        jax.tree.map(np.testing.assert_array_equal, shared.params, own.params)


@pytest.mark.parametrize("other", [{"data__max_dialogues": 3}, {"encoder__dtype": "bfloat16"}])
def test_inputs_of_another_run_are_refused(toy, other):
    loaded = experiment.load(make_config(toy))
    with pytest.raises(ValueError, match="another corpus or encoder"):
        experiment.prepare(make_config(toy, **other), mesh=make_mesh(1), loaded=loaded)
