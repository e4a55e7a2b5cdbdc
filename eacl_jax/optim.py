"""Parameter groups, schedules and masks: which parameter learns, how fast, and with how much decay."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from eacl_jax.config import StageOneConfig, StageTwoConfig

T = TypeVar("T")

# Every parameter matches exactly one row of each table (`assign` checks it).
RATE_GROUPS = (("encoder/.*", "encoder"), ("(predictor|mapping)/.*", "heads"))
DECAYED = ((r".*/bias", False), (r".*/scale", False), (r".*/(kernel|embedding)", True))
STAGE_TWO_GROUPS = (("anchors", "anchors"), ("(encoder|predictor|mapping)/.*", "frozen"))


def path_name(path: tuple[Any, ...]) -> str:
    """A tree path as `encoder/layers/0/kernel`."""
    return "/".join(str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part)))) for part in path)


def assign(params: Any, table: Sequence[tuple[str, T]]) -> Any:
    """A tree like `params` that holds for each leaf the value of the one row whose pattern matches its whole path.

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
        raise ValueError("each parameter must match exactly one row of the table: " + "; ".join(problems))
    return tree


def epoch_schedule(rate: float, decay: float, steps_per_epoch: int) -> Callable[[jax.Array], jax.Array]:
    """Step -> `rate * decay ** (step // steps_per_epoch)`."""

    def schedule(step: jax.Array) -> jax.Array:
        return rate * jnp.asarray(decay, jnp.float32) ** (step // steps_per_epoch)

    return schedule


def stage_one_optimizer(
    config: StageOneConfig, params: Any, steps_per_epoch: int, *, trainable: Any = None, decay_mapping_norm: bool = False
) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm, with one rate for the encoder and one for the heads.

    Args:
      config: rates, decay and clip norm.
      params: tree with branches `encoder`, `predictor`, `mapping`.
      steps_per_epoch: after each so many steps both rates are multiplied by `config.lr_decay`.
      trainable: tree like `params` of factors for the updates, 0 where a parameter (or a slice of one) is frozen; None
        trains all.
      decay_mapping_norm: compat switch, decays the mapping's LayerNorm scale too.
    """
    table = DECAYED
    if decay_mapping_norm:
        table = ((r".*/bias", False), (r"(?!mapping/).*/scale", False), (r"mapping/norm/scale|.*/(kernel|embedding)", True))
    rates = {"encoder": config.encoder_lr, "heads": config.head_lr}
    stages = [
        optax.clip_by_global_norm(config.clip_norm),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        optax.add_decayed_weights(config.weight_decay, mask=assign(params, table)),
        optax.partition(
            {
                name: optax.scale_by_learning_rate(epoch_schedule(rate, config.lr_decay, steps_per_epoch))
                for name, rate in rates.items()
            },
            assign(params, RATE_GROUPS),
        ),
    ]
    if trainable is not None:
        stages.append(optax.stateless(lambda updates, _: jax.tree.map(lambda u, t: u * t, updates, trainable)))
    return optax.chain(*stages)


def stage_two_optimizer(config: StageTwoConfig, params: Any) -> optax.GradientTransformation:
    """Adam on the branch `anchors` alone; every other parameter gets no update and no moments."""
    adam = optax.chain(optax.clip_by_global_norm(config.clip_norm), optax.adam(config.lr, b1=0.9, b2=0.999, eps=1e-8))
    return optax.partition({"anchors": adam, "frozen": optax.set_to_zero()}, assign(params, STAGE_TWO_GROUPS))
