"""What is done of an output: counted here, and nowhere else."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eacl_jax.bulk.lines import Position
from eacl_jax.errors import UserError

FORMAT = "eacl_jax predictions 1"


@dataclasses.dataclass
class Totals:
    """What was done, in all processes that worked on an output.

    Attributes:
      dialogues: answered.
      utterances: answered.
      skipped: dialogues that could not be used.
      seconds: spent, loading the model not included.
      emotions: answers by label.
    """

    dialogues: int = 0
    utterances: int = 0
    skipped: int = 0
    seconds: float = 0.0
    emotions: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Journal:
    """Attributes:
    settings: what decides the answers.
    replaces: whether OUT was there when the run began.
    written: bytes of OUT.part that count.
    problems: bytes of OUT.errors.part that count.
    position: of the input.
    totals: so far.
    finished: nothing more will come.
    """

    settings: Mapping[str, Any]
    replaces: bool
    written: int = 0
    problems: int = 0
    position: Position = dataclasses.field(default_factory=Position)
    totals: Totals = dataclasses.field(default_factory=Totals)
    finished: bool = False

    def to_text(self) -> str:
        """JSON, for `read_journal`."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1)


def read_journal(file: Path) -> Journal:
    """A journal from its file. Raises `UserError` where it is damaged, or another version's."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another version's")
        return Journal(**{**values, "position": Position(**values["position"]), "totals": Totals(**values["totals"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file} is no journal of this version ({error}); --restart starts anew.") from error
