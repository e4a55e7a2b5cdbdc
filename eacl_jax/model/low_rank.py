"""Matrices of low rank beside linear maps: what LoRA learns (arXiv 2106.09685), and the weights
that it makes.

A map's weights are [in, out], [layers, in, out] where they are stacked by layer; `out` may be
several axes. Its matrices are `a` [..., in, r] and `b` [..., r, out].
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eacl_jax.model.names import path_name

Matrices = Mapping[str, Mapping[str, Any]]
"""`a` and `b` by `map_name`."""


def map_name(name: str) -> str:
    """A map's name as files may hold it, of its path's: `layers.0.query`."""
    return name.removesuffix("/kernel").replace("/", ".")


def merged(encoder: Any, matrices: Matrices, scale: float) -> Any:
    """The encoder's parameters with `scale a b` added to the maps that have matrices.

    Args:
      encoder: the base's parameters, a nested dict of arrays.
      matrices: of some of its maps.
      scale: alpha / r.
    """

    def leaf(path: tuple[Any, ...], weights: jax.Array) -> jax.Array:
        pair = matrices.get(map_name(path_name(path)))
        if pair is None:
            return weights
        product = jnp.matmul(pair["a"], pair["b"], precision=jax.lax.Precision.HIGHEST)
        return weights + scale * product.reshape(weights.shape)

    return jax.tree_util.tree_map_with_path(leaf, encoder)


def mean_of_products(several: Sequence[Matrices]) -> dict[str, dict[str, np.ndarray]]:
    """Matrices of the sum of the ranks, whose product is the mean of the products of those given.

    Example:
      >>> one, two = ({"a": np.ones((1, 1)), "b": np.full((1, 1), x)} for x in (2.0, 4.0))
      >>> pair = mean_of_products([{"query": one}, {"query": two}])["query"]
      >>> (pair["a"] @ pair["b"]).item()
      3.0
    """
    return {
        name: {
            "a": np.concatenate([np.asarray(each[name]["a"]) for each in several], axis=-1),
            "b": np.concatenate([np.asarray(each[name]["b"]) for each in several], axis=-2)
            / np.float32(len(several)),
        }
        for name in several[0]
    }
