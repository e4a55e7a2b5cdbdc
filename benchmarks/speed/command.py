"""The command of the benchmark beside PyTorch: its flags, and what is done with its numbers."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from absl import flags

from benchmarks import script

TASK = flags.DEFINE_list("task", ["train", "encode", "stage_two"], "What to measure.")
flags.DEFINE_string(
    "encoder",
    "minilm",
    "minilm; base or large (RoBERTa's shape, random weights); a hub id or folder.",
)
flags.DEFINE_enum(
    "corpus", "smalltalk", ["smalltalk", "meld", "emorynlp"], "Where the examples come from."
)
flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded.")
flags.DEFINE_integer("batch_size", 64, "Examples a batch.")
flags.DEFINE_integer("max_tokens", 256, "Token budget of a prompt.")
flags.DEFINE_integer("rounds", 5, "Timed steps of each runner.")
flags.DEFINE_enum(
    "dtype",
    "float32",
    ["float32", "bfloat16", "bfloat16_products"],
    "See `encoder.dtype`; peers compute in float32 or under torch.autocast.",
)
flags.DEFINE_enum(
    "preset",
    "parity",
    ["parity", "fast"],
    "fast: no dropout of attention probabilities, in all runners.",
)
flags.DEFINE_string(
    "attention",
    "auto",
    "Kernel of eacl_jax: auto, recompute, xla or cudnn (GPU, bfloat16, --preset=fast).",
)
flags.DEFINE_list(
    "peers",
    ["reference", "dynamic", "strong"],
    "What to compare with; see benchmarks/speed/peers.py.",
)
flags.DEFINE_integer("encode_examples", 512, "Examples that `encode` encodes.")
flags.DEFINE_bool(
    "alone",
    False,
    "Each runner lives alone, one after the other, for encoders that do not fit into memory beside"
    " each other. Ratios then are of different minutes.",
)
JSON = flags.DEFINE_string("json", None, "File for all the numbers.")
CHART = flags.DEFINE_string("chart", None, "File for a bar chart, PNG.")


def run() -> NoReturn:
    """Runs the command, and exits."""
    # That --help shows them, as if the script had defined them.
    for flag in flags.FLAGS.get_key_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    script.run(_main)


def _main() -> None:
    # JAX would take most of a GPU's memory for itself, and the peers share it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from rich.console import Console

    from benchmarks.speed import report, run, tasks

    settings: dict[str, Any] = {
        field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(tasks.Settings)
    }
    results = run.benchmark(tasks.Settings(**settings), TASK.value)
    if JSON.value:
        Path(JSON.value).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report.print_tables(results, Console(width=110))
    if CHART.value:
        report.write_chart(results, Path(CHART.value))
