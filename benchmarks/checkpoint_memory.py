"""Memory and time of loading the same weights from each kind of file.

    .venv/bin/python benchmarks/checkpoint_memory.py

Each file is written and read in a separate process. Memory is the peak beyond what the process
used before, as a multiple of the weights' bytes.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app, flags
from memory import Peak, alone
from rich.console import Console
from rich.table import Table

ENCODERS = flags.DEFINE_list(
    "encoders",
    ["FacebookAI/roberta-large", "FacebookAI/xlm-roberta-base"],
    "Hub ids of eacl_jax/encoders/catalogue.py.",
)
KINDS = (
    "model.safetensors",
    "flax_model.msgpack",
    "pytorch_model.bin",
    "pytorch_model.bin (before 1.6)",
)


def write(name: str, kind: str, folder: Path) -> int:
    """Random weights in a file of this kind; returns their bytes."""
    import flax.serialization
    import torch

    from eacl_jax.encoders import build, save, to_checkpoint
    from eacl_jax.encoders.catalogue import known

    config = dict(known(name).config)
    encoder = build(config)
    save(encoder, config, folder)
    tensors = to_checkpoint(encoder)
    if kind != "model.safetensors":
        (folder / "model.safetensors").unlink()
    if kind == "flax_model.msgpack":
        tree: dict[str, Any] = {}
        for tensor, value in tensors.items():
            *scopes, leaf = tensor.split(".")
            branch = tree
            for scope in scopes:
                branch = branch.setdefault(scope, {})
            if leaf == "weight":
                scale = scopes[-1] == "LayerNorm"
                leaf = (
                    "scale"
                    if scale
                    else "embedding"
                    if scopes[-1].endswith("embeddings")
                    else "kernel"
                )
            branch[leaf] = value.T if leaf == "kernel" else value
        (folder / kind).write_bytes(flax.serialization.msgpack_serialize(tree))
    elif kind.startswith("pytorch_model.bin"):
        state = {tensor: torch.tensor(value) for tensor, value in tensors.items()}
        torch.save(
            state,
            folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=kind == "pytorch_model.bin",
        )
    return sum(value.nbytes for value in tensors.values())


def measure(folder: Path) -> tuple[float, int]:
    """Seconds and peak bytes of loading the folder."""
    import contextlib

    import jax

    from eacl_jax.encoders.registry import abstract_encoder
    from eacl_jax.encoders.weights.checkpoint import Checkpoint
    from eacl_jax.encoders.weights.parameters import load_parameters

    with contextlib.suppress(ImportError):
        import torch  # noqa: F401 -- its memory is none of the file's
    jax.block_until_ready(jax.numpy.zeros(1))
    encoder = abstract_encoder(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    started = time.perf_counter()
    with Peak() as peak:
        load_parameters(encoder, Checkpoint(folder))
    return time.perf_counter() - started, peak.size


def main(_: list[str]) -> None:
    table = Table(title="Loading: peak memory over the weights' bytes, seconds")
    for column in ("", "weights", *KINDS):
        table.add_column(column, justify="left" if not column else "right")
    for name in ENCODERS.value:
        cells, size = [], 0
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                size = alone(write, name, kind, Path(folder))
                seconds, peak = alone(measure, Path(folder))
            cells.append(f"{peak / size:.2f} x, {seconds:.1f} s")
        table.add_row(name, f"{size / 1e9:.2f} GB", *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    app.run(main)
