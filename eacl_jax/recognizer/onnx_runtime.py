"""A recognizer's encoder and heads by ONNX Runtime or OpenVINO, without JAX."""

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
from eacl_jax.recognizer.folder import Settings, check_longest
from eacl_jax.recognizer.locate import LORA, Unchanged
from eacl_jax.recognizer.programs import (
    LABEL_WORDS,
    Precision,
    Program,
    check_reads_text_alone,
    file_of,
    read_programs,
)
from eacl_jax.recognizer.runtime import JAX, ONNX, OPENVINO

if TYPE_CHECKING:
    from eacl_jax.onnx.session import Session


_LOG = logging.getLogger(__name__)


class OnnxRuntime:
    """See `Runtime`. Anchors of label words are made by ONNX Runtime, whatever the name.

    Attributes:
      name: `ONNX` or `OPENVINO`.
      precision: of its products, one of `runtime.PRECISIONS`.
      cost: of that, see `Runtime`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        session: "Session",
        precision: Precision,
        *,
        name: str = ONNX,
        cost: str = "",
        label_words: Path | None = None,
    ) -> None:
        """Use `load`."""
        self._folder, self._settings, self._session = folder, settings, session
        self.name, self.precision, self.cost = name, precision, cost
        self._label_words, self._same = label_words, Unchanged(folder)

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """See `Runtime`."""
        return self._session.represent(examples)

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
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
        self._same.check()
        return session_of(self._label_words)

    @functools.cached_property
    def _in_jax(self) -> Any:
        self._same.check()
        _LOG.warning(
            "%s has no program for label words: the model is loaded in JAX for them, until"
            " `eacl prepare` makes one",
            self._folder,
        )
        from eacl_jax.recognizer import jax_runtime

        parts = jax_runtime.load(self._folder, self._settings).parts
        return jax_runtime.JaxRuntime(self._settings, parts)


def check_installed(runtime: str = ONNX) -> None:
    """Raises `UserError` where the packages are missing."""
    needed = ["onnx", "onnxruntime", *([OPENVINO] if runtime == OPENVINO else ())]
    if absent := [name for name in needed if find_spec(name) is None]:
        raise UserError(
            f"runtime {runtime!r} needs {' and '.join(absent)}, not installed here: pip install"
            f" 'eacl_jax[{runtime}]'; or use runtime {JAX!r}."
        )


def load(
    folder: Path,
    settings: Settings,
    *,
    runtime: str = ONNX,
    precision: Precision = "float32",
) -> OnnxRuntime:
    """The runtime of a model folder.

    Where float32 was not prepared its program is made now, which takes JAX, and some seconds.

    Args:
      folder: a model's.
      settings: of it.
      runtime: `ONNX` or `OPENVINO`.
      precision: one of the runtime's.

    Raises:
      UserError: the runtime is not installed, another precision than float32 was not prepared or
        this processor has it not, the programs are damaged or of another model, there is none for
        this architecture, its prompts may be longer than the encoder reads, or it reads features.
    """
    check_installed(runtime)
    check_reads_text_alone(settings)
    if (folder / LORA[0]).is_file():
        raise UserError(
            f"{folder} holds LoRA's matrices and names its encoder, and a program holds the whole"
            f" model: save it whole (load it by {JAX!r}, then save_pretrained) and use that."
        )
    programs = read_programs(folder)
    if precision in programs:
        check_longest(folder, settings, programs[precision].longest)
        _check_weights(programs[precision], folder)
        return OnnxRuntime(
            folder,
            settings,
            _session(file_of(folder, precision), runtime, precision),
            precision,
            name=runtime,
            cost=programs[precision].in_words(),
            label_words=file_of(folder, LABEL_WORDS) if LABEL_WORDS in programs else None,
        )
    if precision != "float32":
        raise UserError(
            f"{folder} has no program of precision {precision}: `eacl prepare` makes it, with"
            " annotated dialogues that tell what it costs."
        )
    _LOG.warning(
        "%s is not prepared for ONNX Runtime or OpenVINO: its program is made now, as at every"
        " start until `eacl prepare` keeps it",
        folder,
    )
    from flax import nnx

    from eacl_jax.onnx.program import program
    from eacl_jax.recognizer import jax_runtime

    parts = jax_runtime.load(folder, settings).parts
    made = program(nnx.merge(parts.graphdef, parts.params))
    session = _session(made.SerializeToString(), runtime, precision)
    return OnnxRuntime(folder, settings, session, precision, name=runtime)


def _session(program: bytes | Path, runtime: str, precision: Precision) -> "Session":
    if runtime == OPENVINO:
        from eacl_jax.onnx.openvino_session import openvino_session

        return openvino_session(program, precision)
    from eacl_jax.onnx.session import Session

    return Session(program)


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
