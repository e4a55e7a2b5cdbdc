"""Finds the folder of a model and sees that its files are there and may be read, in milliseconds:
nothing is loaded.
"""

import json
import logging
import os
import re
from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.files import local, stores
from eacl_jax.files.checksum import sha256_of

log = logging.getLogger(__name__)

BASE = "base.json"
LORA = ("adapter_config.json", "adapter_model.safetensors", BASE)
"""Of a folder that names its encoder; see `lora_folder`."""
LEARNT = "learnt.safetensors"
"""What a model has learnt from; see `learnt`."""
CHECKSUMS = "checksums.json"
"""Of its weights; see `checksums`."""
FILES = (
    "config.json",
    "heads.safetensors",
    LEARNT,
    CHECKSUMS,
    "README.md",
    "encoder/*",
    "label_encoder/*",
    *LORA,
)
OWN = tuple(name.removesuffix("/*") for name in FILES)
"""Names in a model folder that are the model's; programs know of themselves whose they are."""
SENT = (*FILES, "programs/*")
"""What of a model folder goes to the hub and comes from there."""
# What of a model at an address, or of its run, is fetched.
OF_MODEL = (*SENT, *(f"model/{name}" for name in SENT), "data.json", "results.json")
_TOKENIZER = "tokenizer_config.json"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def find_folder(path: str | Path, revision: str) -> Path:
    """The model folder: the given one, the `model/` of a given run, or a hub repository's,
    downloaded once.

    Args:
      path: a folder, with `~` as the home folder, an address such as `gs://bucket/run`, or the id
        of a hub repository.
      revision: branch, tag or commit of a hub id.

    Raises:
      UserError: it is neither, or a file is missing or may not be read.
    """
    folder = find_local(path)
    if folder is None:
        folder = _from_hub(str(path), revision)
        check(folder)
    elif revision != "main":
        log.warning("%s is no hub id: revision %r is not looked at", path, revision)
    return folder


def find_local(path: str | Path) -> Path | None:
    """The given model folder, or a given run's; None where a hub repository is meant. No network is
    used.

    Raises:
      UserError: as `find_folder`.
    """
    folder = local.find_folder(path, hub=_HUB_ID, wanted=OF_MODEL)
    if folder is not None:
        folder = _in_run(folder)
        check(folder)
    return folder


def check(folder: Path) -> None:
    """Sees that a model folder is whole: what is inside it never comes from elsewhere; one that
    names its encoder has none inside.

    Raises:
      UserError: a file is missing or may not be read.
    """
    local.check_readable(folder, ("config.json", "heads.safetensors", "README.md"))
    if missing := [
        name for name in ("config.json", "heads.safetensors") if not (folder / name).is_file()
    ]:
        raise UserError(_no_model(folder, missing))
    if (folder / LORA[0]).is_file():
        local.check_readable(folder, LORA)
        if missing := [name for name in LORA if not (folder / name).is_file()]:
            raise UserError(_no_model(folder, missing[:1]))
        if (folder / "encoder").exists():
            raise UserError(
                f"{folder} holds the files of two models: {LORA[0]}, of one that names its encoder,"
                " and an encoder. Save the model again, into a new folder."
            )
        return
    parts = ["encoder"]
    # What else is amiss with it, is reported where it is read.
    try:
        if json.loads((folder / "config.json").read_bytes())["anchor_encoding"] == "fixed":
            parts.append("label_encoder")
    except (ValueError, LookupError, TypeError):
        pass
    for part in parts:
        if not (folder / part).is_dir():
            raise UserError(
                f"{folder / part} is missing: the model folder is not whole; copy or save the model"
                " again."
            )
        local.check_readable(folder / part, ("*",))
        # Without it transformers makes up a tokenizer, which may read texts otherwise.
        if not (folder / part / _TOKENIZER).is_file():
            raise UserError(_no_model(folder, [f"{part}/{_TOKENIZER}"]))


def check_target(folder: str | Path) -> None:
    """Raises `UserError` where a model is not to be saved: in a run's folder, whose settings have a
    file of the same name, a pretrained encoder's, or one of something else, whose README.md would
    become the model's card.
    """
    if stores.address_of(folder):
        return
    folder = local.expand(folder)
    try:
        settings = json.loads((folder / "config.json").read_bytes())
        others = not str(settings["format"]).startswith("eacl_jax model")
    except OSError:
        _check_foreign(folder)
        return
    except (ValueError, LookupError, TypeError):
        others = True
    if others:
        raise UserError(
            f"{folder} has a config.json that is no model's, but a run's or an encoder's, which"
            f" would be lost; name another folder, such as {folder / 'model'}."
        )


def _check_foreign(folder: Path) -> None:
    """Raises `UserError` where a folder without config.json holds what is no model's. What is left
    of a model of which a process died may be replaced.
    """
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    seen = sorted(name for name in there if not name.startswith("."))
    alone = seen == ["README.md"]
    if strange := [name for name in seen if alone or name not in (*OWN, "programs")]:
        raise UserError(
            f"{folder} holds {', '.join(strange[:3])}{', ...' if len(strange) > 3 else ''} and no"
            f" model; name a new or empty folder, such as {folder / 'model'}."
        )


class Unchanged:
    """A model folder of which more is read after it was loaded, when it may be another model's."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._heads = folder, sha256_of(folder / "heads.safetensors")

    def check(self) -> None:
        """Raises `UserError` where it is no longer the model that was loaded."""
        heads = self._folder / "heads.safetensors"
        if not heads.is_file() or sha256_of(heads) != self._heads:
            raise UserError(
                f"{self._folder} is no longer the model that was loaded from there: load it again."
            )


def _in_run(folder: Path) -> Path:
    """The model of a run, where the folder is a run's."""
    if is_model(folder):
        return folder
    if os.path.exists(folder / "model"):
        return folder / "model"
    # Of a run at an address checkpoints were not fetched.
    if any((folder / name).exists() for name in ("checkpoints", "data.json")):
        raise UserError(
            f"{folder} is a run that is not finished: it holds no model/ yet. Run its command again"
            " to go on."
        )
    return folder


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model, whole or not."""
    return os.path.exists(folder / "heads.safetensors")


def _no_model(folder: Path, missing: list[str]) -> str:
    if len(missing) == 1:
        return (
            f"{folder / missing[0]} is missing: the model folder is not whole; copy or save the"
            " model again."
        )
    if is_model(folder.parent):
        return f"{folder} is a part of a model; name the whole folder, {folder.parent}."
    names = sorted(os.listdir(folder))
    if models := [
        str(folder / name)
        for name in names
        if is_model(folder / name) or is_model(folder / name / "model")
    ]:
        return f"{folder} is no model's folder; did you mean {' or '.join(models[:3])}?"
    return (
        f"{folder} is no model's folder: {' and '.join(missing)} are missing, it holds"
        f" {local.listed(names) or 'nothing'}; expected the folder that a run leaves as `model/`."
    )


def _from_hub(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(SENT)))
    except Exception as error:  # the hub's client raises errors of several libraries
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"there is no folder {name} in {Path.cwd()}, and it cannot be had from the hub either"
            f" ({type(error).__name__}: {reason}). {local.alike(Path(name)).capitalize()}".strip()
        ) from error
