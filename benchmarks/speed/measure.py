"""Times runners beside each other: the same work in alternating order after a warm-up of each."""

import dataclasses
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np


class Runner(Protocol):
    """One way to do a task."""

    # Whether a first step of each shape compiles, and how often that happened, where it is counted.
    compiled: bool
    compilations: int | None

    def prepare(self, work: Any) -> Any:
        """What a data loader makes of the work on the host in the background; not timed."""

    def shape(self, host: Any) -> Hashable:
        """Whatever is compiled anew when this differs; the same for all where nothing is compiled."""

    def step(self, host: Any) -> Any:
        """Does the work and returns its result (a loss, representations) on the host, once all else is done too. Timed."""

    def peak_bytes(self, host: Any) -> int | None:
        """Memory that a step needs at its peak, parameters and optimizer included; None where it cannot be told."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of a runner's very first step, and of the timed one of each round."""

    first: float
    seconds: list[float]


@dataclasses.dataclass(frozen=True)
class MatmulRate:
    """How fast this machine multiplies [size, size] matrices in JAX: what MFU is a share of.

    On a GPU, float32 means what JAX does by default there (TF32), for this product as for the runners.
    """

    size: int
    dtype: str
    flops_per_second: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def on_device(cls, dtype: str) -> "MatmulRate":
        """The size and type for this device: float32 on a CPU."""
        return cls(4096, dtype) if jax.default_backend() == "gpu" else cls(2048, "float32")

    def sample(self) -> None:
        """Measures once more."""
        matrix = jax.random.normal(jax.random.key(0), (self.size, self.size), self.dtype)
        multiply, times = jax.jit(jnp.matmul), 20 if jax.default_backend() == "gpu" else 1
        multiply(matrix, matrix).block_until_ready()
        started = time.perf_counter()
        for _ in range(times):
            product = multiply(matrix, matrix)
        product.block_until_ready()
        self.flops_per_second.append(2 * self.size**3 * times / (time.perf_counter() - started))


def alternate(
    runners: Mapping[str, Runner], works: Sequence[Any], rate: MatmulRate
) -> tuple[dict[str, Timing], dict[str, Any]]:
    """Every runner does every work once, in an order that is rotated each round, after a step of each shape that will come.

    Returns:
      Timings and peak bytes by runner.

    Raises:
      RuntimeError: a result is not finite.
    """
    hosts = {name: [runner.prepare(work) for work in works] for name, runner in runners.items()}
    timings: dict[str, Timing] = {}
    memory: dict[str, int | None] = {}
    for name, runner in runners.items():
        tell(f"warm-up of {name}")
        shapes = {runner.shape(host): host for host in reversed(hosts[name])}
        first, *_ = [_timed(name, runner, host) for host in reversed(shapes.values())]
        timings[name] = Timing(first, [])
        memory[name] = runner.peak_bytes(hosts[name][0])
    names = list(runners)
    for number in range(len(works)):
        tell(f"round {number + 1} of {len(works)}")
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            rate.sample()
            timings[name].seconds.append(_timed(name, runners[name], hosts[name][number]))
    return timings, memory


def _timed(name: str, runner: Runner, host: Any) -> float:
    started = time.perf_counter()
    result = runner.step(host)
    seconds = time.perf_counter() - started
    if not np.isfinite(result).all():
        raise RuntimeError(f"{name}: the result is not finite: {result}")
    return seconds


def tell(text: str) -> None:
    """Says how it goes, beside the results."""
    print(text, file=sys.stderr, flush=True)
