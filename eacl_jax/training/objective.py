"""What stage one minimizes, of the model, the anchors and a batch: a pure function."""

import dataclasses
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
from eacl_jax.training.chunks import chunked_value_and_grad
from eacl_jax.training.loop import MEMORY

# Parameters -> the model with them.
Merge = Callable[[Any], Model]
# The loss and its terms by name; among these, by `MEMORY`, new constants.
Value = tuple[jax.Array, dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class StageOneLoss:
    """The objective of stage one, `(params, constants, batch, key) -> (loss, terms)`.

    Attributes:
      merge: parameters -> Model.
      source: of the anchors.
      settings: weights of the terms; with `ce_weight=1` the cross-entropy is all that there is.
      anchors_per_label: see `losses.supervised_contrastive`.
      rarity: of the labels, see `Rarity`.
      constant_for_no_positive: see `losses.supervised_contrastive`.
      binary: whether an utterance may have several labels.
      mesh: the devices that share the rows and the scores of large batches; None: one, or whatever
        the compiler makes of them.
    """

    merge: Merge
    source: AnchorSource
    settings: LossConfig
    _: dataclasses.KW_ONLY
    anchors_per_label: int = 1
    rarity: Rarity = dataclasses.field(default_factory=Rarity)
    constant_for_no_positive: bool = False
    binary: bool = False
    mesh: Mesh | None = None

    def __call__(self, params: Any, constants: Any, batch: Batch, key: jax.Array) -> Value:
        encoder_key, head_key = jax.random.split(key)
        h = self.encode(params, batch, encoder_key)
        return self.of_encoded(params, h, constants, batch, head_key)

    def value_and_grad(self, chunks: int = 1) -> Callable[..., Any]:
        """`jax.value_and_grad(self, has_aux=True)`, the rows encoded in so many chunks."""
        if chunks == 1:
            found: Callable[..., Any] = jax.value_and_grad(self, has_aux=True)
        else:
            found = chunked_value_and_grad(self.encode, self.of_encoded, chunks, self.mesh)
        size = self.settings.adversarial
        return adversarial_value_and_grad(found, size) if size else found

    def encode(
        self, params: Any, batch: Batch, key: jax.Array
    ) -> Float[jax.Array, "N D"] | Float[jax.Array, "N 2*D"]:
        """Hidden states at the readouts, with dropout: what the loss sees of the encoder. For
        R-Drop they are read twice, with a dropout of its own each, and stand side by side.
        """
        if not self.settings.r_drop:
            return self._read(params, batch, key)
        keys = jax.random.split(key)
        return jnp.concatenate([self._read(params, batch, each) for each in keys], axis=1)

    def of_encoded(
        self, params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> Value:
        """The loss of what `encode` gives."""
        model = self.merge(params)
        if self.settings.r_drop:
            return self._of_two_readings(model, params, h, constants, batch, key)
        logits = _logits(model, h, key)
        return self._of_reading(model, params, h, logits, constants, batch)

    def _of_two_readings(
        self, model: Model, params: Any, h: jax.Array, constants: Any, batch: Batch, key: jax.Array
    ) -> Value:
        """R-Drop: the mean of both readings' losses, and how far apart their answers are."""
        halves, keys = jnp.split(h, 2, axis=1), jax.random.split(key, 2)
        logits = [_logits(model, half, each) for half, each in zip(halves, keys, strict=True)]
        (one, terms), (other, more) = (
            self._of_reading(model, params, half, found, constants, batch)
            for half, found in zip(halves, logits, strict=True)
        )
        apart = divergence(*logits, weights=batch.weights, binary=self.binary)
        # What is remembered is of the first reading alone.
        means = {
            name: term if name == MEMORY else (term + more[name]) / 2
            for name, term in terms.items()
        }
        value = (one + other) / 2 + self.settings.r_drop * apart
        return value, {**means, "divergence": apart}

    def _read(self, params: Any, batch: Batch, key: jax.Array) -> Float[jax.Array, "N D"]:
        return self.merge(params).read(batch, deterministic=False, rngs=nnx.Rngs(dropout=key))

    def _of_reading(
        self,
        model: Model,
        params: Any,
        h: Float[jax.Array, "N D"],
        logits: Float[jax.Array, "N C"],
        constants: Any,
        batch: Batch,
    ) -> Value:
        """The loss of an encoding of the batch and the classifier's logits of it."""
        terms: dict[str, Any]
        if self.settings.ce_weight == 1:
            value, terms = self._cross_entropy(logits, batch), {}
            reps = anchors = memory = None
        else:
            reps = model.mapping(h)
            anchors = self.source.anchors(model, params, constants)
            value, terms = self._with_anchors(logits, reps, anchors, batch)
            memory = (
                self.source.memory(constants, reps, batch.labels, batch.weights)
                if batch.labels.ndim == 1
                else None
            )
        added = added_terms(self.settings, batch, h, logits, reps, anchors)
        for name, (weight, term) in added.items():
            value, terms = value + weight * term, {**terms, name: term}
        return value, {**terms, MEMORY: memory} if memory else terms

    def _cross_entropy(self, logits: Float[jax.Array, "N C"], batch: Batch) -> jax.Array:
        if batch.labels.ndim == 2:
            learnt = batch.labels if batch.mixed is None else batch.mixed
            return losses_multi.cross_entropy(self.binary)(logits, learnt, weights=batch.weights)
        return losses.cross_entropy(
            logits, batch.labels, weights=batch.weights, soft=batch.mixed, **self._of_one_label()
        )

    def _with_anchors(
        self,
        logits: Float[jax.Array, "N C"],
        reps: Float[jax.Array, "N m"],
        anchors: Float[jax.Array, "A m"],
        batch: Batch,
    ) -> Value:
        settings = self.settings
        common: dict[str, Any] = {
            "temperature": settings.temperature,
            "ce_weight": settings.ce_weight,
            "angle_weight": settings.angle_weight,
            "use_anchors": settings.use_anchors,
            "anchors_per_label": self.anchors_per_label,
            "soft": batch.mixed,
            "weights": batch.weights,
            "rows": ScoreRows(None if self.mesh is None else batch_shardings(self.mesh).tokens),
        }
        if batch.labels.ndim == 2:
            return losses_multi.stage_one(
                logits, reps, batch.labels, anchors, binary=self.binary, **common
            )
        return losses.stage_one(
            logits,
            reps,
            batch.labels,
            anchors,
            form=settings.form,
            balanced=settings.balanced,
            constant_for_no_positive=self.constant_for_no_positive,
            **common,
            **self._of_one_label(),
        )

    def _of_one_label(self) -> dict[str, Any]:
        """Arguments of `losses.cross_entropy`, where an utterance has one label."""
        return {
            "class_weights": self.rarity.class_weights,
            "offsets": self.rarity.offsets,
            "focal": self.settings.focal,
            "smoothing": self.settings.smoothing,
        }


def _logits(model: Model, h: Float[jax.Array, "N D"], key: jax.Array) -> Float[jax.Array, "N C"]:
    return model.auxiliary_logits(h, deterministic=False, rngs=nnx.Rngs(dropout=key))


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
