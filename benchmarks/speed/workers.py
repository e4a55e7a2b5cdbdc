"""A process for each runner: none finds another's memory, threads or allocator in use, as none
would in real work.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol

import jax

from benchmarks.memory import begin_peak_anew, status
from benchmarks.speed.measure import MatmulRate, timed, warm_up
from benchmarks.speed.tasks import Settings, make_task
from eacl_jax.errors import UserError


class Worker:
    """A runner, all that it will be given, and what it says of itself."""

    def __init__(self, task: str, settings: Settings, name: str) -> None:
        with make_task(task, settings, name) as made:
            self._task = made
            self._runner = made.runners[name]
            self._name, self._rate = name, MatmulRate.on_device(settings.dtype)
            self._hosts = [self._runner.prepare(work) for work in made.works]
        # What follows is the runner's; reading weights and making prompts may have taken more.
        begin_peak_anew()

    def warm_up(self) -> float:
        """A step of each shape that will come; seconds of the very first."""
        return warm_up(self._name, self._runner, self._hosts)

    def step(self, number: int) -> float:
        """Seconds of a round's step, after one that is not timed; on a GPU the mean of ten in a
        row.

        Steps of a training run follow each other. The first after others have worked pays for them:
        a virtual machine takes back memory that lies idle, and getting it again took 2.5 of 5.4
        seconds. On a GPU the host is already at the next step while the device computes; nobody
        waits for a step's loss.
        """
        timed(self._name, self._runner, self._hosts[number])
        steps = 10 if jax.default_backend() == "gpu" else 1
        return timed(self._name, self._runner, self._hosts[number], steps)

    def matmul(self) -> MatmulRate:
        """All samples of the matmul rate up to now, with one more."""
        self._rate.sample()
        return self._rate

    def describe(self) -> dict[str, Any]:
        """The task's numbers and the runner's, to be asked for in the end."""
        return {
            "device": jax.devices()[0].device_kind,
            "config": self._task.config,
            "examples": self._task.examples,
            "lengths": self._task.lengths,
            "compiled": self._runner.compiled,
            "compilations": self._runner.compilations,
            # On a CPU the whole process', libraries and all, since its set-up.
            "peak_bytes": self._runner.peak_bytes(self._hosts[0]) or status("VmHWM"),
        }


class Call(Protocol):
    """Calls a method of a runner's worker."""

    def __call__(self, name: str, method: str, *arguments: Any) -> Any: ...


_WORKER: Worker


def _start(*arguments: Any) -> None:
    global _WORKER
    _WORKER = Worker(*arguments)


def _call(method: str, *arguments: Any) -> Any:
    return getattr(_WORKER, method)(*arguments)


@contextlib.contextmanager
def processes(task: str, settings: Settings, names: Sequence[str]) -> Iterator[Call]:
    """A process a runner, from start to end; only one of them works at a time."""
    with contextlib.ExitStack() as stack:
        pools = {}
        for name in names:
            pools[name] = stack.enter_context(
                ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            )
            # Not as the pool's initializer, which would hide its errors.
            _result(pools[name], name, _start, task, settings, name)
        yield lambda name, method, *arguments: _result(pools[name], name, _call, method, *arguments)


def _result(pool: ProcessPoolExecutor, name: str, what: Callable[..., Any], *given: Any) -> Any:
    try:
        return pool.submit(what, *given).result()
    except BrokenProcessPool as error:
        raise UserError(
            f"the process of {name} was ended from outside, most likely for want of memory. Give"
            " --alone, with which runners do not live beside each other, or a smaller --batch_size."
        ) from error
