"""Times runners beside each other: the same work in alternating order after a warm-up of each."""

import dataclasses
import sys
import time
from collections.abc import Callable, Hashable, Sequence
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
        """Whatever is compiled anew when this differs; the same for all where nothing is
        compiled.
        """

    def start(self, host: Any) -> Any:
        """Does the work, or has the device do it, and returns its result (a loss, representations).
        Timed.
        """

    def finish(self, result: Any) -> Any:
        """The result of the latest `start` on the host, once all else is done too. Timed."""

    def peak_bytes(self, host: Any) -> int | None:
        """Memory on a GPU at its peak, parameters and optimizer included; None on a CPU."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of a runner's very first step, and of the timed one of each round."""

    first: float
    seconds: list[float]


@dataclasses.dataclass(frozen=True)
class MatmulRate:
    """How fast this machine multiplies [size, size] matrices in JAX: what MFU is a share of.

    On a GPU, float32 means what JAX does by default there (TF32), for this product as for the
    runners.
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


def warm_up(name: str, runner: Runner, hosts: Sequence[Any]) -> float:
    """A step of each shape that occurs; seconds of the very first."""
    shapes = {runner.shape(host): host for host in reversed(hosts)}
    first, *_ = [timed(name, runner, host) for host in reversed(shapes.values())]
    return first


def timed(name: str, runner: Runner, host: Any, steps: int = 1) -> float:
    """Seconds of a step: the mean of so many in a row, which need not wait for each other, as in a
    training run.

    Raises:
      RuntimeError: the last one's result is not finite.
    """
    started = time.perf_counter()
    for _ in range(steps):
        result = runner.start(host)
    result = runner.finish(result)
    seconds = (time.perf_counter() - started) / steps
    if not np.isfinite(result).all():
        raise RuntimeError(f"{name}: the result is not finite: {result}")
    return seconds


def alternate(
    call: Callable[..., Any], names: Sequence[str], rounds: int
) -> tuple[dict[str, Timing], MatmulRate]:
    """Every runner does every round's work once, in an order that is rotated each round, after a
    warm-up of each.

    Args:
      call: a `workers.Call`.
      names: of the runners; the first, which computes with JAX, also measures the matmul rate
        before each step.
      rounds: how many.
    """
    timings = {}
    for name in names:
        tell(f"warm-up of {name}")
        timings[name] = Timing(call(name, "warm_up"), [])
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            rate = call(names[0], "matmul")
            timings[name].seconds.append(call(name, "step", number))
    return timings, rate


def tell(text: str) -> None:
    """Says how it goes, beside the results."""
    print(text, file=sys.stderr, flush=True)
