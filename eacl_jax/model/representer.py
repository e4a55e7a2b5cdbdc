"""Encoder, readout and heads. Source: arXiv 2403.20289, Sec. 3."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.config import FeaturesConfig, ModelConfig, Readout
from eacl_jax.data.batching import MAX_SEGMENTS
from eacl_jax.data.beside import Modalities
from eacl_jax.model.batches import Batch
from eacl_jax.model.fusion import KERNEL_INIT, Fusion, fusion_of
from eacl_jax.model.label_words import mean_over_tokens

_BRANCHES = ("encoder", "predictor", "mapping", "fusion")


def branches(params: Any) -> dict[str, Any]:
    """The model's own parameters among those that are trained."""
    return {name: params[name] for name in _BRANCHES if name in params}


class MappingHead(nnx.Module):
    """`z = W2 relu(LayerNorm(W1 h + b1)) + b2`, from width d over d to m, in float32."""

    def __init__(self, width: int, output: int, *, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(width, width, kernel_init=KERNEL_INIT, rngs=rngs)
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.output = nnx.Linear(width, output, kernel_init=KERNEL_INIT, rngs=rngs)

    def __call__(self, h: Float[Array, "N d"]) -> Float[Array, "N m"]:
        """Mapped representations [N, m], float32, of readouts or label encodings [N, d]."""
        return self.output(jax.nn.relu(self.norm(self.hidden(h.astype(jnp.float32)))))


class Representer(nnx.Module):
    """What a trained model predicts with: encoder, readout and mapping. The anchors stand beside
    it.
    """

    def __init__(
        self,
        encoder: nnx.Module,
        mapping: MappingHead | nnx.Linear,
        *,
        readout: Readout,
        fusion: Fusion | None = None,
        text: bool = True,
    ) -> None:
        """Args:
        encoder: `encoder(tokens, positions, segment_ids, *, deterministic, rngs, read) -> [R, L,
          d]`, see `Encoder`.
        mapping: of its width d; or the classifier, whose logits are then the representations.
        readout: see `Readout`.
        fusion: how features join; None: they do not.
        text: whether utterances' texts are read.
        """
        self.encoder = encoder
        self.mapping = mapping
        self.fusion = fusion
        self.text = text
        # Which token the others read is the prompts' choice: `Batch.readout`.
        self.pooled = readout == "mean"

    @classmethod
    def build(
        cls,
        encoder: nnx.Module,
        config: ModelConfig,
        *,
        readout: Readout,
        classes: int | None = None,
        modalities: Modalities | None = None,
        features: FeaturesConfig | None = None,
        rngs: nnx.Rngs,
    ) -> "Representer":
        """One whose mapping is freshly drawn; arguments as for `Model`, but that `classes` is given
        for a classifier of so many labels in place of the mapping.
        """
        width: int = encoder.hidden_size  # type: ignore[attr-defined]
        mapping = (
            MappingHead(width, config.mapping_dim or width, rngs=rngs)
            if classes is None
            else classifier(width, classes, rngs)
        )
        features = features or FeaturesConfig()
        fusion = fusion_of(width, modalities or {}, features, rngs=rngs)
        return cls(encoder, mapping, readout=readout, fusion=fusion, text=features.text)

    def read(
        self, batch: Batch, *, deterministic: bool = True, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N d"]:
        """What stands for each example, float32: the hidden state at its readout token, or the mean
        over its tokens, joined by its features.
        """
        h = self.read_text(batch, deterministic=deterministic, rngs=rngs)
        if self.fusion is None:
            return h
        return self.fusion(h, batch.features, deterministic=deterministic, rngs=rngs)

    def modality_weights(self, batch: Batch) -> Float[Array, "N M"]:
        """How much each modality counts; see `Fusion.weights`."""
        assert self.fusion is not None
        weights = self.fusion.weights(self.read_text(batch), batch.features)
        assert weights is not None
        return weights

    def read_text(
        self, batch: Batch, *, deterministic: bool = True, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N d"]:
        """What stands for each example without its features; zeros where texts are not read."""
        if not self.text:
            width: int = self.encoder.hidden_size  # type: ignore[attr-defined]
            return jnp.zeros((batch.readout.shape[0], width), jnp.float32)
        if self.pooled:
            return mean_over_examples(
                self._encode(batch, deterministic=deterministic, rngs=rngs), batch
            )
        columns, slots = readout_columns(batch)
        hidden = self._encode(batch, deterministic=deterministic, rngs=rngs, read=columns)
        if hidden.shape[1] != columns.shape[1]:
            raise ValueError(
                f"the encoder gave {hidden.shape[1]} columns where read asks for"
                f" {columns.shape[1]}: encoder(..., read=[R, S]) returns [R, S, D]"
            )
        return hidden[batch.readout[:, 0], slots].astype(jnp.float32)

    def represent(self, batch: Batch) -> Float[Array, "N m"]:
        """Mapped representations of the examples, without dropout."""
        return self.mapping(self.read(batch))

    def encode_labels(self, labels: Batch) -> Float[Array, "W d"]:
        """Mean hidden state over each label word's tokens, without dropout; `labels` comes from
        `label_words.label_batch`, and `label_words.mean_by_label` makes of them one a label.
        """
        return mean_over_tokens(self._encode(labels), labels.segment_ids)

    def _encode(self, batch: Batch, **how: Any) -> Float[Array, "R L d"]:
        return self.encoder(batch.tokens, batch.positions, batch.segment_ids, **how)


class Model(Representer):
    """What stage one trains: with the classifier of the cross-entropy term. Its parameters are the
    whole state: dropout keys come with each call.

    Attributes:
      predictor: the classifier; its parameters' name in saved models.
    """

    def __init__(
        self,
        encoder: nnx.Module,
        classes: int,
        config: ModelConfig,
        *,
        readout: Readout | None = None,
        classifies: bool = False,
        modalities: Modalities | None = None,
        features: FeaturesConfig | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Args:
        encoder: `encoder(tokens, positions, segment_ids, *, deterministic, rngs, read) -> [R, L,
          d]`, see `Encoder`.
        classes: number of labels C.
        config: mapping width m (0: d), dropout of the classifier, and the readout.
        readout: the one in force (`Config.readout`); None: `config.readout`.
        classifies: whether the classifier's logits are the representations (`Config.classifies`).
        modalities: whose features the model reads, by name.
        features: what it does with them.
        rngs: for the heads' weights.
        """
        width: int = encoder.hidden_size  # type: ignore[attr-defined]
        self.predictor = classifier(width, classes, rngs)
        mapping = MappingHead(width, config.mapping_dim or width, rngs=rngs)
        features = features or FeaturesConfig()
        super().__init__(
            encoder,
            mapping,
            readout=readout or config.readout,
            fusion=fusion_of(width, modalities or {}, features, rngs=rngs),
            text=features.text,
        )
        self.dropout = nnx.Dropout(config.dropout)
        self.classifies = classifies

    def represent(self, batch: Batch) -> Float[Array, "N m"]:
        """What is compared with the anchors, without dropout: mapped representations, or the
        logits.
        """
        return self.head(self.read(batch))

    @property
    def head(self) -> Any:
        """What makes of readouts what is compared with the anchors."""
        return self.predictor if self.classifies else self.mapping

    def auxiliary_logits(
        self, h: Float[Array, "N d"], *, deterministic: bool = True, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N C"]:
        """Logits of the cross-entropy term."""
        return self.predictor(self.dropout(h, deterministic=deterministic, rngs=rngs))


def classifier(width: int, classes: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear map from readouts to logits, freshly drawn."""
    return nnx.Linear(width, classes, kernel_init=KERNEL_INIT, rngs=rngs)


def readout_columns(batch: Batch) -> tuple[Int[Array, "R S"], Int[Array, " N"]]:
    """The columns that are read in each row (0 where there are fewer), and each example's index
    among its row's.

    An example's index is that of its segment. Padding reads what is at its row's first index, or
    the last of an empty row.
    """
    rows, columns = batch.readout[:, 0], batch.readout[:, 1]
    slots = batch.segment_ids[rows, columns] - 1
    empty = jnp.zeros(
        (batch.tokens.shape[0], min(MAX_SEGMENTS, batch.tokens.shape[1])), columns.dtype
    )
    # max, because padding points at column 0 of a row whose first example reads another one.
    return empty.at[rows, slots].max(columns), slots


def mean_over_examples(hidden: Float[Array, "R L d"], batch: Batch) -> Float[Array, "N d"]:
    """Mean of the hidden states over all tokens of each example, in float32.

    An example's tokens are those of its readout token's segment, so that there is always at least
    one: padding, whose readout may lie in padding, is finite like everything else.
    """
    rows, columns = batch.readout[:, 0], batch.readout[:, 1]
    same = batch.segment_ids[rows] == batch.segment_ids[rows, columns][:, None]
    of_row = rows[:, None] == jnp.arange(hidden.shape[0])
    member = (of_row[:, :, None] & same[:, None, :]).astype(jnp.float32)
    # A product, not a gather: [N, L, d] is never made, and rows that lie on several devices are
    # added up where they are.
    summed = jnp.einsum(
        "nrl,rld->nd", member, hidden.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST
    )
    return summed / jnp.sum(same, axis=1, keepdims=True)
