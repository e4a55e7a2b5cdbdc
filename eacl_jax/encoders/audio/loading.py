"""A pretrained encoder of sound, from a Hugging Face folder."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx

from eacl_jax.encoders.audio.encoder import AudioEncoder
from eacl_jax.encoders.audio.hubert import HubertEncoder
from eacl_jax.encoders.audio.wav2vec2 import Wav2Vec2Encoder
from eacl_jax.encoders.audio.wavlm import WavLMEncoder
from eacl_jax.encoders.fields import Fields
from eacl_jax.encoders.identity import digest
from eacl_jax.encoders.quantized import check_not_quantized
from eacl_jax.encoders.registry import ARCHITECTURES as TEXT
from eacl_jax.encoders.sources import check_no_adapter
from eacl_jax.encoders.weights import peft
from eacl_jax.encoders.weights.checkpoint import Checkpoint, weight_files
from eacl_jax.encoders.weights.formats import FORMATS
from eacl_jax.encoders.weights.parameters import load_parameters
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.files.records import read_json

# By config.json's `model_type`.
ARCHITECTURES: Mapping[str, type[AudioEncoder]] = {
    "hubert": HubertEncoder,
    "wav2vec2": Wav2Vec2Encoder,
    "wavlm": WavLMEncoder,
}
SAMPLING_RATE = 16_000
"""Samples a second: what the published encoders were trained on."""

_CONFIG, _PREPROCESSOR, _PROCESSOR = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_READ = (
    _CONFIG,
    _PREPROCESSOR,
    _PROCESSOR,
    peft.CONFIG,
    *(pattern for each in FORMATS for pattern in (each.single, each.index, each.shards)),
)
# Here a name is never one of the hub's.
_NO_HUB = re.compile(r"(?!)")
_REPAIR = "fetch the encoder's folder again"


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedAudioEncoder:
    """An encoder of sound and what came with it.

    Attributes:
      module: the encoder.
      config: decoded config.json.
      sampling_rate: samples a second that it takes.
      normalize: each sound is brought to mean 0 and deviation 1 before it is encoded.
      folder: where it was read from.
    """

    module: AudioEncoder
    config: Mapping[str, Any]
    sampling_rate: int
    normalize: bool
    folder: Path

    @functools.cached_property
    def sha256(self) -> str:
        """Of the files that decide the numbers: config.json, the preprocessor's and the weights."""
        described = [self.folder / name for name in _READ[:3] if (self.folder / name).is_file()]
        return digest([*described, *weight_files(self.folder)])


def load_folder(
    folder: str | Path, *, dtype: Literal["float32", "bfloat16"] = "float32"
) -> LoadedAudioEncoder:
    """Loads the encoder that is in a folder; no code that came with it is run.

    Args:
      folder: with config.json, preprocessor_config.json and weights: model.safetensors,
        flax_model.msgpack or, where PyTorch is installed, pytorch_model.bin. Or an address such as
        `gs://bucket/encoder`, from which a copy is kept here.
      dtype: of activations and matrix products.

    Raises:
      UserError: there is no such folder, a file is missing or damaged, it is no encoder of sound
        that is known here, of another sampling rate, or has other tensors than its config.json
        says.
    """
    found = local.find_folder(folder, hub=_NO_HUB, wanted=_READ)
    assert found is not None
    local.check_readable(found, _READ)
    check_no_adapter({file.name for file in found.iterdir()}, str(found))
    config = read_json(found / _CONFIG, _REPAIR)
    check_not_quantized(config, str(found / _CONFIG))
    encoder = abstract_encoder(config, dtype=dtype, where=str(found / _CONFIG))
    rate, normalize = _preprocessing(found)
    return LoadedAudioEncoder(
        load_parameters(encoder, Checkpoint(found)), config, rate, normalize, found
    )


def abstract_encoder(
    config: Mapping[str, Any], *, dtype: str = "float32", where: str = "config"
) -> AudioEncoder:
    """The encoder that `config` describes, its parameters shapes only.

    Args:
      config: a decoded Hugging Face config.json.
      dtype: "float32" or "bfloat16", of activations and matrix products; parameters are float32.
      where: what to call `config` in an error.

    Raises:
      UserError: an architecture that is not known, or a field of `config` that is amiss.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        text = ", which is an encoder of text" if kind in TEXT else ""
        raise UserError(
            f"{where}: 'model_type' is {kind!r}{text}; encoders of sound are"
            f" {', '.join(sorted(ARCHITECTURES))}."
        )
    fields = Fields(config, where)
    return nnx.eval_shape(
        lambda: ARCHITECTURES[kind].from_config(fields, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    )


def _preprocessing(folder: Path) -> tuple[int, bool]:
    """Sampling rate, and whether sounds are normalized."""
    file, described = folder / _PROCESSOR, None
    # Where transformers saved a tokenizer beside it; it reads this one first.
    if file.is_file():
        described = read_json(file, _REPAIR).get("feature_extractor")
    if described is None:
        file = folder / _PREPROCESSOR
        if not file.is_file():
            raise UserError(
                f"{file} is missing: it says how sounds are prepared for the encoder; {_REPAIR}."
            )
        described = read_json(file, _REPAIR)
    if not isinstance(described, Mapping):
        raise UserError(f"{file}: 'feature_extractor' must be an object; {_REPAIR}.")
    kind = described.get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
    rate = described.get("sampling_rate", SAMPLING_RATE)
    normalize = described.get("do_normalize", True)
    if kind != "Wav2Vec2FeatureExtractor" or described.get("feature_size", 1) != 1:
        raise UserError(
            f"{file}: expected 'feature_extractor_type' Wav2Vec2FeatureExtractor with"
            f" 'feature_size' 1, got {kind!r} with {described.get('feature_size', 1)!r}."
        )
    if rate != SAMPLING_RATE:
        raise UserError(
            f"{file}: 'sampling_rate' is {rate!r}; only encoders of {SAMPLING_RATE} samples a"
            " second can be used."
        )
    if not isinstance(normalize, bool):
        raise UserError(f"{file}: 'do_normalize' must be true or false, got {normalize!r}.")
    return SAMPLING_RATE, normalize
