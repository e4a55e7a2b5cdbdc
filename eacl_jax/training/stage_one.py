"""Stage one, representation learning: its run. What it minimizes is in `objective.py`."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding
from jaxtyping import Float

from eacl_jax.config import Stage, StageOneConfig
from eacl_jax.data.pipeline import batch_maker, by_turns, endless_batches, iterate
from eacl_jax.errors import SettingsError, UserError
from eacl_jax.model.anchors import AnchorSource
from eacl_jax.model.mesh import batch_shardings, put, replicated
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import TrainState, create_state, make_train_step
from eacl_jax.training.lora import (
    ADAPTERS,
    BASE,
    AdaptedEpochs,
    BaseLeftOut,
    adapters,
    lora_value_and_grad,
    whole,
)
from eacl_jax.training.objective import StageOneLoss
from eacl_jax.training.optim import Averaged, Rates, stage_one_optimizer
from eacl_jax.training.soup import BestEpochs, LastEpochs, Soup
from eacl_jax.training.stage import (
    DIVERGED,
    StageContext,
    StageResult,
    StageRun,
    scored_splits,
    scores_by_split,
)
from eacl_jax.training.training_sets import (
    Drawn,
    TrainingSet,
    as_of,
    constants_of,
    in_turn,
    numbered,
    other_constants,
    other_heads,
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Compiled:
    """What runs that differ in their seed alone share: jitted functions, and their parts."""

    source: AnchorSource
    optimizer: optax.GradientTransformation
    train_steps: tuple[Callable[..., Any], ...]
    anchors: Callable[[Any, Any], jax.Array]
    whole: Callable[[Any, Any], Any]

    @classmethod
    def of(cls, experiment: Experiment, params: Any, per_epoch: int, steps: int) -> "_Compiled":
        """`params`: like those that are trained."""
        config, merge = experiment.config, experiment.merge
        source = experiment.source
        lora = config.encoder.lora_rank > 0
        optimizer = stage_one_optimizer(
            config.stage_one,
            params,
            per_epoch,
            steps=steps,
            rates=Rates() if lora else experiment.rates,
            decay_mapping_norm=config.compat.decay_mapping_norm,
        )

        def gradient(learnt: TrainingSet) -> Callable[..., Any]:
            other = None if learnt is experiment.main_set else learnt.corpus.name
            loss = StageOneLoss(
                merge if other is None else as_of(other, merge),
                learnt.source,
                config.loss,
                anchors_per_label=config.anchors_per_label,
                rarity=learnt.rarity,
                constant_for_no_positive=config.compat.constant_for_no_positive,
                binary=learnt.task.several,
                mesh=experiment.mesh,
            )
            found = loss.value_and_grad(config.stage_one.chunks)
            if other is not None:
                found = constants_of(other, found)
            # Outermost, as the base is in the constants of all.
            return lora_value_and_grad(found, config.encoder) if lora else found

        return cls(
            source,
            optimizer,
            tuple(
                make_train_step(gradient(each), optimizer, experiment.mesh)
                for each in experiment.training_sets
            ),
            jax.jit(
                lambda params, constants: source.anchors(merge(params), params, constants),
                out_shardings=replicated(experiment.mesh),
            ),
            jax.jit(
                lambda params, constants: whole(params, constants, config.encoder),
                out_shardings=replicated(experiment.mesh),
            ),
        )

    def train_step(
        self, state: TrainState, drawn: Drawn, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The step of the training set that the batch is of."""
        return self.train_steps[drawn.number](state, drawn.batch, key)

    def trained(self, state: TrainState) -> Any:
        """What was trained of the weights that answer: the average, where there is one."""
        return state.opt_state.mean if isinstance(state.opt_state, Averaged) else state.params

    def merged(self, trained: Any, constants: Any) -> Any:
        """The model's weights: with LoRA, those that matrices and base make."""
        return self.whole(trained, constants) if ADAPTERS in trained else trained

    def answering(self, state: TrainState) -> Any:
        """The weights that answer."""
        return self.merged(self.trained(state), state.constants)


