"""The whole benchmark: tasks, their runners beside each other, and the numbers."""

import dataclasses
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from statistics import median
from typing import Any

from benchmarks.speed import peers
from benchmarks.speed.measure import MatmulRate, Timing, alternate, tell
from benchmarks.speed.tasks import TASKS, Settings, model_flops, summarize
from benchmarks.speed.workers import Call, processes
from eacl_jax.errors import UserError


def benchmark(settings: Settings, tasks: Sequence[str]) -> dict[str, Any]:
    """Measures the tasks, each runner in a separate process.

    Returns:
      What `--json` holds: device, cores, allocator, versions, settings and, by task, `measure`'s
        numbers.

    Raises:
      UserError: something given cannot be used.
    """
    for flag, given, known in (
        ("task", tasks or [""], TASKS),
        ("peers", settings.peers, peers.PEERS),
    ):
        if unknown := [name for name in given if name not in known]:
            raise UserError(
                f"--{flag}: there is no {', '.join(map(repr, unknown))}; choose from"
                f" {', '.join(known)}."
            )
    for flag in ("batch_size", "rounds", "encode_examples"):
        if getattr(settings, flag) < 1:
            raise UserError(f"--{flag} must be at least 1, got {getattr(settings, flag)}.")
    by_task = {task: measure(task, settings) for task in tasks}
    return {
        "device": next(iter(by_task.values()))["device"],
        "cores": os.cpu_count(),
        "allocator": os.environ.get("GLIBC_TUNABLES", ""),  # for all runners alike
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("jax", "jaxlib", "torch", "transformers")
        },
        "settings": dataclasses.asdict(settings),
        "tasks": by_task,
    }


def measure(
    name: str,
    settings: Settings,
    workers: Callable[[str, Settings, Sequence[str]], AbstractContextManager[Call]] = processes,
) -> dict[str, Any]:
    """A task's numbers: `runners` as `summarize` gives them, `tokens` of each round, `matmul`, of
    which MFU is a share.

    Args:
      name: of the task.
      settings: of all tasks.
      workers: where the runners live.

    Raises:
      UserError: something given cannot be used.
    """
    tell(f"{name}, {settings.encoder}")
    # Of the peers only one in stage two: nothing is padded there.
    asked = [peer for peer in settings.peers if name != "stage_two" or peer == "dynamic"]
    names = ["eacl_jax", *asked]
    timings: dict[str, Timing] = {}
    described: dict[str, Any] = {}
    rates: list[MatmulRate] = []
    for together in [[each] for each in names] if settings.alone else [names]:
        with workers(name, settings, together) as call:
            timed, rate = alternate(call, together, settings.rounds)
            described |= {each: call(each, "describe") for each in together}
        timings |= timed
        rates.append(rate)
    # Of all of them, as times vary from minute to minute.
    rate = dataclasses.replace(
        rates[0], flops_per_second=[each for one in rates for each in one.flops_per_second]
    )
    ours = described["eacl_jax"]
    flops = [
        model_flops(row, ours["config"], passes=3 if name == "train" else 1)
        for row in ours["lengths"]
    ]
    matmul = median(rate.flops_per_second)
    return {
        "device": ours["device"],
        "examples": ours["examples"],
        "tokens": [sum(row) for row in ours["lengths"]],
        "matmul": {**dataclasses.asdict(rate), "median": matmul},
        "runners": {
            each: summarize(described[each], flops, timings[each], matmul) for each in names
        },
    }
