"""What stage one minimizes, of the model, the anchors and a batch: a pure function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from eacl_jax.config import LossConfig
from eacl_jax.model import losses, losses_multi
from eacl_jax.model.anchors import AnchorSource
from eacl_jax.model.batches import Batch
from eacl_jax.model.mesh import Mesh, batch_shardings
from eacl_jax.model.rarity import Rarity
from eacl_jax.model.regularizers import divergence
from eacl_jax.model.representer import Model
from eacl_jax.model.score_rows import ScoreRows
from eacl_jax.training.adversarial import adversarial_value_and_grad
from eacl_jax.training.chunks import Encode, Objective, chunked_value_and_grad
from eacl_jax.training.loop import MEMORY, LossFn

# Parameters -> the model with them.
Merge = Callable[[Any], Model]


def stage_one_loss(
    merge: Merge,
    source: AnchorSource,
    settings: LossConfig,
    **how: Any,
) -> LossFn:
    """The objective of stage one as `(params, constants, batch, key) -> (loss, terms)`.

    Args:
      merge: parameters -> Model.
      source: of the anchors.
      settings: weights of the terms; with `ce_weight=1` the cross-entropy is all that there is.
      **how: `anchors_per_label` (1), `rarity` (none) and `constant_for_no_positive` (False), see
        `losses.supervised_contrastive` and `Rarity`; `binary` (False), whether an utterance may
        have several labels; `mesh` (none), whose devices share the scores of large batches.
    """
    encode = encoding(merge, 2 if settings.r_drop else 1)
    objective = objective_of(merge, source, settings, **how)

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
    chunks: int = 1,
    mesh: Mesh | None = None,
    **how: Any,
) -> Callable[..., Any]:
    """`jax.value_and_grad(stage_one_loss(...), has_aux=True)`, the rows encoded in so many chunks.
    `mesh`: the devices that share them; None: one, or whatever the compiler makes of them.
    """
    how["mesh"] = mesh
    if chunks == 1:
        found: Callable[..., Any] = jax.value_and_grad(
            stage_one_loss(merge, source, settings, **how), has_aux=True
        )
    else:
        found = chunked_value_and_grad(
            encoding(merge, 2 if settings.r_drop else 1),
            objective_of(merge, source, settings, **how),
            chunks,
            mesh,
        )
    return (
        adversarial_value_and_grad(found, settings.adversarial) if settings.adversarial else found
    )


def encoding(merge: Merge, times: int = 1) -> Encode:
    """Representations with dropout: what the loss sees of the encoder. Read several times, with a
    dropout of its own each, they stand side by side, [N, times d].
    """

    def read(params: Any, batch: Batch, key: jax.Array) -> jax.Array:
        return merge(params).read(batch, deterministic=False, rngs=nnx.Rngs(dropout=key))

    def encode(params: Any, batch: Batch, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, times)
        return jnp.concatenate([read(params, batch, each) for each in keys], axis=1)

    return read if times == 1 else encode


def added_terms(
    settings: LossConfig,
    batch: Batch,
    h: Float[jax.Array, "N D"],
    logits: Float[jax.Array, "N C"],
    reps: Float[jax.Array, "N m"] | None,
    anchors: Float[jax.Array, "A m"] | None,
) -> dict[str, tuple[float, jax.Array]]:
    """Terms of the loss beside those of `losses.stage_one`, by name with their weights.

    Add a term of your own here: it reaches every kind of run (one label an utterance or
    several, shares of annotators or teachers, a classifier alone, R-Drop's two readings), and is
    recorded and drawn by its name. A setting in `LossConfig` switches it on; none is there by
    default.

    Args:
      settings: of the loss.
      batch: N examples; `labels` are [N], or [N, C] with several labels or shares.
      h: hidden states at the readouts.
      logits: of the classifier.
      reps: mapped representations; None where a classifier alone is trained (`ce_weight=1`).
      anchors: [C k, m]; None likewise.
    """
    del settings, batch, h, logits, reps, anchors
    return {}


def objective_of(
    merge: Merge,
    source: AnchorSource,
    settings: LossConfig,
    *,
    anchors_per_label: int = 1,
    rarity: Rarity | None = None,
    constant_for_no_positive: bool = False,
    binary: bool = False,
    mesh: Mesh | None = None,
) -> Objective:
    """The loss of representations."""
    rows = ScoreRows(None if mesh is None else batch_shardings(mesh).tokens)
    rarity = rarity or Rarity()
    cross_entropy: dict[str, Any] = {
        "class_weights": rarity.class_weights,
        "offsets": rarity.offsets,
        "focal": settings.focal,
        "smoothing": settings.smoothing,
    }

    def twice(
        params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Any]]:
        model, halves = merge(params), jnp.split(h, 2, axis=1)
        keys = jax.random.split(key, 2)
        logits = [
            model.auxiliary_logits(half, deterministic=False, rngs=nnx.Rngs(dropout=each))
            for half, each in zip(halves, keys, strict=True)
        ]
        (one, terms), (other, more) = (
            given(model, params, half, found, constants, batch)
            for half, found in zip(halves, logits, strict=True)
        )
        apart = divergence(*logits, weights=batch.weights, binary=binary)
        # What is remembered is of the first reading alone.
        means = {
            name: term if name == MEMORY else (term + more[name]) / 2
            for name, term in terms.items()
        }
        value = (one + other) / 2 + settings.r_drop * apart
        return value, {**means, "divergence": apart}

    def objective(
        params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Any]]:
        model = merge(params)
        logits = model.auxiliary_logits(h, deterministic=False, rngs=nnx.Rngs(dropout=key))
        return given(model, params, h, logits, constants, batch)

    def given(
        model: Model, params: Any, h: jax.Array, logits: jax.Array, constants: Any, batch: Batch
    ) -> tuple[jax.Array, dict[str, Any]]:
        terms: dict[str, Any]
        if settings.ce_weight == 1:
            value, terms = alone(logits, batch), {}
            reps = anchors = memory = None
        else:
            reps = model.mapping(h)
            anchors = source.anchors(model, params, constants)
            value, terms = with_anchors(logits, reps, anchors, batch)
            memory = (
                source.memory(constants, reps, batch.labels, batch.weights)
                if batch.labels.ndim == 1
                else None
            )
        added = added_terms(settings, batch, h, logits, reps, anchors)
        for name, (weight, term) in added.items():
            value, terms = value + weight * term, {**terms, name: term}
        return value, {**terms, MEMORY: memory} if memory else terms

    def alone(logits: jax.Array, batch: Batch) -> jax.Array:
        if batch.labels.ndim == 2:
            learnt = batch.labels if batch.mixed is None else batch.mixed
            return losses_multi.cross_entropy(binary)(logits, learnt, weights=batch.weights)
        return losses.cross_entropy(
            logits, batch.labels, weights=batch.weights, soft=batch.mixed, **cross_entropy
        )

    def with_anchors(
        logits: jax.Array, reps: jax.Array, anchors: jax.Array, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        common: dict[str, Any] = {
            "temperature": settings.temperature,
            "ce_weight": settings.ce_weight,
            "angle_weight": settings.angle_weight,
            "use_anchors": settings.use_anchors,
            "anchors_per_label": anchors_per_label,
            "soft": batch.mixed,
            "weights": batch.weights,
            "rows": rows,
        }
        if batch.labels.ndim == 2:
            return losses_multi.stage_one(
                logits, reps, batch.labels, anchors, binary=binary, **common
            )
        return losses.stage_one(
            logits,
            reps,
            batch.labels,
            anchors,
            form=settings.form,
            balanced=settings.balanced,
            constant_for_no_positive=constant_for_no_positive,
            **common,
            **cross_entropy,
        )

    return twice if settings.r_drop else objective
