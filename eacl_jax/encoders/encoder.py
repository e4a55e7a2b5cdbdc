"""What every encoder is: embeddings below a stack of like layers, in one call that is the same for all architectures."""

import abc
from typing import Any, ClassVar, Self

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from eacl_jax.encoders.attention import segment_mask
from eacl_jax.encoders.dropout import Randomness, dropout_key
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.names import NameTable
from eacl_jax.encoders.stack import held, run_layers


class Encoder(nnx.Module):
    """A transformer encoder over packed rows.

    A subclass reads config.json in `from_config`, sets `embeddings` and `layers` (through `stack_layers`), and names its
    checkpoint's tensors in `names`. Parameters are float32 and are the only variables: `nnx.split(encoder, nnx.Param)` leaves
    nothing over. Call it under `jax.jit`; outside, a scanned stack is compiled anew at every call.

    Attributes:
      hidden_size: width D of the hidden states.
      num_layers: layers in the stack.
      vocab_size: rows of the token table; a token id must be below it.
      max_length: usable positions; a position must be below it. An id or position that is too large gives NaN, not an error.
      frozen_layers: 0 where all is trained, else the lowest n layers and all of `below` are held fixed.
    """

    # Checkpoint names of every parameter.
    names: ClassVar[NameTable]
    # Attributes that lie below the first layer: frozen with it.
    below: ClassVar[tuple[str, ...]] = ("embeddings",)

    hidden_size: int
    num_layers: int
    vocab_size: int
    max_length: int
    frozen_layers: int
    embeddings: Any
    layers: Any

    @classmethod
    @abc.abstractmethod
    def from_config(cls, fields: Fields, **options: Any) -> Self:
        """Builds the encoder that config.json describes.

        Args:
          fields: config.json.
          **options: `dtype`, `scan_layers`, `frozen_layers`, `rngs`.

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
    ) -> Float[Array, "rows length hidden"]:
        """Last hidden states.

        Args:
          tokens: vocabulary ids.
          positions: 0-based, starting again in each segment.
          segment_ids: 0 is padding; tokens of a row see each other where their ids are equal.
          deterministic: no dropout.
          rngs: where dropout's key comes from; needed unless `deterministic`.

        Raises:
          ValueError: dropout without `rngs`.
        """
        keys = None if deterministic else jax.random.split(dropout_key(rngs), self.num_layers + 1)
        lower = held(self) if self.frozen_layers else self
        hidden = lower.embeddings(tokens, positions, key=None if keys is None else keys[0])
        shared = (segment_mask(segment_ids), lower.attention_bias(tokens.shape[1]))
        return run_layers(self.layers, hidden, shared, None if keys is None else keys[1:], frozen=self.frozen_layers)

    def attention_bias(self, length: int) -> Float[Array, "heads length length"] | None:
        """What is added to all layers' attention scores: nothing, unless an architecture says otherwise."""
        return None

    def trainable_mask(self) -> nnx.State:
        """Multipliers for updates: 0 where `frozen_layers` holds a parameter, 1 elsewhere.

        Returns:
          A tree like `nnx.state(self, nnx.Param)`, of float32 arrays that broadcast against the parameters: scalars, but
          `[num_layers, 1, ...]` for parameters stacked by layer. Gradients of held parameters are zero already, weight decay
          is not.
        """

        def multiplier(path: tuple[Any, ...], parameter: nnx.Variable) -> nnx.Variable:
            if path[0] != "layers":
                trained = np.asarray(not (self.frozen_layers and path[0] in self.below))
            elif isinstance(self.layers, nnx.List):
                trained = np.asarray(path[1] >= self.frozen_layers)
            else:
                by_layer = np.arange(self.num_layers) >= self.frozen_layers
                trained = by_layer.reshape(-1, *[1] * (len(parameter.shape) - 1))
            return parameter.replace(trained.astype(np.float32))

        return nnx.map_state(multiplier, nnx.state(self, nnx.Param))
