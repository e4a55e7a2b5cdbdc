"""Stage one (representation learning), the choice of its epoch, and stage two (anchor adaptation)."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float, Int
from rich.console import Console

from eacl_jax.config import Config
from eacl_jax.data.batching import Batch
from eacl_jax.data.pipeline import batch_maker, steps_per_epoch, training_batches
from eacl_jax.errors import UserError
from eacl_jax.model import losses, metrics
from eacl_jax.model.mesh import batch_shardings, put, replicated
from eacl_jax.model.names import path_name
from eacl_jax.model.scores import decide, host_cosines
from eacl_jax.training.anchor_steps import AnchorEpoch, adapt, fill
from eacl_jax.training.checkpoint import Checkpoints
from eacl_jax.training.chunks import Encode, Objective, chunked_value_and_grad
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import LossFn, StopRequest, TrainState, create_state, fit, make_train_step
from eacl_jax.training.optim import stage_one_optimizer, stage_two_optimizer
from eacl_jax.training.profiling import Profiler
from eacl_jax.training.recording import Recorder, say

HEADLINE = ("weighted_f1", "accuracy", "macro_f1")


@dataclasses.dataclass(frozen=True)
class StageContext:
    """Where a stage writes, whom it tells, who may stop it, and how many steps of stage one are traced."""

    workdir: Path
    console: Console
    stop: StopRequest
    profile: int = 0


@dataclasses.dataclass(frozen=True)
class StageResult:
    """A finished stage.

    Attributes:
      best_epoch: the chosen one, counted from 1.
      params: the parameters chosen (stage two: with branch `anchors`).
      constants: label encodings, or label tokens where anchors are live.
      anchors: float32 [C, m].
    """

    best_epoch: int
    params: Any
    constants: Any
    anchors: Float[np.ndarray, "C m"]


def judged_splits(config: Config) -> tuple[str, ...]:
    """The splits scored after each epoch: dev, and test only where `compat.select_on_test` asks for it."""
    return ("dev", "test") if config.compat.select_on_test else ("dev",)


def score(experiment: Experiment, split: str, predicted: Int[np.ndarray, " N"]) -> dict[str, Any]:
    """Scores of predictions for a split, in percent; see `metrics.summarize`."""
    labels = experiment.corpus.taxonomy.labels
    confusion = metrics.confusion_matrix(experiment.gold(split), predicted, len(labels))
    return metrics.summarize(confusion, labels, experiment.config.evaluation.excluded_label)


def predictions(reps: Float[np.ndarray, "N m"], anchors: Float[np.ndarray, "C m"]) -> Int[np.ndarray, " N"]:
    """Index of the nearest anchor of each representation, decided as `EmotionRecognizer.answer` does."""
    return decide(host_cosines(reps, anchors))


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


def label_encodings(model: Any, constants: Any) -> jax.Array:
    """The fixed encodings, or, where anchors are live, those by the current weights."""
    return model.encode_labels(constants["labels"]) if "labels" in constants else constants["label_encodings"]


def run_stage_one(experiment: Experiment, context: StageContext) -> StageResult:
    """Trains encoder and heads; goes on from the latest checkpoint where there is one.

    Raises:
      Interrupted, NonFiniteLossError: see `training.fit`.
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
        return {split: score(experiment, split, predictions(reps[split], anchors)) for split in reps}

    run = _StageRun(experiment, context, 1, batches, per_epoch, steps)
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
        anchors = np.asarray(state.params["anchors"])
        return {split: score(experiment, split, predictions(reps[split], anchors)) for split in judged_splits(config)}

    run = _StageRun(experiment, context, 2, batches, per_epoch, per_epoch * settings.epochs)
    with run:
        state = run.resume(state)
        if int(state.step) == 0:
            run.tell_epoch(0, 0, judge(state), "anchors as stage one left them")
        state = run.adapt(state, epoch, judge)
        best, record = run.best(state)
    anchors = best.params["anchors"]
    return StageResult(record["best_epoch"], {**first.params, "anchors": anchors}, first.constants, np.asarray(anchors))


def _check_anchors(experiment: Experiment, anchors: Float[np.ndarray, "C m"]) -> None:
    """Raises `UserError` where anchors are not finite, for which the first step's loss would be blamed."""
    labels = experiment.corpus.taxonomy.labels
    if wrong := [repr(label) for label, anchor in zip(labels, anchors, strict=True) if not np.isfinite(anchor).all()]:
        raise UserError(
            f"the anchors of {', '.join(wrong)} are NaN or infinite before the first step: so is what the encoder "
            f"{experiment.config.encoder.path} makes of their words. Its weights are damaged, or too large for "
            f"encoder.dtype={experiment.config.encoder.dtype}."
        )


def _not_finite(tree: Any) -> list[str]:
    """Names of the arrays that hold NaN or infinity."""
    finite = jax.jit(lambda tree: jax.tree.map(lambda x: jnp.isfinite(x).all(), tree))(tree)
    return [path_name(path) for path, fine in jax.tree_util.tree_flatten_with_path(finite)[0] if not fine]


