"""What a study's claims, locks and tidying cost: its cells against the same runs in a plain loop.

    .venv/bin/python benchmarks/study_overhead.py --rounds=3

Each side runs in a separate process, in turn, in folders that are new; both share the corpus, the
weights and what is compiled between their runs. Importing and reading the study are left out.
"""

import statistics
import tempfile
import time
from pathlib import Path

from absl import flags
from memory import alone
from script import run

STUDY = flags.DEFINE_string(
    "study", "configs/studies/ablation.py:tiny,seeds=3", "The study's file and argument."
)
ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each side is timed.", lower_bound=1)


def seconds(side: str, file: str, folder: Path) -> tuple[float, int]:
    """How long a side takes, and how many runs it does."""
    from rich.console import Console

    from eacl_jax.cli import compiled, configuration
    from eacl_jax.studies import cells, plan, reading, runner
    from eacl_jax.training import experiment
    from eacl_jax.training import run as training

    study = reading.read_study(configuration.load_study(file))
    compiled.keep_compiled(study.cells[0].config.data)
    quiet = Console(quiet=True)
    started = time.perf_counter()
    if side == "study":
        runner.run_study(study, folder, console=quiet)
    else:
        shared, loaded = None, None
        for cell in study.cells:
            if plan.shared_by(cell.config) != shared:
                shared, loaded = plan.shared_by(cell.config), experiment.load(cell.config)
            training.train(
                cell.config,
                cells.folder_of(folder, cell),
                console=quiet,
                loaded=loaded,
                keep=(),
            )
    return time.perf_counter() - started, len(study.cells)


def main() -> None:
    """Times both sides and prints each ratio."""
    ratios = []
    for number in range(ROUNDS.value + 1):
        taken = {}
        for side in ("loop", "study") if number % 2 else ("study", "loop"):
            with tempfile.TemporaryDirectory() as folder:
                taken[side], runs = alone(seconds, side, STUDY.value, Path(folder))
        if not number:
            continue  # it compiles, for later rounds to find
        ratios.append(taken["study"] / taken["loop"])
        print(
            f"{runs} runs: loop {taken['loop']:.1f} s, study {taken['study']:.1f} s, ratio"
            f" {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    run(main)
