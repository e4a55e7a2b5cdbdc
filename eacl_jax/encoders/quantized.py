"""Whether a checkpoint's weights are quantized, by what its config.json says."""

from collections.abc import Mapping
from typing import Any

from eacl_jax.errors import UserError


def check_not_quantized(config: Mapping[str, Any], where: str) -> None:
    """Raises `UserError` where `config`, a decoded config.json, is of quantized weights.

    Args:
      config: decoded.
      where: the file, for the message.
    """
    how = config.get("quantization_config")
    if not how:
        return
    method = how.get("quant_method", "") if isinstance(how, Mapping) else ""
    raise UserError(
        f"{where}: the weights are quantized ({method or 'quantization_config'}), which is not read"
        " here; take the checkpoint that they were made from, which is not quantized."
    )
