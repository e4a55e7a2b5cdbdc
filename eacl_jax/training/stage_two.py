"""Stage two: anchor adaptation."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from eacl_jax.config import LossConfig, Stage
from eacl_jax.data.pipeline import steps_per_epoch, training_batches
from eacl_jax.errors import UserError
from eacl_jax.model import losses
from eacl_jax.model.mesh import put, replicated
from eacl_jax.model.rarity import Rarity
from eacl_jax.training.anchor_steps import AnchorEpoch, fill
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import LossFn, TrainState, create_state, make_train_step
from eacl_jax.training.optim import stage_two_optimizer
from eacl_jax.training.stage import (
    StageContext,
    StageResult,
    StageRun,
    scored_splits,
    scores_by_split,
)


def stage_two_loss(
    settings: LossConfig, *, anchors_per_label: int = 1, rarity: Rarity | None = None
) -> LossFn:
    """The objective of stage two as `(params, constants, batch, key) -> (loss, terms)`; a batch
    holds representations in place of tokens.
    """
    rarity = rarity or Rarity()

    def loss(
        params: Any, constants: Any, batch: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        return losses.stage_two(
            batch["reps"],
            batch["labels"],
            params["anchors"],
            temperature=settings.temperature,
            anchors_per_label=anchors_per_label,
            class_weights=rarity.class_weights,
            offsets=rarity.offsets,
            focal=settings.focal,
            weights=batch["weights"],
        )

    return loss


class AnchorsAlone:
    """The state of stage two: the whole tree, whose optimizer masks everything but the anchors.

    What is frozen needs no memory on the devices, no arithmetic and no room in a checkpoint, where
    stage one has left it already. So placeholders stand for it in the state, the ones that the
    optimizer's state has for what has no moments.
    """

    def __init__(self, first: StageResult) -> None:
        self._first = first

    @property
    def params(self) -> Any:
        """The whole tree, of which the optimizer is made."""
        return {**self._first.params, "anchors": self._first.anchors}

    def state(self, optimizer: optax.GradientTransformation) -> TrainState:
        """The state before the first step."""
        frozen = jax.tree.map(lambda _: optax.MaskedNode(), self._first.params)
        return create_state({**frozen, "anchors": self._first.anchors}, {}, optimizer)

    def saved(self, state: TrainState) -> Any:
        """What a checkpoint holds of a state."""
        return {
            "step": state.step,
            "anchors": state.params["anchors"],
            "opt_state": state.opt_state,
        }

    def restored(self, state: TrainState, saved: Any) -> TrainState:
        """The state that was saved; `state` has its placeholders."""
        params = {**state.params, "anchors": saved["anchors"]}
        return dataclasses.replace(
            state, step=saved["step"], params=params, opt_state=saved["opt_state"]
        )

    def result(self, best_epoch: int, state: TrainState) -> StageResult:
        """The finished stage."""
        anchors = state.params["anchors"]
        params = {**self._first.params, "anchors": anchors}
        return StageResult(best_epoch, params, self._first.constants, np.asarray(anchors))


def run_stage_two(
    experiment: Experiment,
    context: StageContext,
    first: StageResult,
    reps: Mapping[str, Float[np.ndarray, "N m"]],
) -> StageResult:
    """Adapts the anchors on fixed representations; everything else stays as stage one left it.

    Args:
      experiment: the run's inputs.
      context: where to write.
      first: stage one's choice.
      reps: representations by split, encoded once with stage one's choice.

    Raises:
      Interrupted, NonFiniteLossError: see `anchor_steps.adapt`.
    """
    config, settings, mesh = experiment.config, experiment.config.stage_two, experiment.mesh
    for split, found in reps.items():
        if wrong := int((~np.isfinite(found).all(axis=1)).sum()):
            raise UserError(
                f"the representations of {wrong} utterances of {split} are NaN or infinite after"
                " stage one."
            )
    alone = AnchorsAlone(first)
    optimizer, train_step, compiled = experiment.shared.once(
        "stage two", lambda: _compiled(experiment, alone.params)
    )
    state = put(alone.state(optimizer), replicated(mesh))
    gold = experiment.gold("train")
    per_epoch = steps_per_epoch(len(gold), settings.batch_size)
    batches = training_batches(
        len(gold),
        settings.batch_size,
        config.seed,
        lambda indices: fill(indices, settings.batch_size),
        probabilities=experiment.draw_probabilities,
    )
    epoch = AnchorEpoch(
        train_step,
        {"reps": reps["train"], "labels": gold.astype(np.int32)},
        settings.batch_size,
        mesh,
        compiled=compiled,
    )

    def score(state: TrainState) -> dict[str, dict[str, Any]]:
        scored = {split: reps[split] for split in scored_splits(config)}
        return scores_by_split(experiment, scored, np.asarray(state.params["anchors"]))

    run = StageRun(
        experiment,
        context,
        Stage.TWO,
        batches,
        per_epoch,
        per_epoch * settings.epochs,
        saving=alone,
    )
    with run:
        state = run.resume(state)
        if not run.resumed:
            before = score(state)
            run.say_epoch(0, 0, before, "anchors as stage one left them")
            if not config.compat.adapt_at_least_one_epoch:
                run.begin(state, before)
        state = run.adapt(state, epoch, score)
        best, record = run.best(state)
    return alone.result(record["best_epoch"], best)


def _compiled(
    experiment: Experiment, params: Any
) -> tuple[optax.GradientTransformation, Callable[..., Any], dict[int, Callable[..., Any]]]:
    """The optimizer, the step, and what `AnchorEpoch` will compile: for all seeds."""
    config = experiment.config
    loss = stage_two_loss(
        config.loss, anchors_per_label=config.anchors_per_label, rarity=experiment.rarity
    )
    optimizer = stage_two_optimizer(config.stage_two, params)
    value_and_grad = jax.value_and_grad(loss, has_aux=True)
    return optimizer, make_train_step(value_and_grad, optimizer, experiment.mesh), {}
