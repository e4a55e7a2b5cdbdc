"""JSONL files with one dialogue a line."""

import json
from collections.abc import Iterator
from pathlib import Path

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import read_lines
from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError


def read_dialogues(path: Path) -> Iterator[Found]:
    """The dialogues of a JSONL file; blank lines are passed over.

    Raises:
      UserError: the file cannot be read, or a line is not JSON or not a dialogue (`Dialogue.from_json`).
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{where}: not valid JSON at column {error.colno}: {error.msg}; give one dialogue a line."
            ) from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not usable JSON: {error}.") from error
        dialogue = Dialogue.from_json(record, where)
        yield Found(dialogue, path, (number,) * max(1, len(dialogue.utterances)))
