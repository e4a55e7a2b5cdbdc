"""Checkpoints of an encoder whose layers are stacked, for one whose layers stand one by one, and
the other way round.

`encoder.scan_layers=auto` stacks them where that is faster, which depends on the machine: a run
that was begun on a GPU may go on on a CPU. The numbers are the same either way.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from eacl_jax.errors import UserError
from eacl_jax.model.names import path_name

T = TypeVar("T")

# `encoder/layers/0/attention/...` and, of LoRA's matrices, `lora/layers.0.attention.query/a`; the
# same without the number where layers are stacked.
_LAYERS = re.compile(r"(?:(?<=/)|^)layers(?P<sign>[/.])(?:(?P<number>\d+)(?P=sign))?")


def relaid(
    leaves: Mapping[str, T],
    names: Collection[str],
    *,
    stack: Callable[[Sequence[T]], T],
    rows: Callable[[T], Sequence[T]],
) -> dict[str, T]:
    """Leaves by the names that they have in the other layout, where these are asked for.

    Args:
      leaves: by name (`path_name`), in the one layout.
      names: that are asked for.
      stack: one leaf of all layers', in their order.
      rows: the other way round.

    Returns:
      Those that are found; what has no such name stays as it is.
    """
    found: dict[str, T] = {}
    single: dict[str, dict[int, str]] = {}
    for name, leaf in leaves.items():
        layers = _LAYERS.search(name)
        if name in names or layers is None:
            found[name] = leaf
        elif layers["number"] is not None:
            whole = _renamed(name, layers, "")
            if whole in names:
                single.setdefault(whole, {})[int(layers["number"])] = name
            else:
                found[name] = leaf
        else:
            parts = dict(enumerate(rows(leaf)))
            each = {_renamed(name, layers, str(number)): part for number, part in parts.items()}
            found |= each if each and each.keys() <= {*names} else {name: leaf}
    for whole, numbered in single.items():
        if sorted(numbered) == list(range(len(numbered))):
            found[whole] = stack([leaves[numbered[number]] for number in sorted(numbered)])
        else:
            found |= {name: leaves[name] for name in numbered.values()}
    return found


def _renamed(name: str, layers: "re.Match[str]", number: str) -> str:
    """The name with another number of the layer, or none."""
    sign, before, after = layers["sign"], name[: layers.start()], name[layers.end() :]
    return f"{before}layers{sign}{number}{sign if number else ''}{after}"


def names_by_layer(name: str, depth: np.ndarray, prefix: str) -> list[str]:
    """What a parameter is called where layers stand one by one: a name a layer of a stacked one,
    its own of any other.

    Args:
      name: of the parameter (`path_name`).
      depth: of it, as `Encoder.depths` has it: of a stacked one an array, a number a layer.
      prefix: what all names of layers begin with.

    Example:
      >>> names_by_layer("layers/query/kernel", np.array([1, 2]), "layers/")
      ['layers/0/query/kernel', 'layers/1/query/kernel']
    """
    if not np.ndim(depth):
        return [name]
    return [f"{prefix}{index}/{name.removeprefix(prefix)}" for index in range(len(depth))]


def named(tree: Any) -> dict[str, Any]:
    """The leaves by name."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {path_name(path): leaf for path, leaf in leaves}


def shapes(leaves: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """The same without what is in them."""
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in leaves.items()}


def shape_of(rows: Sequence[jax.ShapeDtypeStruct]) -> jax.ShapeDtypeStruct:
    """What a stack of them is."""
    return jax.ShapeDtypeStruct((len(rows), *rows[0].shape), rows[0].dtype)


def shapes_of(rows: jax.ShapeDtypeStruct) -> list[jax.ShapeDtypeStruct]:
    """What its rows are; none of a number."""
    return [jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)] * (rows.shape[0] if rows.shape else 0)


def check_fits(
    folder: Path,
    wanted: Mapping[str, jax.ShapeDtypeStruct],
    found: Mapping[str, jax.ShapeDtypeStruct],
) -> None:
    """Raises `UserError` where a checkpoint holds other arrays than those that are wanted."""

    def described(x: jax.ShapeDtypeStruct | None) -> str:
        return "nothing" if x is None else f"{np.dtype(x.dtype)}{list(x.shape)}"

    wrong = [
        f"{name}: expected {described(shape)}, found {described(found.get(name))}"
        for name, shape in wanted.items()
        if described(found.get(name)) != described(shape)
    ]
    wrong += [
        f"{name}: not expected, found {described(shape)}"
        for name, shape in found.items()
        if name not in wanted
    ]
    if wrong:
        raise UserError(
            f"{folder}: the checkpoint does not fit this configuration:\n  " + "\n  ".join(wrong)
        )
