"""The kept client against real servers: what its own tests show with servers moved by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from stack import StackOptions

from .clients.chat import QUICK_CLIENT, chat_client
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

TOKEN_LIFE_S = 5.0


async def test_tokens_are_refreshed_in_band_and_the_socket_stays(world: World) -> None:
    """Tokens that live five seconds, and one socket that outlives several of them."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    minted: list[str] = []

    def mint() -> str:
        minted.append(world.stack.token(ben.user_id, ttl_s=TOKEN_LIFE_S))
        return minted[-1]

    options = replace(QUICK_CLIENT, refresh_spacing_s=0.5)
    async with chat_client(world.stack, ben.user_id, options=options, token=mint) as device:
        # The third one is at work when the first two are over.
        await eventually(lambda: device.client.stats.tokens_refreshed >= 3, timeout_s=40)
        await anna.send(conversation, "still here?")
        await eventually(lambda: device.contents(conversation) == ["still here?"])
        ack = await device.client.send(conversation, "yes")
        assert ack.seq == 3
        assert device.client.stats.connects == 1
    assert len(minted) >= 4


async def test_unacknowledged_sends_are_repeated_until_the_record_has_them_once(open_world: OpenWorld) -> None:
    """chat-api is killed under a client that sends: every message is in the record once, in the order of the calls."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        options = replace(QUICK_CLIENT, send_attempt_timeout_s=1.0)
        async with (
            chat_client(world.stack, anna.user_id, options=options) as annas,
            chat_client(world.stack, ben.user_id) as bens,
        ):
            sent = [f"message {number}" for number in range(60)]
            acknowledged: list[int] = []

            async def talk() -> None:
                for text in sent:
                    ack = await annas.client.send(conversation, text)
                    acknowledged.append(ack.seq)

            async with asyncio.TaskGroup() as group:
                group.create_task(talk())
                for number in (15, 35):
                    # Whatever is under way at that moment is what this is about.
                    await eventually(lambda number=number: len(acknowledged) >= number, every_s=0.001)  # type: ignore[misc]
                    await world.stack.part("chat-api").kill()
                    await world.stack.part("chat-api").start()
            assert acknowledged == list(range(2, 62))
            await eventually(lambda: len(bens.contents(conversation)) >= len(sent), timeout_s=30)
            await eventually(lambda: len(annas.contents(conversation)) >= len(sent), timeout_s=30)
            assert bens.contents(conversation) == annas.contents(conversation) == sent
