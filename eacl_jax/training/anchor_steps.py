"""Stage two's steps: anchors learn on fixed representations, all steps of an epoch in one compiled
scan.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from eacl_jax.model.mesh import Mesh, put, replicated
from eacl_jax.training.loop import (
    Interrupted,
    NonFiniteLossError,
    Observer,
    StopRequest,
    TrainState,
)


class Order(NamedTuple):
    """Which examples each step takes.

    Attributes:
      indices: int32 [S, B], a step a row; a short batch is filled up with its first example.
      weights: float32 [S, B], 0 for padding.
    """

    indices: Int[np.ndarray, "S B"]
    weights: Float[np.ndarray, "S B"]

    def examples(self, step: int) -> Int[np.ndarray, " n"]:
        """The examples of a step (from 0), without padding."""
        return self.indices[step][self.weights[step] > 0]


def fill(
    indices: Int[np.ndarray, " n"], size: int
) -> tuple[Int[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """A row of an `Order`, of `size` examples, so that all batches have one shape."""
    filled = np.full(size, indices[0], np.int32)
    filled[: len(indices)] = indices
    return filled, (np.arange(size) < len(indices)).astype(np.float32)


class AnchorEpoch:
    """Runs the steps of an epoch on the devices; each number of steps is compiled once."""

    def __init__(
        self,
        train_step: Callable[..., Any],
        examples: Mapping[str, np.ndarray],
        size: int,
        mesh: Mesh,
        *,
        compiled: dict[int, Callable[..., Any]] | None = None,
    ) -> None:
        """Args:
        train_step: from `loop.make_train_step`; its batches hold rows of `examples`, and `weights`.
        examples: arrays [N, ...] by name, copied to the devices once.
        size: examples a batch, B.
        mesh: everything is whole on all its devices.
        compiled: by number of steps, what another run has compiled for arrays of the same shapes;
          what this one compiles is added.
        """
        self._size, self._sharding = size, replicated(mesh)
        self._examples = put(dict(examples), self._sharding)
        self._compiled = {} if compiled is None else compiled

        def epoch(
            state: TrainState, examples: Any, order: Order, key: jax.Array
        ) -> tuple[TrainState, dict[str, jax.Array]]:
            def step(state: TrainState, row: Order) -> tuple[TrainState, dict[str, jax.Array]]:
                batch = {name: array[row.indices] for name, array in examples.items()}
                return train_step(state, {**batch, "weights": row.weights}, key)

            return jax.lax.scan(step, state, order)

        self._epoch = jax.jit(epoch, donate_argnums=0, out_shardings=self._sharding)

    def compile(self, state: TrainState, steps: int, key: jax.Array) -> None:
        """Compiles what `run` runs for so many steps, where that has not been done."""
        if steps not in self._compiled:
            shape = (steps, self._size)
            order = put(
                Order(np.zeros(shape, np.int32), np.zeros(shape, np.float32)), self._sharding
            )
            self._compiled[steps] = self._epoch.lower(state, self._examples, order, key).compile()

    def run(
        self, state: TrainState, order: Order, key: jax.Array
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """The state after the steps and their metrics, each [S]; the old state's memory is given
        up.
        """
        steps = len(order.indices)
        self.compile(state, steps, key)
        state, metrics = self._compiled[steps](
            state, self._examples, put(order, self._sharding), key
        )
        return state, jax.device_get(metrics)


def adapt(
    state: TrainState,
    epoch: AnchorEpoch,
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    key: jax.Array,
    observer: Observer,
    *,
    steps_per_epoch: int,
    steps: int,
    save: Callable[[TrainState], None],
    stop: StopRequest,
    enough: Callable[[int], bool] = lambda _: False,
) -> TrainState:
    """Runs epochs until `steps` are done. An epoch takes milliseconds: nothing is saved, and no
    stop heeded, within one.

    Args:
      state: where to begin; within an epoch, what is left of that epoch is run.
      epoch: of these examples.
      batches: yields rows of an `Order`, at the position that belongs to `state.step`.
      key: of the run; each step folds its number in.
      observer: gets an epoch's steps once they are all done, then the epoch. `examples_per_second`
        is the epoch's mean, from the drawing of its order to the metrics' arrival; compilation is
        left out.
      steps_per_epoch: batches of an epoch.
      steps: total.
      save: keeps the state (and the position of `batches`), after each epoch.
      stop: when it is requested, the epoch is finished and the state saved.
      enough: whether to end after so many steps, asked before each epoch.

    Returns:
      The state after `steps`, or after those that were enough.

    Raises:
      NonFiniteLossError: of the first bad step, before anything of its epoch is saved.
      Interrupted: after saving, when a stop was requested.
    """
    done = int(state.step)
    while done < steps and not enough(done):
        count = min(steps - done, steps_per_epoch - done % steps_per_epoch)
        epoch.compile(state, count, key)
        clock = time.perf_counter()
        order = _draw(batches, count)
        state, metrics = epoch.run(state, order, key)
        speed = float(order.weights.sum()) / (time.perf_counter() - clock)
        _tell(observer, done, order, metrics, speed)
        done += count
        observer.epoch(-(-done // steps_per_epoch), state)
        save(state)
        if stop.reached():
            raise Interrupted(stop.number)
    return state


def _draw(batches: Iterator[tuple[np.ndarray, np.ndarray]], steps: int) -> Order:
    """The order of the next so many steps."""
    indices, weights = zip(*(next(batches) for _ in range(steps)), strict=True)
    return Order(np.stack(indices), np.stack(weights))


def _tell(
    observer: Observer, done: int, order: Order, metrics: Mapping[str, np.ndarray], speed: float
) -> None:
    """Tells the observer of the steps after `done`, up to the first that is not finite."""
    for index in range(len(order.indices)):
        numbers = {name: float(values[index]) for name, values in metrics.items()}
        if not np.isfinite(numbers["loss"]) or not np.isfinite(numbers["grad_norm"]):
            raise NonFiniteLossError(done + index + 1, order.examples(index), numbers)
        observer.step(done + index + 1, {**numbers, "examples_per_second": speed})
