"""The folder of a model trained with LoRA that names the encoder it was trained from, in place of
holding one: megabytes, where that may take gigabytes.

config.json, heads.safetensors, README.md   as in a model folder
adapter_config.json                         PEFT's: the base, rank and alpha
adapter_model.safetensors                   PEFT's: the matrices
base.json                                   the sha256 of the base's files
checksums.json                              of the heads and the matrices
"""

import shutil
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from eacl_jax import encoders
from eacl_jax.config import EncoderConfig, EncoderDtype
from eacl_jax.data.tokenizer import read_tokenizer
from eacl_jax.encoders.sources import PACKAGE, find_folder
from eacl_jax.encoders.weights import peft
from eacl_jax.errors import UserError
from eacl_jax.files import stores, whole
from eacl_jax.files.records import read_json
from eacl_jax.model.low_rank import Matrices, merged
from eacl_jax.recognizer import checksums
from eacl_jax.recognizer.card import write_card
from eacl_jax.recognizer.locate import BASE, LEARNT, OWN

_FORMAT = "eacl_jax base 1"


def save_lora(
    folder: Path, model: Path, recognizer: Any, matrices: Matrices, config: EncoderConfig
) -> None:
    """Writes such a folder, or replaces one.

    Args:
      folder: where to.
      model: the folder that the recognizer was saved in.
      recognizer: an `EmotionRecognizer`, whose encoder is base and matrices.
      matrices: LoRA's.
      config: of the encoder; its base is read, for the sha256.

    Raises:
      UserError: the base can no longer be read, or the folder not be written.
    """
    base, scale = _named(config.path), config.lora_alpha / config.lora_rank
    sums = encoders.checksums(find_folder(config.path, revision=config.revision))
    encoder = nnx.merge(recognizer.graphdef, recognizer.params).encoder
    with whole.new_folder(folder, OWN) as new:
        for name in ("config.json", "heads.safetensors", LEARNT):
            shutil.copy(model / name, new / name)
        peft.write(new, encoder, matrices, scale=scale, base=base, revision=config.revision)
        checksums.write(new)
        whole.write_json(new / BASE, {"format": _FORMAT, "prefix": config.prefix, "sha256": sums})
        write_card(new, recognizer.settings, recognizer.encoder_config, recognizer.facts, _SECTION)


_SECTION = (
    "## Adapters alone\n\nOf the encoder, this folder holds what LoRA learnt beside it, in the"
    f" layout of PEFT. `{peft.CONFIG}` names the encoder that it was trained from, which is read"
    " from there when the model is loaded; other weights under that name are refused."
)


def load_encoder(folder: Path, dtype: EncoderDtype) -> encoders.LoadedEncoder:
    """The encoder of a model folder: the one in it, or what the base and the matrices make.

    Args:
      folder: of either kind.
      dtype: of activations and matrix products.

    Raises:
      UserError: as `encoders.load_folder`; or the base cannot be found, or is another.
    """
    if not is_lora(folder):
        return encoders.load_folder(folder / "encoder", dtype=dtype, read_tokenizer=read_tokenizer)
    loaded, scale = _base(folder, dtype)
    matrices = peft.read(folder, loaded.module)
    graphdef, params = nnx.split(loaded.module, nnx.Param)
    weights = jax.jit(merged)(nnx.to_pure_dict(params), matrices, scale)
    return loaded._replace(module=nnx.merge(graphdef, weights))


def load_label_encoder(folder: Path, dtype: EncoderDtype) -> encoders.Encoder:
    """The pretrained encoder of a model folder whose anchors are made by it; as `load_encoder`."""
    if not is_lora(folder):
        return encoders.load_folder(
            folder / "label_encoder", dtype=dtype, read_tokenizer=read_tokenizer
        ).module
    return _base(folder, dtype)[0].module


def is_lora(folder: Path) -> bool:
    """Whether a model folder names its encoder."""
    return (folder / peft.CONFIG).is_file()


def _base(folder: Path, dtype: EncoderDtype) -> tuple[encoders.LoadedEncoder, float]:
    """The base, once it is known to be the right one, and alpha / r."""
    name, revision, scale = peft.read_config(folder)
    where = f"{folder / peft.CONFIG}: base_model_name_or_path {name!r}"
    advice = "put there the folder or hub id of the encoder that the model was trained from"
    record = read_json(folder / BASE, "copy the folder again, or train it again")
    expected = record.get("sha256")
    if record.get("format") != _FORMAT or not isinstance(expected, dict):
        raise UserError(f"{folder / BASE} was not written by this version; train the model again.")
    try:
        found = find_folder(name, revision=revision)
        sums = encoders.checksums(found)
    except UserError as error:
        reason = str(error).removeprefix("encoder.path: ").rstrip(".")
        raise UserError(f"{where} cannot be read ({reason}); {advice}.") from error
    if other := [part for part, sha256 in sums.items() if expected.get(part) != sha256]:
        raise UserError(
            f"{where} is another encoder: the sha256 of its {' and '.join(other)} is"
            f" {sums[other[0]]}, expected {expected.get(other[0])}; {advice}."
        )
    config = EncoderConfig(path=str(found), dtype=dtype, prefix=bool(record.get("prefix", True)))
    return encoders.load(config), scale


def _named(path: str) -> str:
    """What an encoder's setting names, so that it means the same from anywhere."""
    if path.startswith(PACKAGE) or stores.address_of(path):
        return path
    folder = Path(path).expanduser()
    return str(folder.absolute()) if folder.is_dir() else path
