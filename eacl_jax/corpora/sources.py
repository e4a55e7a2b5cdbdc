"""Source files: where they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from eacl_jax.errors import UserError
from eacl_jax.files import local

K = TypeVar("K")

# A clone of a repository is at most so deep, and a home folder is not searched through.
_DEPTH = 4
_FOLDERS = 1000


# What of a folder at an address is fetched: such folders hold sound and pictures too.
_TEXTS = tuple(f"*.{kind}" for kind in ("csv", "tsv", "json", "jsonl", "txt", "parquet", "gz"))


def data_folder(directory: str) -> Path:
    """The folder that `data.dir` names. Raises `UserError` where it is none."""
    root = local.here(directory, "config.data.dir", wanted=_TEXTS)
    if not root.is_dir():
        raise UserError(f"config.data.dir names {root}, which is not a folder.")
    return root


def locate(
    directory: str, corpus: str, layouts: Sequence[Mapping[K, str]], advice: str = ""
) -> dict[K, Path]:
    """The files of a corpus in a folder or below it, whatever capitals their names have.

    Args:
      directory: what `data.dir` names.
      corpus: its name, for folders named after it.
      layouts: the ways in which the files may be named: paths inside a folder, by key; the first
        that is there is taken.
      advice: where the files can be had, for the error message.

    Raises:
      UserError: no folder holds all files of a layout; names what is missing in the folder that
        came closest. Or two folders do, neither nearer than the other, with different content.
    """
    root = data_folder(directory)
    folders = {folder: _entries(folder) for folder in folders_below(root)}
    closest, layout, most = root, layouts[0], (0, 0)
    for names in layouts:
        whole = []
        for folder, entries in folders.items():
            files = {key: path for key, name in names.items() if (path := _inside(entries, name))}
            if len(files) == len(names):
                whole.append((_nearness(root, folder, corpus), files))
            elif (count := (len(files), -len(folder.parts))) > most and files:
                closest, layout, most = folder, names, count
        if whole:
            return _only(whole)
    needed = ", ".join(layout.values())
    if most[0]:
        missing = ", ".join(name for name in layout.values() if not _inside(folders[closest], name))
        problem = f"{closest} has no {missing} (needed: {needed})"
    else:
        problem = (
            f"none of the files {needed} is in {root} or the {len(folders) - 1} folders below it"
            " that were looked into"
        )
    raise UserError(
        f"{problem}. Set config.data.dir to the folder that holds them. {advice}".rstrip()
    )


def folders_below(root: Path) -> list[Path]:
    """A folder and those below it, the least deep first: not hidden ones, at most `_DEPTH` deep and
    `_FOLDERS` in number.
    """
    folders, level = [root], [root]
    for _ in range(_DEPTH):
        level = [
            path
            for folder in level
            for name, path in _entries(folder).items()
            if name[0] != "." and path.is_dir()
        ]
        folders.extend(level)
        if len(folders) >= _FOLDERS:
            return folders[:_FOLDERS]
    return folders


def _entries(folder: Path) -> dict[str, Path]:
    """What a folder holds, by name in small letters."""
    try:
        return {path.name.casefold(): path for path in sorted(folder.iterdir())}
    except OSError:  # one that may not be looked into holds nothing for this user
        return {}


def _inside(entries: Mapping[str, Path], name: str) -> Path | None:
    """The file that a path inside a folder names, from the folder's entries."""
    first, _, rest = name.partition("/")
    path = entries.get(first.casefold())
    if path and rest:
        return _inside(_entries(path), rest)
    return path if path and path.is_file() else None


def _nearness(root: Path, folder: Path, corpus: str) -> tuple[bool, bool, int]:
    """Sorts folders: the given one, those named after the corpus, the less deep ones."""
    steps = folder.relative_to(root).parts
    return bool(steps), not any(corpus in step.casefold() for step in steps), len(steps)


def _only(whole: Sequence[tuple[tuple[bool, bool, int], dict[K, Path]]]) -> dict[K, Path]:
    """The files of the nearest folder; those of others as near must be the same."""
    nearest, files = min(whole, key=lambda item: item[0])
    for nearness, others in whole:
        for key in files if nearness == nearest else ():
            if files[key].read_bytes() != others[key].read_bytes():
                raise UserError(
                    f"{files[key]} and {others[key]} differ, and either could be meant; "
                    "set config.data.dir to the folder of one."
                )
    return files
