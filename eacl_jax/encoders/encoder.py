"""What every encoder is: embeddings below a stack of like layers, in one call that is the same for
all architectures.
"""

import abc
import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import Attention, using
from eacl_jax.encoders.dropout import Randomness, dropout_key
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.stack import run_last_layer, run_layers, without_gradients
from eacl_jax.encoders.weights.names import Named


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What config.json says of every architecture; each adds its own."""

    vocab_size: int
    hidden_size: int
    num_layers: int


class Encoder(Named):
    """A transformer encoder over packed rows.

    A subclass reads config.json in `from_config`, sets `embeddings` and `layers` (through
    `stack_layers`), makes its layers' `context`, and names its checkpoint's tensors in `names`. A
    layer is called as `layer(hidden, context, per_layer, key=key)`.

    Parameters are float32 and are the only variables: `nnx.split(encoder, nnx.Param)` leaves
    nothing over. Their names end in kernel, embedding, scale or bias, which decides their weight
    decay and first values. Call the encoder under `jax.jit`; outside, a scanned stack is compiled
    anew at every call.

    Attributes:
      hidden_size: width D of the hidden states.
      num_layers: layers in the stack.
      vocab_size: rows of the token table; a token id must be below it.
      max_length: usable positions, a position must be below it; None where nothing limits them. An
        id or position that is too large gives NaN, not an error.
      attention: kernel and dropout of attention.
      remat: the backward pass runs each layer again instead of keeping what is inside it: less
        memory, a third more work.
      frozen_layers: 0 where all is trained, else the lowest n layers and all of `below` are frozen.
    """

    # Attributes that lie below the first layer: frozen with it.
    below: ClassVar[tuple[str, ...]] = ("embeddings",)
    # Its constructor has an argument `prefix`.
    takes_prefix: ClassVar[bool] = False
    # Its layers take `read`, so that the last one can be left out for tokens that nobody reads.
    reads_last: ClassVar[bool] = False

    hidden_size: int
    vocab_size: int
    max_length: int | None
    frozen_layers: int
    attention: Attention = Attention()
    remat: bool = False
    embeddings: Any

    def set_sizes(self, shape: Sizes, *, max_length: int | None, frozen_layers: int) -> None:
        """Sets the attributes that are numbers."""
        self.hidden_size, self.num_layers, self.vocab_size = (
            shape.hidden_size,
            shape.num_layers,
            shape.vocab_size,
        )
        self.max_length, self.frozen_layers = max_length, frozen_layers

    @classmethod
    @abc.abstractmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        """Builds the encoder that config.json describes.

        Args:
          fields: config.json.
          **options: `dtype`, `scan_layers`, `frozen_layers`, `rngs`, and `prefix` where the class
            `takes_prefix`.

        Raises:
          UserError: names every field that is amiss.
        """

    def __call__(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        deterministic: bool = True,
        rngs: Randomness | None = None,
        read: Int[Array, "rows slots"] | None = None,
    ) -> Float[Array, "rows length hidden"] | Float[Array, "rows slots hidden"]:
        """Last hidden states.

        Args:
          tokens: vocabulary ids.
          positions: 0-based, starting again in each segment.
          segment_ids: 0 is padding; tokens of a row see each other where their ids are equal.
          deterministic: no dropout.
          rngs: where dropout's key comes from; needed unless `deterministic`.
          read: columns of each row whose hidden states are wanted, where that is not all: what the
            last layer does for the others is left out, where the architecture can.

        Raises:
          ValueError: dropout without `rngs`.
        """
        keys = None if deterministic else jax.random.split(dropout_key(rngs), self.num_layers + 1)
        with using(self.attention):
            return self._encode(tokens, positions, segment_ids, keys, read)

    def _encode(
        self,
        tokens: Array,
        positions: Array,
        segment_ids: Array,
        keys: Array | None,
        read: Array | None,
    ) -> Array:
        key = None if keys is None else keys[0]
        lower = without_gradients(self) if self.frozen_layers else self
        hidden = lower.embed(tokens, positions, key=key)
        context = lower.context(
            positions, segment_ids, key=None if key is None else jax.random.fold_in(key, 1)
        )
        layer_keys = None if keys is None else keys[1:]
        if read is not None and self.reads_last:
            hidden = self._run_for(read, hidden, context, lower.per_layer(), layer_keys)
        else:
            hidden = self.run(hidden, context, lower.per_layer(), layer_keys)
        hidden = self.finish(hidden, key=None if key is None else jax.random.fold_in(key, 2))
        return (
            hidden
            if read is None or self.reads_last
            else jnp.take_along_axis(hidden, read[:, :, None], axis=1)
        )

    def _run_for(
        self, read: Array, hidden: Array, context: Any, per_layer: Any, keys: Array | None
    ) -> Array:
        """`run`, but the last layer only for the tokens that are read."""
        last = self.num_layers - 1
        hidden = self.run_between(0, last, hidden, context, per_layer, keys)
        return run_last_layer(
            self.layers,
            hidden,
            context,
            per_layer,
            keys,
            frozen=self.frozen_layers > last,
            read=read,
        )

    def embed(
        self,
        tokens: Int[Array, "rows length"],
        positions: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Float[Array, "rows length hidden"]:
        """What goes into the first layer."""
        return self.embeddings(tokens, positions, key=key)

    @abc.abstractmethod
    def context(
        self,
        positions: Int[Array, "rows length"],
        segment_ids: Int[Array, "rows length"],
        *,
        key: Array | None,
    ) -> Any:
        """What all layers are given beside the hidden states: masks, and what the architecture
        makes of positions.
        """

    def per_layer(self) -> Any:
        """What each layer alone is given: a tree of arrays with a leading layer axis, or None."""
        return None

    def run(
        self,
        hidden: Float[Array, "rows length hidden"],
        context: Any,
        per_layer: Any,
        keys: Array | None,
    ) -> Any:
        """From the embeddings to the last layer's output."""
        return self.run_between(0, self.num_layers, hidden, context, per_layer, keys)

    def run_between(
        self, start: int, stop: int, hidden: Array, context: Any, per_layer: Any, keys: Array | None
    ) -> Array:
        """Layers `start` to `stop` (exclusive), frozen and run again as this encoder is; see
        `run_layers`.
        """
        how: dict[str, Any] = {
            "frozen": self.frozen_layers,
            "start": start,
            "stop": stop,
            "remat": self.remat,
        }
        return run_layers(self.layers, hidden, context, per_layer, keys, **how)

    def finish(
        self, hidden: Float[Array, "rows length hidden"], *, key: Array | None
    ) -> Float[Array, "rows length hidden"]:
        """What comes after the last layer: nothing, unless an architecture says otherwise."""
        return hidden

    def depths(self) -> nnx.State:
        """How far up each parameter lies: what freezing, unfreezing and layer-wise rates go by.

        Returns:
          A tree like `nnx.state(self, nnx.Param)` of int32 arrays that broadcast against the
          parameters: 0 for what is `below` the first layer, i for layer i (counted from 1),
          `num_layers + 1` above the last. Parameters stacked by layer have `[num_layers, 1, ...]`,
          others a scalar.
        """

        def depth(path: tuple[Any, ...], parameter: nnx.Variable) -> nnx.Variable:
            if path[0] != "layers":
                depths = np.asarray(0 if path[0] in self.below else self.num_layers + 1)
            elif isinstance(self.layers, nnx.List):
                depths = np.asarray(path[1] + 1)
            else:
                depths = np.arange(1, self.num_layers + 1).reshape(
                    -1, *[1] * (len(parameter.shape) - 1)
                )
            return parameter.replace(depths.astype(np.int32))

        return nnx.map_state(depth, nnx.state(self, nnx.Param))
