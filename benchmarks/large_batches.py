"""What a step of thousands of examples costs: the contrastive scores' memory on a device, and the
host's time for laying out its rows.

    .venv/bin/python benchmarks/large_batches.py

The loss is compiled for simulated devices and not run: memory is what XLA plans. The host's time is
that of the CPU, the best of three, for prompts as long as MELD's (97 tokens, deviation 45).
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table

WIDTH = flags.DEFINE_integer("width", 768, "Of a representation.")
DEVICES = flags.DEFINE_integer("devices", 8, "Simulated, at most.")
SIZES = flags.DEFINE_multi_integer("size", [64, 1024, 8192], "Examples a step, for the host.")


def score_memory(size: int, devices: int, **rows: Any) -> int:
    """Bytes of a device, beside arguments and results, for the loss of `size` utterances and its
    gradient.
    """
    import jax

    from eacl_jax.model import losses
    from eacl_jax.model.mesh import batch_shardings, make_mesh, replicated
    from eacl_jax.model.score_rows import ScoreRows

    mesh = make_mesh(devices)
    whole, over = replicated(mesh), ScoreRows(batch_shardings(mesh).tokens, **rows)

    def loss(reps: jax.Array, anchors: jax.Array, labels: jax.Array) -> jax.Array:
        return losses.supervised_contrastive(reps, labels, anchors, temperature=0.1, rows=over)

    arguments = [
        jax.ShapeDtypeStruct((size, WIDTH.value), np.float32, sharding=whole),
        jax.ShapeDtypeStruct((7, WIDTH.value), np.float32, sharding=whole),
        jax.ShapeDtypeStruct((size,), np.int32, sharding=whole),
    ]
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)), out_shardings=whole)
    memory = step.lower(*arguments).compile().memory_analysis()
    assert memory is not None, "this backend does not tell how much memory a program takes"
    return int(memory.temp_size_in_bytes)


def milliseconds(work: Callable[[], Any]) -> float:
    """CPU time, the best of three."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1000 * min(times)


def main(argv: Sequence[str]) -> None:
    del argv
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES.value}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    from eacl_jax.data.batching import choose_shapes, collate, plan
    from eacl_jax.data.prompts import Example

    console = Console()
    table = Table(title=f"loss and gradient of N x {WIDTH.value}, MiB a device")
    for name in ("N", "devices", "all scores at once", "local rows", "local rows, in blocks"):
        table.add_column(name, justify="right")
    every = 10**9
    for size in (8192, 65536):
        for devices in (1, DEVICES.value):
            found = (
                score_memory(size, devices, whole=every),
                score_memory(size, devices, block=every),
                score_memory(size, devices),
            )
            table.add_row(
                f"{size:,}", str(devices), *(f"{bytes_ / 2**20:,.0f}" for bytes_ in found)
            )
    console.print(table)

    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(97, 45, max(SIZES.value)), 10, 242).astype(int).tolist()
    examples = [
        Example(np.full(n, 5, np.int32), readout=0, label=0, dialogue="d", utterance=i)
        for i, n in enumerate(lengths)
    ]
    table = Table(title="the host, ms")
    for name in ("examples a step", "shapes, once", "plan", "collate", "collate an eighth"):
        table.add_column(name, justify="right")
    for size in SIZES.value:
        how: dict[str, Any] = {"max_tokens": 256, "row_multiple": DEVICES.value}
        begin = time.process_time()
        shapes = choose_shapes(lengths, size, **how)
        once = 1000 * (time.process_time() - begin)
        lay_out = partial(plan, lengths[:size], size, layout="packed", shapes=shapes, **how)
        layout = lay_out()
        eighth = range(layout.shape[0] // 8)
        times = [
            milliseconds(lay_out),
            milliseconds(partial(collate, examples[:size], size, layout)),
            milliseconds(partial(collate, examples[:size], size, layout, rows=eighth)),
        ]
        table.add_row(f"{size:,}", f"{once:,.0f}", *(f"{each:,.2f}" for each in times))
    console.print(table)


if __name__ == "__main__":
    app.run(main)
