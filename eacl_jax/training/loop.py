"""The training state, the jitted step, and stage one's loop."""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from eacl_jax.model.mesh import Mesh, replicated
from eacl_jax.training import processes
from eacl_jax.training.profiling import Profiler

# No number as the other terms of a loss, but new constants.
MEMORY = "memory"

LossFn = Callable[[Any, Any, Any, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a step turns into the next.

    Attributes:
      step: int32 scalar, optimizer steps done.
      params: nested dict of float32 arrays.
      opt_state: of the optax transformation.
      constants: arrays that the loss reads and the optimizer does not change (label encodings); a
        term of the loss by the name `MEMORY` replaces those of its names.
    """

    step: Any
    params: Any
    opt_state: Any
    constants: Any


def create_state(
    params: Any, constants: Any, optimizer: optax.GradientTransformation
) -> TrainState:
    """State before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        constants=constants,
    )


def make_train_step(
    value_and_grad: Callable[..., Any], optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[..., Any]:
    """The jitted step `(state, batch, key) -> (state, metrics)`; the old state's memory is given
    up.

    Args:
      value_and_grad: `(params, constants, batch, key) -> ((scalar, terms), gradients)`.
      optimizer: made for the state's parameters.
      mesh: the new state and the metrics are whole on all its devices.

    Randomness is `fold_in(key, step)`: a resumed run draws what an uninterrupted one would have
    drawn.
    """

    def step(
        state: TrainState, batch: Any, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        (value, terms), gradients = value_and_grad(
            state.params, state.constants, batch, jax.random.fold_in(key, state.step)
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        numbers = {name: term for name, term in terms.items() if name != MEMORY}
        metrics = {"loss": value, **numbers, "grad_norm": optax.tree.norm(gradients)}
        constants = state.constants
        if MEMORY in terms:
            constants = {**constants, **terms[MEMORY]}
        return TrainState(state.step + 1, params, opt_state, constants), metrics

    return jax.jit(step, donate_argnums=0, out_shardings=replicated(mesh))


class NonFiniteLossError(Exception):
    """A step's loss was NaN or infinite. `indices` are the examples of its batch."""

    def __init__(self, step: int, indices: np.ndarray, metrics: Mapping[str, float]) -> None:
        super().__init__(f"loss is not finite at step {step}: {dict(metrics)}")
        self.step, self.indices, self.metrics = step, indices, dict(metrics)


class Interrupted(Exception):
    """The run was asked to stop by the signal of this number; its state has been saved."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class StopRequest:
    """Asks a run to stop: it ends the step that it is at, saves, and raises `Interrupted`. Any
    thread may ask.

    `heeded` says whether a run is where it looks at the request; it is not while it reads its
    corpus and its encoder.
    """

    def __init__(self) -> None:
        self.requested = self.heeded = False
        self.number: int = signal.SIGTERM

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Asks, on behalf of the signal of this number."""
        self.requested, self.number = True, number

    def reached(self) -> bool:
        """Whether to stop here; all processes of a run ask at the same points and get the same
        answer.
        """
        reached = processes.reached_stop(self.requested)
        if reached and not self.requested:  # another process was asked
            self.requested = True
        return reached

    @contextlib.contextmanager
    def heeding(self) -> Iterator["StopRequest"]:
        """The request is heeded while the block runs."""
        self.heeded = True
        try:
            yield self
        finally:
            self.heeded = False


class Observer(Protocol):
    """What the loop tells as it goes."""

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """After each step, one step late; `metrics` are host numbers."""

    def epoch(self, epoch: int, state: TrainState) -> None:
        """After each epoch (counted from 1), before its checkpoint."""


def fit(
    state: TrainState,
    train_step: Callable[..., Any],
    batches: Iterator[tuple[Any, np.ndarray]],
    key: jax.Array,
    observer: Observer,
    *,
    steps_per_epoch: int,
    steps: int,
    place: Callable[[Any], Any],
    save: Callable[[TrainState], None],
    save_every: int,
    stop: StopRequest,
    profiler: Profiler,
) -> TrainState:
    """Steps until `steps` are done.

    The next batch is fetched and placed while the devices work on the present one, and nothing
    waits for them but the metrics of the step before. At a save nothing is fetched ahead: the
    position of `batches` is then that of the next batch to train on.

    Args:
      state: where to begin; `state.step` may be anything up to `steps`.
      train_step: from `make_train_step`.
      batches: yields (host batch, indices of its examples), at the position that belongs to
        `state.step`.
      key: of the run; each step folds its number in.
      observer: gets steps and epochs.
      steps_per_epoch: an epoch's end calls `observer.epoch`, then `save`.
      steps: total.
      place: puts a host batch on the devices.
      save: keeps the state (and the position of `batches`).
      save_every: also save after so many steps; 0: only at epochs' ends.
      stop: when it is requested, at most one more step is begun; then the state is saved.
      profiler: gets where each step begins and ends.

    Returns:
      The state after `steps`.

    Raises:
      NonFiniteLossError: before anything of the bad step is saved.
      Interrupted: after saving, when a stop was requested.
    """
    pending: tuple[int, dict[str, jax.Array], np.ndarray] | None = None
    done = int(state.step)
    clock = time.perf_counter()

    def flush() -> None:
        nonlocal pending, clock
        if pending is None:
            return
        number, device_metrics, indices = pending
        metrics = {name: float(value) for name, value in jax.device_get(device_metrics).items()}
        if not np.isfinite(metrics["loss"]) or not np.isfinite(metrics["grad_norm"]):
            raise NonFiniteLossError(number, indices, metrics)
        before, clock = clock, time.perf_counter()
        metrics["examples_per_second"] = len(indices) / (clock - before)
        pending = None
        observer.step(number, metrics)

    def fetch() -> tuple[Any, np.ndarray]:
        with jax.profiler.TraceAnnotation("fetch"):
            batch, indices = next(batches)
            return place(batch), indices

    ahead: tuple[Any, np.ndarray] | None = None
    while done < steps:
        with profiler.step(done + 1):
            batch, indices = fetch() if ahead is None else ahead
            state, metrics = train_step(state, batch, key)
            done += 1
            ends_epoch = done % steps_per_epoch == 0 or done == steps
            # A request that comes after this finds a batch fetched ahead, and has to wait until it
            # is trained on.
            stopping = stop.reached()
            saving = ends_epoch or stopping or (save_every and done % save_every == 0)
            ahead = None if saving else fetch()
            with jax.profiler.TraceAnnotation("metrics"):
                flush()  # the previous step's numbers, while the devices work on this one
            pending = (done, metrics, indices)
        profiler.after(metrics)
        if ends_epoch:
            flush()
            observer.epoch(-(-done // steps_per_epoch), state)
        if saving:
            flush()
            save(state)
            clock = time.perf_counter()
            if stopping or stop.reached():
                raise Interrupted(stop.number)
    return state