class _StageRun:
    """What the two stages do alike: resume, step, judge each epoch, keep the latest and the best."""

    def __init__(
        self,
        experiment: Experiment,
        context: StageContext,
        stage: int,
        batches: grain.DatasetIterator,
        steps_per_epoch: int,
        steps: int,
    ) -> None:
        self._experiment, self._context, self._stage = experiment, context, stage
        self._batches, self._steps_per_epoch, self._steps = batches, steps_per_epoch, steps
        config = experiment.config
        self._batch_size = (config.stage_one if stage == 1 else config.stage_two).batch_size
        folder = context.workdir / "checkpoints"
        # Stage two's mean nothing without stage one's, from which they began.
        self._folder, self._anew = (
            (folder / "stage_one", folder) if stage == 1 else (folder / "stage_two", folder / "stage_two")
        )
        self._checkpoints = Checkpoints(self._folder, anew=self._anew)
        self._judged: dict[str, dict[str, Any]] | None = None
        self._best: dict[str, Any] = {"best_epoch": 0, "best_rank": None}
        self._judge: Callable[[TrainState], dict[str, dict[str, Any]]]

    def __enter__(self) -> "_StageRun":
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpoints.close()

    def resume(self, state: TrainState) -> TrainState:
        """The state of the latest checkpoint, with the data at its place; the given state where there is none."""
        start = self._checkpoints.latest_step
        if start is not None:
            restored, self._best = self._checkpoints.restore(start, self._kept(state), data=self._batches)
            state = self._whole(state, restored)
            say(self._context.console, f"going on from step {start} of {self._steps}")
        elif self._stage == 1 and (second := self._folder.with_name("stage_two")).exists():
            raise UserError(f"{second} holds checkpoints that began with a stage one that is gone; delete it to train anew.")
        if wrong := _not_finite(state.params):
            where = f"the checkpoint of step {start}" if start else f"the encoder {self._experiment.config.encoder.path}"
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise UserError(f"before any step, NaN or infinity is in {', '.join(wrong[:3])}{more}: {where} is damaged.")
        self._recorder = Recorder(
            self._context.workdir,
            self._stage,
            start=start,
            steps=self._steps,
            steps_per_epoch=self._steps_per_epoch,
            log_every=self._experiment.config.run.log_every,
            console=self._context.console,
            batch_size=(
                self._experiment.config.stage_one if self._stage == 1 else self._experiment.config.stage_two
            ).batch_size,
        )
        return state

    def fit(
        self,
        state: TrainState,
        train_step: Callable[..., Any],
        judge: Callable[[TrainState], dict[str, dict[str, Any]]],
        *,
        place: Callable[[Any], Any],
    ) -> TrainState:
        self._judge = judge
        context = self._context
        with self._recorder, Profiler(context.workdir / "profile", context.profile, context.console) as profiler:
            return fit(
                state,
                train_step,
                self._batches,
                jax.random.key(self._experiment.config.seed),
                self,
                steps_per_epoch=self._steps_per_epoch,
                steps=self._steps,
                place=place,
                save=self._save,
                save_every=self._experiment.config.run.save_every,
                stop=self._context.stop,
                profiler=profiler,
            )

    def adapt(
        self, state: TrainState, epoch: AnchorEpoch, judge: Callable[[TrainState], dict[str, dict[str, Any]]]
    ) -> TrainState:
        self._judge = judge
        with self._recorder:
            return adapt(
                state,
                epoch,
                self._batches,
                jax.random.key(self._experiment.config.seed),
                self,
                steps_per_epoch=self._steps_per_epoch,
                steps=self._steps,
                save=self._save,
                stop=self._context.stop,
            )

    def best(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """The chosen epoch's state and record."""
        step, epoch = self._checkpoints.best_step(), self._best["best_epoch"]
        if step != min(epoch * self._steps_per_epoch, self._steps):
            raise UserError(
                f"{self._folder}: the checkpoint of epoch {epoch}, the best, is gone; delete {self._anew} to train anew."
            )
        restored, record = self._checkpoints.restore(step, self._kept(state))
        return self._whole(state, restored), record

    def step(self, step: int, numbers: Mapping[str, float]) -> None:
        self._recorder.step(step, numbers)

    def epoch(self, epoch: int, state: TrainState) -> None:
        self._judged = self._judge(state)
        rank = list(self._rank(self._judged))
        better = self._best["best_rank"] is None or rank > self._best["best_rank"]
        if better:
            self._best = {"best_epoch": epoch, "best_rank": rank}
        self.tell_epoch(epoch, int(state.step), self._judged, "best so far" if better else "")

    def tell_epoch(self, epoch: int, step: int, judged: Mapping[str, Mapping[str, Any]], note: str) -> None:
        names = list(HEADLINE)
        if self._experiment.config.evaluation.primary not in names:
            names.append(self._experiment.config.evaluation.primary)
        scores = {f"{split}_{name}": values[name] for split, values in judged.items() for name in names}
        self._recorder.epoch(epoch, step, scores, note)

    def _rank(self, judged: Mapping[str, Mapping[str, Any]]) -> tuple[float, ...]:
        """What the choice goes by: dev; with compat.select_on_test, test in stage one and as a tie-break in stage two."""
        primary = self._experiment.config.evaluation.primary
        if not self._experiment.config.compat.select_on_test:
            return (judged["dev"][primary],)
        order = ("test",) if self._stage == 1 else ("dev", "test")
        return tuple(judged[split][primary] for split in order)

    def _save(self, state: TrainState) -> None:
        rank = None if self._judged is None else self._rank(self._judged)
        self._judged = None
        self._checkpoints.save(int(state.step), self._kept(state), self._best, data=self._batches, rank=rank)

    def _kept(self, state: TrainState) -> Any:
        """What a checkpoint holds: in stage two, what stage one's does not."""
        if self._stage == 1:
            return state
        return {"step": state.step, "anchors": state.params["anchors"], "opt_state": state.opt_state}

    def _whole(self, state: TrainState, restored: Any) -> TrainState:
        if self._stage == 1:
            return restored
        params = {**state.params, "anchors": restored["anchors"]}
        return dataclasses.replace(state, step=restored["step"], params=params, opt_state=restored["opt_state"])
