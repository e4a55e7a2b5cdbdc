"""Which architecture a config.json asks for."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from eacl_jax.encoders.architectures.bert import BertEncoder
from eacl_jax.encoders.architectures.deberta import DebertaEncoder
from eacl_jax.encoders.architectures.deberta_v2 import DebertaV2Encoder
from eacl_jax.encoders.architectures.electra import ElectraEncoder
from eacl_jax.encoders.architectures.modernbert import ModernBertEncoder
from eacl_jax.encoders.architectures.mpnet import MPNetEncoder
from eacl_jax.encoders.architectures.roberta import RobertaEncoder
from eacl_jax.encoders.architectures.t5 import T5Encoder
from eacl_jax.encoders.architectures.xlnet import XLNetEncoder
from eacl_jax.encoders.attention import Attention
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.encoders.products import BFLOAT16_PRODUCTS, use_bfloat16_products
from eacl_jax.encoders.weights.parameters import draw_parameters
from eacl_jax.errors import SettingsError, UserError

# By config.json's `model_type`.
ARCHITECTURES: Mapping[str, type[Encoder]] = {
    "bert": BertEncoder,
    "camembert": RobertaEncoder,
    "deberta": DebertaEncoder,
    "deberta-v2": DebertaV2Encoder,
    "electra": ElectraEncoder,
    "modernbert": ModernBertEncoder,
    "mpnet": MPNetEncoder,
    "mt5": T5Encoder,
    "roberta": RobertaEncoder,
    "t5": T5Encoder,
    "xlm-roberta": RobertaEncoder,
    "xlnet": XLNetEncoder,
}


def abstract_encoder(
    config: Mapping[str, Any],
    *,
    dtype: str = "float32",
    scan_layers: bool = True,
    frozen_layers: int = 0,
    prefix: PrefixShape | None = None,
    attention: Attention | None = None,
    remat: bool = False,
    where: str = "config",
) -> Encoder:
    """The encoder that `config` describes, its parameters shapes only. Arguments and errors: see
    `build`.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise UserError(
            f"{where}: 'model_type' is {kind!r}; supported: {', '.join(sorted(ARCHITECTURES))}."
        )
    architecture = ARCHITECTURES[kind]
    options: dict[str, Any] = {
        "dtype": jnp.dtype("float32" if dtype == BFLOAT16_PRODUCTS else dtype),
        "scan_layers": scan_layers,
        "frozen_layers": frozen_layers,
    }
    if prefix is not None:
        if not architecture.takes_prefix:
            raise UserError(
                f"{where}: its checkpoint holds a prefix_encoder, which 'model_type' {kind!r}"
                " cannot take."
            )
        options["prefix"] = prefix
    fields = Fields(config, where)
    encoder = nnx.eval_shape(lambda: architecture.from_config(fields, rngs=nnx.Rngs(0), **options))
    if not 0 <= frozen_layers <= encoder.num_layers:
        raise SettingsError(
            f"encoder.frozen_layers must be from 0 to the encoder's {encoder.num_layers} layers"
            f" ({where}), got {frozen_layers}."
        )
    if dtype == BFLOAT16_PRODUCTS:
        use_bfloat16_products(encoder)
    encoder.attention, encoder.remat = attention or Attention(), remat
    encoder.attention.check(dtype, jax.default_backend())
    return encoder


def build(
    config: Mapping[str, Any],
    *,
    dtype: str = "float32",
    scan_layers: bool = True,
    frozen_layers: int = 0,
    prefix: PrefixShape | None = None,
    attention: Attention | None = None,
    remat: bool = False,
    seed: int = 0,
    where: str = "config",
) -> Encoder:
    """An encoder with random weights: normal with the config's `initializer_range`, biases 0,
    LayerNorm scales 1.

    Args:
      config: a decoded Hugging Face config.json.
      dtype: "float32" or "bfloat16", of activations and matrix products; parameters are float32.
        "bfloat16_products": float32, but what linear maps multiply is rounded to bfloat16.
      scan_layers: stack the layers' parameters and scan over them; else one module a layer. Same
        numbers.
      frozen_layers: the embeddings and this many lower layers are left out of the backward pass.
      prefix: keys and values that each layer attends to beside the tokens.
      attention: kernel and dropout of attention; None: the default.
      remat: the backward pass runs each layer again instead of keeping what is inside it.
      seed: of the weights.
      where: what to call `config` in an error.

    Raises:
      UserError: an architecture that is not supported, a field of `config` that is amiss, or too
        many frozen layers.
    """
    encoder = abstract_encoder(
        config,
        dtype=dtype,
        scan_layers=scan_layers,
        frozen_layers=frozen_layers,
        prefix=prefix,
        attention=attention,
        remat=remat,
        where=where,
    )
    fields = Fields(config, where)
    deviation = fields.number("initializer_range", 0.02)
    fields.check()
    return draw_parameters(encoder, seed=seed, deviation=deviation)
