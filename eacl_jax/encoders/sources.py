"""Finds the folder that `encoder.path` names: a folder, a package's files, or a snapshot of the
Hugging Face hub.
"""

import importlib.util
import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import huggingface_hub

from eacl_jax.encoders.weights import peft
from eacl_jax.encoders.weights.formats import FORMATS, find_format, tell_of_unread
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores

log = logging.getLogger(__name__)

PACKAGE = "package:"
TOKENIZER_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
TOKENIZER_FILES = (
    *TOKENIZER_VOCABULARIES,
    "merges.txt",
    "bpe.codes",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
READ = (
    "config.json",
    *TOKENIZER_FILES,
    *(pattern for each in FORMATS for pattern in (each.single, each.index, each.shards)),
)
"""All that is read of a folder, as patterns."""
# An adapter's, so that it is seen where there is one.
_BESIDE_WEIGHTS = ("config.json", peft.CONFIG, *TOKENIZER_FILES)
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)


def find_folder(path: str, *, revision: str = "main", weights: bool = True) -> Path:
    """The folder with config.json, the tokenizer's files and, with `weights`, the checkpoint.

    Args:
      path: a folder, with `~` as the home folder; or an address such as `gs://bucket/encoder`,
        from which a copy is kept here; else `package:NAME/FOLDER`, inside an installed
        package, which is not imported; else a hub id. What exists here, or is below a folder that
        exists here, is never a hub id. A hub id is fetched, its weights in one format, or taken
        from the cache where there is no network or HF_HUB_OFFLINE is set.
      revision: branch, tag or commit of a hub id.

    Raises:
      UserError: it is none of them, cannot be had, or is a hub id without weights that can be read
        here.
    """
    if path.startswith(PACKAGE):
        return _in_package(path)
    try:
        folder = local.find_folder(path, hub=_HUB_ID, wanted=_of_store(path, weights))
    except UserError as error:
        raise UserError(f"encoder.path: {error}") from error
    if folder and (folder / "heads.safetensors").exists() and (folder / "encoder").is_dir():
        raise UserError(
            f"encoder.path: {folder} is a model's folder; its encoder is in {folder / 'encoder'}."
        )
    if folder and revision != "main":
        log.warning("encoder.path: %s is no hub id: revision %r is not looked at", path, revision)
    return folder or _from_hub(path, revision, weights)


def check_no_adapter(names: Collection[str], where: str) -> None:
    """Raises `UserError` where an adapter is among a folder's files: the encoder's weights alone
    would be another encoder.
    """
    if peft.CONFIG not in names:
        return
    if any(each.patterns(names) for each in FORMATS):
        kind, into, otherwise = "an adapter", "the encoder's weights", ", or take it out"
    else:
        kind, into, otherwise = (
            "an adapter alone, and no encoder's weights",
            "the weights of the encoder that it was trained from, which it names",
            ", or name that encoder",
        )
    raise UserError(
        f"{where} holds {kind} ({peft.CONFIG}), which is not read here: merge it into {into} (in"
        f" PEFT: merge_and_unload) and save these{otherwise}."
    )


def _of_store(path: str, weights: bool) -> list[str]:
    """What to fetch of an encoder's folder at an address, as patterns: weights in one format."""
    wanted = list(_BESIDE_WEIGHTS)
    address = stores.address_of(path)
    if address and weights:
        names = list(stores.objects(address))
        if "heads.safetensors" in names:
            raise UserError(f"{address} is a model's folder; its encoder is in {address}/encoder.")
        check_no_adapter(names, address)
        wanted += _patterns(names, address)
    return wanted


def _patterns(names: Collection[str], where: str) -> tuple[str, ...]:
    """The weights that will be read of a folder that holds `names`, as patterns."""
    found = find_format(names, where)
    tell_of_unread(found, names, where)
    return found.patterns(names)


def _in_package(path: str) -> Path:
    name, _, inside = path.removeprefix(PACKAGE).partition("/")
    if not name.isidentifier() or ".." in Path(inside).parts:
        raise UserError(
            f"encoder.path: {path!r} must be {PACKAGE}NAME/FOLDER with a top-level package's name."
        )
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"encoder.path: {path!r}: no package {name!r} is installed here; install it (its files"
            " alone are read, what it depends on is not needed), or give a folder or hub id."
        )
    for root in spec.submodule_search_locations:
        if (folder := Path(root, inside)).is_dir():
            return folder
    raise UserError(f"encoder.path: the installed package {name!r} has no folder {inside!r}.")


# Below, any exception counts: the hub's own, a full disk, and those of its HTTP library, which
# another version may exchange.


def _from_hub(name: str, revision: str, weights: bool) -> Path:
    wanted = list(_BESIDE_WEIGHTS)
    if weights:
        # A repository may hold the same weights in several formats: only those that will be read
        # are fetched.
        try:
            listed = huggingface_hub.HfApi().list_repo_files(name, revision=revision)
        except Exception as error:
            return _from_cache(name, revision, wanted, error)
        where = f"encoder.path: the hub's {name!r} (revision {revision!r})"
        check_no_adapter(listed, where)
        wanted += _patterns(listed, where)
    try:
        return Path(
            huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=wanted)
        )
    except Exception as error:
        raise UserError(_not_had(name, revision, "", error)) from error


def _from_cache(name: str, revision: str, wanted: Sequence[str], reason: Exception) -> Path:
    # Weights are not among what is wanted: the library would ask for all formats that the
    # repository is known to have.
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                name, revision=revision, allow_patterns=list(wanted), local_files_only=True
            )
        )
    except Exception as error:
        raise UserError(_not_had(name, revision, "", reason)) from error
    if not any(each.patterns({file.name for file in folder.iterdir()}) for each in FORMATS):
        raise UserError(_not_had(name, revision, " with its weights", reason)) from reason
    return folder


def _not_had(name: str, revision: str, extent: str, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    return (
        f"encoder.path: there is no folder {name!r}, and the hub's {name!r} (revision {revision!r})"
        f" is not in the cache{extent} and cannot be fetched ({type(error).__name__}: {reason})."
        " Check the name and the network, or give a folder."
        + (f" {near[0].upper()}{near[1:]}" if (near := local.alike(Path(name))) else "")
    )
