"""Dialogues that may stand newest first, by a field of which no name tells that it orders them."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from eacl_jax.corpora.order import Times
from eacl_jax.dialogue import Utterance, count
from eacl_jax.files.headers import plain

logger = logging.getLogger("eacl_jax.corpora")


class Backwards:
    """In how many dialogues fields of other names than times and numbers of utterances fall."""

    def __init__(self) -> None:
        self._dialogues = 0
        self._fallen: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()

    def add(self, times: Times) -> None:
        """Notes the next dialogue."""
        self._dialogues += times.count >= 3
        for name in times.falling:
            self._fallen[name] += 1
            self._steps[name] += times.count - 1

    def warn(self, where: str) -> None:
        """Logs fields that fall throughout most dialogues of three utterances or more, once for
        each name and number of dialogues in a process.
        """
        for name, fallen in self._fallen.items():
            # One dialogue of three falls by chance.
            if 2 * fallen <= self._dialogues or self._steps[name] < 3:
                continue
            if (known := (plain(name), fallen, self._dialogues)) in _warned:
                continue
            _warned.add(known)
            logger.warning(
                "%s: %r falls from each utterance to the next in %s of %s of three utterances"
                " or more: where it tells when they were spoken, or in which order, these stand"
                " newest first, and each is answered by its future. Then sort the utterances of"
                " each dialogue by it.",
                where,
                name,
                f"{fallen:,}",
                count(self._dialogues, "dialogue"),
            )


_warned: set[tuple[str, int, int]] = set()


def warn_of_backwards(dialogues: Iterable[Sequence[Utterance]], where: str) -> None:
    """Logs as `Backwards.warn` does, of the utterances of whole dialogues."""
    backwards = Backwards()
    for utterances in dialogues:
        backwards.add(Times.of(utterances))
    backwards.warn(where)
