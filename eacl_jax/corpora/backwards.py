"""Dialogues that may stand newest first, by a field of which no name tells that it orders them; and
many whose times go back, less often than any one is refused for (`corpora.order`).
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from eacl_jax.corpora.order import Times
from eacl_jax.dialogue import Utterance, count
from eacl_jax.files.headers import plain

logger = logging.getLogger("eacl_jax.corpora")


# Clocks that differ, and utterances that overlap, go back in some dialogues.
_FEWEST = 3
_ONE_IN = 4


class Backwards:
    """In how many dialogues fields of other names than times and numbers of utterances fall, and in
    how many times go back.
    """

    def __init__(self) -> None:
        self._dialogues = 0
        self._timed: Counter[str] = Counter()
        self._back: Counter[str] = Counter()
        self._fallen: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()

    @classmethod
    def of(cls, dialogues: Iterable[Sequence[Utterance]]) -> "Backwards":
        """Of the utterances of whole dialogues."""
        backwards = cls()
        for utterances in dialogues:
            backwards.add(Times.of(utterances))
        return backwards

    def add(self, times: Times) -> None:
        """Notes the next dialogue."""
        self._dialogues += times.count >= 3
        for name, back in times.backs.items():
            self._timed[name] += 1
            self._back[name] += back
        for name in times.falling:
            self._fallen[name] += 1
            self._steps[name] += times.count - 1

    def messages(self) -> Iterator[tuple[tuple[str, int, int], str]]:
        """What to say of fields that fall throughout most dialogues of three utterances or more,
        and of those whose times go back in many of two or more; each with what it says that of: the
        field, and numbers of dialogues.
        """
        for name, fallen in self._fallen.items():
            # One dialogue of three falls by chance.
            if 2 * fallen <= self._dialogues or self._steps[name] < 3:
                continue
            yield (
                (plain(name), fallen, self._dialogues),
                f"{name!r} falls from each utterance to the next in {fallen:,} of"
                f" {count(self._dialogues, 'dialogue')} of three utterances or more: where it tells"
                " when they were spoken, or in which order, these stand newest first, and each is"
                " answered by its future. Then sort the utterances of each dialogue by it.",
            )
        for name, back in self._back.items():
            if back < _FEWEST or _ONE_IN * back < (timed := self._timed[name]):
                continue
            yield (
                (plain(name), back, timed),
                f"{name!r} goes back in {back:,} of {count(timed, 'dialogue')} of two utterances or"
                " more: where it tells when they were spoken, sort the utterances of each dialogue"
                " by it, as times and not as texts, for each is answered by those before it.",
            )

    def warn(self, where: str) -> None:
        """Logs `messages`, each once in a process."""
        for of, message in self.messages():
            if of not in _warned:
                _warned.add(of)
                logger.warning("%s: %s", where, message)


_warned: set[tuple[str, int, int]] = set()


def about_backwards(dialogues: Iterable[Sequence[Utterance]]) -> list[str]:
    """What to say of the order of whole dialogues' utterances; see `Backwards.messages`."""
    return [message for _, message in Backwards.of(dialogues).messages()]


def warn_of_backwards(dialogues: Iterable[Sequence[Utterance]], where: str) -> None:
    """Logs as `Backwards.warn` does, of the utterances of whole dialogues."""
    Backwards.of(dialogues).warn(where)
