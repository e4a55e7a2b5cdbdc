"""How exported programs open their folder, test themselves and end: a part of their `run.py`."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.files.checksum import sampled


def read_settings(folder: Path) -> dict[str, Any]:
    """What model.json holds, once the files that it names are known to be those of the export. A
    folder that an earlier version has exported names none.

    Raises `ValueError` where a file is missing, damaged, or of another export.
    """
    settings = read_object(folder / "model.json")
    for name, checksum in settings.get("files", {}).items():
        file = folder / name
        try:
            found = sampled(file)
        except OSError as error:
            raise ValueError(why_unread(file, error)) from error
        if found != checksum:
            raise ValueError(f"{file} is damaged or of another export; export the model again.")
    return settings


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `ValueError` where it is missing or damaged."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise ValueError(why_unread(file, error)) from error
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{file} is damaged; export the model again.")
    return found


def why_unread(file: Path, error: OSError) -> str:
    """A sentence on a file of the folder that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return f"{file} is missing; copy the whole folder, or export the model again."
    return f"{file} cannot be read: {error.strerror}."


def tell_of_difference(found: Any, expected: Any, bound: float | None) -> int:
    """Says how far probabilities [N, C] are from those of the recognizer that was exported.

    `bound`: the most that rounding explains; None: not known. Returns the exit status: 1 where the
    difference is more.
    """
    difference = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    print(f"largest difference from the exported recognizer's probabilities: {difference:.1e}")
    if bound is None or difference <= bound:
        return 0
    print(
        f"error: rounding explains at most {bound:.1e}: this program does not answer as the"
        " recognizer did; export the model again.",
        file=sys.stderr,
    )
    return 1


def finish(answer: Callable[[], int]) -> None:
    """Does what a script is for, which gives the exit status. Ends the process where that is not 0:
    2 with a line of what is wrong (`ValueError`, or an output that cannot be written), 141 where
    nobody reads the output any more.
    """
    if sys.stdout is not None:  # closed
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            status = answer()
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
        print(end="", flush=True)
    except OSError as error:
        unread = isinstance(error, BrokenPipeError)
        # What is still to be written goes nowhere: Python would try again at its end, and complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2) if unread else (1,):
            os.dup2(nowhere, number)
        if not unread:
            what = error.filename or "cannot write to standard output"
            print(f"error: {what}: {error.strerror}.", file=sys.stderr)
        status = 141 if unread else 2
    if status:
        sys.exit(status)
