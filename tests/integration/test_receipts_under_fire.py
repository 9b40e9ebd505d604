"""Whatever dies between a frame and its receipt: the event is settled all the same, in order, with one push at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from stack import StackOptions

from .conftest import QUICK, OpenWorld
from .eventually import eventually

LANES = {**QUICK, "NATTER_FANOUT_PARTITIONS": "2", "NATTER_FANOUT_LEASE_S": "3", "NATTER_FANOUT_SETTLE_S": "1"}


async def test_fanout_killed_between_publish_and_receipt(open_world: OpenWorld) -> None:
    """Frames are at the sockets, receipts are not back, fan-out dies: all is settled by whoever takes over.

    Ben's edge is frozen with the frame in its hands, Carl is online, Dora's phone takes frames and never answers, Emil
    is away: Ben and Carl get no push, Dora and Emil one for each message.
    """
    async with open_world(StackOptions(split_chat_api=True, fanouts=2, edges=3, env={"*": LANES})) as world:
        anna, ben, carl, dora, emil = await world.people("anna", "ben", "carl", "dora", "emil")
        conversation = await anna.open_conversation(*(who.user_id for who in (ben, carl, dora, emil)))
        async with (
            world.device(ben, edge=1) as bens,
            world.device(carl, edge=2) as carls,
            world.mute_device(dora, edge=3) as doras,
        ):
            await anna.send(conversation, "before")
            await eventually(lambda: bens.contents(conversation) == carls.contents(conversation) == ["before"])
            await eventually(partial(world.pushed, dora, 1))
            await world.stack.part("edge-1").suspend()
            for text in ("one", "two"):
                await anna.send(conversation, text)
            async with asyncio.timeout(10):
                await doras.readuntil(b'"content":"two"')
            for fanout in ("chat-api-fanout-1", "chat-api-fanout-2"):
                await world.stack.part(fanout).kill()
            await world.stack.part("edge-1").resume()
            await eventually(lambda: bens.contents(conversation) == ["before", "one", "two"])
            for fanout in ("chat-api-fanout-1", "chat-api-fanout-2"):
                await world.stack.part(fanout).start()
            await anna.send(conversation, "after")
            everything = ["before", "one", "two", "after"]
            await eventually(lambda: bens.contents(conversation) == carls.contents(conversation) == everything)
            for away in (dora, emil):
                await eventually(partial(world.pushed, away, 4))

            assert bens.contents(conversation) == carls.contents(conversation) == everything
        for away in (dora, emil):
            events = Counter(push["event_id"] for push in await world.pushes.of(away.user_id))
            assert set(events.values()) == {1}
            assert len(events) == 4
        for online in (ben, carl):
            assert await world.pushes.of(online.user_id) == []


async def test_edge_killed_between_frame_and_pong(open_world: OpenWorld) -> None:
    """The frame is out, the pong is not back, the edge dies: nobody knows whether it arrived, so it becomes a push."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with world.mute_device(ben, edge=1) as bens, world.device(carl, edge=2) as carls:
            await anna.send(conversation, "did it arrive?")
            async with asyncio.timeout(10):
                await bens.readuntil(b"did it arrive?")
            await world.stack.part("edge-1").kill()
            await eventually(partial(world.pushed, ben, 1))
            assert carls.contents(conversation) == ["did it arrive?"]
        (push,) = await world.pushes.of(ben.user_id)
        assert push["reason"] == "unacknowledged"
        assert await world.pushes.of(carl.user_id) == []


async def test_two_fanouts_share_the_work_and_settle_each_event_once(open_world: OpenWorld) -> None:
    """Two processes, two lanes, frozen in turn until the other takes over: one push per message and absent user."""
    async with open_world(StackOptions(split_chat_api=True, fanouts=2, env={"*": LANES})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversations = [await anna.open_conversation(ben.user_id, carl.user_id) for _ in range(6)]
        sent: dict[str, list[str]] = {conversation: [] for conversation in conversations}

        async def say(rounds: int) -> None:
            for _ in range(rounds):
                for conversation in conversations:
                    sent[conversation].append(f"message {len(sent[conversation])}")
                    await anna.send(conversation, sent[conversation][-1])

        async with world.device(ben, edge=1) as near, world.device(ben, edge=2) as far:
            await say(2)
            for fanout in ("chat-api-fanout-1", "chat-api-fanout-2"):
                # Longer than its lease: it wakes up as somebody who does not know that he was replaced.
                await world.stack.part(fanout).suspend()
                await say(3)
                await eventually(lambda: all(near.contents(c) == sent[c] for c in conversations), timeout_s=30)
                await world.stack.part(fanout).resume()
                await say(3)
            for device in (near, far):
                await eventually(lambda device=device: all(device.contents(c) == sent[c] for c in conversations))  # type: ignore[misc]
            total = sum(len(texts) for texts in sent.values())
            await eventually(partial(world.pushed, carl, total), timeout_s=30)
        events = Counter(push["event_id"] for push in await world.pushes.of(carl.user_id))
        assert set(events.values()) == {1}
        assert len(events) == total
        assert await world.pushes.of(ben.user_id) == []
