"""Files and folders of this machine that a user names: found, or distinguished from what is there
instead.
"""

import difflib
import errno
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.files import stores

_SHOWN = 8
# What libraries that write in other threads say in the text of other errors only.
_IN_TEXTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.EFBIG,
    errno.ENOTDIR,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
# As libraries written in Rust (safetensors, tokenizers) write what the operating system reports.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def cache_folder(given: str = "", name: str = "") -> Path:
    """Where what was fetched or prepared is kept: what is given, else $EACL_JAX_CACHE, else
    ~/.cache/eacl_jax.

    Args:
      given: by a setting.
      name: of the setting, for the message.

    Raises:
      UserError: it begins with `~`, and there is no home folder; or it is an address.
    """
    folder = given or os.environ.get("EACL_JAX_CACHE") or "~/.cache/eacl_jax"
    what = f"the cache folder ({name} or EACL_JAX_CACHE)" if name else "EACL_JAX_CACHE"
    return expand(folder, what).absolute()


def here(given: str | Path, name: str = "", *, wanted: Collection[str] = ("*",)) -> Path:
    """What a user names, on a disk of this machine: the path, or a copy of what is at an address.

    Args:
      given: a path, with `~` as the home folder, or an address such as `gs://bucket/model`.
      name: what it is for, as the user names it, for the message.
      wanted: patterns of names below an address, of which a copy is to be had; none where it must
        be a file.

    Raises:
      UserError: there is no such home folder; or there is nothing at the address, or it cannot be
        had.
    """
    if (address := stores.address_of(given, name)) is None:
        return expand(given, name)
    try:
        return stores.local_copy(address, cache_folder(), wanted=wanted)
    except UserError as error:
        raise UserError(f"{name}: {error}" if name else str(error)) from error.__cause__


def expand(given: str | Path, name: str = "") -> Path:
    """The path with `~` as the home folder.

    Args:
      given: by the user.
      name: what it is for, as the user names it, for the message.

    Raises:
      UserError: there is no such home folder, or it is an address, such as `gs://runs/meld`.
    """
    # Else a folder "gs:" would be made here, and nobody would notice.
    if address := stores.address_of(given, name):
        raise UserError(
            f"{f'{name}: ' if name else ''}{address} is in an object store; here only a path on a"
            " disk can be used."
        )
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        named = f"{name}: {given}" if name else f"{given}"
        raise UserError(
            f"{named}: the home folder that ~ stands for is not known; write the path in full."
        ) from error


def find_folder(
    given: str | Path, *, hub: re.Pattern[str], wanted: Collection[str] = ("*",)
) -> Path | None:
    """The folder that is named, with `~` as the home folder, or a copy of what is at an address;
    None where only a repository of the hub can be meant.

    Whatever exists is no repository, and nothing below a folder that exists is one: a mistyped path
    never asks the hub.

    Args:
      given: a folder, an address, or a repository's name. A `Path` is a folder or an address.
      hub: what the names of repositories look like.
      wanted: patterns of names below an address, of which a copy is to be had.

    Raises:
      UserError: it is a path, but no folder that may be entered.
    """
    path = here(given, wanted=wanted)
    try:
        if path.is_dir():
            os.scandir(path).close()
            return path
        if path.is_symlink() and not path.exists():
            raise UserError(f"{path} is a link to {os.readlink(path)}, which is not there.")
        if path.exists():
            raise UserError(f"{path} is a file; name a folder.")
        named = not isinstance(given, Path) and hub.fullmatch(given)
        if named and not (path.name != given and path.parent.exists()):
            return None
        asked = f" (and as {path.parent} is here, the hub is not asked)" if named else ""
        raise UserError(f"there is no folder {path}{asked}; {alike(path) or _what_is_there(path)}")
    except OSError as error:
        raise UserError(f"{unreadable(path, error)}.") from error


def alike(path: Path) -> str:
    """A question for what has a name like that of a path which is not there; empty where nothing
    has.
    """
    missing = _missing(path)
    try:
        names = sorted(os.listdir(missing.parent))
    except OSError:
        return ""
    close = [
        missing.parent / name
        for name in difflib.get_close_matches(missing.name, names, n=3, cutoff=0.7)
    ]
    rest = path.relative_to(missing)
    meant = [str(one / rest) for one in close if (one / rest).exists()] or list(map(str, close))
    return f"did you mean {' or '.join(meant)}?" if meant else ""


def _what_is_there(path: Path) -> str:
    parent = _missing(path).parent
    names = sorted(name for name in os.listdir(parent) if not name.startswith("."))
    where = "the current folder" if parent == Path() else str(parent)
    return f"{where} holds {listed(names)}." if names else f"{where} is empty."


def _missing(path: Path) -> Path:
    """The first part of a path that is not there."""
    while not path.parent.exists():
        path = path.parent
    return path


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def check_readable(folder: Path, patterns: Iterable[str]) -> None:
    """Opens the files of a folder that will be read.

    Args:
      folder: with the files.
      patterns: of their names; that there are any is not asked.

    Raises:
      UserError: the folder may not be entered, or a file not be read.
    """
    try:
        os.scandir(folder).close()
        for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
            if not file.is_dir():
                file.open("rb").close()
    except OSError as error:
        raise UserError(f"{unreadable(Path(error.filename or folder), error)}.") from error


def read_text(file: Path, advice: str = "save it as UTF-8") -> str:
    """The text of a file.

    Args:
      file: in UTF-8.
      advice: what to do where it is not, for the message.

    Raises:
      UserError: it is missing, may not be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{unreadable(file, error)}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8 (byte {error.start}); {advice}.") from error


def unreadable(path: Path, error: Exception) -> str:
    """Why a file or folder cannot be read, without the full stop."""
    number = error_number(error)
    if number == errno.ENOENT:
        return f"{path} is missing"
    if number in (errno.EACCES, errno.EPERM):
        return f"{path} may not be read ({denied(path)})"
    return f"{path} cannot be read ({os.strerror(number) if number else error})"


def denied(path: Path) -> str:
    """Why permission for a path is denied: which folder on the way may not be entered, if one."""
    for folder in reversed([*path.parents]):
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            return f"permission denied: the folder {folder} may not be entered"
    return "permission denied"


def error_number(error: BaseException) -> int:
    """What the operating system reported, as in `errno`; 0 where the error is not its."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else 0


def size_words(size: float) -> str:
    """Bytes for a person: "1.5 kB"."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def disk_problem(error: BaseException | None, folder: Path) -> str:
    """What the operating system reported of a file, in this error or one behind it.

    Args:
      error: any.
      folder: the folder that was being used, named where the error names no file.

    Returns:
      "FILE: REASON; what to do", without a full stop; empty where the error is about something
      else.
    """
    seen: set[int] = set()  # a library may have hung errors behind each other in a ring
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        number = (
            error.errno
            if isinstance(error, OSError) and not isinstance(error, ConnectionError)
            else None
        )
        if number is None:
            number = next((each for each in _IN_TEXTS if os.strerror(each) in str(error)), None)
        if number in _FULL:
            return f"{folder}: no space left on the disk; free some"
        if number is not None:
            return f"{getattr(error, 'filename', None) or folder}: {os.strerror(number)}; mend that"
        error = error.__cause__ or error.__context__
    return ""
