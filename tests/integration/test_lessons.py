"""The five things that the system before Natter learned the hard way; each must never come back."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from functools import partial

import asyncpg

from .eventually import eventually
from .world import World


async def test_lesson_1_users_on_the_senders_own_edge_get_the_message(world: World) -> None:
    """Once, users on the instance that published received nothing."""
    sender, near, far = await world.people("sender", "near", "far")
    conversation = await sender.open_conversation(near.user_id, far.user_id)
    async with world.device(sender, edge=1) as own, world.device(near, edge=1) as a, world.device(far, edge=2) as b:
        ref = "1"
        await own.send(
            {
                "action": "send_message",
                "ref": ref,
                "data": {"conversation_id": conversation, "client_msg_id": "hello-1", "content": "hello"},
            }
        )
        await eventually(lambda: own.answer(ref) and a.contents(conversation) and b.contents(conversation))

        assert a.contents(conversation) == b.contents(conversation) == own.contents(conversation) == ["hello"]


async def test_lesson_2_presence_never_lags_behind_delivery(world: World) -> None:
    """Once, presence lagged, so that live messages became pushes: who is there gets frames, who left gets pushes."""
    sender, guest = await world.people("sender", "guest")
    conversation = await sender.open_conversation(guest.user_id)
    for visit in range(5):
        async with world.device(guest, edge=1 + visit % 2) as device:
            # `connected` has only just arrived: from this moment on nothing may be taken for offline.
            await sender.send(conversation, f"live {visit}")
            await eventually(partial(device.contents, conversation))
            assert device.contents(conversation) == [f"live {visit}"]
        await sender.send(conversation, f"away {visit}")
        await eventually(partial(_has_pushes, world, guest.user_id, visit + 1))

    reasons = {push["reason"] for push in await world.pushes.of(guest.user_id)}
    assert reasons == {"no_connection"}, "nothing that was delivered live was pushed"
    assert len(await world.pushes.of(guest.user_id)) == 5


async def test_lesson_3_one_listener_per_edge_however_many_devices(world: World) -> None:
    """Once, two connection managers listened in one process, and everything came twice."""
    sender, reader = await world.people("sender", "reader")
    conversation = await sender.open_conversation(reader.user_id)
    async with AsyncExitStack() as devices:
        opened = [
            await devices.enter_async_context(world.device(reader, edge=edge, device_type=kind))
            for edge in (1, 2)
            for kind in ("mobile", "desktop", "tablet")
        ]
        # When this one is there, the frame of the conversation's creation is no longer on its way.
        await sender.send(conversation, "first")
        await eventually(lambda: all(device.contents(conversation) for device in opened))
        before = [await _deliveries(world, edge) for edge in (0, 1)]
        for number in range(20):
            await sender.send(conversation, f"{number}")
        await eventually(lambda: all(len(device.contents(conversation)) >= 21 for device in opened))
        await sender.send(conversation, "last")
        await eventually(lambda: all("last" in device.contents(conversation) for device in opened))

        expected = ["first", *(str(number) for number in range(20)), "last"]
        assert [device.contents(conversation) for device in opened] == [expected] * 6
        after = [await _deliveries(world, edge) for edge in (0, 1)]
        assert [late - early for early, late in zip(before, after, strict=True)] == [21, 21], (
            "each edge takes each message from NATS once, for three sockets"
        )


async def test_lesson_4_sender_type_is_chat_or_system_and_never_a_role(world: World) -> None:
    """Once, roles stood in sender_type; here every role's message says `chat`, in HTTP, frames and the record."""
    owner = await world.person("owner")
    speakers = [await world.person(role, [role]) for role in ("customer", "consultant", "doctor", "admin")]
    conversation = await owner.open_conversation(*(speaker.user_id for speaker in speakers))
    async with world.device(owner) as device:
        for speaker in speakers:
            accepted = await speaker.send(conversation, f"a {speaker.user_id} speaks")
            assert accepted["sender_type"] == "chat"
        await eventually(lambda: len(device.contents(conversation)) == 4)

        assert {frame["data"]["sender_type"] for frame in device.actions("new_message")} == {"chat"}
    refused = await owner.call(
        "POST",
        f"/v1/conversations/{conversation}/messages",
        json={"client_msg_id": "1", "content": "x", "sender_type": "doctor"},
    )
    assert refused.status_code == 422
    database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password)
    try:
        kinds = await database.fetch("SELECT DISTINCT data->>'sender_type' FROM events WHERE type = 'message.created'")
    finally:
        await database.close()
    assert {row[0] for row in kinds} <= {"chat", "system"}


async def test_lesson_5_the_owner_is_among_the_recipients(world: World) -> None:
    """Once, the owner was forgotten: neither a frame while online nor a push while away."""
    owner, guest = await world.people("owner", "guest")
    # The owner is not named among the participants, as host applications do.
    conversation = await owner.open_conversation(guest.user_id)
    async with world.device(owner, edge=2) as device:
        await guest.send(conversation, "are you there?")
        await eventually(lambda: device.contents(conversation) == ["are you there?"])
    await guest.send(conversation, "and now?")
    await eventually(partial(_has_pushes, world, owner.user_id, 1))


async def _has_pushes(world: World, user_id: str, count: int) -> bool:
    return len(await world.pushes.sent_to(user_id)) == count


async def _deliveries(world: World, edge: int) -> int:
    """How many messages an edge has taken from NATS."""
    url = world.stack.edge_urls[edge].replace("ws://", "http://").replace("/v1/ws", "/metrics")
    text = (await world.http.get(url)).text
    found = re.search(r"^natter_edge_deliveries_total(?:\{\})? (\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])
