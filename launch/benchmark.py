"""Measures eacl_jax beside peers in PyTorch: `python launch/benchmark.py --task=train --encoder=minilm --chart=chart.png`.

BUILD_NOTES.md says what was measured; `benchmarks/speed/peers.py` is what the peers do.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from eacl_jax.cli import process  # noqa: E402

if __name__ == "__main__":
    process.start()  # before the imports that take their time

from absl import app, flags  # noqa: E402

from eacl_jax.cli import configuration, huge_pages, process  # noqa: E402

TASK = flags.DEFINE_list("task", ["train", "encode", "stage_two"], "What to measure.")
flags.DEFINE_string("encoder", "minilm", "minilm; base or large (RoBERTa's shape, random weights); a hub id or folder.")
flags.DEFINE_enum("corpus", "smalltalk", ["smalltalk", "meld", "emorynlp"], "Where the examples come from.")
flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded.")
flags.DEFINE_integer("batch_size", 64, "Examples a batch.")
flags.DEFINE_integer("max_tokens", 256, "Token budget of a prompt.")
flags.DEFINE_integer("rounds", 5, "Timed steps of each runner.")
flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of activations and products.")
flags.DEFINE_enum("preset", "parity", ["parity", "fast"], "fast: no dropout of attention probabilities, in all runners.")
flags.DEFINE_string("attention", "auto", "Kernel of eacl_jax: auto, recompute, xla or cudnn (GPU, bfloat16, --preset=fast).")
flags.DEFINE_list("peers", ["reference", "dynamic", "strong"], "What to compare with; see benchmarks/speed/peers.py.")
flags.DEFINE_integer("encode_examples", 512, "Examples that `encode` encodes.")
JSON = flags.DEFINE_string("json", None, "File for all the numbers.")
CHART = flags.DEFINE_string("chart", None, "File for a bar chart, PNG.")


@process.guarded
def main(_: list[str]) -> None:
    # JAX would take most of a GPU's memory for itself, and the peers share it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from rich.console import Console

    from benchmarks.speed import report, run, tasks

    settings: dict[str, Any] = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(tasks.Settings)}
    results = run.benchmark(tasks.Settings(**settings), TASK.value)
    if JSON.value:
        Path(JSON.value).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report.print_tables(results, Console(width=110))
    if CHART.value:
        report.write_chart(results, Path(CHART.value))


if __name__ == "__main__":
    huge_pages.use_huge_pages()
    process.run(lambda: app.run(main, flags_parser=configuration.parse_flags))
