"""Tells the weights that a model folder was saved with from another model's, and from what a copy
left of them: files of another training of the same encoder have the same names, shapes and sizes.
"""

from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.checksum import sampled, sampled_below
from eacl_jax.files.records import read_json
from eacl_jax.recognizer.locate import CHECKSUMS, LEARNT

_FORMAT = "eacl_jax checksums 1"
_PATTERNS = ("*.safetensors", "*encoder/*.safetensors")


def write(folder: Path) -> None:
    """Writes `checksums.json` of the weights that are in a model folder."""
    files = (file for pattern in _PATTERNS for file in folder.glob(pattern) if file.name != LEARNT)
    sums = sampled_below(folder, files)
    whole.write_json(folder / CHECKSUMS, {"format": _FORMAT, "files": sums})


def check(folder: Path) -> None:
    """Sees that a model folder's weights are those that it was saved with, where that is known.

    Raises:
      UserError: a file is missing or another, or `checksums.json` is damaged.
    """
    known = folder / CHECKSUMS
    if not known.exists():
        return
    record = read_json(known, "copy or save the model again, or delete the file")
    files = record.get("files")
    if record.get("format") != _FORMAT or not isinstance(files, dict):
        raise UserError(
            f"{known} was not written by this version; save the model again, or delete the file."
        )
    for name, checksum in files.items():
        file = folder / name
        if not file.is_file():
            raise UserError(
                f"{file} is missing: copy or save the model again, or delete {known} where the"
                " change was meant."
            )
        if sampled(file) != checksum:
            raise UserError(
                f"{file} is damaged or another model's, not the file that was saved with {folder}:"
                f" copy or save the model again, or delete {known} where the change was meant."
            )
