"""A stage one with LoRA: what learns, and the plain weights that it leaves."""

import jax
import numpy as np
from rich.console import Console

from eacl_jax.model.mesh import make_mesh
from eacl_jax.model.names import path_name
from eacl_jax.training import cost, experiment, loop, stage_one
from eacl_jax.training.stage import StageContext
from tests.stubs.toys import make_config


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


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
    assert "base" not in result.constants
    pairs = zip(
        jax.tree_util.tree_flatten_with_path(prepared.params["encoder"])[0],
        jax.tree.leaves(result.params["encoder"]),
        strict=True,
    )
    changed = [path_name(path) for (path, old), new in pairs if (np.asarray(old) != new).any()]
    assert sorted(changed) == [
        f"layers/{layer}/attention/{name}/kernel" for layer in (0, 1) for name in ("query", "value")
    ]
