"""Large encoders of real shape with random weights: loading, forward pass and one step of stage
one.

    .venv/bin/python benchmarks/large_encoders.py

`--lora_ranks=0,8` measures each with all weights trained, and with LoRA of rank 8.

Each encoder and rank gets a separate process, so that no peak of memory is another's; a checkpoint
of the encoder is written to a folder that is removed in the end. Memory while loading is a multiple
of the weights' bytes.
"""

import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from absl import app, flags
from memory import Peak, alone, status
from rich.console import Console
from rich.table import Table

NAMES = (
    "FacebookAI/roberta-large",
    "microsoft/deberta-large",
    "microsoft/deberta-v3-large",
    "answerdotai/ModernBERT-large",
)
ENCODERS = flags.DEFINE_list("encoders", list(NAMES), "Hub ids of eacl_jax/encoders/catalogue.py.")
EXAMPLES = flags.DEFINE_integer("examples", 8, "Examples a batch, one a row.")
LENGTH = flags.DEFINE_integer("length", 128, "Tokens of each.")
STEPS = flags.DEFINE_integer("steps", 2, "Timed passes and steps, after one that compiles.")
RANKS = flags.DEFINE_list("lora_ranks", ["0"], "Ranks of LoRA; 0: all weights are trained.")
DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ["float32", "bfloat16"], "Of activations and products."
)


def write(name: str, folder: Path) -> None:
    """A checkpoint with random weights."""
    from eacl_jax.encoders import build, save
    from eacl_jax.encoders.catalogue import known

    config = dict(known(name).config)
    save(build(config), config, folder)


def measure(name: str, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Loads the folder, then runs it."""
    import jax
    import numpy as np
    from flax import nnx

    from eacl_jax.config import EncoderConfig, LossConfig, ModelConfig, StageOneConfig
    from eacl_jax.data.batching import collate, plan
    from eacl_jax.data.prompts import Example
    from eacl_jax.encoders.catalogue import known
    from eacl_jax.encoders.registry import abstract_encoder
    from eacl_jax.encoders.weights.checkpoint import Checkpoint
    from eacl_jax.encoders.weights.parameters import load_parameters
    from eacl_jax.model.anchors import Words
    from eacl_jax.model.mesh import make_mesh, put, replicated
    from eacl_jax.model.representer import Model
    from eacl_jax.training import loop, lora, objective
    from eacl_jax.training.optim import stage_one_optimizer

    jax.block_until_ready(jax.numpy.zeros(1))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    started = time.perf_counter()
    with Peak() as peak:
        encoder = load_parameters(
            abstract_encoder(config, dtype=settings["dtype"]), Checkpoint(folder)
        )
    result: dict[str, Any] = {"load_seconds": time.perf_counter() - started}
    parameters = known(name).parameters
    result |= {"parameters": parameters, "load_memory": peak.size / (parameters * 4)}

    rows, length, labels = settings["examples"], settings["length"], 7
    generator = np.random.default_rng(0)
    examples = [
        Example(
            generator.integers(5, 30000, length, np.int32),
            readout=length - 2,
            label=i % labels,
            dialogue="",
            utterance=i,
        )
        for i in range(rows)
    ]
    batch = collate(examples, rows, plan([length] * rows, rows, layout="padded", max_tokens=length))
    model = Model(encoder, labels, ModelConfig(), rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model, nnx.Param)
    params, depths = nnx.to_pure_dict(state), nnx.to_pure_dict(encoder.depths())
    del encoder, model, state

    def timed(run: Callable[[], Any]) -> tuple[float, float]:
        seconds = []
        for _ in range(settings["steps"] + 1):
            started = time.perf_counter()
            jax.block_until_ready(run())
            seconds.append(time.perf_counter() - started)
        return seconds[0], statistics.median(seconds[1:])

    forward = jax.jit(lambda params: nnx.merge(graphdef, params).represent(batch))
    result["forward_first"], result["forward"] = timed(lambda: forward(params))  # noqa: F821  (deleted below)

    encodings = jax.random.normal(
        jax.random.key(1), (labels, params["predictor"]["kernel"].shape[0])
    )
    constants, mesh = {"label_encodings": encodings}, make_mesh(1)
    loss = objective.StageOneLoss(partial(nnx.merge, graphdef), Words(), LossConfig())
    gradients = loss.value_and_grad()
    if settings["lora_rank"]:
        adapted = EncoderConfig(lora_rank=settings["lora_rank"])
        constants[lora.BASE] = params.pop("encoder")
        params[lora.ADAPTERS] = lora.adapters(constants[lora.BASE], depths, adapted, 0)
        gradients = lora.lora_value_and_grad(gradients, adapted)
    optimizer = stage_one_optimizer(StageOneConfig(), params, 100)
    step = loop.make_train_step(gradients, optimizer, mesh)
    train_state = put(loop.create_state(params, constants, optimizer), replicated(mesh))
    for field, tree in (("trained", params), ("optimizer", train_state.opt_state)):
        result[f"{field}_bytes"] = sum(x.nbytes for x in jax.tree.leaves(tree))
    del params, constants

    def one() -> Any:
        nonlocal train_state
        train_state, metrics = step(train_state, batch, jax.random.key(0))
        if not np.isfinite(float(metrics["loss"])):
            raise RuntimeError(f"{name}: loss {metrics['loss']}")
        return train_state

    result["step_first"], result["step"] = timed(one)
    device = jax.devices()[0]
    on_device = (device.memory_stats() or {}).get("peak_bytes_in_use")
    result |= {"peak": on_device or status("VmHWM"), "device": device.device_kind}
    return result


def main(_: list[str]) -> None:
    settings = {
        "examples": EXAMPLES.value,
        "length": LENGTH.value,
        "steps": STEPS.value,
        "dtype": DTYPE.value,
    }
    table = Table(
        title=(
            f"{EXAMPLES.value} examples of {LENGTH.value} tokens, {DTYPE.value}, {os.cpu_count()}"
            " CPU cores"
        )
    )
    columns = (
        "",
        "LoRA",
        "parameters",
        "load s",
        "load memory",
        "forward s",
        "step s",
        "examples/s",
        "optimizer MB",
        "peak GB",
        "compile + first s",
    )
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    for name, rank in itertools.product(ENCODERS.value, map(int, RANKS.value)):
        how = {**settings, "lora_rank": rank}
        with tempfile.TemporaryDirectory() as folder:
            alone(write, name, Path(folder))
            result = alone(measure, name, Path(folder), how)
        table.add_row(
            name,
            f"rank {rank}" if rank else "",
            f"{result['parameters'] / 1e6:.0f} M",
            f"{result['load_seconds']:.1f}",
            f"{result['load_memory']:.2f} x",
            f"{result['forward']:.2f}",
            f"{result['step']:.2f}",
            f"{EXAMPLES.value / result['step']:.1f}",
            f"{result['optimizer_bytes'] / 1e6:.1f}",
            f"{result['peak'] / 1e9:.2f}",
            f"{result['forward_first']:.0f}, {result['step_first']:.0f}",
        )
        print(json.dumps({"encoder": name, **how, **result}), flush=True)
    Console(width=160).print(table)


if __name__ == "__main__":
    app.run(main)
