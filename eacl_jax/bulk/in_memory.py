"""Files that are not read line by line: any that annotated dialogues come in, as JSON lines in
memory.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eacl_jax.bulk.tables import is_of_answers
from eacl_jax.corpora.files import read_file


def json_lines(path: Path, columns: Mapping[str, str], naming: str) -> bytes:
    """The dialogues of a file, a line each; arguments and errors as of `read_file`."""
    found = read_file(path, columns=columns, annotated=False, naming=naming)
    # Parquet also has times and the like.
    records = (json.dumps(_with_nulls(item.dialogue.to_json()), default=str) for item in found)
    return "".join(f"{record}\n" for record in records).encode()


def columns_in(lines: bytes) -> tuple[str, ...]:
    """Names of the utterances' fields that may be columns of a table of answers."""
    names: dict[str, bool] = {}
    for line in lines.splitlines():
        for utterance in json.loads(line)["utterances"]:
            for name, value in utterance.items():
                one = not isinstance(value, (list, dict)) and not is_of_answers(name)
                names[name] = names.get(name, True) and one
    return tuple(name for name, one in names.items() if one)


def _with_nulls(value: Any) -> Any:
    """The same with null for what is no number, which JSON cannot write."""
    if isinstance(value, Mapping):
        return {name: _with_nulls(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_nulls(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
