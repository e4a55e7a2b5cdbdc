"""eacl_jax's side: what `launch/train.py` runs, of an experiment prepared as it does."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np

from eacl_jax.config import Config
from eacl_jax.data.batching import Batch
from eacl_jax.data.pipeline import batch_maker, steps_per_epoch
from eacl_jax.data.prompts import Example
from eacl_jax.model.mesh import Mesh, batch_shardings, put, replicated
from eacl_jax.model.passes import Passes
from eacl_jax.training import loop, objective, stage_two
from eacl_jax.training.anchor_steps import AnchorEpoch, Order, fill
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.optim import stage_one_optimizer, stage_two_optimizer


class Counted:
    """A runner whose jitted functions are traced, and so compiled, once a shape; it counts them."""

    compiled = True
    compilations: int | None = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which counts its calls: it is called while JAX traces, not while the step
        runs.
        """

        def traced(*arguments: Any) -> Any:
            self.compilations = (self.compilations or 0) + 1
            return function(*arguments)

        return traced

    def prepare(self, work: Any) -> Any:
        return work

    def shape(self, host: Any) -> Hashable:
        return None

    def finish(self, result: Any) -> Any:
        return result

    def peak_bytes(self, host: Any) -> int | None:
        """On a GPU the allocator's; each task has a separate process, in which nothing else of
        JAX is large.
        """
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


class Training(Counted):
    """Stage one's whole optimizer step."""

    def __init__(self, experiment: Experiment) -> None:
        config, self._mesh = experiment.config, experiment.mesh
        size, examples = config.stage_one.batch_size, experiment.examples["train"]
        optimizer = stage_one_optimizer(
            config.stage_one,
            experiment.params,
            steps_per_epoch(len(examples), size),
            rates=experiment.rates,
        )
        source, beginning = experiment.source, experiment.beginning
        constants = source.constants(beginning)
        self.label_encodings = np.asarray(beginning.encode(beginning.labels))
        state = loop.create_state(experiment.params, constants, optimizer)
        self._state = put(state, replicated(self._mesh))
        gradients = self.counted(
            objective.StageOneLoss(experiment.merge, source, config.loss).value_and_grad()
        )
        self._step: Any = loop.make_train_step(gradients, optimizer, self._mesh)
        self._make = batch_maker(
            examples,
            size,
            config.batch,
            max_tokens=config.prompt.max_tokens,
            row_multiple=1,
            modalities=experiment.modalities,
        )
        self._key = jax.random.key(config.seed)

    def prepare(self, work: np.ndarray) -> Batch:
        return self._make(work)[0]

    def shape(self, host: Batch) -> Hashable:
        return tuple(np.shape(leaf) for leaf in jax.tree.leaves(host))

    def start(self, host: Batch) -> jax.Array:
        self._state, metrics = self._step(
            self._state, put(host, batch_shardings(self._mesh)), self._key
        )
        return metrics["loss"]

    def finish(self, result: jax.Array) -> float:
        jax.block_until_ready(self._state)
        return float(result)


class Encode(Counted):
    """Mapped representations of examples, without gradients."""

    def __init__(self, experiment: Experiment) -> None:
        size, max_tokens = (
            experiment.config.batch.eval_batch_size,
            experiment.config.prompt.max_tokens,
        )
        self._encoding = Passes(
            self.counted(experiment.merge), experiment.mesh, size=size, max_tokens=max_tokens
        )
        self._params = experiment.params

    def start(self, host: Sequence[Example]) -> np.ndarray:
        return self._encoding.represent(self._params, host)


class Adapting(Counted):
    """An epoch of stage two: anchors learn on fixed representations, which are on the device from
    the start.
    """

    def __init__(
        self, config: Config, mesh: Mesh, reps: np.ndarray, labels: np.ndarray, anchors: np.ndarray
    ) -> None:
        """`reps` [N, m], `labels` [N], `anchors` [C, m] at the start."""
        self._size, params = config.stage_two.batch_size, {"anchors": anchors}
        optimizer = stage_two_optimizer(config.stage_two, params)
        self._state = put(loop.create_state(params, {}, optimizer), replicated(mesh))
        gradients = jax.value_and_grad(stage_two.stage_two_loss(config.loss), has_aux=True)
        step = loop.make_train_step(self.counted(gradients), optimizer, mesh)
        self._epoch = AnchorEpoch(step, {"reps": reps, "labels": labels}, self._size, mesh)
        self._key = jax.random.key(config.seed)

    def prepare(self, work: np.ndarray) -> Order:
        rows = [
            fill(work[start : start + self._size], self._size)
            for start in range(0, len(work), self._size)
        ]
        return Order(
            np.stack([indices for indices, _ in rows]), np.stack([weights for _, weights in rows])
        )

    def start(self, host: Order) -> jax.Array:
        self._state, metrics = self._epoch.run(self._state, host, self._key)
        return metrics["loss"][-1]

    def finish(self, result: jax.Array) -> float:
        jax.block_until_ready(self._state)
        return float(result)
