"""Stage two: anchor adaptation."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from eacl_jax.config import LossConfig, Stage
from eacl_jax.data.pipeline import endless_batches, iterate, steps_per_epoch
from eacl_jax.errors import SettingsError
from eacl_jax.model import losses, losses_multi
from eacl_jax.model.decisions import Affine, SeveralAnswering, common_affine
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
    check_representations,
    scored_splits,
    scores_by_split,
)


def stage_two_loss(
    settings: LossConfig,
    *,
    anchors_per_label: int = 1,
    rarity: Rarity | None = None,
    binary: bool = False,
) -> LossFn:
    """The objective of stage two as `(params, constants, batch, key) -> (loss, terms)`; a batch
    holds representations in place of tokens. `binary`: whether an utterance may have several
    labels.
    """
    rarity = rarity or Rarity()
    how: dict[str, Any] = {
        "temperature": settings.temperature,
        "anchors_per_label": anchors_per_label,
    }

    def loss(
        params: Any, constants: Any, batch: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        reps, labels, anchors = batch["reps"], batch["labels"], params["anchors"]
        if binary:
            return losses_multi.stage_two(
                reps,
                labels,
                anchors,
                params["scale"],
                params["biases"],
                classifies=settings.ce_weight == 1,
                weights=batch["weights"],
                **how,
            )
        soft = labels if labels.ndim == 2 else None
        return losses.stage_two(
            reps,
            labels if soft is None else jnp.argmax(soft, axis=1),
            anchors,
            class_weights=rarity.class_weights,
            offsets=rarity.offsets,
            focal=settings.focal,
            smoothing=settings.smoothing,
            soft=soft,
            biases=params.get("biases"),
            weights=batch["weights"],
            **how,
        )

    return loss


class AnchorsAlone:
    """The state of stage two: the whole tree, whose optimizer masks everything but the anchors, the
    scale and biases of their probabilities where an utterance may have several labels, and the
    labels' biases where one label has them.

    What is frozen needs no memory on the devices, no arithmetic and no room in a checkpoint, where
    stage one has left it already. So placeholders stand for it in the state, the ones that the
    optimizer's state has for what has no moments.
    """

    def __init__(self, first: StageResult, *, biases: int = 0) -> None:
        """Args:
        first: stage one's choice.
        biases: of so many labels, 0 at the start.
        """
        self._first = first
        # On another machine rounding may turn the choice between a mean of epochs and one of them.
        chosen = list(first.mean_of) or first.best_epoch
        self.belongs: Mapping[str, Any] = {"stage one's epoch": chosen}
        self._learnt: dict[str, np.ndarray] = {"anchors": first.anchors}
        if first.affine is not None:
            self._learnt["scale"] = np.asarray(first.affine.scale, np.float32)
            self._learnt["biases"] = first.affine.biases.astype(np.float32)
        elif biases:
            self._learnt["biases"] = np.zeros(biases, np.float32)

    @property
    def params(self) -> Any:
        """The whole tree, of which the optimizer is made."""
        return {**self._first.params, **self._learnt}

    def state(self, optimizer: optax.GradientTransformation) -> TrainState:
        """The state before the first step."""
        frozen = jax.tree.map(lambda _: optax.MaskedNode(), self._first.params)
        return create_state({**frozen, **self._learnt}, {}, optimizer)

    def saved(self, state: TrainState) -> Any:
        """What a checkpoint holds of a state."""
        learnt = {name: state.params[name] for name in self._learnt}
        return {"step": state.step, **learnt, "opt_state": state.opt_state}

    def restored(self, state: TrainState, saved: Any) -> TrainState:
        """The state that was saved; `state` has its placeholders."""
        params = {**state.params, **{name: saved[name] for name in self._learnt}}
        return dataclasses.replace(
            state, step=saved["step"], params=params, opt_state=saved["opt_state"]
        )

    def result(self, best_epoch: int, state: TrainState) -> StageResult:
        """The finished stage."""
        learnt = {name: state.params[name] for name in self._learnt}
        return StageResult(
            best_epoch,
            {**self._first.params, **learnt},
            np.asarray(learnt["anchors"]),
            affine_of(state.params),
            biases_of(state.params),
        )


def affine_of(params: Mapping[str, Any]) -> Affine | None:
    """The scale and biases among stage two's parameters.

    Raises:
      SettingsError: no probabilities are made of them. Nothing keeps what is learnt above 0.
    """
    if "scale" not in params:
        return None
    found = Affine(float(params["scale"]), np.asarray(params["biases"], np.float64))
    if not (np.isfinite(found.scale) and found.scale > 0 and np.isfinite(found.biases).all()):
        what = "biases are not finite"
        if not (np.isfinite(found.scale) and found.scale > 0):
            what = f"scale is {found.scale:g}, and must be above 0 and finite"
        raise SettingsError(
            f"stage two's {what}, so that no probability can be told: lower config.stage_two.lr."
        )
    return found


def biases_of(params: Mapping[str, Any]) -> tuple[float, ...]:
    """The biases of one label's scores among stage two's parameters; none where there are none, or
    they belong to a scale.
    """
    if "biases" not in params or "scale" in params:
        return ()
    return tuple(np.asarray(params["biases"], np.float64).tolist())


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
      SettingsError: an epoch's parameters answer nothing; see `affine_of`.
    """
    config, settings, mesh = experiment.config, experiment.config.stage_two, experiment.mesh
    for split, found in reps.items():
        check_representations(split, found)
    answering = experiment.answering()
    if isinstance(answering, SeveralAnswering):
        cosines = answering.cosines(reps["train"], first.anchors)
        begin = common_affine(answering.plain_scores(cosines), experiment.gold("train"))
        first = dataclasses.replace(first, affine=begin)
    alone = AnchorsAlone(first, biases=len(experiment.counts) if settings.biases else 0)
    optimizer, train_step, compiled = experiment.shared.once(
        "stage two", lambda: _compiled(experiment, alone.params)
    )
    state = put(alone.state(optimizer), replicated(mesh))
    # Labels are what its cross-entropy learns, and nothing else.
    targets = experiment.training_targets
    if experiment.mixed_targets is not None:
        targets = experiment.mixed_targets
    per_epoch = steps_per_epoch(len(targets), settings.batch_size)
    batches = iterate(
        endless_batches(
            len(targets),
            settings.batch_size,
            config.seed,
            lambda indices: fill(indices, settings.batch_size),
            probabilities=experiment.draw_probabilities,
        )
    )
    epoch = AnchorEpoch(
        train_step,
        {"reps": reps["train"], "labels": targets},
        settings.batch_size,
        mesh,
        compiled=compiled,
    )

    def score(state: TrainState) -> dict[str, dict[str, Any]]:
        scored = {split: reps[split] for split in scored_splits(config)}
        anchors = np.asarray(state.params["anchors"])
        return scores_by_split(
            experiment, scored, anchors, affine_of(state.params), biases_of(state.params)
        )

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
        config.loss,
        anchors_per_label=config.anchors_per_label,
        rarity=experiment.rarity,
        binary=experiment.task.several,
    )
    optimizer = stage_two_optimizer(config.stage_two, params)
    value_and_grad = jax.value_and_grad(loss, has_aux=True)
    return optimizer, make_train_step(value_and_grad, optimizer, experiment.mesh), {}
