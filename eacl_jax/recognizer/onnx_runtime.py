"""A recognizer's encoder and heads by ONNX Runtime, without JAX."""

import functools
import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.model.label_words import label_examples
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.locate import LORA
from eacl_jax.recognizer.programs import (
    LABEL_WORDS,
    Precision,
    Program,
    file_of,
    read_programs,
)
from eacl_jax.recognizer.runtime import JAX, ONNX

if TYPE_CHECKING:
    from eacl_jax.onnx.session import Session


_LOG = logging.getLogger(__name__)


class OnnxRuntime:
    """See `Runtime`.

    Attributes:
      precision: of its products, float32 or int8.
      cost: of int8, see `Runtime`.
    """

    name = ONNX

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        session: "Session",
        precision: Precision,
        *,
        cost: str = "",
        label_words: Path | None = None,
    ) -> None:
        """Use `load`."""
        self._folder, self._settings, self._session = folder, settings, session
        self.precision, self.cost, self._label_words = precision, cost, label_words

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """See `Runtime`."""
        return self._session.represent(examples)

    def warm(self) -> Iterator[tuple[int, int]]:
        """See `Runtime`: the program takes any shape, and there is nothing to wait for."""
        yield 1, self._settings.prompt.max_tokens

    def label_anchors(
        self, tokenizer: Any, taxonomy: Taxonomy, longest: int
    ) -> Float[np.ndarray, "C m"]:
        """See `Runtime`. The first call loads what it takes: a program; or, where there is none,
        the model in JAX.
        """
        if self._label_words is None:
            return self._in_jax.label_anchors(tokenizer, taxonomy, longest)
        from eacl_jax.onnx.session import label_anchors

        words = label_examples(tokenizer, taxonomy, longest)
        return label_anchors(self._label_session, words, len(taxonomy))

    @functools.cached_property
    def _label_session(self) -> Any:
        from eacl_jax.onnx.session import session_of

        assert self._label_words is not None
        return session_of(self._label_words)

    @functools.cached_property
    def _in_jax(self) -> Any:
        _LOG.warning(
            "%s has no program for label words: the model is loaded in JAX for them, until"
            " `eacl prepare` makes one",
            self._folder,
        )
        from eacl_jax.recognizer import jax_runtime

        parts = jax_runtime.load(self._folder, self._settings).parts
        return jax_runtime.JaxRuntime(
            self._settings, parts.graphdef, parts.params, label_encoder=parts.label_encoder
        )


def check_installed() -> None:
    """Raises `UserError` where the packages are missing."""
    if absent := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise UserError(
            f"runtime {ONNX!r} needs {' and '.join(absent)}, not installed here: pip install"
            f" 'eacl_jax[onnx]'; or use runtime {JAX!r}."
        )


def load(folder: Path, settings: Settings, *, precision: Precision = "float32") -> OnnxRuntime:
    """The runtime of a model folder.

    Where float32 was not prepared its program is made now, which takes JAX, and some seconds.

    Raises:
      UserError: ONNX Runtime is not installed, int8 was not prepared, the programs are damaged or
        of another model, there is none for this architecture, or the model reads features.
    """
    check_installed()
    if settings.modalities:
        raise UserError(
            f"this model reads features beside the text ({', '.join(settings.modalities)}), which"
            f" ONNX programs have no input for: use runtime {JAX!r}."
        )
    if (folder / LORA[0]).is_file():
        raise UserError(
            f"{folder} holds LoRA's matrices and names its encoder, and a program holds the whole"
            f" model: save it whole (load it by {JAX!r}, then save_pretrained) and use that."
        )
    from eacl_jax.onnx.session import Session

    programs = read_programs(folder)
    if precision in programs:
        _check_weights(programs[precision], folder)
        return OnnxRuntime(
            folder,
            settings,
            Session(file_of(folder, precision)),
            precision,
            cost=programs[precision].in_words(),
            label_words=file_of(folder, LABEL_WORDS) if LABEL_WORDS in programs else None,
        )
    if precision != "float32":
        raise UserError(
            f"{folder} has no program of precision {precision}: `eacl prepare` makes it, with"
            " annotated dialogues that tell what it costs."
        )
    _LOG.warning(
        "%s is not prepared for ONNX Runtime: its program is made now, as at every start until"
        " `eacl prepare` keeps it",
        folder,
    )
    from flax import nnx

    from eacl_jax.onnx.program import program
    from eacl_jax.recognizer import jax_runtime

    parts = jax_runtime.load(folder, settings).parts
    made = program(nnx.merge(parts.graphdef, parts.params))
    return OnnxRuntime(folder, settings, Session(made.SerializeToString()), precision)


def _check_weights(program: Program, folder: Path) -> None:
    """Raises `UserError` where this processor would compute something else."""
    if program.weight_bits != 8:
        return
    from eacl_jax.onnx.quantize import eight_bits_add_up

    if not eight_bits_add_up():
        raise UserError(
            f"{folder}: the int8 program was made for processors with VNNI, and this one's sums of"
            " its products would overflow: prepare it again here, or use float32."
        )
