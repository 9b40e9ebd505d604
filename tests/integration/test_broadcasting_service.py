"""The host application's seven calls against a real Natter, with what people see of each: seed rows S1-S7, S10."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from contracts.ids import new_id
from natter_client import BroadcastingService, Rejected, RequestFailed

from .clients.socket import Device
from .eventually import eventually
from .world import World


@pytest_asyncio.fixture(loop_scope="session")
async def broadcasting(world: World) -> AsyncIterator[BroadcastingService]:
    """As a host application has it, but telling us what goes wrong."""
    token = world.stack.token("host-application", roles=("service",))
    async with BroadcastingService(world.stack.api_url, token, raise_errors=True) as service:
        yield service


async def test_s1_a_message_reaches_every_participant_and_the_owner(
    world: World, broadcasting: BroadcastingService
) -> None:
    """Seed row S1: the owner, the other participant, on both edges; nothing for the one who is left out."""
    owner, ben, carl = await world.people("owner", "ben", "carl")
    conversation = await owner.open_conversation(ben.user_id, carl.user_id)
    message = {
        "id": f"host-{new_id()}",
        "content": "from the host's own page",
        "sender_id": ben.user_id,
        "message_type": "text",
        "sender_type": "chat",
        "sender_name": "Ben",
        "is_important": False,
        "extra_metadata": {"page": "/chat"},
    }
    async with world.device(owner, edge=1) as at_one, world.device(carl, edge=2) as at_two, world.device(ben) as own:
        stored = await broadcasting.broadcast_message(conversation, message, exclude_user_id=ben.user_id)
        again = await broadcasting.broadcast_message(conversation, message, exclude_user_id=ben.user_id)
        assert stored is not None
        assert stored == again, "the same id is the same message"
        await owner.send(conversation, "end")
        for device in (at_one, at_two):
            await eventually(partial(_has, device, conversation, "end"))
            assert device.contents(conversation) == [message["content"], "end"]
        (frame, _) = at_two.actions("new_message")
        told = {name: frame["data"][name] for name in ("content", "sender_id", "sender_type", "extra_metadata")}
        assert told == {name: message[name] for name in told}
        await eventually(lambda: own.contents(conversation))
        assert own.contents(conversation) == ["end"], "ben was left out"


async def test_s2_a_direct_message_reaches_all_devices_of_one_user(
    world: World, broadcasting: BroadcastingService
) -> None:
    """Seed row S2: with its type and its action; whoever has no device gets a push instead."""
    anna, away = await world.people("anna", "away")
    reminder = {
        "title": "Your appointment",
        "content": "Tomorrow at nine.",
        "type": "appointment_reminder",
        "action": "open_appointment",
    }
    async with AsyncExitStack() as opened:
        devices = [
            await opened.enter_async_context(world.device(anna, edge=edge, device_type=kind))
            for edge, kind in ((1, "desktop"), (2, "mobile"))
        ]
        await broadcasting.send_direct_message(anna.user_id, reminder)
        for device in devices:
            (frame,) = await eventually(partial(device.actions, "direct_message"))
            assert {name: frame["data"][name] for name in reminder} == reminder
    await broadcasting.send_direct_message(away.user_id, reminder)
    await eventually(partial(world.pushed, away, 1))


async def test_s3_typing_is_shown_and_never_stored(world: World, broadcasting: BroadcastingService) -> None:
    """Seed row S3: the other sees it begin and end; history and sync know nothing of it."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben, edge=2) as device:
        await broadcasting.broadcast_typing_status(conversation, anna.user_id, True)
        await eventually(lambda: device.actions("typing"))
        await broadcasting.broadcast_typing_status(conversation, anna.user_id, False)
        await eventually(lambda: not device.actions("typing")[-1]["data"]["is_typing"])
        assert device.actions("typing")[0]["data"] == {
            "conversation_id": conversation,
            "user_id": anna.user_id,
            "is_typing": True,
        }
    events = await anna.ok("GET", f"/v1/conversations/{conversation}/events?after_seq=0")
    assert [event["type"] for event in events["events"]] == ["conversation.created"]


