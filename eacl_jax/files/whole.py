"""Files and folders that appear whole or not at all."""

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.files.local import cache_folder, denied, error_number, expand

# What a killed process may leave; it does not count as something in a folder.
_UNFINISHED = ".unfinished-"


class _NotMovedBackError(UserError):
    """Old files are among the new ones."""


@contextlib.contextmanager
def new_folder(folder: str | Path, together: Collection[str] = ()) -> Iterator[Path]:
    """A folder to write into; what is in it stands in `folder` once the block has ended, and
    nowhere if it fails.

    Args:
      folder: made with the folders above it where it is missing. In one that exists, files and
        folders of the same names are replaced at the end; others stay. Files go first and come
        last, so that in between nothing takes it for whole. So it is with an address in an object
        store.
      together: names in it that belong together: of these nothing old stays beside what is new.

    Raises:
      UserError: something cannot be written: the disk is full, or it is not allowed.
    """
    if address := stores.address_of(folder):
        cache = cache_folder()
        with _explained(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=cache) as here:
                yield Path(here)
                stores.send_folder(Path(here), address, together)
        return
    folder = expand(folder)
    if folder.name.startswith(_UNFINISHED):  # within another such block, which sees to it
        yield folder
        return
    with _explained(folder):
        made = _make_parents(folder)
        exists = folder.is_dir()
        part = (folder if exists else folder.parent) / f"{_UNFINISHED}{secrets.token_hex(4)}"
        keep = False
        try:
            part.mkdir()
            yield part
            _sync(part)
            if exists:
                _move_in(part, folder, together)
            else:
                part.rename(folder)
            made = []
        except _NotMovedBackError:
            keep = True
            raise
        finally:
            if not keep:
                shutil.rmtree(part, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()


def write_text(file: str | Path, text: str) -> None:
    """Writes a file in UTF-8, as `write_bytes` does."""
    write_bytes(file, text.encode())


def write_bytes(file: str | Path, content: bytes) -> None:
    """Writes a file, or replaces it, or the one that a link points to, and leaves it to whom it was
    open; where that fails, it is as it was.

    Raises:
      UserError: it cannot be written.
    """
    if address := stores.address_of(file):
        stores.write_bytes(address, content)
        return
    file = target_of(expand(file))
    part = file.with_name(f"{_UNFINISHED}{secrets.token_hex(4)}")
    with _explained(file):
        try:
            with part.open("wb") as stream:
                if file.exists():
                    shutil.copymode(file, part)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(file)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


def target_of(path: Path) -> Path:
    """The file that a link points to, which would else be replaced itself; other paths as they
    are.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_json(file: str | Path, value: Any) -> None:
    """Writes a value as JSON, as `write_text` does."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def check_new(folder: str | Path, option: str = "") -> None:
    """Sees that a folder can be made, before anything is done for it.

    Args:
      folder: that is to be written.
      option: what to call it in an error.

    Raises:
      UserError: there is something in it, or it is not allowed to write there.
    """
    if address := stores.address_of(folder, option):
        if stores.objects(address):
            named = f"{option}: {address}" if option else address
            raise UserError(f"{named} is there and not empty; name a new one.")
        return
    folder = expand(folder)
    named = f"{option}: {folder}" if option else str(folder)
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(f"{named} is there and is no folder; name a new one.")
        if folder.is_dir() and any(not name.startswith(_UNFINISHED) for name in os.listdir(folder)):
            raise UserError(f"{named} is there and not an empty folder; name a new one.")
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except OSError as error:
        reason = denied(folder) if isinstance(error, PermissionError) else error.strerror
        raise UserError(f"{named} cannot be made ({reason}).") from error
    if not there.is_dir():
        raise UserError(f"{named} cannot be made: {there} is no folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{named} cannot be made: it is not allowed to write in {there}.")


def check_file(file: Path, option: str) -> None:
    """Sees that a file can be written or replaced, before anything is done for it.

    Args:
      file: that is to be written.
      option: what to call it in an error.

    Raises:
      UserError: it is a folder, a pipe or a device, or its folder is missing or not to be written
        in.
    """
    file = target_of(file)
    if os.path.isdir(file):
        raise UserError(f"{option}: {file} is a folder; name a file.")
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"{option}: {file} is a pipe or a device; name a file.")
    if not os.path.isdir(file.parent):
        raise UserError(f"{option}: {file} cannot be written: there is no folder {file.parent}.")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UserError(
            f"{option}: {file} cannot be written: it is not allowed to write in {file.parent}."
        )


def unwritable(path: Path, error: Exception) -> str:
    """Why a file or folder cannot be written, and what to do."""
    return (
        f"{path} cannot be written ({os.strerror(error_number(error))}), and was left as it was;"
        " mend that or name another one."
    )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the operating system says while `path` is written into a message about it."""
    try:
        yield
    except UserError:
        raise
    except (
        Exception
    ) as error:  # libraries written in Rust pass on what the system reports as errors of any type
        if not error_number(error):
            raise
        raise UserError(unwritable(path, error)) from error


def _make_parents(folder: Path) -> list[Path]:
    """Makes the folders above, and returns those that were not there, the lowest first."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _sync(folder: Path) -> None:
    """Sees that what was written survives a loss of power: else the name may, and the content
    not.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _move_in(part: Path, folder: Path, together: Collection[str]) -> None:
    """Renames what is in `part` into `folder`; what is in the way, or else of `together`, goes into
    `part`, and with it. Where that fails, all is as it was.
    """
    new = sorted((path.name for path in part.iterdir()), key=lambda name: (part / name).is_file())
    old = [name for name in {*new, *together} if os.path.lexists(folder / name)]
    # Links, as of weights that lie elsewhere, are taken away as links.
    old.sort(key=lambda name: (folder / name).is_dir() or (folder / name).is_symlink())
    moves = [(folder / name, part / f"{_UNFINISHED}{name}") for name in old]
    moves += [(part / name, folder / name) for name in new]
    try:
        for source, target in moves:
            source.rename(target)
    except BaseException as error:
        if not _moved_back(moves):
            raise _NotMovedBackError(
                f"{folder} cannot be written ({error}), and not all that was there could be moved"
                f" back: the rest is in {part}, where each name begins with {_UNFINISHED}."
            ) from error
        raise


def _moved_back(moves: Sequence[tuple[Path, Path]]) -> bool:
    """Undoes those of the renames that were done, and says whether all could be."""
    back = True
    for source, target in reversed(moves):
        # A signal may have come after a rename and before anything could note it.
        if os.path.lexists(target) and not os.path.lexists(source):
            try:
                target.rename(source)
            except OSError:
                back = False
    return back
