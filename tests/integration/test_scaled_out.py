"""Each role in a process of its own, and two fan-outs that share the conversations: the same promises hold."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from stack import StackOptions

from .conftest import QUICK, OpenWorld
from .eventually import eventually

LANES = {**QUICK, "NATTER_FANOUT_PARTITIONS": "4", "NATTER_FANOUT_LEASE_S": "5", "NATTER_FANOUT_SETTLE_S": "1"}


async def test_a_fanout_killed_under_load_hands_its_lanes_to_the_other(open_world: OpenWorld) -> None:
    """Eight conversations over four lanes; one fan-out dies by SIGKILL: every device has everything, once, in order."""
    options = StackOptions(split_chat_api=True, fanouts=2, env={"*": LANES})
    async with open_world(options) as world, AsyncExitStack() as devices:
        anna, ben = await world.people("anna", "ben")
        conversations = [await anna.open_conversation(ben.user_id) for _ in range(8)]
        opened = [await devices.enter_async_context(world.device(ben, edge=edge)) for edge in (1, 2)]
        sent: dict[str, list[str]] = {conversation: [] for conversation in conversations}
        stop = asyncio.Event()

        async def talk(conversation: str) -> None:
            while not stop.is_set():
                text = f"message {len(sent[conversation])}"
                await anna.send(conversation, text)
                sent[conversation].append(text)

        async with asyncio.TaskGroup() as talking:
            for conversation in conversations:
                talking.create_task(talk(conversation))
            await eventually(lambda: all(device.contents(c) for device in opened for c in conversations))
            await world.stack.part("chat-api-fanout-1").kill()
            reached = {c: len(sent[c]) for c in conversations}
            # The other one holds all lanes when each conversation has moved on.
            await eventually(
                lambda: all(len(device.contents(c)) > reached[c] for device in opened for c in conversations),
                timeout_s=40,
            )
            stop.set()
        await eventually(
            lambda: all(len(device.contents(c)) >= len(sent[c]) for device in opened for c in conversations),
            timeout_s=40,
        )

        for device in opened:
            assert {c: device.contents(c) for c in conversations} == sent
        assert await world.pushes.of(ben.user_id) == []
        assert await world.pushes.of(anna.user_id) == []


async def test_messages_wait_for_a_relay_and_keep_their_order(open_world: OpenWorld) -> None:
    """What is accepted while no relay runs arrives when one does."""
    async with open_world(StackOptions(split_chat_api=True, env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with world.device(ben) as device:
            await anna.send(conversation, "one")
            await eventually(lambda: device.contents(conversation) == ["one"])
            await world.stack.part("chat-api-relay").kill()
            await anna.send(conversation, "two")
            await anna.send(conversation, "three")
            await world.stack.part("chat-api-relay").start()
            await eventually(lambda: device.contents(conversation) == ["one", "two", "three"])