@pytest.mark.parametrize("named_by", ["id", "client_msg_id"])
async def test_s4_what_was_read_is_told_to_the_others(
    world: World, broadcasting: BroadcastingService, named_by: str
) -> None:
    """Seed row S4: by Natter's ids or the host application's own; the others see it, and nothing is unread any more."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    sent = [
        await broadcasting.broadcast_message(
            conversation, {"id": f"host-{new_id()}", "content": f"{number}", "sender_id": anna.user_id}
        )
        for number in range(3)
    ]
    ids = [message[named_by] for message in sent if message is not None]
    async with world.device(anna) as device:
        await broadcasting.broadcast_read_status(conversation, ben.user_id, [ids[2], ids[0]])
        (frame, *_) = await eventually(partial(device.actions, "read"))
        assert frame["data"] == {"conversation_id": conversation, "user_id": ben.user_id, "seq": 4}
    assert (await ben.ok("GET", f"/v1/conversations/{conversation}"))["unread_count"] == 0


async def test_s5_a_system_notification_is_shown_and_stays(world: World, broadcasting: BroadcastingService) -> None:
    """Seed row S5: everybody in the conversation sees it now, and later in its history."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    notice = {"title": "Maintenance", "message": "Back at six.", "type": "maintenance"}
    async with world.device(anna) as device:
        await broadcasting.broadcast_system_notification(conversation, notice)
        (frame,) = await eventually(partial(device.actions, "system_notification"))
    (message,) = (await ben.ok("GET", f"/v1/conversations/{conversation}/messages"))["messages"]
    for told in (frame["data"], message):
        assert (told["content"], told["sender_type"]) == ("Back at six.", "system")
        assert (told["notice"]["title"], told["notice"]["type"]) == ("Maintenance", "maintenance")


async def test_s6_s7_who_is_online_and_with_which_devices(world: World, broadcasting: BroadcastingService) -> None:
    """Seed rows S6 and S7: over both edges, within a second of coming and of going."""
    anna = await world.person("anna")
    assert await broadcasting.is_user_online(anna.user_id) is False
    assert await broadcasting.get_user_device_info(anna.user_id) == []
    async with world.device(anna, edge=1, device_type="desktop"):
        async with world.device(anna, edge=2, device_type="mobile"):
            await eventually(partial(_kinds, broadcasting, anna.user_id, ["desktop", "mobile"]), timeout_s=5)
            devices = await broadcasting.get_user_device_info(anna.user_id)
            assert all(set(one) == {"connection_id", "device_type", "connected_at"} for one in devices)
            assert await broadcasting.is_user_online(anna.user_id) is True
        await eventually(partial(_kinds, broadcasting, anna.user_id, ["desktop"]), timeout_s=5)
    await eventually(partial(_kinds, broadcasting, anna.user_id, []), timeout_s=5)
    assert await broadcasting.is_user_online(anna.user_id) is False


async def test_s10_errors_are_logged_unless_they_are_wanted(world: World, broadcasting: BroadcastingService) -> None:
    """Seed row S10: by default a call comes back whatever happened; who wants errors gets them and the reason."""
    message: dict[str, Any] = {"content": "x", "sender_id": "nobody", "sender_type": "doctor"}
    with pytest.raises(Rejected) as refused:
        await broadcasting.broadcast_message(new_id(), message)
    assert refused.value.code in ("validation_failed", "not_found")
    async with BroadcastingService(world.stack.api_url, "no token", raise_errors=True) as stranger:
        with pytest.raises(RequestFailed):
            await stranger.is_user_online("anna")
    async with BroadcastingService(world.stack.api_url, "no token") as silent:
        assert await silent.broadcast_message(new_id(), message) is None
        assert await silent.is_user_online("anna") is False


def _has(device: Device, conversation_id: str, text: str) -> bool:
    return text in device.contents(conversation_id)


async def _kinds(broadcasting: BroadcastingService, user_id: str, expected: list[str]) -> bool:
    return sorted(one["device_type"] for one in await broadcasting.get_user_device_info(user_id)) == expected
