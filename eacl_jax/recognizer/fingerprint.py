"""What distinguishes a model's answers from another model's."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from eacl_jax.files.checksum import sampled
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.locate import CHECKSUMS, FILES, LEARNT
from eacl_jax.recognizer.programs import FOLDER, Precision, file_of
from eacl_jax.recognizer.runtime import JAX

_NOT_ANSWERING = ("README.md", LEARNT, CHECKSUMS)


def of_files(
    folder: Path,
    runtime: str,
    precision: Precision,
    *,
    of_file: Callable[[Path], str] = sampled,
) -> str:
    """A hash of what a model folder's answers come from: its files but for the card and what it has
    learnt from, and the program that computes.

    Args:
      folder: of the model.
      runtime: what computes.
      precision: of it.
      of_file: hashes one; if not given, of a large file some parts, which takes
        milliseconds.

    Raises:
      OSError: a file cannot be read.
    """
    patterns = [*FILES]
    if runtime != JAX:
        patterns.append(f"{FOLDER}/{file_of(folder, precision).name}")
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    digest = hashlib.sha256(f"{runtime} {precision}\n".encode())
    for path in sorted(files):
        if path.name not in _NOT_ANSWERING:
            digest.update(f"{path.relative_to(folder).as_posix()} {of_file(path)}\n".encode())
    return digest.hexdigest()


def of_answers(files: str, settings: Settings, anchors: Mapping[str, np.ndarray]) -> str:
    """A hash of what a recognizer answers by.

    Args:
      files: from `of_files`; empty of one that was not loaded.
      settings: the recognizer's, which may be others than those that were loaded.
      anchors: likewise.
    """
    digest = hashlib.sha256(f"{files}\n{settings!r}\n".encode())
    for stage, rows in sorted(anchors.items()):
        digest.update(f"{stage} {rows.shape}\n".encode() + np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()
