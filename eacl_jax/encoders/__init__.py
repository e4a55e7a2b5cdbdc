"""Pretrained transformer encoders.

    loaded = load(EncoderConfig(path="princeton-nlp/sup-simcse-roberta-large"))
    hidden = loaded.module(tokens, positions, segment_ids)

A new architecture is one file, a subclass of `Encoder` with its `from_config` and table of `names`,
and a line in `registry`.
"""

from eacl_jax.encoders.encoder import Encoder
from eacl_jax.encoders.identity import checksums, identify
from eacl_jax.encoders.loading import LoadedEncoder, load, load_folder
from eacl_jax.encoders.registry import ARCHITECTURES, build
from eacl_jax.encoders.tokenizer import load_tokenizer
from eacl_jax.encoders.weights.parameters import save, to_checkpoint

__all__ = [
    "ARCHITECTURES",
    "Encoder",
    "LoadedEncoder",
    "build",
    "checksums",
    "identify",
    "load",
    "load_folder",
    "load_tokenizer",
    "save",
    "to_checkpoint",
]
