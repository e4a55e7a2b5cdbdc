"""Conversations that go on between requests: each in its order, forgotten when nobody adds to it."""

import asyncio
import contextlib
import itertools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from eacl_jax.conversation import Conversation
from eacl_jax.serving.errors import try_again


class _Kept:
    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.lock = asyncio.Lock()
        self.users = 0
        self.used = 0.0
        self.forgotten = False


class Conversations:
    """Conversations by id. For one thread: the event loop's."""

    def __init__(
        self, start: Callable[[], Conversation], *, most: int, idle: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
        start: makes an empty conversation.
        most: kept at once.
        idle: seconds without a new utterance after which one is forgotten.
        clock: seconds.
        """
        self._start, self._most, self._idle, self._clock = start, most, idle, clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the last used comes last

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def find(self, identity: str) -> Conversation | None:
        """A conversation to look at."""
        self.forget_idle()
        kept = self._kept.get(identity)
        return kept.conversation if kept is not None else None

    @contextlib.asynccontextmanager
    async def turn(self, identity: str) -> AsyncIterator[Conversation]:
        """The conversation, for this caller alone until the block ends; callers come in their order. It is started where there
        is none, and not kept where nothing was said in it.

        Raises:
          ApiError: 429, as many as may be are kept already.
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
        for identity, kept in list(itertools.takewhile(lambda item: item[1].used <= oldest, self._kept.items())):
            if not kept.users:
                self._drop(identity, kept)

    def _open(self, identity: str) -> _Kept:
        if len(self._kept) >= self._most:
            first = next(iter(self._kept.values()))
            seconds = first.used + self._idle - self._clock()
            message = f"{len(self._kept)} conversations are kept, which is the most; DELETE those that are over."
            raise try_again("too_many_conversations", message, seconds)
        kept = self._kept[identity] = _Kept(self._start())
        kept.used = self._clock()
        return kept

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
