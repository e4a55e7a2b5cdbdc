"""Parameter groups, schedules and masks: which parameter learns, how fast, and with how much
decay.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from eacl_jax.config import StageOneConfig, StageTwoConfig
from eacl_jax.model.names import path_name

T = TypeVar("T")

# Every parameter matches exactly one row of each table (`assign` checks it).
RATE_GROUPS = (
    ("(encoder|lora)/.*", "encoder"),
    ("(predictor|mapping|fusion|others)/.*|label_encodings", "heads"),
)
# Spared from decay: whatever is called a bias, by its own name or that of the module it is the
# table of, and norms' scales.
_BIAS = r".*bias[^/]*(/[^/]+)?"
_OTHER = rf"(?!{_BIAS}\Z)"
_FREE = ("label_encodings|lora/.*", False)
DECAYED = (
    _FREE,
    (_BIAS, False),
    (rf"{_OTHER}.*/scale", False),
    (rf"{_OTHER}.*/(kernel|embedding)", True),
)
DECAYED_WITH_MAPPING_NORM = (
    _FREE,
    (_BIAS, False),
    (rf"{_OTHER}(?!mapping/).*/scale", False),
    (rf"{_OTHER}(mapping/norm/scale|.*/(kernel|embedding))", True),
)
# Adam's memory of gradients and of their squares.
_B1, _B2 = 0.9, 0.999
STAGE_TWO_GROUPS = (
    ("anchors|scale", "anchors"),
    ("biases", "biases"),
    ("(encoder|predictor|mapping|fusion|others)/.*|label_encodings", "frozen"),
)


class Rates(NamedTuple):
    """Departures from one rate for the encoder and one for the heads; by default none.
    `rates.stage_one_rates` makes them.

    Trees like all parameters that are trained, of arrays that broadcast against them: parameters
    stacked by layer have one value a layer.

    Attributes:
      factors: float32 multipliers of the updates, 0 where a parameter is frozen; None where all are
        1.
      frozen: bool, where gradients are left out; None where none are. Those of
        `encoder.frozen_layers` need not be, they are 0.
      first_epochs: int32, the epoch (from 1) in which a parameter begins to learn, less than 2 for
        those that learn from the start; None where all do.
    """

    factors: Any = None
    frozen: Any = None
    first_epochs: Any = None


def assign(params: Any, table: Sequence[tuple[str, T]]) -> Any:
    """A tree like `params` that holds for each leaf the value of the one row whose pattern matches
    its whole path.

    Raises:
      ValueError: a parameter matches no row or several; all of them are named.
    """
    problems = []

    def find(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_name(path)
        values = [value for pattern, value in table if re.fullmatch(pattern, name)]
        if len(values) != 1:
            problems.append(f"{name} matches {len(values)} rows")
        return values[0] if values else None

    tree = jax.tree_util.tree_map_with_path(find, params)
    if problems:
        raise ValueError(
            "each parameter must match exactly one row of the table: " + "; ".join(problems)
        )
    return tree


def epoch_schedule(
    rate: float, decay: float, steps_per_epoch: int
) -> Callable[[jax.Array], jax.Array]:
    """Step -> `rate * decay ** (step // steps_per_epoch)`."""

    def schedule(step: jax.Array) -> jax.Array:
        return rate * jnp.asarray(decay, jnp.float32) ** (step // steps_per_epoch)

    return schedule


def rate_schedule(
    config: StageOneConfig, rate: float, steps_per_epoch: int, steps: int
) -> Callable[[jax.Array], jax.Array]:
    """Step (from 0) -> the rate at it.

    Args:
      config: `schedule`, `lr_decay` and `warmup`.
      rate: the highest.
      steps_per_epoch: see `epoch_schedule`.
      steps: of the whole stage; at the last the rate is still above 0.
    """
    rising = round(config.warmup * steps)
    if config.schedule == "epochs":
        falling = epoch_schedule(rate, config.lr_decay, steps_per_epoch)
    elif config.schedule == "linear":
        falling = optax.linear_schedule(rate, 0.0, max(steps - rising, 1), rising)
    else:
        cosine = optax.cosine_decay_schedule(rate, max(steps - rising, 1))
        falling = lambda step: cosine(jnp.maximum(step - rising, 0))  # noqa: E731
    if not rising:
        return falling
    return lambda step: falling(step) * jnp.minimum((step + 1) / rising, 1.0)


class Averaged(NamedTuple):
    """The state of an optimizer that averages the weights.

    Attributes:
      inner: of the optimizer itself.
      mean: of the weights, a tree like the parameters.
      steps: done so far.
    """

    inner: Any
    mean: Any
    steps: jax.Array


def averaging(inner: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """An optimizer that also keeps an exponential moving average of the weights, in its state.

    In step t it keeps `min(decay, t / (t + 9))` of itself: heads begin as random numbers, which an
    average of a few hundred steps would not forget.

    Args:
      inner: moves the weights, as without.
      decay: what the average keeps of itself in a step.
    """

    def init(params: Any) -> Averaged:
        # A copy: no array of the state may be there twice, which could not be given up twice.
        return Averaged(
            inner.init(params), jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32)
        )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Averaged]:
        updates, changed = inner.update(updates, state.inner, params)
        steps = state.steps + 1
        kept = jnp.minimum(decay, steps / (steps + 9.0))
        mean = optax.incremental_update(
            optax.apply_updates(params, updates), state.mean, 1.0 - kept
        )
        return updates, Averaged(changed, mean, steps)

    return optax.GradientTransformation(init, update)


def stage_one_optimizer(
    config: StageOneConfig,
    params: Any,
    steps_per_epoch: int,
    *,
    steps: int | None = None,
    rates: Rates | None = None,
    decay_mapping_norm: bool = False,
) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm, with one rate for the encoder and one for the heads.

    A parameter that is frozen, for good or until its first epoch, does not move at all: neither the
    clip norm nor the moments see its gradient, and no decay reaches it.

    Args:
      config: rates, decay and clip norm.
      params: tree with branches `encoder`, `predictor`, `mapping`, perhaps `fusion`.
      steps_per_epoch: after each so many steps both rates are multiplied by `config.lr_decay`.
      steps: of the whole stage, over which rates rise and fall; None: those of all epochs.
      rates: how single parameters depart from that; None: they do not.
      decay_mapping_norm: compat switch, decays the mapping's LayerNorm scale too.
    """
    rates = Rates() if rates is None else rates
    steps = steps_per_epoch * config.epochs if steps is None else steps
    decayed = assign(params, DECAYED_WITH_MAPPING_NORM if decay_mapping_norm else DECAYED)
    groups = assign(params, RATE_GROUPS)
    schedules = {
        name: rate_schedule(config, rate, steps_per_epoch, steps)
        for name, rate in (("encoder", config.encoder_lr), ("heads", config.head_lr))
    }

    def build(step: Any = None) -> optax.GradientTransformation:
        """The chain at a step, counted from 1; the step matters only where parameters join
        later.
        """
        learning = _learning(rates, step, steps_per_epoch)
        stages = [
            _clip(config.clip_norm, learning),
            optax.scale_by_adam(b1=_B1, b2=_B2, eps=1e-8),
            optax.add_decayed_weights(config.weight_decay, mask=decayed),
            optax.partition(
                {
                    name: optax.scale_by_learning_rate(schedule)
                    for name, schedule in schedules.items()
                },
                groups,
            ),
        ]
        if step is not None:
            stages.insert(2, _scaled(_bias_corrections(rates.first_epochs, step, steps_per_epoch)))
        if rates.factors is not None:
            stages.append(_scaled(rates.factors))
        if step is not None:
            stages.append(optax.stateless(lambda updates, _: _where(learning, updates)))
        return optax.chain(*stages)

    if rates.first_epochs is None:
        optimizer = build()
    else:
        # From 1, so that the state never holds one array twice, which could not be given up twice.
        optimizer = optax.inject_hyperparams(build)(step=lambda count: count + 1)
    return averaging(optimizer, config.average) if config.average else optimizer


