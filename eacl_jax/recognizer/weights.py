"""The weights of a model folder: read and written as parameters of JAX; see `folder`."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from flax import nnx

from eacl_jax import encoders
from eacl_jax.encoders.weights.parameters import write_tensors
from eacl_jax.model.names import path_name
from eacl_jax.model.representer import Representer
from eacl_jax.recognizer import checksums
from eacl_jax.recognizer.folder import (
    FORMAT,
    Settings,
    does_not_fit,
    read_tensors,
    take_anchors,
)


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
      representer: encoder and mapping, or classifier.
      anchors: [C k, m] by stage.
      label_encoder: an Encoder; None where the trained one encodes labels, or nothing does.
      encoder_config: the encoders' config.json.
      tokenizer: the encoders'.
    """
    encoders.save(cast(encoders.Encoder, representer.encoder), encoder_config, folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    if label_encoder is not None:
        encoders.save(label_encoder, encoder_config, folder / "label_encoder", dtype="float16")
        tokenizer.save_pretrained(folder / "label_encoder")
    text = json.dumps(
        {"format": FORMAT, **dataclasses.asdict(settings)}, indent=2, ensure_ascii=False
    )
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    heads: dict[str, Any] = {
        settings.head: nnx.to_pure_dict(nnx.state(representer.mapping, nnx.Param))
    }
    if representer.fusion is not None:
        heads["fusion"] = nnx.to_pure_dict(nnx.state(representer.fusion, nnx.Param))
    leaves = jax.tree_util.tree_flatten_with_path(heads)[0]
    tensors = {
        path_name(path).replace("/", "."): np.ascontiguousarray(leaf) for path, leaf in leaves
    }
    tensors |= {f"anchors.{stage}": np.ascontiguousarray(a) for stage, a in anchors.items()}
    write_tensors(tensors, folder / "heads.safetensors", readable_as=folder / "config.json")
    checksums.write(folder)


def read_heads(file: Path, abstract: Any, settings: Settings) -> tuple[Any, dict[str, np.ndarray]]:
    """The parameters of the heads by name, in the shape of `abstract`, and the anchors [C k, m] by
    stage.

    Raises:
      UserError: the file is missing or damaged, or does not fit.
    """
    tensors = read_tensors(file)
    head = abstract[settings.head]
    last = head["output"] if settings.head == "mapping" else head
    anchors, wrong = take_anchors(tensors, settings, last["bias"].shape[0])

    def take(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_name(path).replace("/", ".")
        found = tensors.pop(name, None)
        if found is None or found.shape != leaf.shape:
            wrong.append(
                f"{name}: expected shape {list(leaf.shape)}, found"
                f" {'nothing' if found is None else list(found.shape)}"
            )
        return found

    heads = jax.tree_util.tree_map_with_path(take, abstract)
    wrong += [f"{name}: not expected" for name in tensors]
    if wrong:
        raise does_not_fit(file, wrong)
    return heads, anchors
