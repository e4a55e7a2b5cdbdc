"""Two processes with a device each draw the same global batches, put their rows on them, and get
the global loss.
"""

import pytest

from tests.stubs.agreeing import run_together

SCRIPT = """
import sys
import jax
import numpy as np

address, processes, process = sys.argv[1], *map(int, sys.argv[2:])
if processes > 1:
    jax.distributed.initialize(address, processes, process)

from flax import nnx
from tests.stubs.toys import ENCODER

from eacl_jax import encoders
from eacl_jax.config import BatchConfig, Config, ModelConfig
from eacl_jax.data.pipeline import batch_maker, endless_batches, iterate
from eacl_jax.data.prompts import Example
from eacl_jax.model.anchors import Words
from eacl_jax.model.mesh import batch_shardings, make_mesh, put, replicated
from eacl_jax.model.representer import Model
from eacl_jax.training import loop, objective, stage_one
from eacl_jax.training.optim import stage_one_optimizer

rng = np.random.default_rng(0)
examples = [
    Example(rng.integers(5, 40, n).astype(np.int32), readout=0, label=i % 3, dialogue="d", utterance=i)
    for i, n in enumerate(rng.integers(4, 60, 30))
]
model = Model(encoders.build({**ENCODER, "vocab_size": 40}), 3, ModelConfig(), rngs=nnx.Rngs(0))
graphdef, state = nnx.split(model, nnx.Param)


mesh = make_mesh()
assert mesh.size == processes
params = nnx.to_pure_dict(state)
optimizer = stage_one_optimizer(Config().stage_one, params, 10)
constants = {"label_encodings": np.ones((3, 16), np.float32) + np.eye(3, 16, dtype=np.float32)}
state = put(loop.create_state(params, constants, optimizer), replicated(mesh))
loss = objective.StageOneLoss(lambda p: nnx.merge(graphdef, p), Words(), Config().loss)
gradients = loss.value_and_grad()
step = loop.make_train_step(gradients, optimizer, mesh)
# Rows come in multiples of two in either run, so that both have the same shapes and so the same dropout.
local = lambda count: stage_one.local_rows(batch_shardings(mesh).tokens, count)
assert len(local(4)) == 4 // processes
make = batch_maker(examples, 8, BatchConfig(), max_tokens=64, row_multiple=2, local_rows=local)
batches = iterate(endless_batches(len(examples), 8, 0, make))
for _ in range(3):
    batch, _ = next(batches)
    placed = put(batch, batch_shardings(mesh))
    assert placed.tokens.addressable_shards[0].data.shape[0] == batch.tokens.shape[0] // processes
    state, metrics = step(state, placed, jax.random.key(0))
    print("LOSS", float(metrics["loss"]), float(metrics["grad_norm"]), flush=True)
"""


def losses(processes):
    results = []
    for status, output in run_together(SCRIPT, processes):
        assert status == 0, output
        results.append(
            [
                [float(x) for x in line.split()[1:]]
                for line in output.splitlines()
                if line.startswith("LOSS")
            ]
        )
    return results


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one():
    (alone,) = losses(1)
    assert len(alone) == 3
    for together in losses(2):
        for (loss, norm), (expected_loss, expected_norm) in zip(together, alone, strict=True):
            assert abs(loss - expected_loss) < 1e-4 * abs(expected_loss)
            assert abs(norm - expected_norm) < 1e-3 * expected_norm
