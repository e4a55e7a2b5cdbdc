"""What is done of an output: counted here, and nowhere else."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eacl_jax.bulk.lines import Position
from eacl_jax.errors import UserError
from eacl_jax.features.unlike import Seen

NONE = ""
"""Stands among labels for an answer of none of them."""
FORMAT = "eacl_jax predictions 2"


@dataclasses.dataclass
class Totals:
    """What was done, in all processes that worked on an output.

    Attributes:
      dialogues: answered.
      utterances: answered.
      skipped: dialogues that could not be used.
      truncated: utterances whose texts are longer than the model reads.
      unknown_text: utterances of which the tokenizer does not know most.
      alone: utterances beside which there was no room for any of those around them.
      looked, strange: texts, see `pieces.Look`.
      markup: utterances whose texts hold HTML.
      noted: utterances that are a chat program's notes.
      unnamed: utterances without a speaker's name.
      seconds: spent, loading the model not included.
      emotions: utterances by label that is answered; with several labels, those without any under
        `NONE`.
      missing: utterances without features, by modality that the model reads.
      features: those of the utterances that have them, likewise.
      unread: modalities that utterances have and the model does not read.
      named: utterances that name a sound.
      unheard: utterances that name a sound which could have been read, and was not.
    """

    dialogues: int = 0
    utterances: int = 0
    skipped: int = 0
    truncated: int = 0
    unknown_text: int = 0
    alone: int = 0
    looked: int = 0
    strange: int = 0
    markup: int = 0
    noted: int = 0
    unnamed: int = 0
    seconds: float = 0.0
    emotions: dict[str, int] = dataclasses.field(default_factory=dict)
    missing: dict[str, int] = dataclasses.field(default_factory=dict)
    features: dict[str, Seen] = dataclasses.field(default_factory=dict)
    unread: list[str] = dataclasses.field(default_factory=list)
    named: int = 0
    unheard: int = 0


@dataclasses.dataclass(frozen=True)
class Mark:
    """Where a dialogue begins of which a part is done: what to go back to where the rest of it
    cannot be used.

    Attributes:
      written: bytes of OUT.part before it.
      position: of the input before it.
      totals: before it.
    """

    written: int
    position: Position
    totals: Totals


@dataclasses.dataclass(frozen=True)
class Journal:
    """Attributes: settings: what decides the answers. replaces: whether OUT was there when the run
    began. written: bytes of OUT.part that count. problems: bytes of OUT.errors.part that count.
    position: of the input. totals: so far. began: where the dialogue began of which OUT.part holds
    the first part only; None where it ends with a whole one. finished: nothing more will come.
    """

    settings: Mapping[str, Any]
    replaces: bool
    written: int = 0
    problems: int = 0
    position: Position = dataclasses.field(default_factory=Position)
    totals: Totals = dataclasses.field(default_factory=Totals)
    began: Mark | None = None
    finished: bool = False

    @property
    def counts_nothing(self) -> bool:
        """Whether a run that went on from here would do nothing less than one that begins."""
        return not (self.finished or self.position.offset or self.position.utterances)

    def added(
        self, written: int, problems: int, position: Position, totals: Totals, *, more: bool
    ) -> "Journal":
        """With a piece more: so many bytes, up to a position of the input; `more` where a dialogue
        goes on behind it.
        """
        began = self.began or Mark(self.written, self.position, self.totals)
        return dataclasses.replace(
            self,
            written=self.written + written,
            problems=self.problems + problems,
            position=position,
            totals=totals,
            began=began if more else None,
        )

    def taken_back(self) -> "Journal":
        """Without the dialogue of which a part is done."""
        if self.began is None:
            return self
        return dataclasses.replace(self, **{**vars(self.began), "began": None})

    def to_text(self) -> str:
        """JSON, for `read_journal`."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1)


def read_journal(file: Path, restart: str) -> Journal:
    """A journal from its file; `restart` is what a user does to begin anew, for messages. Raises
    `UserError` where it is damaged, or another version's.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another version's")
        began = values["began"] and Mark(**{**values["began"], **_counted(values["began"])})
        return Journal(**{**values, **_counted(values), "began": began})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{file} is no journal of this version ({error}); {restart} to begin anew."
        ) from error


def _counted(values: Mapping[str, Any]) -> dict[str, Any]:
    seen = {name: Seen(**each) for name, each in values["totals"]["features"].items()}
    totals = Totals(**{**values["totals"], "features": seen})
    return {"position": Position(**values["position"]), "totals": totals}
