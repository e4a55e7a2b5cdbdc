"""Files: where `~` leads, written whole or not at all, and what the disk says when it fails."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from eacl_jax.errors import UserError

# What libraries that write in threads of their own tell in the text of other errors only.
_IN_TEXTS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def expanded(path: str | Path, name: str) -> Path:
    """A path with `~` replaced by the home directory.

    Args:
      path: as the user gave it.
      name: what it is for, as the user names it, for the error message.

    Raises:
      UserError: there is no home directory here, or no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{name}: {path} begins with ~, and there is no such home directory here; give a full path.") from error


def write_text(file: Path, text: str) -> None:
    """Writes a UTF-8 file beside its place and renames it: all of it is there, or what was there before."""
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(file: Path, value: Any) -> None:
    """Writes a JSON file as `write_text` does."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def disk_problem(error: BaseException | None, place: Path) -> str:
    """What the operating system said of a file, in this error or one behind it.

    Args:
      error: any.
      place: the folder that was being used, named where the error names no file.

    Returns:
      "FILE: REASON; what to do", without a full stop; empty where the error is about something else.
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) and not isinstance(error, ConnectionError) else None
        if number is None:
            number = next((each for each in _IN_TEXTS if os.strerror(each) in str(error)), None)
        if number in _FULL:
            return f"{place}: no space left on the disk; free some"
        if number is not None:
            return f"{getattr(error, 'filename', None) or place}: {os.strerror(number)}; mend that"
        error = error.__cause__ or error.__context__
    return ""
