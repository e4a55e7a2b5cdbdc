"""JSONL files with one dialogue a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eacl_jax.corpora.forms import read_record
from eacl_jax.corpora.found import Found
from eacl_jax.errors import UserError
from eacl_jax.files.records import loads
from eacl_jax.files.text import read_lines


def read_dialogues(path: Path) -> Iterator[Found]:
    """The dialogues of a JSONL file; blank lines are passed over.

    Raises:
      UserError: the file cannot be read, or a line is not JSON or not a dialogue
        (`forms.read_record`).
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        dialogue = read_record(decode(line, where), where, "")
        yield Found(dialogue, path, (number,) * max(1, len(dialogue.utterances)))


def decode(line: str, where: str, *, expected: str = "one dialogue a line") -> Any:
    """The JSON value of a line.

    Args:
      line: the text.
      where: file and line, for the error message.
      expected: what to give, for the error message.

    Raises:
      UserError: it is not JSON, or not strict; see `records.loads`.
    """
    try:
        return loads(line)
    except json.JSONDecodeError as error:
        several = ""
        if error.pos >= len(line.rstrip()) > 0:  # as where JSON is printed for people
            several = "this may be one JSON value over several lines: "
        raise UserError(
            f"{where}: not valid JSON at column {error.colno}: {error.msg}; {several}give"
            f" {expected}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not usable JSON: {error}.") from error
