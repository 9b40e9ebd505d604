"""The cases in which other chat systems lose, repeat or leak messages: each one by its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg

from contracts.ids import new_id
from contracts.streams import EVENTS
from stack import StackOptions

from .clients.api import Api
from .clients.chat import ONLY_INTERVAL, ONLY_TAIL, chat_client
from .clients.lossy import Frame, lossy_road
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World


def _text(content: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["action"] == "new_message" and frame["data"]["content"] == content


async def test_the_last_message_of_a_burst_lost_live_is_healed_without_a_later_one(world: World) -> None:
    """No successor betrays the loss, and nobody touches the device: it finds out by itself."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with (
        lossy_road(world.stack.edge_urls[0]) as road,
        chat_client(world.stack, ben.user_id, socket_urls=[road.url], options=ONLY_TAIL) as device,
    ):
        road.loses = _text("last")
        for text in ("first", "second", "last"):
            await anna.send(conversation, text)
        await eventually(lambda: road.lost, timeout_s=10)
        await eventually(lambda: device.contents(conversation) == ["first", "second", "last"], timeout_s=30)
        assert device.client.stats.resyncs == 0, "the server saw nothing amiss and asked for nothing"
    assert await world.pushes.of(ben.user_id) == [], "for the server it had arrived"


async def test_a_lone_message_lost_live_is_healed_by_the_interval_that_the_server_names(world: World) -> None:
    """Not even a burst: the only frame is lost. The default interval is below 30 s."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with (
        lossy_road(world.stack.edge_urls[0]) as road,
        chat_client(world.stack, ben.user_id, socket_urls=[road.url], options=ONLY_INTERVAL) as device,
    ):
        connected = next(frame for frame in road.passed if frame["action"] == "connected")
        assert connected["data"]["sync_interval_ms"] < 30_000
        road.loses = _text("alone")
        await anna.send(conversation, "alone")
        await eventually(lambda: device.contents(conversation) == ["alone"], timeout_s=30)
        assert [frame["data"]["content"] for frame in road.lost] == ["alone"]


async def test_a_message_lost_in_the_middle_is_repaired_before_the_next_is_shown(world: World) -> None:
    """What comes after a hole waits for it: nothing is ever shown out of order."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with (
        lossy_road(world.stack.edge_urls[0]) as road,
        chat_client(world.stack, ben.user_id, socket_urls=[road.url]) as device,
    ):
        road.loses = lambda frame: _text("two")(frame) or _text("three")(frame)
        sent = ["one", "two", "three", "four"]
        for text in sent:
            await anna.send(conversation, text)
        await eventually(lambda: len(device.contents(conversation)) >= len(sent))
        assert device.contents(conversation) == sent
        assert len(road.lost) == 2


async def test_reconnect_before_any_event_was_seen(open_world: OpenWorld) -> None:
    """The socket breaks while nothing has ever arrived on it; what is said meanwhile is there afterwards."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        async with chat_client(world.stack, ben.user_id, socket_urls=world.stack.edge_urls[:1]) as device:
            assert device.shown == []
            await world.stack.part("edge-1").kill()
            conversation = await anna.open_conversation(ben.user_id)
            sent = [f"message {number}" for number in range(3)]
            for text in sent:
                await anna.send(conversation, text)
            await world.stack.part("edge-1").start()
            await eventually(lambda: device.contents(conversation) == sent)
            # The whole conversation, from its first event on, although it is younger than the connection.
            assert [seq for seq, _ in device.events(conversation)] == [1, 2, 3, 4]


async def test_second_and_third_drop_each_to_another_edge(open_world: OpenWorld) -> None:
    """Recovery does not wear off: each drop leads to another edge, and each time everything said meanwhile comes."""
    async with open_world(StackOptions(edges=3, env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        sent: list[str] = []

        async def say(number: int) -> None:
            for _ in range(number):
                sent.append(f"message {len(sent)}")
                await anna.send(conversation, sent[-1])

        async with chat_client(world.stack, ben.user_id) as device:
            edges = []
            for _ in range(3):
                await say(2)
                await eventually(lambda: device.contents(conversation) == sent)
                edge = await eventually(lambda: device.client.edge_id)
                edges.append(edge)
                connects = device.client.stats.connects
                await world.stack.part(edge).kill()
                await say(3)
                await eventually(lambda connects=connects: device.client.stats.connects > connects)  # type: ignore[misc]
                await eventually(lambda: device.contents(conversation) == sent)
                await world.stack.part(edge).start()
            assert all(one != next_one for one, next_one in pairwise(edges))


async def test_idle_longer_than_any_window(open_world: OpenWorld) -> None:
    """Everything that forgets has forgotten: the stream is purged, the cursor too old. The device is complete."""
    env = {"*": QUICK, "chat-api": {"NATTER_SYNC_CURSOR_AGE_MAX_S": "1"}}
    async with open_world(StackOptions(env=env)) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with chat_client(world.stack, ben.user_id, socket_urls=world.stack.edge_urls[:1]) as device:
            await anna.send(conversation, "before")
            await eventually(lambda: device.contents(conversation) == ["before"])
            await world.stack.part("edge-1").terminate()
            left_at = time.time()
            sent = [f"while away {number}" for number in range(5)]
            for text in sent:
                await anna.send(conversation, text)
            await eventually(partial(world.pushed, ben, len(sent)))
            async with world.observer() as observer:
                await observer.jetstream().purge_stream(EVENTS.name)
            # A cursor's age counts in whole seconds: older than one is two, however fast the machine.
            await eventually(lambda: time.time() > left_at + 2.0)
            resets = device.client.stats.resets
            await world.stack.part("edge-1").start()
            await eventually(lambda: device.contents(conversation) == ["before", *sent])
            assert device.client.stats.resets > resets, "the cursor was too old, and the server said so"


async def test_a_member_removed_while_away_sees_nothing_after(open_world: OpenWorld) -> None:
    """Removed behind the device's back: no frame, no sync, no history and no push shows what is said afterwards."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with chat_client(world.stack, ben.user_id, socket_urls=world.stack.edge_urls[:1]) as device:
            await anna.send(conversation, "with ben")
            await eventually(lambda: device.contents(conversation) == ["with ben"])
            await world.stack.part("edge-1").terminate()
            removed = f"/v1/conversations/{conversation}/participants/{ben.user_id}"
            await anna.ok("DELETE", removed)
            await anna.send(conversation, "without ben")
            await world.stack.part("edge-1").start()
            await device.client.caught_up()
            await anna.send(conversation, "still without ben")
            await eventually(partial(world.pushed, carl, 3))
            await device.client.caught_up()
            assert device.contents(conversation) == ["with ben"]
            answer = await ben.call("GET", f"/v1/conversations/{conversation}/events")
            assert answer.status_code == 404
        assert await world.pushes.of(ben.user_id) == []


