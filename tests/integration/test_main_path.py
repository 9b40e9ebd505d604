"""The way of a message, end to end: accepted, on every device that is online, pushed to whoever is not."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from .clients.socket import Device
from .eventually import eventually
from .world import World


async def test_every_device_on_every_edge_gets_every_message_once_and_in_order(world: World) -> None:
    """Two users with three devices each over both edges talk at the same time; each device sees one order, complete."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with AsyncExitStack() as devices:
        opened = [
            await devices.enter_async_context(world.device(who, edge=edge, device_type=kind))
            for who in (anna, ben)
            for edge, kind in ((1, "mobile"), (1, "desktop"), (2, "tablet"))
        ]
        for number in range(50):
            await (anna, ben)[number % 2].send(conversation, f"message {number}")
        await eventually(lambda: all(len(device.contents(conversation)) >= 50 for device in opened))

        for device in opened:
            seqs = [frame["seq"] for frame in device.actions("new_message")]
            assert seqs == list(range(2, 52))
            assert device.contents(conversation) == [f"message {number}" for number in range(50)]


async def test_a_message_over_the_socket_is_acknowledged_and_echoed_with_its_client_msg_id(world: World) -> None:
    """The sending device learns id and seq, and recognises its own frame; the sender's other device gets it too."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with (
        world.device(anna, edge=1, device_type="desktop", in_subprotocol=True) as desk,  # type: ignore[arg-type]
        world.device(anna, edge=2, device_type="mobile") as phone,
        world.device(ben, edge=2) as other,
    ):
        data = {
            "conversation_id": conversation,
            "client_msg_id": "from-desk",
            "content": "你好 👋",
            "is_important": True,
        }
        await desk.send({"action": "send_message", "ref": "r1", "data": data})
        ack = await eventually(lambda: desk.answer("r1"))
        await eventually(lambda: desk.contents(conversation) and phone.contents(conversation))
        await eventually(lambda: other.contents(conversation) == ["你好 👋"])

        assert ack["action"] == "ack"
        echo = desk.actions("new_message")[0]
        assert (echo["data"]["id"], echo["seq"]) == (ack["data"]["message_id"], ack["data"]["seq"])
        assert echo["data"]["client_msg_id"] == phone.actions("new_message")[0]["data"]["client_msg_id"] == "from-desk"
        # A repeat is answered with the first message, and shown to nobody.
        await desk.send({"action": "send_message", "ref": "r2", "data": data})
        again = await eventually(lambda: desk.answer("r2"))
        assert again["data"] == {**ack["data"], "duplicate": True}
    assert await world.pushes.of(anna.user_id) == []


async def test_whoever_is_away_gets_exactly_one_push(world: World) -> None:
    """No socket anywhere: one push per message, with the reason, and none for the sender."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    sent = [await anna.send(conversation, f"message {number}") for number in range(5)]

    async def pushed() -> bool:
        return len(await world.pushes.sent_to(ben.user_id)) == 5

    await eventually(pushed)
    pushes = await world.pushes.of(ben.user_id)
    assert [push["reason"] for push in pushes] == ["no_connection"] * 5
    assert len({push["event_id"] for push in pushes}) == len(sent)
    assert await world.pushes.of(anna.user_id) == []
    log = "\n".join(world.stack.part("notifier").log_tail(200))
    assert "open_conversation" in log, "the logging provider prints its block"
    assert conversation in log


async def test_a_phone_in_a_lift_gets_a_push_after_the_receipt_timeout(world: World) -> None:
    """The socket is open, so NATS says that somebody is there; but no pong comes back, so it was not delivered."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.mute_device(ben):
        await anna.send(conversation, "can you hear me?")

        async def pushed() -> bool:
            return [push["reason"] for push in await world.pushes.sent_to(ben.user_id)] == ["unacknowledged"]

        await eventually(pushed)


async def test_an_important_message_also_reaches_the_mobile_by_push(world: World) -> None:
    """A desktop has it, but the message is important: the phone that is away is told, too. With a phone online, not."""
    anna, ben, carl = await world.people("anna", "ben", "carl")
    conversation = await anna.open_conversation(ben.user_id, carl.user_id)
    async with (
        world.device(ben, device_type="desktop") as desk,
        world.device(carl, device_type="desktop"),
        world.device(carl, edge=2, device_type="mobile") as phone,
    ):
        await anna.send(conversation, "small talk")
        await anna.send(conversation, "take your medicine", is_important=True)
        await eventually(lambda: len(desk.contents(conversation)) == len(phone.contents(conversation)) == 2)

        async def pushed() -> bool:
            return [push["reason"] for push in await world.pushes.sent_to(ben.user_id)] == ["important_mobile"]

        await eventually(pushed)
    assert await world.pushes.of(carl.user_id) == []


async def test_the_host_applications_own_path_saves_and_broadcasts(world: World) -> None:
    """`POST /chat/{id}/send` answers what it always did, with and without the version in front."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben) as device:
        for path in (f"/chat/{conversation}/send", f"/v1/chat/{conversation}/send"):
            answer = await anna.ok("POST", path, json={"content": path})
            assert answer["status"] == "sent"
            shown = await eventually(partial(_frame_with, device, path))
            assert shown["data"]["id"] == answer["message_id"]


