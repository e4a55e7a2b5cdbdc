"""Conversations that go on between requests: each in its order, forgotten when nobody adds to
it.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType

from eacl_jax.model.chain import Chain
from eacl_jax.recognizer.conversation import Conversation
from eacl_jax.serving.errors import try_again
from eacl_jax.serving.telemetry import Seldom

seldom = Seldom(logging.getLogger(__name__))


class Labelled(Conversation):
    """A conversation with the labels that it is answered by.

    Attributes:
      labels: those that it began with, with a word or phrase each; empty for the model's.
    """

    labels: Mapping[str, str] = MappingProxyType({})

    @property
    def chain(self) -> Chain | None:
        """Over the model's labels; none over others."""
        return None if self.labels else super().chain


class _Kept:
    def __init__(self, conversation: Labelled) -> None:
        self.conversation = conversation
        self.lock = asyncio.Lock()
        self.users = 0
        self.used = 0.0
        self.forgotten = False


class Conversations:
    """Conversations by id. For one thread: the event loop's."""

    def __init__(
        self,
        start: Callable[[], Labelled],
        *,
        most: int,
        idle: float,
        forgot: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        start: makes an empty conversation.
        most: kept at once; for one more, the one without a new utterance for longest is forgotten.
        idle: seconds without a new utterance after which one is forgotten.
        forgot: called when one was forgotten to make room.
        clock: seconds.
        """
        self._start, self._most, self._idle, self._forgot, self._clock = (
            start,
            most,
            idle,
            forgot,
            clock,
        )
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the last used comes last

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def find(self, identity: str) -> Labelled | None:
        """A conversation to look at."""
        self.forget_idle()
        kept = self._kept.get(identity)
        return kept.conversation if kept is not None else None

    @contextlib.asynccontextmanager
    async def turn(self, identity: str) -> AsyncIterator[Labelled]:
        """The conversation, for this caller alone until the block ends; callers come in their
        order. It is started where there is none, and not kept where no utterance came.

        Raises:
          ApiError: 429, as many as may be wait for answers at this moment.
        """
        self.forget_idle()
        while True:
            kept = self._kept.get(identity) or self._open(identity)
            async with self._use(identity, kept):
                # Whoever came before may have deleted it.
                if not kept.forgotten:
                    yield kept.conversation
                    return

    async def forget(self, identity: str) -> bool:
        """Forgets a conversation, after the callers before; whether there was one."""
        kept = self._kept.get(identity)
        if kept is None:
            return False
        async with self._use(identity, kept):
            there = not kept.forgotten and len(kept.conversation) > 0
            self._drop(identity, kept)
            return there

    def forget_idle(self) -> None:
        """Forgets those that nobody added to for long."""
        oldest = self._clock() - self._idle
        for identity, kept in list(
            itertools.takewhile(lambda item: item[1].used <= oldest, self._kept.items())
        ):
            if not kept.users:
                self._drop(identity, kept)

    def _open(self, identity: str) -> _Kept:
        if len(self._kept) >= self._most:
            self._make_room()
        kept = self._kept[identity] = _Kept(self._start())
        kept.used = self._clock()
        return kept

    def _make_room(self) -> None:
        longest = next((identity for identity, kept in self._kept.items() if not kept.users), None)
        if longest is None:
            message = (
                f"{len(self._kept)} conversations wait for their answers, and no more are kept."
            )
            raise try_again("too_many_conversations", message, 1)
        self._drop(longest, self._kept[longest])
        self._forgot()
        seldom.warning(
            f"{self._most} conversations are kept, and no more: for a new one, the one idle longest"
            " is forgotten."
        )

    @contextlib.asynccontextmanager
    async def _use(self, identity: str, kept: _Kept) -> AsyncIterator[None]:
        kept.users += 1
        try:
            async with kept.lock:
                yield
        finally:
            kept.users -= 1
            if not kept.users and not len(kept.conversation):
                self._drop(identity, kept)
            if not kept.forgotten:
                kept.used = self._clock()
                self._kept.move_to_end(identity)

    def _drop(self, identity: str, kept: _Kept) -> None:
        if not kept.forgotten:
            kept.forgotten = True
            del self._kept[identity]
