"""Many runs on one corpus and encoder, read once."""

import gc
import weakref

import jax
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment
from eacl_jax.training.loop import StopRequest
from eacl_jax.training.stage import StageContext
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.stage_two import run_stage_two
from tests.stubs.toys import make_config


def test_runs_with_shared_inputs_begin_as_if_each_had_read_all(toy):
    loaded = experiment.load(make_config(toy))
    for seed in (0, 3):
        config = make_config(toy, seed=seed)
        alone = experiment.prepare(config, mesh=make_mesh(1))
        shared = experiment.prepare(config, mesh=make_mesh(1), loaded=loaded)
        assert shared.corpus is loaded.corpus
        assert shared.fingerprint == alone.fingerprint
        assert shared.encoder_identity == alone.encoder_identity
        jax.tree.map(np.testing.assert_array_equal, shared.params, alone.params)


@pytest.mark.parametrize("other", [{"data__max_dialogues": 3}, {"encoder__dtype": "bfloat16"}])
def test_inputs_of_another_run_are_refused(toy, other):
    loaded = experiment.load(make_config(toy))
    with pytest.raises(ValueError, match="another corpus or encoder"):
        experiment.prepare(make_config(toy, **other), mesh=make_mesh(1), loaded=loaded)


@pytest.mark.slow
def test_a_run_leaves_the_shared_weights_as_they_are_and_those_it_trains_do_not_outlive_it(
    toy, tmp_path
):
    config = make_config(toy, stage_one__epochs=1, stage_two__epochs=1)
    loaded = experiment.load(config)
    weights = jax.tree.leaves(nnx.state(loaded.pretrained.module, nnx.Param))
    before = [np.array(each) for each in weights]
    prepared = experiment.prepare(config, mesh=make_mesh(1), loaded=loaded)
    shared = {each.unsafe_buffer_pointer() for each in weights}
    encoder = jax.tree.leaves(prepared.params["encoder"])
    assert {each.unsafe_buffer_pointer() for each in encoder} == shared  # no copy
    kept = [weakref.ref(each) for each in jax.tree.leaves(prepared.params)]
    context = StageContext(tmp_path, Console(quiet=True), StopRequest())
    first = run_stage_one(prepared, context)
    splits = {
        split: prepared.encoding.represent(first.params, prepared.examples[split])
        for split in ("train", "dev")
    }
    run_stage_two(prepared, context, first, splits)
    for now, then in zip(weights, before, strict=True):
        np.testing.assert_array_equal(now, then)
    compiled = prepared.shared
    del prepared, first, encoder
    gc.collect()
    assert compiled.once("passes", lambda: None) is not None
    assert compiled.once("stage one", lambda: None) is not None
    assert [each for each in kept if each() is not None] == []