def run_stage_one(experiment: Experiment, context: StageContext) -> StageResult:
    """Trains encoder and heads; goes on from the latest checkpoint where there is one.

    Raises:
      Interrupted, NonFiniteLossError: see `loop.fit`.
    """
    config, encoding = experiment.config, experiment.encoding
    settings = config.stage_one
    sets, counts = experiment.training_sets, experiment.batches_per_epoch
    order, per_epoch = in_turn(counts), sum(counts)
    steps = min(per_epoch * settings.epochs, settings.max_steps or per_epoch * settings.epochs)
    beginning = experiment.beginning
    params = {
        **experiment.params,
        **experiment.source.parameters(beginning),
        **other_heads(experiment.others, experiment.params, config.seed),
    }
    if config.encoder.lora_rank:
        encoder = params.pop("encoder")
        params[ADAPTERS] = adapters(encoder, experiment.depths, config.encoder, config.seed)
    compiled = experiment.shared.once(
        "stage one", lambda: _Compiled.of(experiment, params, per_epoch, steps)
    )
    constants = {
        **compiled.source.constants(beginning),
        **other_constants(experiment.others, beginning),
    }
    saving = None
    if ADAPTERS in params:
        constants = {**constants, BASE: experiment.params["encoder"]}
        saving = BaseLeftOut(config.encoder, config.seed, experiment.encoder_identity)
    state = put(create_state(params, constants, compiled.optimizer), replicated(experiment.mesh))
    batches = iterate(
        by_turns([_batches(experiment, number, sets) for number in range(len(sets))], order)
    )

    def score_weights(params: Any, constants: Any) -> dict[str, dict[str, Any]]:
        anchors = np.asarray(compiled.anchors(params, constants))
        reps = {
            split: encoding.represent(params, experiment.examples[split])
            for split in scored_splits(config)
        }
        return scores_by_split(experiment, reps, anchors)

    def score(state: TrainState) -> dict[str, dict[str, Any]]:
        return score_weights(compiled.answering(state), state.constants)

    def placed(trained: Any, constants: Any) -> Any:
        return compiled.merged(put(trained, replicated(experiment.mesh)), constants)

    soup = _soup(settings, compiled.trained(state), -(-steps // per_epoch))
    run = StageRun(
        experiment,
        context,
        Stage.ONE,
        batches,
        per_epoch,
        steps,
        recorded=[which == 0 for which, _ in order],
        saving=saving,
        soup=soup,
    )
    with run:
        state = run.resume(state)
        before = compiled.anchors(compiled.answering(state), state.constants)
        _check_anchors(experiment, np.asarray(before), int(state.step))
        state = run.fit(
            state,
            compiled.train_step,
            score,
            place=lambda drawn: Drawn(
                drawn.number, put(drawn.batch, batch_shardings(experiment.mesh))
            ),
            answering=compiled.trained,
        )
        best, record = run.best(state)
        mean, mean_of = run.mean(
            lambda mean: score_weights(placed(mean, best.constants), best.constants)
        )
    anchored = state if config.compat.stale_anchors else best
    trained = compiled.trained(best) if mean is None else mean
    params = compiled.answering(best) if mean is None else placed(mean, best.constants)
    answering = compiled.answering(anchored) if mean is None else params
    mapped = np.asarray(compiled.anchors(answering, anchored.constants))
    return StageResult(
        record["best_epoch"],
        params,
        mapped,
        mean_of=mean_of,
        matrices=trained.get(ADAPTERS),
    )


def _batches(experiment: Experiment, number: int, sets: Sequence[TrainingSet]) -> Any:
    """Endless batches of one of the training sets: (Drawn, indices among the examples of all)."""
    config, learnt = experiment.config, sets[number]
    size, first = config.stage_one.batch_size, numbered(sets)[number]
    make = batch_maker(
        learnt.examples,
        size,
        config.batch,
        max_tokens=config.prompt.max_tokens,
        row_multiple=experiment.row_multiple,
        local_rows=partial(local_rows, batch_shardings(experiment.mesh).tokens),
        targets=learnt.targets,
        # Teachers answer in the run's own labels.
        mixed=None if number else experiment.mixed_targets,
        modalities=experiment.modalities,
    )

    def drawn(indices: np.ndarray) -> tuple[Drawn, np.ndarray]:
        batch, used = make(indices)
        return Drawn(number, batch), used + first

    return endless_batches(
        len(learnt.examples), size, config.seed, drawn, probabilities=learnt.probabilities
    )


def _soup(settings: StageOneConfig, like: Any, epochs: int) -> Soup | None:
    """What keeps what was trained in several epochs; None where nothing is to be made of it."""
    if not settings.soup:
        return None
    if ADAPTERS in like:
        return AdaptedEpochs(like, settings.soup, last=settings.soup_of == "last")
    if settings.soup_of == "last":
        return LastEpochs(like, settings.soup, epochs)
    return BestEpochs(like, settings.soup)


def local_rows(sharding: NamedSharding, count: int) -> range:
    """The rows of a batch that this process' devices hold, and those between them.

    Args:
      sharding: of the rows.
      count: rows of the batch, a multiple of the devices.
    """
    indices = sharding.addressable_devices_indices_map((count,)).values()
    bounds = [index[0].indices(count) for index in indices if index]
    return range(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


def _check_anchors(experiment: Experiment, anchors: Float[np.ndarray, "C m"], step: int) -> None:
    """Raises `UserError` where anchors are not finite, for which the next step's loss would be
    blamed.

    Args:
      experiment: the run's inputs.
      anchors: of the labels.
      step: how many were done before.
    """
    labels = experiment.corpus.taxonomy.labels
    of_labels = anchors.reshape(len(labels), -1)
    if wrong := [
        repr(label)
        for label, anchor in zip(labels, of_labels, strict=True)
        if not np.isfinite(anchor).all()
    ]:
        these = f"the anchors of {', '.join(wrong)} are NaN or infinite"
        if step:
            raise SettingsError(f"{these} at step {step}, from which the run goes on: {DIVERGED}.")
        raise UserError(
            f"{these} before the first step: so is"
            f" what the encoder {experiment.config.encoder.path} makes of their words. Its weights"
            f" are damaged, or too large for encoder.dtype={experiment.config.encoder.dtype}."
        )
