"""The commands that an operator types, as processes of their own beside a running stack."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

import asyncpg

from contracts.streams import EVENTS
from stack import Stack, StackOptions

from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World


async def _chat_api(stack: Stack, *arguments: str) -> tuple[int, str]:
    """Run `python -m chat_api …`; exit status, and what it said."""
    environment = {
        **os.environ,
        "NATTER_JWT_SECRET": stack.jwt_secret,
        "NATTER_DATABASE_URL": stack.database_url,
        "NATTER_DATABASE_PASSWORD": stack.database_password,
        "NATTER_NATS_URL": stack.nats_url,
        "NATTER_NATS_USER": "chat-api",
        "NATTER_NATS_PASSWORD": stack.nats_password("chat-api"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chat_api",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_republish_fills_the_stream_and_nobody_is_told_twice(open_world: OpenWorld) -> None:
    """Everything goes out again for whoever reads EVENTS: no second frame, no second push."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with world.device(ben) as device, world.observer() as observer:
            sent = [f"message {number}" for number in range(5)]
            for text in sent:
                await anna.send(conversation, text)
            await eventually(lambda: device.contents(conversation) == sent)
            await eventually(partial(world.pushed, carl, 5))
            js = observer.jetstream()
            before = (await js.stream_info(EVENTS.name)).state.messages

            status, said = await _chat_api(world.stack, "republish", "--since", "all")
            assert status == 0, said
            after = (await js.stream_info(EVENTS.name)).state.messages
            assert after == 2 * before, "every event is in the stream once more"

            # When this one has arrived, whatever the repetition could do to others has been done.
            await anna.send(conversation, "after")
            await eventually(lambda: device.contents(conversation) == [*sent, "after"])
            await eventually(partial(world.pushed, carl, 6))
        assert len(await world.pushes.of(carl.user_id)) == 6
        assert await world.pushes.of(ben.user_id) == []


async def test_republish_refuses_what_it_does_not_understand(world: World) -> None:
    """A wrong `--since` is named, and nothing is asked of the relay."""
    status, said = await _chat_api(world.stack, "republish", "--since", "yesterday")
    assert status == 2
    assert "yesterday" in said


async def test_rebuild_says_equal_and_mends_what_is_not(open_world: OpenWorld) -> None:
    """The read tables made anew from the events are the same to the last byte; a spoilt row is found and mended."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        sent = [(await anna.send(conversation, text))["id"] for text in ("one", "two", "three")]
        await anna.ok("PATCH", f"/v1/messages/{sent[0]}", json={"content": "ONE"})
        await anna.ok("DELETE", f"/v1/messages/{sent[1]}")
        await ben.ok("PUT", f"/v1/conversations/{conversation}/read", json={"seq": 3})
        status, said = await _chat_api(world.stack, "rebuild", "--check")
        assert status == 0, said
        assert said.count("equal") >= 4, said

        database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password)
        try:
            events = await database.fetchval("SELECT count(*) FROM events")
            await database.execute("UPDATE messages SET content = 'spoilt' WHERE content = 'three'")
            status, said = await _chat_api(world.stack, "rebuild", "--check")
            assert status == 1
            assert "differs" in said
            status, said = await _chat_api(world.stack, "rebuild")
            assert status == 0, said
            assert await database.fetchval("SELECT count(*) FROM events") == events, "a rebuild adds nothing"
        finally:
            await database.close()
        page = await ben.ok("GET", f"/v1/conversations/{conversation}/messages")
        assert [message["content"] for message in page["messages"]] == ["ONE", "", "three"]
        # The services go on with the new tables.
        async with world.device(ben) as device:
            await anna.send(conversation, "four")
            await eventually(lambda: device.contents(conversation) == ["four"])
