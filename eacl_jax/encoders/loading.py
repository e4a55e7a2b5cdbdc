"""A pretrained encoder with its tokenizer, from what the configuration names."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from eacl_jax.config import EncoderConfig, EncoderDtype
from eacl_jax.encoders.attention import Attention
from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.prefix import PREFIX_TENSORS, PrefixShape
from eacl_jax.encoders.products import BFLOAT16_PRODUCTS
from eacl_jax.encoders.quantized import check_not_quantized
from eacl_jax.encoders.registry import abstract_encoder, build
from eacl_jax.encoders.sources import READ, check_no_adapter, find_folder
from eacl_jax.encoders.tokenizer import load_tokenizer
from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.parameters import load_parameters
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.files.records import read_json

# Layers from which on a scan of them is no slower than one after the other, measured on a CPU in
# float32. Products of bfloat16 are: of what a scan keeps for them, a transposed copy is made.
_SCANNED_FROM = 12


class LoadedEncoder(NamedTuple):
    """An encoder and what came with it."""

    module: Encoder
    # One of transformers, or what does as it does.
    tokenizer: Any
    # Decoded config.json.
    config: dict[str, Any]
    # Where it was read from.
    folder: Path


def load(config: EncoderConfig, *, seed: int = 0) -> LoadedEncoder:
    """Loads an encoder.

    Args:
      config: what to load and how to run it.
      seed: of the weights, where `config.random_weights`.

    Raises:
      UserError: the source cannot be found, or its config.json, tokenizer or weights cannot be
        used.
    """
    return _load(
        find_folder(config.path, revision=config.revision, weights=not config.random_weights),
        config,
        seed,
    )


_AS_SAVED = functools.partial(load_tokenizer, as_saved=True)


def load_folder(
    folder: Path,
    *,
    dtype: EncoderDtype = "float32",
    read_tokenizer: Callable[[Path], Any] = _AS_SAVED,
) -> LoadedEncoder:
    """Loads the encoder that is in a folder, and nowhere else, with its tokenizer as it was saved.

    Args:
      folder: with config.json, weights and tokenizer.
      dtype: see `EncoderConfig`.
      read_tokenizer: of the folder; by transformers, whose import takes seconds, if not given.

    Raises:
      UserError: as `load`.
    """
    return _load(folder, EncoderConfig(dtype=dtype), 0, read_tokenizer)


def _load(
    folder: Path,
    config: EncoderConfig,
    seed: int,
    read_tokenizer: Callable[[Path], Any] = load_tokenizer,
) -> LoadedEncoder:
    local.check_readable(folder, READ)
    check_no_adapter({file.name for file in folder.iterdir()}, str(folder))
    described = _read_config(folder / "config.json")
    where = str(folder / "config.json")
    if not config.random_weights:
        check_not_quantized(described, where)
    options: dict[str, Any] = {
        "dtype": config.dtype,
        "frozen_layers": config.frozen_layers,
        "attention": Attention(config.attention, config.attention_dropout),
        "remat": config.remat,
        "where": where,
    }
    depth = abstract_encoder(described, **options).num_layers
    pays = (
        depth >= _SCANNED_FROM
        and config.dtype != BFLOAT16_PRODUCTS
        and jax.default_backend() != "gpu"
    )
    options["scan_layers"] = config.scan_layers == "always" or (
        config.scan_layers == "auto" and pays
    )
    if config.random_weights:
        module = build(described, seed=seed, **options)
    else:
        checkpoint = Checkpoint(folder, config.sha256)
        prefix = PrefixShape.of(checkpoint) if config.prefix else None
        encoder = abstract_encoder(described, prefix=prefix, **options)
        module = load_parameters(
            encoder, checkpoint, ignored=() if config.prefix else (PREFIX_TENSORS,)
        )
    tokenizer = read_tokenizer(folder)
    # Numbers may have gaps: how many tokens there are is not the highest.
    tokens = max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=-1))
    if tokens > module.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer's tokens have numbers up to {tokens - 1}, but {where} gives"
            f" the encoder {module.vocab_size} tokens."
        )
    return LoadedEncoder(module, tokenizer, described, folder)


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        found = local.listed(sorted(each.name for each in file.parent.iterdir())) or "nothing"
        raise UserError(
            f"{file} is missing; expected the folder of a Hugging Face model, {file.parent} holds"
            f" {found}."
        )
    return read_json(file, "correct it, or fetch the encoder's folder again")
