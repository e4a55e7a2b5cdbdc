"""Stage one: representation learning."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from eacl_jax.data.batching import Batch
from eacl_jax.data.pipeline import batch_maker, steps_per_epoch, training_batches
from eacl_jax.errors import UserError
from eacl_jax.model import losses
from eacl_jax.model.mesh import batch_shardings, put, replicated
from eacl_jax.training.chunks import Encode, Objective, chunked_value_and_grad
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import LossFn, TrainState, create_state, make_train_step
from eacl_jax.training.optim import stage_one_optimizer
from eacl_jax.training.stage import StageContext, StageResult, StageRun, judged_splits, scores_by_split


def stage_one_loss(experiment: Experiment) -> LossFn:
    """The objective of stage one as `(params, constants, batch, key) -> (loss, terms)`."""
    encode, objective = _encode(experiment), _objective(experiment)

    def loss(params: Any, constants: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        encoder_key, head_key = jax.random.split(key)
        return objective(params, encode(params, batch, encoder_key), constants, batch, head_key)

    return loss


def stage_one_value_and_grad(experiment: Experiment) -> Callable[..., Any]:
    """`jax.value_and_grad(stage_one_loss(experiment), has_aux=True)`, in `stage_one.chunks` parts."""
    chunks = experiment.config.stage_one.chunks
    if chunks == 1:
        return jax.value_and_grad(stage_one_loss(experiment), has_aux=True)
    return chunked_value_and_grad(_encode(experiment), _objective(experiment), chunks)


def _encode(experiment: Experiment) -> Encode:
    """Representations with dropout: what the loss sees of the encoder."""

    def encode(params: Any, batch: Batch, key: jax.Array) -> jax.Array:
        return experiment.merge(params).read(batch, deterministic=False, rngs=nnx.Rngs(dropout=key))

    return encode


def _objective(experiment: Experiment) -> Objective:
    """The loss of representations."""
    config = experiment.config

    def objective(
        params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        model = experiment.merge(params)
        return losses.stage_one(
            model.predict(h, deterministic=False, rngs=nnx.Rngs(dropout=key)),
            model.mapping(h),
            batch.labels,
            model.mapping(label_encodings(model, constants)),
            temperature=config.loss.temperature,
            ce_weight=config.loss.ce_weight,
            angle_weight=config.loss.angle_weight,
            form=config.loss.form,
            use_anchors=config.loss.use_anchors,
            weights=batch.weights,
            constant_for_no_positive=config.compat.constant_for_no_positive,
        )

    return objective


def label_encodings(model: Any, constants: Any) -> jax.Array:
    """The fixed encodings, or, where anchors are live, those by the current weights."""
    return model.encode_labels(constants["labels"]) if "labels" in constants else constants["label_encodings"]


def run_stage_one(experiment: Experiment, context: StageContext) -> StageResult:
    """Trains encoder and heads; goes on from the latest checkpoint where there is one.

    Raises:
      Interrupted, NonFiniteLossError: see `loop.fit`.
    """
    config, encoding = experiment.config, experiment.encoding
    settings = config.stage_one
    per_epoch = steps_per_epoch(len(experiment.examples["train"]), settings.batch_size)
    steps = min(per_epoch * settings.epochs, settings.max_steps or per_epoch * settings.epochs)
    optimizer = stage_one_optimizer(
        settings,
        experiment.params,
        per_epoch,
        rates=experiment.rates,
        decay_mapping_norm=config.compat.decay_mapping_norm,
    )
    if config.anchors.encoding == "live":
        constants = {"labels": put(experiment.labels, replicated(experiment.mesh))}
    else:
        constants = {"label_encodings": encoding.encode_labels(experiment.params, experiment.labels)}
    state = put(create_state(experiment.params, constants, optimizer), replicated(experiment.mesh))
    make = batch_maker(
        experiment.examples["train"],
        settings.batch_size,
        config.batch,
        max_tokens=config.prompt.max_tokens,
        row_multiple=experiment.row_multiple,
    )
    batches = training_batches(len(experiment.examples["train"]), settings.batch_size, config.seed, make)

    def anchors_of(params: Any, constants: Any) -> jax.Array:
        encodings = encoding.encode_labels(params, experiment.labels) if "labels" in constants else constants["label_encodings"]
        return encoding.map(params, encodings)

    def judge(state: TrainState) -> dict[str, dict[str, Any]]:
        anchors = np.asarray(anchors_of(state.params, state.constants))
        reps = {split: encoding.represent(state.params, experiment.examples[split]) for split in judged_splits(config)}
        return scores_by_split(experiment, reps, anchors)

    run = StageRun(experiment, context, 1, batches, per_epoch, steps)
    with run:
        state = run.resume(state)
        _check_anchors(experiment, np.asarray(anchors_of(state.params, state.constants)))
        state = run.fit(
            state,
            make_train_step(stage_one_value_and_grad(experiment), optimizer, experiment.mesh),
            judge,
            place=lambda batch: put(batch, batch_shardings(experiment.mesh)),
        )
        best, record = run.best(state)
    mapped = anchors_of(state.params if config.compat.stale_anchors else best.params, best.constants)
    return StageResult(record["best_epoch"], best.params, best.constants, np.asarray(mapped))


def _check_anchors(experiment: Experiment, anchors: Float[np.ndarray, "C m"]) -> None:
    """Raises `UserError` where anchors are not finite, for which the first step's loss would be blamed."""
    labels = experiment.corpus.taxonomy.labels
    if wrong := [repr(label) for label, anchor in zip(labels, anchors, strict=True) if not np.isfinite(anchor).all()]:
        raise UserError(
            f"the anchors of {', '.join(wrong)} are NaN or infinite before the first step: so is what the encoder "
            f"{experiment.config.encoder.path} makes of their words. Its weights are damaged, or too large for "
            f"encoder.dtype={experiment.config.encoder.dtype}."
        )
