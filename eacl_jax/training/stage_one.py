"""Stage one: representation learning."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from eacl_jax.config import LossConfig, Stage
from eacl_jax.data.batching import Batch
from eacl_jax.data.pipeline import batch_maker, steps_per_epoch, training_batches
from eacl_jax.errors import UserError
from eacl_jax.model import losses
from eacl_jax.model.anchors import SOURCES, AnchorSource
from eacl_jax.model.mesh import batch_shardings, put, replicated
from eacl_jax.model.representer import Model
from eacl_jax.training.chunks import Encode, Objective, chunked_value_and_grad
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import LossFn, TrainState, create_state, make_train_step
from eacl_jax.training.optim import stage_one_optimizer
from eacl_jax.training.stage import (
    StageContext,
    StageResult,
    StageRun,
    scored_splits,
    scores_by_split,
)

# Parameters -> the model with them.
Merge = Callable[[Any], Model]


def stage_one_loss(
    merge: Merge,
    source: AnchorSource,
    settings: LossConfig,
    *,
    constant_for_no_positive: bool = False,
) -> LossFn:
    """The objective of stage one as `(params, constants, batch, key) -> (loss, terms)`.

    Args:
      merge: parameters -> Model.
      source: of the anchors.
      settings: weights of the terms.
      constant_for_no_positive: see `losses.supervised_contrastive`.
    """
    encode, objective = (
        _encode(merge),
        _objective(merge, source, settings, constant_for_no_positive),
    )

    def loss(
        params: Any, constants: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        encoder_key, head_key = jax.random.split(key)
        return objective(params, encode(params, batch, encoder_key), constants, batch, head_key)

    return loss


def stage_one_value_and_grad(
    merge: Merge,
    source: AnchorSource,
    settings: LossConfig,
    *,
    constant_for_no_positive: bool = False,
    chunks: int = 1,
) -> Callable[..., Any]:
    """`jax.value_and_grad(stage_one_loss(...), has_aux=True)`, the rows encoded in so many
    chunks.
    """
    if chunks == 1:
        loss = stage_one_loss(
            merge, source, settings, constant_for_no_positive=constant_for_no_positive
        )
        return jax.value_and_grad(loss, has_aux=True)
    return chunked_value_and_grad(
        _encode(merge), _objective(merge, source, settings, constant_for_no_positive), chunks
    )


def _encode(merge: Merge) -> Encode:
    """Representations with dropout: what the loss sees of the encoder."""

    def encode(params: Any, batch: Batch, key: jax.Array) -> jax.Array:
        return merge(params).read(batch, deterministic=False, rngs=nnx.Rngs(dropout=key))

    return encode


def _objective(
    merge: Merge, source: AnchorSource, settings: LossConfig, constant_for_no_positive: bool
) -> Objective:
    """The loss of representations."""

    def objective(
        params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        model = merge(params)
        return losses.stage_one(
            model.auxiliary_logits(h, deterministic=False, rngs=nnx.Rngs(dropout=key)),
            model.mapping(h),
            batch.labels,
            model.mapping(source.encodings(model.encode_labels, constants)),
            temperature=settings.temperature,
            ce_weight=settings.ce_weight,
            angle_weight=settings.angle_weight,
            form=settings.form,
            use_anchors=settings.use_anchors,
            weights=batch.weights,
            constant_for_no_positive=constant_for_no_positive,
        )

    return objective


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
    source = SOURCES[config.anchors.encoding](experiment.labels)
    constants = source.constants(partial(encoding.encode_labels, experiment.params))
    state = put(create_state(experiment.params, constants, optimizer), replicated(experiment.mesh))
    make = batch_maker(
        experiment.examples["train"],
        settings.batch_size,
        config.batch,
        max_tokens=config.prompt.max_tokens,
        row_multiple=experiment.row_multiple,
    )
    batches = training_batches(
        len(experiment.examples["train"]), settings.batch_size, config.seed, make
    )

    def anchors_of(params: Any, constants: Any) -> jax.Array:
        return encoding.map(
            params, source.encodings(partial(encoding.encode_labels, params), constants)
        )

    def score(state: TrainState) -> dict[str, dict[str, Any]]:
        anchors = np.asarray(anchors_of(state.params, state.constants))
        reps = {
            split: encoding.represent(state.params, experiment.examples[split])
            for split in scored_splits(config)
        }
        return scores_by_split(experiment, reps, anchors)

    run = StageRun(experiment, context, Stage.ONE, batches, per_epoch, steps)
    value_and_grad = stage_one_value_and_grad(
        experiment.merge,
        source,
        config.loss,
        constant_for_no_positive=config.compat.constant_for_no_positive,
        chunks=settings.chunks,
    )
    with run:
        state = run.resume(state)
        _check_anchors(experiment, np.asarray(anchors_of(state.params, state.constants)))
        state = run.fit(
            state,
            make_train_step(value_and_grad, optimizer, experiment.mesh),
            score,
            place=lambda batch: put(batch, batch_shardings(experiment.mesh)),
        )
        best, record = run.best(state)
    mapped = anchors_of(
        state.params if config.compat.stale_anchors else best.params, best.constants
    )
    return StageResult(record["best_epoch"], best.params, best.constants, np.asarray(mapped))


def _check_anchors(experiment: Experiment, anchors: Float[np.ndarray, "C m"]) -> None:
    """Raises `UserError` where anchors are not finite, for which the first step's loss would be
    blamed.
    """
    labels = experiment.corpus.taxonomy.labels
    if wrong := [
        repr(label)
        for label, anchor in zip(labels, anchors, strict=True)
        if not np.isfinite(anchor).all()
    ]:
        raise UserError(
            f"the anchors of {', '.join(wrong)} are NaN or infinite before the first step: so is"
            f" what the encoder {experiment.config.encoder.path} makes of their words. Its weights"
            f" are damaged, or too large for encoder.dtype={experiment.config.encoder.dtype}."
        )
