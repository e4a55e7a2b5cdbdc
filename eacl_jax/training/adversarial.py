"""Gradients of an objective that holds for word embeddings nearby too."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from eacl_jax.model.regularizers import along_gradient


def adversarial_value_and_grad(
    value_and_grad: Callable[..., Any], size: float
) -> Callable[..., Any]:
    """FGM (arXiv 1605.07725): the gradients where the word embeddings are, and those where they are
    after a step along them, added up.

    Args:
      value_and_grad: `(params, constants, batch, key) -> ((value, terms), gradients)`; both times
        with the same dropout.
      size: of the step, the Frobenius norm over the whole table.

    Returns:
      The same kind of function. The value and its terms are those of the first pass, and the second
      pass' value is a term more, `adversarial`.
    """

    def both(params: Any, constants: Any, batch: Any, key: jax.Array) -> Any:
        (value, terms), gradients = value_and_grad(params, constants, batch, key)
        step = along_gradient(_table(gradients), size)
        moved = _with_table(params, _table(params) + step)
        (second, _), more = value_and_grad(moved, constants, batch, key)
        return (value, {**terms, "adversarial": second}), jax.tree.map(jnp.add, gradients, more)

    return both


def _table(tree: Any) -> Any:
    """The word embeddings' branch: all architectures call it so."""
    return tree["encoder"]["embeddings"]["tokens"]["embedding"]


def _with_table(tree: Any, table: Any) -> Any:
    encoder = tree["encoder"]
    embeddings = {**encoder["embeddings"], "tokens": {"embedding": table}}
    return {**tree, "encoder": {**encoder, "embeddings": embeddings}}
