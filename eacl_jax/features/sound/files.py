"""Which sound files a folder holds, and what the features of each are called."""

import collections
import dataclasses
import os
from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.features.sound.decoding import SUFFIXES
from eacl_jax.features.table import ALL
from eacl_jax.files import local

SPLITS = {
    "train": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}
"""Folders that are splits."""
_UNREAD = (".m4a", ".aac", ".wma", ".webm", ".aiff", ".aif")
"""Sound that is not read: listed with the reason, rather than passed over."""


@dataclasses.dataclass(frozen=True)
class SoundFile:
    """Attributes: name: its path below the folder. split: or `ALL`. key: of its features. size: in
    bytes. changed: when it was, in nanoseconds.
    """

    name: str
    split: str
    key: str
    size: int
    changed: int


def find(folder: Path) -> list[SoundFile]:
    """All sound files in a folder and those below it, by name; hidden ones are left out.

    Args:
      folder: with folders train, dev (or val) and test, each is a split, and keys are paths below
        it; else below `folder`, with / between folders and without suffix.

    Raises:
      UserError: it cannot be read or holds none; two files have the same key; or some lie in
        folders of splits, and some do not.
    """
    names, others = _walk(folder)
    if not names:
        most = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in others)
        raise UserError(
            f"{folder} holds no sound files ({', '.join(SUFFIXES)});"
            + (f" it holds {most}." if most else " it is empty.")
            + (
                " Take the sound out of films first: ffmpeg -i FILM.mp4 FILM.wav."
                if any(suffix in (".mp4", ".mkv", ".avi", ".mov") for suffix, _ in others)
                else ""
            )
        )
    divided = [name.split("/")[0] in SPLITS and "/" in name for name in names]
    if any(divided) and not all(divided):
        outside = names[divided.index(False)]
        raise UserError(
            f"{folder}: some sound files lie in folders of splits"
            f" ({names[divided.index(True)].split('/')[0]}), and {outside} does not; move it into"
            " train, dev or test, or rename these."
        )
    found = []
    of: dict[tuple[str, str], str] = {}
    for name in names:
        first, _, rest = name.partition("/")
        split, within = (SPLITS[first], rest) if all(divided) else (ALL, name)
        key = within.removesuffix(Path(within).suffix)
        if other := of.get((split, key)):
            raise UserError(
                f"{folder}: {other} and {name} would both be the features {key!r}; keep one."
            )
        of[split, key] = name
        try:
            stat = (folder / name).stat()
        except OSError as error:
            raise UserError(f"{local.unreadable(folder / name, error)}.") from error
        found.append(SoundFile(name, split, key, stat.st_size, stat.st_mtime_ns))
    return found


def _walk(folder: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Paths of sound files below the folder, and how many other files there are of each suffix."""

    def fail(error: OSError) -> None:
        raise UserError(f"{local.unreadable(Path(error.filename), error)}.") from error

    names: list[str] = []
    others: collections.Counter[str] = collections.Counter()
    seen: set[str] = set()  # links may lead in a ring
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES or suffix in _UNREAD:
                names.append((Path(parent) / name).relative_to(folder).as_posix())
            else:
                others[suffix] += 1
    return sorted(names), others.most_common(3)
