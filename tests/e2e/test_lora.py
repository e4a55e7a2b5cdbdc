"""A stage one with LoRA: what learns, the plain weights that it leaves, and what its checkpoints
hold.
"""

import dataclasses
import math

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.model.low_rank import merged
from eacl_jax.model.mesh import make_mesh
from eacl_jax.model.names import path_name
from eacl_jax.training import cost, experiment, loop, stage_one
from eacl_jax.training.stage import StageContext
from tests.e2e.test_tuning import StopAfter
from tests.stubs.toys import make_config, make_encoder_folder


def size(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.slow
def test_only_matrices_and_heads_learn_and_the_weights_are_plain(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "make_mesh", lambda: make_mesh(1))
    config = make_config(toy, encoder__lora_rank=2, stage_one__epochs=1, stage_one__encoder_lr=0.1)
    prepared, states = experiment.prepare(config), []
    made = stage_one.create_state
    monkeypatch.setattr(
        stage_one, "create_state", lambda *given: states.append(made(*given)) or states[-1]
    )
    # Two layers' queries and values, each with two matrices of rank 2 and width 16.
    matrices = 2 * 2 * 2 * 2 * 16
    heads = size({name: prepared.params[name] for name in ("predictor", "mapping")})
    assert cost.trained_parameters(prepared) == matrices + heads
    context = StageContext(tmp_path, Console(quiet=True), loop.StopRequest())
    result = stage_one.run_stage_one(prepared, context)
    (state,) = states
    assert {name: size(branch) for name, branch in state.params.items() if name == "lora"} == {
        "lora": matrices
    }
    # Both of Adam's moments, and the counts of steps.
    assert 0 <= size(state.opt_state) - 2 * (matrices + heads) < 10
    assert set(result.params) == {"encoder", "predictor", "mapping"}
    # The base is not kept beside them.
    kept = {name: value for name, value in vars(result).items() if name != "best_epoch"}
    assert size(kept) == size(prepared.params) + size(result.anchors) + matrices
    pairs = zip(
        jax.tree_util.tree_flatten_with_path(prepared.params["encoder"])[0],
        jax.tree.leaves(result.params["encoder"]),
        strict=True,
    )
    changed = [path_name(path) for (path, old), new in pairs if (np.asarray(old) != new).any()]
    assert sorted(changed) == [
        f"layers/{layer}/attention/{name}/kernel" for layer in (0, 1) for name in ("query", "value")
    ]


def run_stage_one(prepared, folder, stop=None):
    folder.mkdir(exist_ok=True)
    context = StageContext(folder, Console(quiet=True), stop or loop.StopRequest())
    return stage_one.run_stage_one(prepared, context)


@pytest.fixture(scope="module")
def adapted(toy):
    """With what stage one may keep beside the moving weights: a mean of epochs."""
    settings = {"encoder__lora_rank": 2, "stage_one__epochs": 3}
    config = make_config(toy, **settings, stage_one__soup=2)
    return experiment.prepare(config, mesh=make_mesh(1))


@pytest.mark.slow
def test_a_stopped_run_goes_on_alike_and_no_checkpoint_holds_the_base(adapted, tmp_path):
    whole = run_stage_one(adapted, tmp_path / "whole")
    for looks in (14, 8):
        with pytest.raises(loop.Interrupted):
            run_stage_one(adapted, tmp_path / "run", StopAfter(looks))
    found = run_stage_one(adapted, tmp_path / "run")
    assert found.mean_of == whole.mean_of
    for one, two in (
        (whole.params, found.params),
        (whole.anchors, found.anchors),
        (whole.matrices, found.matrices),
    ):
        chex.assert_trees_all_equal(one, two)
    # Two layers' queries and values, each with two matrices of rank 2 and width 16; beside the
    # weights there are two moments and two epochs.
    matrices = 2 * 2 * 2 * 2 * 16
    heads = size({name: adapted.params[name] for name in ("predictor", "mapping")})
    folders = (tmp_path / "run" / "checkpoints" / Stage.ONE).iterdir()
    for folder in folders:
        with ocp.StandardCheckpointer() as reader:
            saved = reader.metadata(folder / "state").item_metadata.tree
        encodings = size(adapted.source.constants(adapted.beginning))
        assert 0 <= size(saved) - (5 * (matrices + heads) + encodings) < 10


@pytest.mark.slow
def test_matrices_make_the_weights_of_the_base(adapted, tmp_path):
    found = run_stage_one(adapted, tmp_path / "run")
    made = merged(adapted.params["encoder"], found.matrices, 16.0 / 2)
    chex.assert_trees_all_close(made, found.params["encoder"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_rank": 4}, r"encoder\.lora_rank there 2, now 4\. Give the same again"),
        ({"lora_alpha": 8.0}, r"encoder\.lora_alpha there 16\.0, now 8\.0"),
        ({"lora_maps": ".*(query|value)"}, r"encoder\.lora_maps there .*, now '\.\*\(query"),
        ({"path": "other"}, "the encoder's files there .*, now .*'weights'"),
        ({"lora_rank": 0}, r"encoder\.lora_rank there 2, now None"),
    ],
)
def test_checkpoints_of_others_are_refused_in_a_line(adapted, begun, tmp_path, settings, message):
    if "path" in settings:
        settings = {"path": str(make_encoder_folder(tmp_path / "other", seed=1))}
    encoder = dataclasses.replace(adapted.config.encoder, **settings)
    config = dataclasses.replace(adapted.config, encoder=encoder)
    with pytest.raises(UserError, match=message) as error:
        run_stage_one(experiment.prepare(config, mesh=make_mesh(1)), begun)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def begun(adapted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(loop.Interrupted):
        run_stage_one(adapted, folder, StopAfter(2))
    return folder
