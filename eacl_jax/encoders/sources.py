"""Finds the folder that `encoder.path` names: a folder, a package's files, or a snapshot of the Hugging Face hub."""

import importlib.util
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from eacl_jax.errors import UserError

PACKAGE = "package:"
TOKENIZER_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_TOKENIZER_FILES = (
    *TOKENIZER_VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)


def find_folder(path: str, *, revision: str = "main", weights: bool = True) -> Path:
    """The folder with config.json, the tokenizer's files and, with `weights`, the checkpoint.

    Args:
      path: a folder; else `package:NAME/FOLDER`, inside an installed package, which is not imported; else a hub id. A hub id
        is fetched, or taken from the cache where there is no network or HF_HUB_OFFLINE is set.
      revision: branch, tag or commit of a hub id.

    Raises:
      UserError: it is none of them, or cannot be had.
    """
    if path.startswith(PACKAGE):
        return _in_package(path)
    if Path(path).expanduser().is_dir():
        return Path(path).expanduser()
    if not _HUB_ID.fullmatch(path):
        raise UserError(
            f"encoder.path: there is no folder {path!r}, and it is neither a hub id (OWNER/NAME) nor {PACKAGE}NAME/FOLDER."
        )
    wanted = ["config.json", *_TOKENIZER_FILES, *(_WEIGHT_FILES if weights else ())]
    try:
        return Path(huggingface_hub.snapshot_download(path, revision=revision, allow_patterns=wanted))
    # OSError: no network, no room. LocalEntryNotFoundError, OfflineModeIsEnabled and the like are among these three.
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"encoder.path: there is no folder {path!r}, and the hub's {path!r} (revision {revision!r}) is not in the cache "
            f"and cannot be fetched ({type(error).__name__}: {reason}). Check the name and the network, or give a folder."
        ) from error


def _in_package(path: str) -> Path:
    name, _, inside = path.removeprefix(PACKAGE).partition("/")
    if not name.isidentifier() or ".." in Path(inside).parts:
        raise UserError(f"encoder.path: {path!r} must be {PACKAGE}NAME/FOLDER with a top-level package's name.")
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"encoder.path: {path!r}: no package {name!r} is installed here; install it, or give a folder or hub id."
        )
    for root in spec.submodule_search_locations:
        if (folder := Path(root, inside)).is_dir():
            return folder
    raise UserError(f"encoder.path: the installed package {name!r} has no folder {inside!r}.")
