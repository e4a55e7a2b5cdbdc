"""The folder of a model.

config.json         labels, prompt, readout, calibration
heads.safetensors   mapping and anchors
encoder/            weights, config and tokenizer, as PyTorch transformers reads them
label_encoder/      the pretrained encoder in float16, which encodes label words that training did not know; only where
                    anchors are made by it (`anchors.encoding="fixed"`)
README.md           the model's card
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, cast, get_args

import jax
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eacl_jax import encoders
from eacl_jax.config import ModelConfig, PromptConfig, Readout
from eacl_jax.encoders.weights import write_tensors
from eacl_jax.errors import UserError
from eacl_jax.model import Representer
from eacl_jax.model_files import FILES as FILES
from eacl_jax.model_files import find_folder as find_folder
from eacl_jax.optim import path_name

FORMAT = "eacl_jax model 2"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What besides weights decides a prediction; `config.json` of a model folder.

    Attributes:
      labels: in anchor order.
      words: the word or phrase whose encoding each label's anchor began as.
      prompt: token budget and number of past utterances.
      model: heads.
      readout: the one in force.
      trailing_space: see `PromptBuilder`.
      temperature: of the scores, tau.
      encoder_dtype: of activations and matrix products.
      anchor_encoding: what encodes label words: "fixed", the pretrained encoder; "live", the trained one.
      calibration: by stage, what scores are divided by before they become probabilities; see `calibration.fit_temperature`.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    prompt: PromptConfig
    model: ModelConfig
    readout: Readout
    trailing_space: bool
    temperature: float
    encoder_dtype: Literal["float32", "bfloat16"]
    anchor_encoding: Literal["fixed", "live"]
    calibration: dict[str, float]


def write_folder(
    folder: Path,
    settings: Settings,
    representer: Representer,
    anchors: dict[str, np.ndarray],
    *,
    label_encoder: Any,
    encoder_config: Any,
    tokenizer: Any,
) -> None:
    """Writes a model folder, all but its card; made where it is missing.

    Args:
      folder: where to.
      settings: as they are to be read.
      representer: encoder and mapping.
      anchors: [C, m] by stage.
      label_encoder: an Encoder; None where the trained one encodes labels.
      encoder_config: the encoders' config.json.
      tokenizer: the encoders'.
    """
    encoders.save(cast(encoders.Encoder, representer.encoder), encoder_config, folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    if label_encoder is not None:
        encoders.save(label_encoder, encoder_config, folder / "label_encoder", dtype="float16")
        tokenizer.save_pretrained(folder / "label_encoder")
    text = json.dumps({"format": FORMAT, **dataclasses.asdict(settings)}, indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    mapping = nnx.to_pure_dict(nnx.state(representer.mapping, nnx.Param))
    leaves = jax.tree_util.tree_flatten_with_path({"mapping": mapping})[0]
    tensors = {path_name(path).replace("/", "."): np.ascontiguousarray(leaf) for path, leaf in leaves}
    tensors |= {f"anchors.{stage}": np.ascontiguousarray(a) for stage, a in anchors.items()}
    write_tensors(tensors, folder / "heads.safetensors", readable_as=folder / "config.json")


def read_settings(file: Path) -> Settings:
    """Reads and checks `config.json`."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; expected the folder that a run leaves as `model/`.") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}).") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise UserError(f"{file}: 'format' is not {FORMAT!r}; this folder was not written by this version's save_pretrained.")
    try:
        values |= {name: tuple(values[name]) for name in ("labels", "words")}
        values |= {"prompt": PromptConfig(**values["prompt"]), "model": ModelConfig(**values["model"])}
        settings = Settings(**values)
        temperatures = [float(value) for value in settings.calibration.values()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file} lacks a field or holds an unknown one ({error}); save the model again.") from error
    if not all(0 < value < float("inf") for value in temperatures):
        raise UserError(f"{file}: 'calibration' must hold positive temperatures, got {settings.calibration}.")
    if settings.readout not in get_args(Readout):
        raise UserError(
            f"{file}: 'readout' must be one of {', '.join(get_args(Readout))}, got {settings.readout!r}; save the model again."
        )
    return settings


def read_heads(file: Path, abstract: Any, classes: int) -> tuple[Any, dict[str, np.ndarray]]:
    """The mapping's parameters, in the shape of `abstract`, and the anchors [C, m] by stage."""
    try:
        tensors = load_file(file)
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; expected the folder that a run leaves as `model/`.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged or no safetensors file ({error}); copy or save the model again.") from error
    anchors = {name.removeprefix("anchors."): tensors.pop(name) for name in list(tensors) if name.startswith("anchors.")}
    wrong = [f"anchors.{stage}: {len(a)} anchors for {classes} labels" for stage, a in anchors.items() if len(a) != classes]
    if "stage_two" not in anchors:
        wrong.append("anchors.stage_two: missing")

    def take(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_name(path).replace("/", ".")
        found = tensors.pop(name, None)
        if found is None or found.shape != leaf.shape:
            wrong.append(
                f"{name}: expected shape {list(leaf.shape)}, found {'nothing' if found is None else list(found.shape)}"
            )
        return found

    mapping = jax.tree_util.tree_map_with_path(take, {"mapping": abstract})["mapping"]
    wrong += [f"{name}: not expected" for name in tensors]
    if wrong:
        raise UserError(f"{file} does not fit its config.json and encoder:\n  " + "\n  ".join(wrong))
    return mapping, anchors