def _learning(rates: Rates, step: Any, steps_per_epoch: int) -> Any:
    """Whose gradients count at a step (from 1): a tree of booleans, or None where all do."""
    learning = None if rates.frozen is None else jax.tree.map(np.logical_not, rates.frozen)
    if rates.first_epochs is not None:
        joined = jax.tree.map(
            lambda first: (step - 1) // steps_per_epoch + 1 >= first, rates.first_epochs
        )
        learning = joined if learning is None else jax.tree.map(jnp.logical_and, learning, joined)
    return learning


def _bias_corrections(first_epochs: Any, step: Any, steps_per_epoch: int) -> Any:
    """Multipliers of Adam's updates that count a parameter's steps from the one it joined in.

    Adam corrects its moments for having begun at zero by the step that is common to all. Moments
    that begin at zero later would be taken for old ones, and the parameter would move up to six
    times too far for some hundred steps. 1 for parameters that learn from the start.
    """

    def correction(first: Any) -> jax.Array:
        since = jnp.maximum(step - jnp.maximum(first - 1, 0) * steps_per_epoch, 1)
        return (1 - _B1**step) / (1 - _B1**since) * jnp.sqrt((1 - _B2**since) / (1 - _B2**step))

    return jax.tree.map(correction, first_epochs)


def _clip(max_norm: float, learning: Any) -> optax.GradientTransformation:
    """Clipping by the global norm of what learns. One stage, so that the chain's state is laid out
    the same either way.
    """
    clip = optax.clip_by_global_norm(max_norm)
    if learning is None:
        return clip
    return optax.stateless(
        lambda gradients, _: clip.update(_where(learning, gradients), optax.EmptyState())[0]
    )


def _where(learning: Any, tree: Any) -> Any:
    """The tree where it learns, 0 elsewhere."""
    return jax.tree.map(lambda on, x: jnp.where(on, x, 0), learning, tree)


def _scaled(factors: Any) -> optax.GradientTransformation:
    """Updates times a tree of factors."""
    return optax.stateless(lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors))


def stage_two_optimizer(config: StageTwoConfig, params: Any) -> optax.GradientTransformation:
    """Adam on the branch `anchors`, and on `scale` and `biases` where there are any; every other
    parameter gets no update and no moments. With a rate of their own, biases are clipped on their
    own.
    """

    def adam(rate: float) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(config.clip_norm),
            optax.adam(rate, b1=_B1, b2=_B2, eps=1e-8),
        )

    groups = assign(params, STAGE_TWO_GROUPS)
    rates = {"anchors": adam(config.lr), "frozen": optax.set_to_zero()}
    if config.bias_lr:
        rates["biases"] = adam(config.bias_lr)
    else:
        groups = jax.tree.map(lambda group: "anchors" if group == "biases" else group, groups)
    return optax.partition(rates, groups)
