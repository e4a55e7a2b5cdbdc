"""What every encoder of sound is: convolutions below a stack of like layers."""

from typing import Any, ClassVar, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import attend, segment_mask
from eacl_jax.encoders.audio.front_end import FrontEnd, Positions
from eacl_jax.encoders.audio.shape import MOST_CONVOLUTIONS, Shape
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.layers import ACTIVATIONS, Context, Norm
from eacl_jax.encoders.stack import stack_layers
from eacl_jax.encoders.weights.names import Name, Named, NameTable, linear, norm

Layers = int | Literal["mean"]
"""Which hidden states are wanted: of a layer, counted as in `AudioEncoder.layer_number`, or the
mean of all."""


class Frames(NamedTuple):
    """Hidden states, and where they are a sound's: 1, or 0 for padding."""

    hidden: Float[Array, "rows frames hidden"]
    segment_ids: Int[Array, "rows frames"]


class Layer(nnx.Module):
    """Attention and feed-forward, each added to its input; a norm before each or after each."""

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        def dense(width: int, out: int) -> nnx.Linear:
            return nnx.Linear(width, out, dtype=dtype, rngs=rngs)

        hidden, wide = shape.hidden_size, shape.intermediate_size
        self.query, self.key, self.value, self.output = (dense(hidden, hidden) for _ in range(4))
        self.attention_norm = Norm(hidden, shape.norm_epsilon, rngs=rngs)
        self.up, self.down = dense(hidden, wide), dense(wide, hidden)
        self.feed_forward_norm = Norm(hidden, shape.norm_epsilon, rngs=rngs)
        self.shape = shape

    def __call__(
        self, hidden: Float[Array, "rows frames hidden"], context: Context
    ) -> Float[Array, "rows frames hidden"]:
        if self.shape.normalize_before:
            hidden = hidden + self._attend(self.attention_norm(hidden), context)
            return hidden + self._widen(self.feed_forward_norm(hidden))
        hidden = self.attention_norm(hidden + self._attend(hidden, context))
        return self.feed_forward_norm(hidden + self._widen(hidden))

    def bias(self, hidden: Array, context: Context) -> Array | None:
        """What is added to the scores of attention, from what goes into it."""
        return context.bias

    def _attend(self, hidden: Array, context: Context) -> Array:
        by_head = (*hidden.shape[:2], self.shape.num_heads, -1)
        query, key, value = (
            project(hidden).reshape(by_head) for project in (self.query, self.key, self.value)
        )
        attended = attend(query, key, value, context.mask, bias=self.bias(hidden, context))
        return self.output(attended.reshape(hidden.shape))

    def _widen(self, hidden: Array) -> Array:
        return self.down(ACTIVATIONS[self.shape.activation](self.up(hidden)))


_LAYER, _OURS = "encoder.layers.{layer}", "layers.{layer}"
_POSITIONS = "encoder.pos_conv_embed.conv"


def audio_names(model: str, *more: Name) -> NameTable:
    """Names of the family's tensors.

    Args:
      model: what stands before them in a model with a head.
      more: of the architecture.
    """
    convolutions: list[Name] = []
    for index in range(MOST_CONVOLUTIONS):
        theirs = f"feature_extractor.conv_layers.{index}"
        ours = f"front_end.convolutions.{index}"
        convolutions += linear(f"{theirs}.conv", f"{ours}.convolution")
        convolutions += norm(f"{theirs}.layer_norm", f"{ours}.norm")
    return NameTable(
        pairs=(
            *convolutions,
            *norm("feature_projection.layer_norm", "front_end.norm"),
            *linear("feature_projection.projection", "front_end.projection"),
            Name(f"{_POSITIONS}.parametrizations.weight.original0", "positions.scale", True),
            Name(f"{_POSITIONS}.parametrizations.weight.original1", "positions.kernel", True),
            Name(f"{_POSITIONS}.bias", "positions.bias"),
            *norm("encoder.layer_norm", "norm"),
            *linear(f"{_LAYER}.attention.q_proj", f"{_OURS}.query"),
            *linear(f"{_LAYER}.attention.k_proj", f"{_OURS}.key"),
            *linear(f"{_LAYER}.attention.v_proj", f"{_OURS}.value"),
            *linear(f"{_LAYER}.attention.out_proj", f"{_OURS}.output"),
            *norm(f"{_LAYER}.layer_norm", f"{_OURS}.attention_norm"),
            *linear(f"{_LAYER}.feed_forward.intermediate_dense", f"{_OURS}.up"),
            *linear(f"{_LAYER}.feed_forward.output_dense", f"{_OURS}.down"),
            *norm(f"{_LAYER}.final_layer_norm", f"{_OURS}.feed_forward_norm"),
            *more,
        ),
        anchor="feature_projection.projection.weight",
        prefixes=("", f"{model}."),
        # What pretraining hides frames behind, and heads: of pretraining, of speech to text, of
        # classification, of speakers.
        ignored=(
            r"masked_spec_embed",
            r"(quantizer|project_hid|project_q|lm_head|projector|classifier|tdnn)\..+",
            r"feature_extractor\.(weight|bias)",
            r"layer_weights",
            r"objective\.weight",
        ),
        # As PyTorch before 2.0 has them.
        aliases={
            f"{_POSITIONS}.weight_g": f"{_POSITIONS}.parametrizations.weight.original0",
            f"{_POSITIONS}.weight_v": f"{_POSITIONS}.parametrizations.weight.original1",
        },
    )


