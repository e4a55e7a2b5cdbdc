"""How features join the text: after the readout, in float32.

Missing features leave no trace: an utterance without any is answered by its text as it would be
alone with "gated", and as training with `features.dropout` has taught with the others.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from eacl_jax.config import FeaturesConfig
from eacl_jax.data.batching import Frames
from eacl_jax.features.modality import Modality

KERNEL_INIT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Uniform in +-1/sqrt(fan-in), the customary start of fine-tuning heads."""
_ZERO = nnx.initializers.zeros_init()

Features = Mapping[str, Frames]


class Summary(nnx.Module):
    """Mean over an utterance's frames of `relu(W x + b)`; 0 where there are none."""

    def __init__(self, width: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(width, hidden, kernel_init=KERNEL_INIT, rngs=rngs)

    def __call__(self, frames: Frames) -> Float[Array, "N w"]:
        """Summaries [N, w] of a modality's frames: values [N, F, c], and which are there [N, F]."""
        each = jax.nn.relu(self.hidden(frames.values)) * frames.present[..., None]
        return each.sum(axis=1) / jnp.maximum(frames.present.sum(axis=1), 1.0)[:, None]


class Fusion(nnx.Module):
    """`h' = fusion(h, features)`, [N, d] -> [N, d]; a subclass says how.

    Attributes:
      names: of the modalities, in their order.
      rate: of modality dropout.
    """

    def __init__(
        self,
        width: int,
        modalities: Mapping[str, Modality],
        config: FeaturesConfig,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        """Args:
        width: d.
        modalities: by name; at least one.
        config: sizes and dropout.
        rngs: for the weights.
        """
        self.names = tuple(modalities)
        self.rate = config.dropout
        self.text = config.text
        self.summaries = nnx.List(
            [Summary(each.width, config.hidden, rngs=rngs) for each in modalities.values()]
        )
        self.build(width, config.hidden, len(modalities), rngs=rngs)

    def build(self, width: int, hidden: int, count: int, *, rngs: nnx.Rngs) -> None:
        """Makes the layers beside the summaries: of `count` modalities, `hidden` wide each."""
        raise NotImplementedError

    def __call__(
        self,
        h: Float[Array, "N d"],
        features: Features,
        *,
        deterministic: bool = True,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "N d"]:
        """What stands for each example, [N, d], float32.

        Args:
          h: what the text alone would be, zeros where it is not read.
          features: frames of each modality, by its name.
          deterministic: without modality dropout.
          rngs: its stream `dropout`, where that is not so.
        """
        if not deterministic and self.rate:
            assert rngs is not None
            features = dropped(features, self.rate, rngs.dropout())
        return self.joined(h, features)

    def summarized(self, features: Features) -> list[tuple[jax.Array, jax.Array]]:
        """Of each modality its summary [N, w], and where there is any [N, 1], 0 or 1."""
        return [
            (summary(features[name]), present(features[name]))
            for name, summary in zip(self.names, self.summaries, strict=True)
        ]

    def joined(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N d"]:
        """`__call__` without dropout: [N, d] of the text's [N, d] and each modality's frames."""
        raise NotImplementedError

    def weights(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N M"] | None:
        """How much each modality counts, between 0 and 1; None where no number says so."""
        return None


class Gated(Fusion):
    """`h + sum_m gate_m(h, x_m) * MLP_m(x_m)`; the MLPs' last layers and the gates' weights are
    zero at the start, so that it begins as h to the bit.
    """

    def build(self, width: int, hidden: int, count: int, *, rngs: nnx.Rngs) -> None:
        """See `Fusion.build`."""

        def zero(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=_ZERO, rngs=rngs)

        self.outputs = nnx.List([zero(hidden, width) for _ in range(count)])
        self.gates = nnx.List([zero(width + hidden, 1) for _ in range(count)])

    def joined(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N d"]:
        """See `Fusion.joined`."""
        added = jnp.zeros_like(h)
        for (summary, there), gate, output in zip(
            self.summarized(features), self.gates, self.outputs, strict=True
        ):
            added += there * _opened(gate, h, summary) * output(summary)
        return h + added

    def weights(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N M"]:
        """The gates, 0 where there are no features."""
        return jnp.concatenate(
            [
                there * _opened(gate, h, summary)
                for (summary, there), gate in zip(
                    self.summarized(features), self.gates, strict=True
                )
            ],
            axis=1,
        )


def _opened(
    gate: nnx.Linear, h: Float[Array, "N d"], summary: Float[Array, "N w"]
) -> Float[Array, "N 1"]:
    return jax.nn.sigmoid(gate(jnp.concatenate([h, summary], axis=1)))


class Concatenated(Fusion):
    """`W2 relu(W1 [h; s_1; t_1; ...] + b1) + b2` of the summaries s and whether there are any t."""

    def build(self, width: int, hidden: int, count: int, *, rngs: nnx.Rngs) -> None:
        """See `Fusion.build`."""
        inputs = width + count * (hidden + 1)
        self.hidden = nnx.Linear(inputs, width, kernel_init=KERNEL_INIT, rngs=rngs)
        self.output = nnx.Linear(width, width, kernel_init=KERNEL_INIT, rngs=rngs)

    def joined(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N d"]:
        """See `Fusion.joined`."""
        parts = [part for pair in self.summarized(features) for part in pair]
        return self.output(jax.nn.relu(self.hidden(jnp.concatenate([h, *parts], axis=1))))


class Attending(Fusion):
    """`sum_m a_m v_m` over the text, v_0 = h, and `v_m = W_m s_m`, where there are any, with `a =
    softmax(q(h) . k(v_m) / sqrt(d))`.
    """

    def build(self, width: int, hidden: int, count: int, *, rngs: nnx.Rngs) -> None:
        """See `Fusion.build`."""

        def linear(inputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, width, kernel_init=KERNEL_INIT, rngs=rngs)

        self.outputs = nnx.List([linear(hidden) for _ in range(count)])
        self.query, self.key = linear(width), linear(width)

    def joined(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N d"]:
        """See `Fusion.joined`."""
        share, values = self._attend(h, features)
        return jnp.einsum("nm,nmd->nd", share, values, precision=jax.lax.Precision.HIGHEST)

    def weights(self, h: Float[Array, "N d"], features: Features) -> Float[Array, "N M"]:
        """The attention to each modality; the text has the rest."""
        return self._attend(h, features)[0][:, 1:]

    def _attend(self, h: Float[Array, "N d"], features: Features) -> tuple[jax.Array, jax.Array]:
        summaries = self.summarized(features)
        values = jnp.stack(
            [h, *(output(s) for output, (s, _) in zip(self.outputs, summaries, strict=True))],
            axis=1,
        )
        # Of the text alone there is always something to attend to, if only zeros.
        there = jnp.concatenate([jnp.ones_like(h[:, :1]), *(t for _, t in summaries)], axis=1)
        if not self.text:
            any_other = there[:, 1:].max(axis=1)
            there = there.at[:, 0].set(1.0 - any_other)
        logits = jnp.einsum("nd,nmd->nm", self.query(h), self.key(values)) / h.shape[1] ** 0.5
        return jax.nn.softmax(jnp.where(there > 0, logits, -jnp.inf), axis=1), values


_KINDS: Mapping[str, type[Fusion]] = {
    "gated": Gated,
    "concat": Concatenated,
    "attention": Attending,
}


def fusion_of(
    width: int, modalities: Mapping[str, Modality], config: FeaturesConfig, *, rngs: nnx.Rngs
) -> Fusion | None:
    """As the configuration has it; None where nothing joins after the readout.

    Args:
      width: of the encoder, d.
      modalities: that the model reads, by name.
      config: how.
      rngs: for the weights.
    """
    if not modalities or config.fusion == "words":
        return None
    return _KINDS[config.fusion](width, modalities, config, rngs=rngs)


def present(frames: Frames) -> Float[Array, "N 1"]:
    """1 where an utterance has any frame, else 0."""
    return frames.present.max(axis=1, keepdims=True)


def dropped(features: Features, rate: float, key: Any) -> dict[str, Frames]:
    """Modality dropout: of each modality alone, a share `rate` of the utterances loses it."""
    kept = {}
    for number, (name, frames) in enumerate(sorted(features.items())):
        draw = jax.random.bernoulli(
            jax.random.fold_in(key, number), 1 - rate, (frames.present.shape[0], 1)
        )
        kept[name] = Frames(frames.values, frames.present * draw)
    return kept
