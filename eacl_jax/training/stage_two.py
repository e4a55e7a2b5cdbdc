"""Stage two: anchor adaptation."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from eacl_jax.data.pipeline import steps_per_epoch, training_batches
from eacl_jax.errors import UserError
from eacl_jax.model import losses
from eacl_jax.model.mesh import put, replicated
from eacl_jax.training.anchor_steps import AnchorEpoch, fill
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import LossFn, TrainState, create_state, make_train_step
from eacl_jax.training.optim import stage_two_optimizer
from eacl_jax.training.stage import StageContext, StageResult, StageRun, judged_splits, scores_by_split


def stage_two_loss(experiment: Experiment) -> LossFn:
    """The objective of stage two; a batch holds representations in place of tokens."""

    def loss(
        params: Any, constants: Any, batch: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        temperature = experiment.config.loss.temperature
        return losses.stage_two(
            batch["reps"], batch["labels"], params["anchors"], temperature=temperature, weights=batch["weights"]
        ), {}

    return loss


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
            raise UserError(f"the representations of {wrong} utterances of {split} are NaN or infinite after stage one.")
    optimizer = stage_two_optimizer(settings, {**first.params, "anchors": first.anchors})
    # Only the anchors go through the steps. For the rest stand the placeholders that the optimizer's state, and so a
    # checkpoint, has for what has no moments.
    frozen = jax.tree.map(lambda _: optax.MaskedNode(), first.params)
    state = put(create_state({**frozen, "anchors": first.anchors}, {}, optimizer), replicated(mesh))
    gold = experiment.gold("train")
    per_epoch = steps_per_epoch(len(gold), settings.batch_size)
    batches = training_batches(len(gold), settings.batch_size, config.seed, lambda indices: fill(indices, settings.batch_size))
    epoch = AnchorEpoch(
        make_train_step(jax.value_and_grad(stage_two_loss(experiment), has_aux=True), optimizer, mesh),
        {"reps": reps["train"], "labels": gold.astype(np.int32)},
        settings.batch_size,
        mesh,
    )

    def judge(state: TrainState) -> dict[str, dict[str, Any]]:
        judged = {split: reps[split] for split in judged_splits(config)}
        return scores_by_split(experiment, judged, np.asarray(state.params["anchors"]))

    run = StageRun(experiment, context, 2, batches, per_epoch, per_epoch * settings.epochs)
    with run:
        state = run.resume(state)
        if int(state.step) == 0:
            run.tell_epoch(0, 0, judge(state), "anchors as stage one left them")
        state = run.adapt(state, epoch, judge)
        best, record = run.best(state)
    anchors = best.params["anchors"]
    return StageResult(record["best_epoch"], {**first.params, "anchors": anchors}, first.constants, np.asarray(anchors))
