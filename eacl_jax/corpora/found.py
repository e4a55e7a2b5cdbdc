"""A dialogue together with the place where it was read, so that a complaint about it can name file
and line.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from pathlib import Path

from eacl_jax.dialogue import Dialogue


class Kept(enum.IntEnum):
    """What an utterance's emotion is to the answer of a model that stands beside it. The numbers
    are those in the cache of what was read.
    """

    NO_ANSWER = 0
    """None stands beside it."""
    CORRECTED = 1
    """Another label was the most probable one."""
    SAME = 2
    """It was the most probable one: nobody has corrected it."""
    UNKNOWN = 3
    """The fields do not say which label was the most probable one."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A dialogue and where it stands.

    Attributes:
      dialogue: the dialogue.
      file: the source file it was read from.
      lines: one line number (from 1) an utterance; empty where the format has no useful lines.
      turns: the numbers that the file itself gives a dialogue's utterances; empty where it gives
        none.
      kept: of each utterance, what its emotion is to a model's answer that stands beside it. Empty
        where that is not looked at.
    """

    dialogue: Dialogue
    file: Path
    lines: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    kept: tuple[Kept, ...] = ()

    def where(self, utterance: int | None = None) -> str:
        """`FILE line 3: dialogue 'd1' utterance 0`, as far as it is known; utterances count from
        0.
        """
        where = str(self.file)
        if self.lines:
            where += f" line {self.lines[utterance or 0]}"
        where += f": dialogue {self.dialogue.id!r}"
        return where if utterance is None else f"{where} utterance {utterance}"


Splits = Mapping[str, Sequence[Found]]
"""What was found, by split."""
