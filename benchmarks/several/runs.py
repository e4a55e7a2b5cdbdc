"""The runs: each in a separate process, and kept when it is finished."""

import concurrent.futures
import contextlib
import dataclasses
import io
import json
import multiprocessing
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.memory import status
from benchmarks.several.measures import decided, measure
from eacl_jax.config import Config
from eacl_jax.errors import UserError

FILE = "runs.jsonl"
_COMPILED = 5  # times the median: a step that takes longer has compiled a new shape


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a run gave: by name of its model, logits [N, C] of dev and test; and gold of both."""

    logits: Mapping[str, Mapping[str, np.ndarray]]
    gold: Mapping[str, np.ndarray]


def run(config: Config, out: Path, seeds: Sequence[int], systems: Sequence[str]) -> list[Any]:
    """Does what is not there yet; see `benchmarks/goemotions.py`.

    Returns:
      The rows of the asked runs.

    Raises:
      UserError: something given cannot be used, or the folder holds runs with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    _check(config, out)
    for number, seed in enumerate(seeds):
        # In another order for each seed: what else the machine does falls on all alike.
        turn = number % len(systems)
        for system in (*systems[turn:], *systems[:turn]):
            if any((r["system"], r["seed"]) == (system, seed) for r in rows(out)):
                continue
            print(f"{system}, seed {seed}", file=sys.stderr, flush=True)
            row = _alone(system, dataclasses.replace(config, seed=seed), out)
            with (out / FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return [r for r in rows(out) if r["system"] in systems and r["seed"] in seeds]


def rows(out: Path) -> list[dict[str, Any]]:
    """Of the finished runs."""
    file = out / FILE
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def answers_of(out: Path, row: Mapping[str, Any], model: str) -> tuple[np.ndarray, ...]:
    """Gold and logits of dev, gold and logits of test, of a run's model."""
    with np.load(out / f"{row['system']}-{row['seed']}.npz") as kept:
        return tuple(
            kept[name]
            for split in ("dev", "test")
            for name in (f"gold/{split}", f"{model}/{split}")
        )


def _check(config: Config, out: Path) -> None:
    """Writes the settings down, or raises `UserError` where others are."""
    given = json.loads(json.dumps(dataclasses.replace(config, seed=0).to_dict()))
    file = out / "settings.json"
    if not file.exists():
        file.write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")
    elif json.loads(file.read_text("utf-8")) != given:
        raise UserError(
            f"--out={out} holds runs with other settings, see {file}; name another folder."
        )


def _alone(system: str, config: Config, out: Path) -> dict[str, Any]:
    """The row of a run in a separate process; one that is killed is an error, not a wait."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(one, system, config, out).result()


def one(system: str, config: Config, out: Path) -> dict[str, Any]:
    """Trains one system; keeps its logits, and returns its row."""
    with contextlib.suppress(OSError):  # the peak of memory begins anew
        Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    answers, steps, epoch = (_torch if system.startswith("torch") else _ours)(system, config, out)
    seconds = time.perf_counter() - began
    kept = {f"gold/{split}": gold for split, gold in answers.gold.items()}
    for model, logits in answers.logits.items():
        kept |= {f"{model}/{split}": found.astype(np.float32) for split, found in logits.items()}
    np.savez(out / f"{system}-{config.seed}.npz", **cast(dict[str, Any], kept))
    labels = tuple(map(str, range(answers.gold["dev"].shape[1])))
    scores = {
        model: {
            thresholds: measure(
                answers.gold["test"],
                decided(
                    answers.gold["dev"].astype(bool),
                    logits["dev"],
                    logits["test"],
                    common=thresholds == "common",
                ),
                labels,
            )
            for thresholds in ("own", "common")
        }
        for model, logits in answers.logits.items()
    }
    return {
        "system": system,
        "seed": config.seed,
        "scores": scores,
        "epoch": epoch,
        "epoch_seconds": epoch_seconds(steps),
        "seconds": seconds,
        "peak_bytes": status("VmHWM"),
        "examples": len(answers.gold["test"]),
    }


def epoch_seconds(steps: Sequence[Sequence[float]]) -> float:
    """Seconds of an epoch's training steps, from those of each step by epoch.

    The first epoch is left out where there are others, and so is a step in which something was
    compiled.
    """
    counted = [s for epoch in (steps[1:] if len(steps) > 1 else steps) for s in epoch]
    limit = _COMPILED * statistics.median(counted)
    return statistics.mean(s for s in counted if s <= limit) * len(steps[0])


def _torch(system: str, config: Config, out: Path) -> tuple[Answers, Any, int]:
    from benchmarks.several import peer

    found = peer.train(config, text_alone=system == "torch_text")
    return Answers({system: found.logits}, found.gold), found.steps, found.epoch


def _ours(system: str, config: Config, out: Path) -> tuple[Answers, Any, int]:
    from rich.console import Console

    from eacl_jax.cli import compiled
    from eacl_jax.data.pipeline import steps_per_epoch
    from eacl_jax.training import run as training
    from eacl_jax.training.cost import read_cost
    from eacl_jax.training.outputs import read_outputs
    from eacl_jax.training.recording import MetricsLog

    compiled.keep_compiled(config.data)
    every = dataclasses.replace(config.run, log_every=1, save_every=0)
    config = dataclasses.replace(config, run=every)
    if system == "bce":
        config = dataclasses.replace(config, loss=dataclasses.replace(config.loss, ce_weight=1.0))
    folder = out / f"{system}-{config.seed}"
    results = training.train(config, folder, keep=(), console=Console(file=io.StringIO()))
    outputs = read_outputs(folder)
    names = {"stage_two": system}
    if system == "eacl":
        names = {"stage_one": "eacl, stage one", **names}
    logits = {
        name: {split: found.scores[stage] for split, found in outputs.splits.items()}
        for stage, name in names.items()
    }
    gold = {split: found.gold.astype(bool) for split, found in outputs.splits.items()}
    examples, size = read_cost(folder).train_examples, config.stage_one.batch_size
    per_epoch = steps_per_epoch(examples, size)
    steps: dict[int, list[float]] = {}
    for row in MetricsLog(folder / "metrics.jsonl").rows():
        if row["stage"] == 1 and "examples_per_second" in row:
            last = row["step"] % per_epoch == 0
            count = examples - size * (per_epoch - 1) if last else size
            steps.setdefault(row["epoch"], []).append(count / row["examples_per_second"])
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Answers(logits, gold), list(steps.values()), results.stage_one.best_epoch