async def test_a_repeat_of_a_send_is_one_message_for_ever(world: World) -> None:
    """Same (sender, client_msg_id): 200 and the first message; another body: 422, and nothing is written."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    path, body = f"/v1/conversations/{conversation}/messages", {"client_msg_id": "only-once", "content": "once"}
    async with world.device(ben) as device:
        first = await anna.call("POST", path, json=body)
        again = await anna.call("POST", path, json=body)
        other = await anna.call("POST", path, json={**body, "content": "twice"})
        await anna.send(conversation, "end")
        await eventually(lambda: "end" in device.contents(conversation))

        assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
        assert first.json() == again.json()
        assert other.json()["code"] == "idempotency_conflict"
        assert device.contents(conversation) == ["once", "end"]
    assert (await anna.ok("GET", f"/v1/conversations/{conversation}"))["last_seq"] == 3


async def test_changes_of_a_conversation_reach_its_people(world: World) -> None:
    """Edits, deletes, joins, leaves and renames arrive as frames with the next seq; history tells the same."""
    anna, ben, carl = await world.people("anna", "ben", "carl")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben) as device, world.device(carl, edge=2) as newcomer:
        message = await ben.send(conversation, "frist")
        await ben.ok("PATCH", f"/v1/messages/{message['id']}", json={"content": "first"})
        await anna.ok("POST", f"/v1/conversations/{conversation}/participants", json={"user_ids": [carl.user_id]})
        await anna.ok("PATCH", f"/v1/conversations/{conversation}", json={"title": "A title"})
        await ben.ok("DELETE", f"/v1/messages/{message['id']}")
        await anna.ok("DELETE", f"/v1/conversations/{conversation}/participants/{carl.user_id}")
        await anna.send(conversation, "carl is gone")
        # Not by the number of frames: live ones, such as `delivered`, come between them or not at all.
        await eventually(lambda: any(frame.get("seq") == 8 for frame in device.frames))

        # The frame of the creation (seq 1) may still have been on its way when the devices connected.
        got = [
            (frame["action"], frame["seq"])
            for frame in device.frames
            if frame.get("stream", "").endswith(conversation) and frame["seq"] > 1
        ]
        assert got == [
            ("new_message", 2),
            ("message_updated", 3),
            ("participant_joined", 4),
            ("conversation_updated", 5),
            ("message_deleted", 6),
            ("participant_left", 7),
            ("new_message", 8),
        ]
        await eventually(lambda: newcomer.actions("participant_left"))
        assert "new_message" not in [frame["action"] for frame in newcomer.frames], "carl came after and left before"
    events = await ben.ok("GET", f"/v1/conversations/{conversation}/events?after_seq=0&limit=200")
    assert [event["seq"] for event in events["events"]] == list(range(1, 9))
    gone = await carl.call("GET", f"/v1/conversations/{conversation}")
    assert gone.status_code == 404


@pytest.mark.parametrize("role", ["customer", "consultant", "doctor"])
async def test_a_local_account_logs_in_and_talks(world: World, role: str) -> None:
    """A password gives a token that HTTP and socket both believe."""
    peer = await world.person("peer")
    user_id = f"local-{peer.user_id}"
    account = {"user_id": user_id, "name": "Local", "roles": [role], "password": "correct horse battery"}
    await world.service.ok("POST", "/v1/users", json=account)
    login = {"user_id": user_id, "password": account["password"]}
    token = (await world.service.ok("POST", "/v1/auth/token", json=login))["access_token"]
    refused = await world.service.call("POST", "/v1/auth/token", json={**login, "password": "wrong"})
    assert (refused.status_code, refused.json()["code"]) == (401, "wrong_credentials")

    peer.token = token
    me = await peer.ok("GET", "/v1/users/me")
    assert me == {"user_id": user_id, "name": "Local", "roles": [role]}
    async with world.device(peer) as device:
        assert device.frames[0]["action"] == "connected"
        assert device.frames[0]["data"]["user_id"] == user_id


def _frame_with(device: Device, content: str) -> dict[str, Any] | None:
    return next((frame for frame in device.actions("new_message") if frame["data"]["content"] == content), None)
