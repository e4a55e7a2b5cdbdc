"""The shapes of input that exported programs are made for."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from eacl_jax.data.batching import MAX_SEGMENTS
from eacl_jax.data.pipeline import evaluation_shapes
from eacl_jax.errors import UserError

AUTO = "auto"
# The model reads at most MAX_SEGMENTS columns of a row, and as many as it has tokens if those are
# fewer: which it is must not depend on a length that is not known.
LEAST_LENGTH = MAX_SEGMENTS

_SHAPE = re.compile(r"(\*|[1-9][0-9]{0,6})x(\*|[1-9][0-9]{0,6})")


class Shape(NamedTuple):
    """Rows and tokens of a row of a program's input; None: any."""

    rows: int | None
    length: int | None

    @property
    def dimensions(self) -> str:
        """The dimensions of rows, tokens and utterances, for `jax.export.symbolic_shape`."""
        return f"{self.rows or 'rows'}, {self.length or 'length'}, utterances"

    @property
    def constraints(self) -> tuple[str, ...]:
        """What must hold for the dimensions that are not known, for `jax.export.symbolic_shape`."""
        return () if self.length else (f"length >= {LEAST_LENGTH}",)

    def __str__(self) -> str:
        return f"{self.rows or '*'}x{self.length or '*'}"


ANY = Shape(None, None)


def read_shapes(text: str) -> tuple[Shape, ...] | None:
    """Reads what shapes to make programs for.

    Args:
      text: "auto", or shapes ROWSxLENGTH separated by commas, in which `*` stands for any number.

    Returns:
      The shapes, each once, the smallest first; None for "auto".

    Raises:
      UserError: it is neither.
    """
    if text.strip() == AUTO:
        return None
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not _SHAPE.fullmatch(part)]
    if wrong:
        raise UserError(
            f"shapes {text!r}: {wrong[0]!r} is no shape; expected {AUTO}, or ROWSxLENGTH separated"
            " by commas, with * for any number: *x64,*x128."
        )
    shapes = {
        Shape(*(None if size == "*" else int(size) for size in part.split("x"))) for part in parts
    }
    if short := [
        shape for shape in shapes if shape.length is not None and shape.length < LEAST_LENGTH
    ]:
        raise UserError(
            f"shapes {text!r}: {short[0]} is too short; rows have at least {LEAST_LENGTH} tokens."
        )
    return ordered(shapes)


def ordered(shapes: Sequence[Shape] | set[Shape]) -> tuple[Shape, ...]:
    """The smallest first, those of any size last: the order in which they are tried."""
    return tuple(sorted(shapes, key=lambda shape: (shape.length or 1 << 30, shape.rows or 1 << 30)))


def by_length(max_tokens: int) -> tuple[Shape, ...]:
    """Shapes of any number of rows, for architectures that are to know their rows' length: the
    lengths that predicting uses.
    """
    lengths = {length for _, length in evaluation_shapes(1, max_tokens=max_tokens)}
    return ordered({Shape(None, length) for length in lengths})