async def test_fifty_parallel_sends_of_one_client_msg_id_through_two_processes(open_world: OpenWorld) -> None:
    """Fifty attempts, two chat-api processes: one row, one event, one push, and everybody is told of the same one."""
    async with open_world(StackOptions(split_chat_api=True, serves=2, env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        body = {"client_msg_id": new_id(), "content": "once"}
        headers = {"Authorization": f"Bearer {anna.token}"}
        urls = [f"{base}/v1/conversations/{conversation}/messages" for base in world.stack.api_urls]
        assert len(urls) == 2
        answers = await asyncio.gather(
            *(world.http.post(urls[number % 2], json=body, headers=headers) for number in range(50))
        )
        assert sorted({answer.status_code for answer in answers}) == [200, 201]
        assert sum(answer.status_code == 201 for answer in answers) == 1
        assert len({answer.json()["id"] for answer in answers}) == 1

        rows, events = await _count(world, anna, body["client_msg_id"])
        assert (rows, events) == (1, 1)
        await eventually(partial(world.pushed, ben, 1))
        async with chat_client(world.stack, ben.user_id) as device:
            # Behind it in the same conversation: when this one is there, a second push of the first would be, too.
            await anna.send(conversation, "after")
            await eventually(lambda: device.contents(conversation) == ["after"])
        assert len(await world.pushes.of(ben.user_id)) == 1


async def test_a_slow_transaction_beside_fast_ones_makes_nothing_skipped(open_world: OpenWorld) -> None:
    """A writer that takes its time holds the fence: live, sync and a later sync together show everything, in order."""
    # Two processes, so that the fast ones need not queue behind the slow one.
    options = StackOptions(split_chat_api=True, serves=2, env={"*": QUICK})
    async with open_world(options) as world, AsyncExitStack() as held:
        anna, ben = await world.people("anna", "ben")
        slow, fast = await anna.open_conversation(ben.user_id), await anna.open_conversation(ben.user_id)
        device = await held.enter_async_context(chat_client(world.stack, ben.user_id))
        database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password)
        held.push_async_callback(database.close)
        # A send into `slow` has its transaction id and its event when it stops at this row.
        transaction = database.transaction()
        await transaction.start()
        await database.execute("SELECT FROM conversations WHERE conversation_id = $1 FOR UPDATE", UUID(slow))
        lagging = asyncio.create_task(anna.send(slow, "slow"))
        await eventually(partial(_waits_for_a_lock, world))
        sent = [f"fast {number}" for number in range(20)]
        for text in sent:
            await anna.through(world.stack.api_urls[1]).send(fast, text)
        # Whoever syncs now gets a cursor in front of the slow one, although later ones are committed.
        await device.client.caught_up()
        assert not lagging.done()
        await transaction.rollback()
        await lagging
        await eventually(lambda: device.contents(fast) == sent and device.contents(slow) == ["slow"])
        await device.client.caught_up()
        assert device.contents(fast) == sent


async def _count(world: World, sender: Api, client_msg_id: str) -> tuple[int, int]:
    database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password)
    try:
        rows: Any = await database.fetchval(
            "SELECT count(*) FROM messages WHERE sender_id = $1 AND client_msg_id = $2", sender.user_id, client_msg_id
        )
        events: Any = await database.fetchval(
            "SELECT count(*) FROM events WHERE type = 'message.created' AND data->>'client_msg_id' = $1", client_msg_id
        )
    finally:
        await database.close()
    return int(rows), int(events)


async def _waits_for_a_lock(world: World) -> bool:
    database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password)
    try:
        waiting: Any = await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    finally:
        await database.close()
    return int(waiting) > 0
