"""What tells a file's content from another's."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal, as `sha256sum` prints it.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled(path: Path) -> str:
    """Tells a large file of weights from another training's in a millisecond: a hash of its size
    and of a megabyte of it, in pieces from its beginning to its end. A change of a few bytes may
    pass.

    Raises:
      OSError: it cannot be read.
    """
    pieces, length = 256, 4096
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for piece in range(pieces):
            file.seek(piece * max(size - length, 0) // (pieces - 1))
            digest.update(file.read(length))
    return digest.hexdigest()


def sampled_below(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Of files in a folder, by their names from there, what `sampled` gives. Errors as of it."""
    return {file.relative_to(folder).as_posix(): sampled(file) for file in sorted(files)}
