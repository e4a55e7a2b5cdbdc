"""Which architecture a config.json asks for."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from eacl_jax.encoders.bert import BertEncoder
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.mpnet import MPNetEncoder
from eacl_jax.encoders.roberta import RobertaEncoder
from eacl_jax.encoders.weights import draw_parameters
from eacl_jax.errors import UserError

# By config.json's `model_type`.
ARCHITECTURES: Mapping[str, type[Encoder]] = {
    "bert": BertEncoder,
    "camembert": RobertaEncoder,
    "mpnet": MPNetEncoder,
    "roberta": RobertaEncoder,
    "xlm-roberta": RobertaEncoder,
}


def abstract_encoder(
    config: Mapping[str, Any],
    *,
    dtype: str = "float32",
    scan_layers: bool = True,
    frozen_layers: int = 0,
    where: str = "config",
) -> Encoder:
    """The encoder that `config` describes, its parameters shapes only. Arguments and errors: see `build`."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise UserError(f"{where}: 'model_type' is {kind!r}; supported: {', '.join(sorted(ARCHITECTURES))}.")
    fields = Fields(config, where)
    num_layers = fields.integer("num_hidden_layers")
    fields.check()
    if not 0 <= frozen_layers <= num_layers:
        raise UserError(
            f"encoder.frozen_layers must be from 0 to the encoder's {num_layers} layers ({where}), got {frozen_layers}."
        )
    return nnx.eval_shape(
        lambda: ARCHITECTURES[kind].from_config(
            fields, dtype=jnp.dtype(dtype), scan_layers=scan_layers, frozen_layers=frozen_layers, rngs=nnx.Rngs(0)
        )
    )


def build(
    config: Mapping[str, Any],
    *,
    dtype: str = "float32",
    scan_layers: bool = True,
    frozen_layers: int = 0,
    seed: int = 0,
    where: str = "config",
) -> Encoder:
    """An encoder with random weights: normal with the config's `initializer_range`, biases 0, LayerNorm scales 1.

    Args:
      config: a decoded Hugging Face config.json.
      dtype: "float32" or "bfloat16", of activations and matrix products; parameters are float32.
      scan_layers: stack the layers' parameters and scan over them; else one module a layer. Same numbers.
      frozen_layers: the embeddings and this many lower layers are left out of the backward pass.
      seed: of the weights.
      where: what to call `config` in an error.

    Raises:
      UserError: an architecture that is not supported, a field of `config` that is amiss, or too many frozen layers.
    """
    encoder = abstract_encoder(config, dtype=dtype, scan_layers=scan_layers, frozen_layers=frozen_layers, where=where)
    fields = Fields(config, where)
    deviation = fields.number("initializer_range", 0.02)
    fields.check()
    return draw_parameters(encoder, seed=seed, deviation=deviation)
