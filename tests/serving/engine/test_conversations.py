"""Which conversations are kept, for which callers, and until when."""

import asyncio

import pytest

from eacl_jax.dialogue import Utterance
from eacl_jax.serving.engine.conversations import Conversations, Labelled
from eacl_jax.serving.errors import ApiError
from tests.stubs.service import Gated


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> Conversations:
    return Conversations(lambda: Labelled(Gated()), most=2, idle=10.0, clock=clock)


def add(conversation, text="hello"):
    utterance = Utterance("Ann", text)
    conversation.append(utterance, Gated().expected(utterance, len(text)))


async def say(store, identity, text="hello"):
    async with store.turn(identity) as conversation:
        add(conversation, text)


def test_the_idle_are_forgotten_and_the_used_are_not(store, clock):
    async def go():
        await say(store, "old")
        clock.now = 6
        await say(store, "new")
        clock.now = 10
        assert (store.find("old"), len(store.find("new"))) == (None, 1)
        await say(store, "new")
        clock.now = 19
        store.forget_idle()
        assert len(store.find("new")) == 2
        clock.now = 20
        store.forget_idle()
        assert len(store) == 0

    asyncio.run(go())


def test_one_that_waits_for_its_answer_is_not_idle(store, clock):
    async def go():
        async with store.turn("a") as conversation:
            clock.now = 100
            await say(store, "b")
            add(conversation)
        assert len(store.find("a")) == 1
        clock.now = 109
        assert store.find("a") is not None

    asyncio.run(go())


def test_for_one_more_the_one_idle_longest_is_forgotten(store, clock):
    async def go():
        for identity in "aba":
            clock.now += 1
            await say(store, identity)
        await say(store, "c")
        assert [store.find(identity) is not None for identity in "abc"] == [True, False, True]
        assert len(store) == 2

    asyncio.run(go())


def test_one_that_is_in_use_is_not_forgotten_for_another(store):
    async def go():
        async with store.turn("a") as first:
            await say(store, "b")
            async with store.turn("c") as second:
                with pytest.raises(ApiError) as refused:
                    await say(store, "d")
                assert store.find("b") is None
                add(second)
            add(first)
        assert (refused.value.status_code, refused.value.code) == (429, "too_many_conversations")
        assert refused.value.headers == {"retry-after": "1"}
        assert [len(store.find(identity)) for identity in "ac"] == [1, 1]

    asyncio.run(go())


def test_what_fails_leaves_nothing(store):
    async def go():
        for _ in range(3):
            with pytest.raises(KeyError):
                async with store.turn("a"):
                    raise KeyError
        assert len(store) == 0
        await say(store, "a")
        with pytest.raises(KeyError):
            async with store.turn("a"):
                raise KeyError
        assert len(store.find("a")) == 1

    asyncio.run(go())


def test_callers_come_in_their_order_also_to_forget(store):
    async def go():
        await say(store, "a")
        order = []

        async def noted(name, wanted):
            order.append((name, await wanted))

        async with store.turn("a"):
            waiting = [
                asyncio.create_task(noted("forget", store.forget("a"))),
                asyncio.create_task(noted("say", say(store, "a", "after"))),
                asyncio.create_task(noted("forget again", store.forget("a"))),
            ]
            for _ in range(5):
                await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*waiting)
        # Who came after the one who forgot it begins another, of which the last one, who came for
        # the first, knows nothing.
        assert sorted(order) == [("forget", True), ("forget again", False), ("say", None)]
        assert len(store.find("a")) == 1

    asyncio.run(go())
