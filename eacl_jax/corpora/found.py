"""A dialogue together with the place where it was read, so that a complaint about it can name file
and line.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from eacl_jax.dialogue import Dialogue


@dataclasses.dataclass(frozen=True)
class Found:
    """A dialogue and where it stands.

    Attributes:
      dialogue: the dialogue.
      file: the source file it was read from.
      lines: one line number (from 1) an utterance; empty where the format has no useful lines.
      turns: the numbers that the file itself gives a dialogue's utterances; empty where it gives
        none.
      kept: of each utterance that came with a model's answer, whether its emotion is the most
        probable one of that answer (`forms.keeps_answer`); None for the others. Empty where that
        is not known.
    """

    dialogue: Dialogue
    file: Path
    lines: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    kept: tuple[bool | None, ...] = ()

    def where(self, utterance: int | None = None) -> str:
        """`FILE line 3: dialogue 'd1' utterance 0`, as far as it is known; utterances count from
        0.
        """
        place = str(self.file)
        if self.lines:
            place += f" line {self.lines[utterance or 0]}"
        place += f": dialogue {self.dialogue.id!r}"
        return place if utterance is None else f"{place} utterance {utterance}"


Splits = Mapping[str, Sequence[Found]]
"""What was found, by split."""
