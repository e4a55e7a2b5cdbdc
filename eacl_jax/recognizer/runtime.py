"""What computes a recognizer's representations; everything else of an answer is NumPy's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float

from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError

if TYPE_CHECKING:
    from eacl_jax.recognizer.jax_runtime import JaxRuntime

JAX = "jax"
ONNX = "onnx"
OPENVINO = "openvino"
RUNTIMES = (JAX, ONNX, OPENVINO)
"""Names of runtimes. Others than JAX answer without importing it."""
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    ONNX: ("float32", "int8"),
    OPENVINO: ("float32", "bfloat16"),
}
"""Of their products, by runtime; JAX computes by `EncoderConfig.dtype`."""


class Runtime(Protocol):
    """An encoder with its heads, ready to be called. It does not change."""

    @property
    def name(self) -> str:
        """One of `RUNTIMES`."""

    @property
    def precision(self) -> str:
        """Of its products: one of `programs.Precision`, or the encoder's type in JAX."""

    @property
    def cost(self) -> str:
        """What its precision changes, in words, where that was measured."""

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """Representations of N examples, at least one, in their order; float32. What else is in
        `Example.windows` is not looked at.
        """

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        """Prepares each shape [rows, tokens] of batches, the smallest first; yields it when it is
        ready.
        """

    def label_anchors(
        self, tokenizer: Any, taxonomy: Taxonomy, longest: int
    ) -> Float[np.ndarray, "C m"]:
        """Anchors from label words, as training made them; float32.

        Args:
          tokenizer: the encoder's.
          taxonomy: C labels; see `label_words` for those of several words.
          longest: tokens that the encoder is given.

        Raises:
          UserError: the words of a label are longer.
        """


def check_runtime(name: str, precision: str = "float32") -> None:
    """Raises `UserError` for a name that is not among `RUNTIMES`, or a precision that it has
    not.
    """
    if name not in RUNTIMES:
        raise UserError(f"runtime must be one of {', '.join(RUNTIMES)}, got {name!r:.40}.")
    if precision in PRECISIONS.get(name, ("float32",)):
        return
    if others := [each for each, has in PRECISIONS.items() if precision in has]:
        raise UserError(
            f"precision {precision!r} is of runtime {others[0]!r}, not {name!r}"
            + ("; JAX computes by encoder.dtype." if name == JAX else ".")
        )
    every = dict.fromkeys(each for has in PRECISIONS.values() for each in has)
    raise UserError(f"precision must be one of {', '.join(every)}, got {precision!r:.40}.")


def in_jax(runtime: Runtime) -> "JaxRuntime":
    """The runtime, for what only JAX does.

    Raises:
      UserError: it is another.
    """
    if runtime.name != JAX:
        raise UserError(
            f"this needs the model in JAX, and it was loaded with runtime={runtime.name!r}: load it"
            f" with runtime={JAX!r}."
        )
    return runtime  # type: ignore[return-value]
