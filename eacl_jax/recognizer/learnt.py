"""What a model has learnt from, so that scores on that are marked.

The model folder's `learnt.safetensors` has a hash of eight bytes for each annotated utterance, of
the letters and digits of its text and of all texts before it in the dialogue. So a dialogue that
went on is known again, and one that was cut otherwise is not. No text can be read from these; but
who guesses how a dialogue begins can see whether it was among them. Who minds deletes the file;
then nothing is marked.
"""

import dataclasses
import logging
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Bool, UInt64
from safetensors.numpy import save

from eacl_jax.config import Stage
from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError
from eacl_jax.files.tensors import load_tensors
from eacl_jax.recognizer.locate import LEARNT

log = logging.getLogger(__name__)

_NAMES = ("trained", "adapted", "chosen")
Hashes = UInt64[np.ndarray, " N"]


def _none() -> Hashes:
    return np.zeros(0, np.uint64)


class Known(NamedTuple):
    """How many of some annotated utterances a model knows, with all utterances before them.

    Attributes:
      trained: its weights or anchors were learnt from them.
      chosen: its epoch, thresholds or probabilities were chosen by them, and nothing else learnt.
      of: how many there are.
    """

    trained: int
    chosen: int
    of: int


@dataclasses.dataclass(frozen=True, eq=False)
class Learnt:
    """Hashes of annotated utterances, ascending.

    Attributes:
      trained: those that weights and stage one's anchors were learnt from.
      adapted: those that stage two's anchors were moved by after training.
      chosen: those that its epoch, thresholds or probabilities were chosen by.
      whole: whether there are no others.
    """

    trained: Hashes = dataclasses.field(default_factory=_none)
    adapted: Hashes = dataclasses.field(default_factory=_none)
    chosen: Hashes = dataclasses.field(default_factory=_none)
    whole: bool = False

    def and_(self, name: str, dialogues: Sequence[Dialogue]) -> Self:
        """The same with the annotated utterances of these among those of this name."""
        hashes = np.concatenate([getattr(self, name), *map(_hashes, dialogues)])
        changes: dict[str, Any] = {name: np.unique(hashes)}
        return dataclasses.replace(self, **changes)

    def unadapted(self) -> Self:
        """Of a model whose anchors are others than those that were moved."""
        return dataclasses.replace(self, adapted=_none())

    def known(self, dialogues: Sequence[Dialogue], stage: str = Stage.TWO) -> Known:
        """How many of the dialogues' annotated utterances are among these. A first one counts where
        more of its dialogue does, or no more is annotated: dialogues often begin alike.

        Args:
          dialogues: that are scored, or learnt.
          stage: whose anchors answer.
        """
        found = [hashes for each in dialogues if len(hashes := _hashes(each))]
        trained = _among(found, self.trained)
        if stage == Stage.TWO:
            trained |= _among(found, self.adapted)
        chosen = _among(found, self.chosen) & ~trained
        return Known(int(trained.sum()), int(chosen.sum()), len(trained))

    def warn_of(
        self,
        dialogues: Sequence[Dialogue],
        what: str,
        named: str = "",
        stage: str = Stage.TWO,
        *,
        reads_text: bool = True,
    ) -> Known:
        """Logs how many of the dialogues' annotated utterances are among these.

        Args:
          dialogues: that scores are of.
          what: these scores, "the scores".
          named: of the model, where there are several.
          stage: whose anchors answer.
          reads_text: whether the model does; else equal texts may have features that it never saw.
        """
        found = self.known(dialogues, stage)
        if not reads_text:
            if found.trained + found.chosen:
                log.warning(
                    "%d of %d annotated utterances have, with all utterances before them, the"
                    " texts of some that the model%s has learnt from or was chosen by. It reads no"
                    " text: where their features are the same, too, %s say how well it remembers"
                    " these; where they are others, nothing is amiss.",
                    found.trained + found.chosen,
                    found.of,
                    named,
                    what,
                )
            return found
        if found.trained:
            log.warning(
                "%d of %d annotated utterances are, with all utterances before them, among those"
                " that the model%s has learnt from: %s say how well it remembers these, not how"
                " well it answers what it has never seen.",
                found.trained,
                found.of,
                named,
                what,
            )
        if found.chosen:
            log.warning(
                "%d of %d annotated utterances are, with all utterances before them, among those"
                " by which the model%s was chosen (its epoch, thresholds or probabilities):"
                " %s on these may flatter.",
                found.chosen,
                found.of,
                named,
                what,
            )
        return found

    def write(self, folder: Path) -> None:
        """Writes the file into a model folder."""
        tensors = {name: getattr(self, name) for name in _NAMES}
        whole = np.array([self.whole], np.uint64)
        (folder / LEARNT).write_bytes(save(tensors | {"whole": whole}))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a model folder; nothing, and not the whole, where it has no such file.

        Raises:
          UserError: the file is damaged.
        """
        file = folder / LEARNT
        if not file.is_file():
            return cls()
        advice = (
            "copy or save the model again, or delete the file to go without what it says of scores"
            " on what the model has learnt from"
        )
        tensors = load_tensors(file, advice)
        whole = tensors.pop("whole", None)
        if (
            whole is None
            or whole.shape != (1,)
            or set(tensors) != set(_NAMES)
            or any(each.dtype != np.uint64 or each.ndim != 1 for each in (whole, *tensors.values()))
        ):
            raise UserError(
                f"{file} is damaged (expected {', '.join(_NAMES)} and whole, rows of uint64);"
                f" {advice}."
            )
        return cls(**tensors, whole=bool(whole[0]))


def _hashes(dialogue: Dialogue) -> Hashes:
    """Of a dialogue's annotated utterances. Readers of corpora leave out quotes and blanks."""
    found, before = [], b""
    for utterance in dialogue.utterances:
        text = "".join(filter(str.isalnum, utterance.text.casefold())) or utterance.text.strip()
        before = blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if utterance.annotated:
            found.append(int.from_bytes(before, "little"))
    return np.array(found, np.uint64)


def _among(dialogues: Sequence[Hashes], ascending: Hashes) -> Bool[np.ndarray, " M"]:
    """Which hashes of all dialogues are there, but for a first one of several that is alone."""
    if not dialogues:
        return np.zeros(0, bool)
    hashes = np.concatenate(dialogues)
    there = ascending.searchsorted(hashes, "left") < ascending.searchsorted(hashes, "right")
    lengths = np.array([len(each) for each in dialogues])
    starts = np.cumsum(lengths) - lengths
    alone = np.add.reduceat(there, starts, dtype=int) == 1
    there[starts[alone & (lengths > 1)]] = False
    return there