class AudioEncoder(Named):
    """An encoder of sound; a row is one sound, padded behind.

    Padding changes nothing: a sound's frames are what they are alone. There is no dropout and
    nothing else of training. Parameters are float32 and the only variables, named as `Encoder`'s.
    Call it under `jax.jit`.

    A subclass names its checkpoint's tensors, and may have layers and a `context` of its own.

    Args:
      shape: sizes.
      dtype: of activations and matrix products.
    """

    # What its layers are.
    layer_type: ClassVar[type[Layer]] = Layer

    def __init__(self, shape: Shape, *, dtype: jnp.dtype, rngs: nnx.Rngs) -> None:
        self.shape, self.num_layers, self.hidden_size = shape, shape.num_layers, shape.hidden_size
        self.front_end = FrontEnd(shape, dtype=dtype, rngs=rngs)
        self.positions = Positions(shape, dtype=dtype, rngs=rngs)
        self.layers = stack_layers(
            lambda rngs: self.layer_type(shape, dtype=dtype, rngs=rngs),
            shape.num_layers,
            scan=True,
            rngs=rngs,
        )
        self.norm = Norm(shape.hidden_size, shape.norm_epsilon, rngs=rngs)

    @classmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        """Builds the encoder that config.json describes.

        Args:
          fields: config.json.
          **options: `dtype` and `rngs`.

        Raises:
          UserError: names every field that is amiss.
        """
        shape = Shape.read(fields)
        fields.check()
        return cls(shape, **options)

    def __call__(
        self,
        sound: Float[Array, "rows samples"],
        lengths: Int[Array, " rows"],
        *,
        layer: Layers = -1,
    ) -> Frames:
        """Hidden states of `layer`, float32.

        Args:
          sound: at the encoder's rate, normalized if it asks for that.
          lengths: how many of a row's samples are its sound; the others may be any finite number.
          layer: see `encode`.

        Raises:
          ValueError: there is no such layer.
        """
        frames = self.embed(sound, lengths)
        return frames._replace(hidden=self.encode(*frames, layer=layer))

    def embed(self, sound: Float[Array, "rows samples"], lengths: Int[Array, " rows"]) -> Frames:
        """What goes into the first layer; arguments as for the call."""
        hidden, valid = self.front_end(sound, lengths)
        hidden = hidden + self.positions(hidden)
        if not self.shape.normalize_before:
            hidden = self.norm(hidden)
        return Frames(hidden, valid.astype(jnp.int32))

    def encode(
        self,
        hidden: Float[Array, "rows frames hidden"],
        segment_ids: Int[Array, "rows frames"],
        *,
        layer: Layers = -1,
    ) -> Float[Array, "rows frames hidden"]:
        """From what `embed` makes to the hidden states of `layer`, float32.

        Args:
          hidden: may be packed: frames of several sounds in a row, one sound's side by side.
          segment_ids: 0 is padding; frames of a row see each other where their ids are equal.
          layer: 0 is what goes into the first layer, i what comes out of layer i, counted from 1;
            -1 the last, -2 the one before. The last has the norm that some encoders have behind
            it, as transformers' `last_hidden_state`. "mean": of all these.

        Raises:
          ValueError: there is no such layer.
        """
        mean = layer == "mean"
        number = self.num_layers if layer == "mean" else self.layer_number(layer)
        context = self.context(segment_ids)
        graphdef, stacked = nnx.split(self.layers)

        def step(carry: tuple[Array, Array], params: Any) -> tuple[tuple[Array, Array], None]:
            before, total = carry
            after = nnx.merge(graphdef, params)(before, context)
            # The sum of what went in: the last's output is normalized first.
            return (after, total + before if mean else total), None

        total = jnp.zeros(hidden.shape if mean else (), jnp.float32)
        if number:
            params = jax.tree.map(lambda leaf: leaf[:number], stacked)
            (hidden, total), _ = lax.scan(step, (hidden, total), params)
        if self.shape.normalize_before and number == self.num_layers:
            hidden = self.norm(hidden)
        hidden = hidden.astype(jnp.float32)
        return (total + hidden) / (self.num_layers + 1) if mean else hidden

    def layer_number(self, layer: int) -> int:
        """A layer's number from 0, what goes into the first, to `num_layers`; negative ones count
        from the end. Raises `ValueError` where there is no such layer.
        """
        number = layer
        if isinstance(layer, int) and layer < 0:
            number += self.num_layers + 1
        if number not in range(self.num_layers + 1):
            raise ValueError(
                f"layer must be from 0 to {self.num_layers}, negative from the end, or 'mean'; got"
                f" {layer}"
            )
        return number

    def context(self, segment_ids: Int[Array, "rows frames"]) -> Context:
        """What all layers are given beside the hidden states."""
        return Context(segment_mask(segment_ids), None)
