"""What a request asks of the recognizer, in pieces that can be mixed with other requests'
pieces.
"""

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.recognizer.prediction import Prediction

if TYPE_CHECKING:
    from eacl_jax.data.prompts import OnLong


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Neighbouring utterances of one dialogue, with what their prompts may hold besides.

    Attributes:
      job: whose.
      dialogue: the dialogue's number in the request.
      start: index of the first utterance there.
      utterances: what is to be answered.
      past: the utterances before, as far as they count.
      later: the utterances after, as far as they count.
      cost: prompts, about, that answering it takes.
    """

    job: "Job"
    dialogue: int
    start: int
    utterances: tuple[Utterance, ...]
    past: tuple[Utterance, ...]
    later: tuple[Utterance, ...]
    cost: int

    def window(self) -> Dialogue:
        """Past, utterances, and what comes later."""
        return Dialogue(f"{self.dialogue}", (*self.past, *self.utterances, *self.later))

    def singles(self, most_past: int, most_future: int) -> Iterator["Piece"]:
        """The same, an utterance a piece."""
        for at, utterance in enumerate(self.utterances):
            yield dataclasses.replace(
                self,
                start=self.start + at,
                utterances=(utterance,),
                past=last((*self.past, *self.utterances[:at]), most_past),
                later=(*self.utterances[at + 1 :], *self.later)[:most_future],
            )


class Job:
    """One request's pieces, and the answers to them, which one thread adds in order while another
    waits for all.
    """

    def __init__(self, labels: Mapping[str, str], on_long: "OnLong", *, most_tokens: int) -> None:
        """Args:
        labels: that the request brings, with their words; empty for the model's.
        on_long: what becomes of texts that are longer than a prompt.
        most_tokens: of a prompt.
        """
        self.labels, self.on_long = labels, on_long
        self.warnings: tuple[str, ...] = ()
        """Of the labels. There when the answers are."""
        self.pieces: deque[Piece] = deque()
        self.over = False
        """Answered, failed or given up: what is left of it need not be done."""
        self._loop = asyncio.get_running_loop()
        self._all: asyncio.Future[list[Prediction]] = self._loop.create_future()
        self._answers: list[Prediction] = []
        self._left = 0
        self._most_tokens = most_tokens

    def add(
        self, dialogue: Dialogue, number: int, *, size: int, most_past: int, most_future: int
    ) -> None:
        """Adds all utterances of a dialogue, `size` a piece; one where each may be several
        prompts.
        """
        every = dialogue.utterances
        size = 1 if self.on_long == "pool" else size
        for start in range(0, len(every), size):
            end = start + size
            self._add(
                number,
                start,
                every[start:end],
                last(every[max(start - most_past, 0) : start], most_past),
                every[end : end + most_future],
            )

    def add_last(self, dialogue: Dialogue) -> None:
        """Adds the last utterance of a dialogue; the others are its past."""
        *past, now = dialogue.utterances
        self._add(0, len(past), (now,), tuple(past))

    def take(self, answers: Sequence[Prediction]) -> None:
        """Notes the answers to the next utterances in order; the last ones wake who waits."""
        self._answers += answers
        self._left -= len(answers)
        if not self._left and not self.over:
            self._end(self._all.set_result, self._answers)

    def fail(self, error: BaseException) -> None:
        """Ends the job with an error, unless it is over."""
        if not self.over:
            self._end(self._all.set_exception, error)

    async def answers(self) -> list[Prediction]:
        """Waits for the answers to all pieces. Who stops waiting gives the job up."""
        try:
            return await self._all
        finally:
            self.over = True

    def _add(
        self,
        dialogue: int,
        start: int,
        utterances: tuple[Utterance, ...],
        past: tuple[Utterance, ...],
        later: tuple[Utterance, ...] = (),
    ) -> None:
        cost = len(utterances)
        if self.on_long == "pool":  # most tokens are a character or more
            cost += sum(len(each.text) // self._most_tokens for each in utterances)
        self.pieces.append(Piece(self, dialogue, start, utterances, past, later, cost))
        self._left += len(utterances)

    def _end(self, settle: Callable[..., None], value: object) -> None:
        def settle_once() -> None:
            if not self._all.done():
                settle(value)

        self.over = True
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            self._loop.call_soon_threadsafe(settle_once)


def last(utterances: tuple[Utterance, ...], most: int) -> tuple[Utterance, ...]:
    """The last `most` utterances."""
    return utterances[max(len(utterances) - most, 0) :]
