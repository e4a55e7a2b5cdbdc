"""What tells an encoder's files from others under the same name."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders.sources import TOKENIZER_FILES, find_folder
from eacl_jax.encoders.weights.checkpoint import weight_files
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.files.checksum import sha256_of

_COMMIT = re.compile(r"[0-9a-f]{40}")


def identify(config: EncoderConfig, folder: Path | None = None) -> dict[str, str]:
    """The commit of a hub repository; else the sha256 of a folder's config.json, tokenizer files
    and weights.

    Args:
      config: names the encoder.
      folder: where it was found; None: it is looked for. Of a hub repository no weights are fetched
        for that; of an address they are, as nothing else tells whether they are those before.

    Raises:
      UserError: it cannot be found, or a file cannot be read.
    """
    if folder is None:
        weights = bool(stores.address_of(config.path)) and not config.random_weights
        folder = find_folder(config.path, revision=config.revision, weights=weights)
    # The hub's cache has a folder for each commit, and never changes what is in it.
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return {"commit": folder.name}
    return checksums(folder, weights=not config.random_weights)


def checksums(folder: Path, *, weights: bool = True) -> dict[str, str]:
    """The sha256 of a folder's config.json, tokenizer files and, with `weights`, weights, by these
    names: the same wherever the folder came from.

    Raises:
      UserError: a file is missing or cannot be read.
    """
    try:
        tokenizer = sorted(file for pattern in TOKENIZER_FILES for file in folder.glob(pattern))
        files = {"config": [folder / "config.json"], "tokenizer": tokenizer}
        if weights:
            files["weights"] = weight_files(folder)
        return {name: digest(found) for name, found in files.items()}
    except OSError as error:
        raise UserError(f"encoder.path: cannot read {error.filename}: {error.strerror}.") from error


def digest(files: Sequence[Path]) -> str:
    """A single file's sha256, as `sha256sum` gives it; of several files, that of their names and
    sums.
    """
    sums = [sha256_of(file) for file in files]
    if len(files) == 1:
        return sums[0]
    return hashlib.sha256(
        "".join(f"{s}  {f.name}\n" for s, f in zip(sums, files, strict=True)).encode()
    ).hexdigest()
