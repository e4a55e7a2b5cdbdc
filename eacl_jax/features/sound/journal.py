"""What is done of a folder's sound files, so that a killed run goes on and a later one makes only
what is new.

While a run works, OUT.part.jsonl grows by a line a file; at the end all is in OUT.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.sound.files import SoundFile
from eacl_jax.files import local
from eacl_jax.files.records import read_json

SOURCES = "sources"
"""In features.json: of each sound file its split, key, size and when it was changed."""
SKIPPED = "skipped"
"""In features.json: why a sound file has no features."""
LONGEST = "most_seconds"
"""In what features were made from: the longest sound that is read."""
FOLDER = "audio_folder"
"""In features.json: a hash of where the sound files lay."""
_FORMAT = "eacl_jax sound journal 1"


@dataclasses.dataclass(frozen=True)
class Done:
    """Of one sound file. Attributes: size, changed: as it was. rows: its features, None where it
    has none. problem: why.
    """

    size: int
    changed: int
    rows: Float[np.ndarray, "T F"] | None
    problem: str = ""


def current(done: Mapping[str, Done], file: SoundFile) -> bool:
    """Whether what is done of a file holds; of one that was bad it is tried again."""
    found = done.get(file.name)
    return (
        found is not None
        and found.rows is not None
        and (found.size, found.changed) == (file.size, file.changed)
    )


def before(out: Path, identity: Mapping[str, Any], folder: str) -> dict[str, Done]:
    """What an output already holds, by the sound file's name.

    Args:
      out: a folder of features, or one that is not there or empty.
      identity: what decides the numbers.
      folder: see `FOLDER`.

    Raises:
      UserError: it is something else, or was made otherwise or of other files.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    if not (out / table.DESCRIPTION).is_file():
        raise UserError(f"{out} is there and no folder of features; name a new one.")
    facts = read_json(out / table.DESCRIPTION, "remove the folder to make the features anew")
    made_from = facts.get("made_from")
    if made_from != identity:
        longest = made_from.get(LONGEST) if isinstance(made_from, dict) else None
        if made_from == {**identity, LONGEST: longest}:
            raise UserError(
                f"{out} holds features of sounds of {longest:g} s at the longest, and"
                f" now {identity[LONGEST]:g} s are asked for; name a new folder, or remove it."
            )
        raise UserError(
            f"{out} holds other features ({facts.get('made_by') or 'not made of sound'}); name a"
            " new folder, or remove it."
        )
    if facts.get(FOLDER) != folder:
        raise UserError(
            f"{out} holds features of the sound files of another folder, or of this one before it"
            " was moved; name a new folder, or remove it."
        )
    there = table.read(out)
    try:
        return {
            name: Done(size, changed, there.splits[split][key])
            for name, (split, key, size, changed) in facts[SOURCES].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{out / table.DESCRIPTION} is damaged: {SOURCES!r} does not fit its features; remove"
            " the folder."
        ) from error


class Journal:
    """OUT.part.jsonl, for one process at a time. A context manager."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        """Args:
        out: the folder that the features are for.
        identity: what decides the numbers; what was done under another one is forgotten.
        """
        self.file = out.with_name(f"{out.name}.part.jsonl")
        self.done: dict[str, Done] = {}
        self._identity = dict(identity)
        self._lock = FileLock(out.with_name(f"{out.name}.part.lock"))
        self._stream: IO[str] | None = None

    def __enter__(self) -> "Journal":
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"{self.file}: another process writes these features; wait for it or name another"
                " folder."
            ) from error
        except OSError as error:
            raise UserError(f"{self.file} cannot be written: {error.strerror}.") from error
        try:
            with contextlib.suppress(FileNotFoundError):
                self.done = self._read()
            # Written anew: without a line that a killed run left half; beside it, as this may be
            # killed too.
            anew = self.file.with_name(f"{self.file.name}.new")
            self._stream = anew.open("w", encoding="utf-8")
            self._write({"format": _FORMAT, "made_from": self._identity})
            for name, done in self.done.items():
                self._write_done(name, done)
            self._stream.close()
            anew.replace(self.file)
            self._stream = self.file.open("a", encoding="utf-8")
        except OSError as error:
            self.__exit__()
            raise UserError(f"{local.unreadable(self.file, error)}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()
        self._lock.release()

    def add(self, name: str, done: Done) -> None:
        """Counts a sound file."""
        self.done[name] = done
        self._write_done(name, done)

    def remove(self) -> None:
        """All is in the output."""
        self.file.unlink()
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()

    def _write_done(self, name: str, done: Done) -> None:
        rows = done.rows
        self._write(
            {
                "name": name,
                "size": done.size,
                "changed": done.changed,
                "rows": None if rows is None else [[_plain(x) for x in row] for row in rows],
                "problem": done.problem,
            }
        )

    def _write(self, value: Mapping[str, Any]) -> None:
        assert self._stream is not None
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()

    def _read(self) -> dict[str, Done]:
        with self.file.open(encoding="utf-8") as stream:
            lines = _values(stream)
            head = next(lines, {})
            if head.get("format") != _FORMAT or head.get("made_from") != self._identity:
                return {}
            return {
                each["name"]: Done(
                    each["size"], each["changed"], _array(each["rows"]), each["problem"]
                )
                for each in lines
            }


def _values(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """Up to the line at which a killed run was."""
    for line in stream:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _plain(number: np.floating[Any]) -> float | None:
    return None if np.isnan(number) else float(number)


def _array(rows: list[list[float | None]] | None) -> Float[np.ndarray, "T F"] | None:
    return None if rows is None else np.array(rows, np.float32)
