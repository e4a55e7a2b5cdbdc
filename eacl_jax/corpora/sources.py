"""Source files: where they are and their text."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from eacl_jax.errors import UserError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without its byte order mark; line ends are kept as they are.

    Raises:
      UserError: the file is missing or unreadable, is not UTF-8, or holds a null byte.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}.") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    if (null := raw.find(b"\0")) >= 0:
        raise UserError(f"{path} line {_line(raw, null)}: null byte at offset {null}; the file must be UTF-8 text.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The offsets of utf-8-sig do not count the byte order mark, plain utf-8's do.
        start = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)
        raise UserError(
            f"{path} line {_line(raw, start)}: byte 0x{raw[start]:02x} at offset {start} is not UTF-8; save the file as UTF-8."
        ) from error


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends. Raises `UserError` as `read_text` does.

    Only line feeds (with a carriage return before or not) end a line: utterances may hold what else Unicode calls line ends.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines


def candidates(directory: str, corpus: str, wrappers: Iterable[str] = ()) -> list[Path]:
    """Folders that may hold a corpus' files: the given one, one named after the corpus in it, and wrapper folders in either.

    Raises:
      UserError: the folder does not exist.
    """
    root = Path(directory).expanduser()
    if not root.is_dir():
        raise UserError(f"--config.data.dir names {root}, which is not a folder.")
    return [folder / wrapper for folder in (root, root / corpus) for wrapper in ("", *wrappers)]


def locate(folders: Sequence[Path], files: Sequence[str], advice: str = "") -> Path:
    """The first of `folders` that holds all `files`.

    Args:
      folders: where to look, in order; they need not exist.
      files: paths inside the folder.
      advice: where the files can be had, for the error message.

    Raises:
      UserError: none holds all of them; names what is missing in the folder that came closest.
    """
    missing = {folder: [name for name in files if not (folder / name).is_file()] for folder in folders}
    best = min(folders, key=lambda folder: len(missing[folder]))
    if not missing[best]:
        return best
    looked = ", ".join(map(str, folders))
    if len(missing[best]) == len(files):
        problem = f"none of the files {', '.join(files)} is in the folders looked into: {looked}"
    else:
        problem = f"{best} has no {', '.join(missing[best])} (needed: {', '.join(files)})"
    raise UserError(f"{problem}. Set --config.data.dir to the folder that holds them. {advice}".rstrip())


def _line(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1
