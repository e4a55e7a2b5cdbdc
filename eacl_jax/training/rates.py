"""`optim.Rates` from what the configuration asks for: freezing, layer-wise decay, a table of weight
groups, unfreezing.

Everything goes by an encoder's `depths`: 0 below its layers, i for layer i of n, n + 1 above them.
Heads count as above.
"""

from typing import Any

import jax
import numpy as np
from flax import nnx

from eacl_jax.config import StageOneConfig, parse_rate
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.errors import SettingsError
from eacl_jax.model.names import path_name
from eacl_jax.training.layer_layout import names_by_layer
from eacl_jax.training.optim import Rates

_LAYERS = "encoder/layers/"
_MOST = 20  # parameters named in an error


def stage_one_rates(
    config: StageOneConfig, params: Any, encoder: Encoder, *, text: bool = True
) -> Rates:
    """How the parameters' rates differ in stage one.

    Args:
      config: `layer_decay`, `unfreeze_layers` and `rates`.
      params: tree of all that is trained, or of its shapes: branches `encoder`, `predictor`,
        `mapping`, and what `training_sets.more_shapes` adds.
      encoder: its `depths`, `num_layers` and `frozen_layers`.
      text: whether it reads the texts; it does not learn where it does not.

    Raises:
      SettingsError: `config.rates` leaves parameters out, or has rows that no parameter is left
        for.
    """
    above = np.int32(encoder.num_layers + 1)
    depths = jax.tree.map(lambda _: np.asarray(above), params) | {
        "encoder": nnx.to_pure_dict(encoder.depths())
    }
    factors = frozen = first_epochs = None
    if encoder.frozen_layers or config.layer_decay != 1 or config.rates:
        factors = jax.tree.map(
            lambda depth: _depth_factor(depth, config.layer_decay, encoder), depths
        )
    if config.rates:
        table = table_factors(config.rates, depths)
        factors = jax.tree.map(np.multiply, factors, table)
        frozen = jax.tree.map(lambda factor: factor == 0, table)
    if not text:
        factors = jax.tree.map(lambda _: np.float32(1), params) if factors is None else factors
        factors = factors | {"encoder": jax.tree.map(np.zeros_like, factors["encoder"])}
        frozen = jax.tree.map(lambda _: np.False_, params) if frozen is None else frozen
        frozen = frozen | {"encoder": jax.tree.map(lambda _: np.True_, params["encoder"])}
    if config.unfreeze_layers:
        # The top k * e of n layers: n - depth < k * e. The embeddings, of depth 0, join once k * e
        # > n.
        first_epochs = jax.tree.map(
            lambda depth: -((depth - above) // config.unfreeze_layers), depths
        )
    return Rates(factors, frozen, first_epochs)


def _depth_factor(depth: np.ndarray, decay: float, encoder: Encoder) -> np.ndarray:
    """Layer-wise decay (arXiv 1801.06146, Sec. 3.2; arXiv 2003.10555), 0 for what `frozen_layers`
    holds.
    """
    frozen = (depth <= encoder.frozen_layers) & (encoder.frozen_layers > 0)
    return np.where(frozen, 0, decay ** np.maximum(encoder.num_layers - depth, 0)).astype(
        np.float32
    )


def table_factors(rows: tuple[str, ...], depths: Any) -> Any:
    """The factor of the first row that matches each parameter's name; a stacked parameter has one
    name a layer.

    Args:
      rows: "REGEX=FACTOR", as `config.parse_rate` reads them.
      depths: tree like the parameters, to tell which are stacked.

    Raises:
      SettingsError: names the parameters without a row and the rows without a parameter.
    """
    table = [parse_rate(row) for row in rows]
    used: set[int] = set()
    missing: list[str] = []

    def factor(name: str) -> float:
        for index, (pattern, value) in enumerate(table):
            if pattern.fullmatch(name):
                used.add(index)
                return value
        missing.append(name)
        return 0.0

    def leaf(path: tuple[Any, ...], depth: np.ndarray) -> np.ndarray:
        values = [factor(name) for name in names_by_layer(path_name(path), depth, _LAYERS)]
        return np.array(values, np.float32).reshape(depth.shape)

    factors = jax.tree_util.tree_map_with_path(leaf, depths)
    problems = [f"no row for the parameter {name}" for name in missing[:_MOST]]
    problems += (
        [f"and {len(missing) - _MOST} parameters more without a row"]
        if len(missing) > _MOST
        else []
    )
    problems += [
        f"no parameter left for the row {row!r}"
        for index, row in enumerate(rows)
        if index not in used
    ]
    if problems:
        raise SettingsError(
            "config.stage_one.rates must give every parameter a row and every row a parameter (the"
            " first row that matches the whole name counts):\n  " + "\n  ".join(problems)
        )
    return factors
