"""Six optimizer steps and ten adaptation steps, number for number those of the public PyTorch
implementation.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from eacl_jax.config import CompatConfig, Config, ModelConfig, StageOneConfig, StageTwoConfig
from eacl_jax.data.batching import Batch
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.encoders.weights.parameters import Checkpoint, load_parameters, to_checkpoint
from eacl_jax.model import representer
from eacl_jax.model.anchors import Words
from eacl_jax.model.mesh import make_mesh, put, replicated
from eacl_jax.model.scores import scores
from eacl_jax.training import loop, objective, stage_two
from eacl_jax.training.optim import stage_one_optimizer, stage_two_optimizer

# Names of the public implementation's heads and where theirs are here.
HEADS = {
    "predictor.0": ("predictor",),
    "map_function.0": ("mapping", "hidden"),
    "map_function.1": ("mapping", "norm"),
    "map_function.3": ("mapping", "output"),
}
PAD, MASK = 1, 4


@pytest.fixture(scope="module")
def golden():
    return Path(__file__).parent / "reference" / "steps"


def put_heads(params, tensors):
    for name, path in HEADS.items():
        branch = params
        for key in path:
            branch = branch[key]
        weight = tensors[f"{name}.weight"]
        branch["scale" if weight.ndim == 1 else "kernel"] = jnp.asarray(weight.T)
        branch["bias"] = jnp.asarray(tensors[f"{name}.bias"])


def get_heads(params):
    tensors = {}
    for name, path in HEADS.items():
        branch = params
        for key in path:
            branch = branch[key]
        tensors[f"{name}.weight"] = np.asarray(
            branch["scale"] if "scale" in branch else branch["kernel"]
        ).T
        tensors[f"{name}.bias"] = np.asarray(branch["bias"])
    return tensors


def to_batch(ids, labels):
    valid = ids != PAD
    return Batch(
        tokens=np.where(valid, ids, 0).astype(np.int32),
        positions=np.where(valid, np.arange(ids.shape[1]), 0).astype(np.int32),
        segment_ids=valid.astype(np.int32),
        readout=np.stack([np.arange(len(ids)), (ids == MASK).argmax(axis=1)], axis=1).astype(
            np.int32
        ),
        labels=labels.astype(np.int32),
        weights=np.ones(len(ids), np.float32),
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("scan_layers", [True, False])
def test_six_optimizer_steps_and_ten_adaptation_steps(golden, scan_layers):
    run = np.load(golden / "run.npz")
    described = json.loads((golden / "encoder" / "config.json").read_text())
    encoder = load_parameters(
        abstract_encoder(described, scan_layers=scan_layers), Checkpoint(golden / "encoder")
    )
    network = representer.Model(
        encoder, 7, ModelConfig(mapping_dim=24, dropout=0.0), rngs=nnx.Rngs(0)
    )
    graphdef, state = nnx.split(network, nnx.Param)
    params = nnx.to_pure_dict(state)
    put_heads(params, load_file(golden / "heads.safetensors"))

    config = Config(
        stage_one=StageOneConfig(encoder_lr=2e-4, head_lr=4e-4, weight_decay=0.01, clip_norm=5.0),
        compat=CompatConfig(constant_for_no_positive=True),
    )

    def merge(params):
        return nnx.merge(
            graphdef, {name: params[name] for name in ("encoder", "predictor", "mapping")}
        )

    mesh = make_mesh(1)
    optimizer = stage_one_optimizer(config.stage_one, params, 2, decay_mapping_norm=True)
    constants = {"label_encodings": jnp.asarray(run["label_encodings"])}
    state = put(loop.create_state(params, constants, optimizer), replicated(mesh))
    loss = objective.StageOneLoss(merge, Words(), config.loss, constant_for_no_positive=True)
    step = loop.make_train_step(loss.value_and_grad(), optimizer, mesh)
    for index in range(6):
        state, metrics = step(
            state, to_batch(run["input_ids"][index], run["labels"][index]), jax.random.key(0)
        )
        np.testing.assert_allclose(metrics["loss"], run["losses"][index], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(metrics["ce"], run["ce"][index], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(metrics["grad_norm"], run["grad_norm"][index], rtol=1e-3)

    trained = merge(state.params)
    expected = load_file(golden / "after.safetensors")
    ours = {
        f"encoder/{name}": value for name, value in to_checkpoint(trained.encoder).items()
    } | get_heads(state.params)
    assert set(ours) == set(expected)
    for name, value in expected.items():
        # Softmax does not change when all keys get the same bias: its gradient is rounding noise,
        # which Adam scales up to the learning rate.
        noise = 1e-3 if name.endswith("key.bias") else 2e-5
        np.testing.assert_allclose(ours[name], value, rtol=1e-3, atol=noise, err_msg=name)

    reps = trained.represent(to_batch(run["input_ids"][0], run["labels"][0]))
    anchors = trained.mapping(constants["label_encodings"])
    np.testing.assert_allclose(reps, run["eval_reps"], rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(
        scores(reps, anchors, temperature=1.0), run["eval_scores"], atol=1e-4
    )
    np.testing.assert_allclose(anchors, run["anchors_before"], rtol=1e-3, atol=2e-4)

    # From the printed representations and anchors, so that this half stands alone.
    frozen = {name: state.params[name] for name in ("encoder", "predictor", "mapping")}
    params = {**frozen, "anchors": jnp.asarray(run["anchors_before"])}
    optimizer = stage_two_optimizer(StageTwoConfig(lr=1e-4, clip_norm=5.0), params)
    state = put(loop.create_state(params, constants, optimizer), replicated(mesh))
    step = loop.make_train_step(
        jax.value_and_grad(stage_two.stage_two_loss(config.loss), has_aux=True),
        optimizer,
        mesh,
    )
    batch = {
        "reps": run["eval_reps"],
        "labels": run["labels"][0].astype(np.int32),
        "weights": np.ones(32, np.float32),
    }
    for expected_loss in run["adapt_losses"]:
        state, metrics = step(state, batch, jax.random.key(0))
        np.testing.assert_allclose(metrics["loss"], expected_loss, rtol=1e-5)
    np.testing.assert_allclose(state.params["anchors"], run["anchors_after"], rtol=1e-4, atol=1e-5)
