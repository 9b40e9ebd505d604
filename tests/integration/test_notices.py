"""What the system says: online by frame, away by push, and in history and sync for everybody; and what admins do."""

from __future__ import annotations

from functools import partial
from typing import Any

from contracts.ids import new_id

from .clients.api import Api
from .clients.chat import chat_client
from .eventually import eventually
from .world import World

NOTICE = {"title": "Maintenance", "message": "Back at six.", "type": "maintenance", "data": {"until": "18:00"}}
REMINDER = {
    "title": "Your appointment",
    "content": "Tomorrow at nine.",
    "type": "appointment_reminder",
    "action": "open_appointment",
}


async def conversation(owner: Api, *others: Api) -> str:
    """A fresh conversation's id."""
    body = {"participant_ids": [one.user_id for one in others]}
    return str((await owner.ok("POST", "/v1/conversations", json=body))["id"])


async def cursor_of(who: Api) -> str:
    """Where a device stands now."""
    return str((await who.ok("GET", "/v1/sync"))["next_cursor"])


async def since(who: Api, cursor: str, event_type: str) -> list[dict[str, Any]]:
    """What a device that was away is told, of one type."""
    page = await who.ok("GET", f"/v1/sync?cursor={cursor}")
    return [one["data"] for one in page["events"] if one["type"] == event_type]


def printed(world: World, who: Api) -> set[str]:
    """The lines of the block that the notifier's `logging` provider printed for a user."""
    found: set[str] = set()
    for block in "\n".join(world.stack.part("notifier").log_tail(400)).split("┌"):
        if who.user_id in block:
            found |= {line.partition("│")[2].strip() for line in block.splitlines()}
    return found


async def test_a_system_notification_reaches_everybody(world: World) -> None:
    """S5: a frame for who is there, on both edges; a push for who is away; history and sync for all."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    c = await conversation(alice, bob, carol)
    cursor = await cursor_of(carol)
    async with world.device(alice, edge=1) as desk, world.device(bob, edge=2) as phone:
        said = await world.service.ok("POST", f"/v1/conversations/{c}/system-notifications", json=NOTICE)
        for device in (desk, phone):
            await eventually(partial(device.actions, "system_notification"))
            (frame,) = device.actions("system_notification")
            assert (frame["stream"], frame["seq"]) == (f"conversation:{c}", said["seq"])
            assert frame["data"] == said
            assert (said["sender_type"], said["notice"]["title"]) == ("system", "Maintenance")
            assert device.actions("new_message") == []
        await eventually(lambda: world.pushed(carol, 1))
    assert {"title     Maintenance", "content   Back at six."} <= printed(world, carol)
    assert await world.pushes.of(alice.user_id) == await world.pushes.of(bob.user_id) == []
    assert await since(carol, cursor, "message.created") == [said]
    page = await carol.ok("GET", f"/v1/conversations/{c}/messages")
    assert page["messages"] == [said]


async def test_a_direct_message_reaches_one_user_on_all_devices(world: World) -> None:
    """S2: every device of the user gets the frame, nobody else does; it stays in sync and in the list."""
    alice, bob = await world.people("alice", "bob")
    cursor = await cursor_of(alice)
    async with (
        world.device(alice, edge=1, device_type="desktop") as desk,
        world.device(alice, edge=2, device_type="mobile") as phone,
        world.device(bob, edge=1) as other,
    ):
        said = await world.service.ok("POST", f"/v1/users/{alice.user_id}/notifications", json=REMINDER)
        for device in (desk, phone):
            await eventually(partial(device.actions, "direct_message"))
            assert [frame["data"] for frame in device.actions("direct_message")] == [said]
        assert other.actions("direct_message") == []
    assert [one["notification"] for one in await since(alice, cursor, "user.notified")] == [said]
    assert (await alice.ok("GET", "/v1/notifications"))["notifications"] == [said]
    assert (await bob.ok("GET", "/v1/notifications"))["notifications"] == []
    assert await world.pushes.of(alice.user_id) == []


async def test_a_direct_message_to_somebody_away_is_a_push(world: World) -> None:
    """S2: with the title that was given, and what an application shall open."""
    (alice,) = await world.people("alice")
    await world.service.ok("POST", f"/v1/users/{alice.user_id}/notifications", json=REMINDER)
    await eventually(lambda: world.pushed(alice, 1))
    assert {"title     Your appointment", "content   Tomorrow at nine."} <= printed(world, alice)
    assert any("open_appointment" in line for line in printed(world, alice))


async def test_a_direct_message_for_some_devices_leaves_the_others_alone(world: World) -> None:
    """S13: the desktop gets none and does not count: without a mobile it is a push."""
    alice, bob = await world.people("alice", "bob")
    body = REMINDER | {"device_types": ["mobile"]}
    async with (
        world.device(alice, device_type="desktop") as desk,
        world.device(alice, edge=2, device_type="mobile") as phone,
        world.device(bob, device_type="desktop") as lonely,
    ):
        await world.service.ok("POST", f"/v1/users/{alice.user_id}/notifications", json=body)
        await world.service.ok("POST", f"/v1/users/{bob.user_id}/notifications", json=body)
        await eventually(lambda: phone.actions("direct_message"))
        await eventually(lambda: world.pushed(bob, 1))
        assert desk.actions("direct_message") == lonely.actions("direct_message") == []
    assert await world.pushes.of(alice.user_id) == []


async def test_sender_type_is_chat_or_system_everywhere(world: World) -> None:
    """S9: in the answer, the frame, history and sync; a role's name is refused."""
    alice, bob = await world.people("alice", "bob")
    c = await conversation(alice, bob)
    cursor = await cursor_of(bob)
    async with world.device(bob) as device:
        path = f"/v1/conversations/{c}/messages"
        for sender_type in ("chat", "system"):
            body = {"client_msg_id": new_id(), "content": sender_type, "sender_id": alice.user_id}
            said = await world.service.ok("POST", path, json=body | {"sender_type": sender_type})
            assert said["sender_type"] == sender_type
        for wrong in ("customer", "consultant", "doctor"):
            body = {"client_msg_id": new_id(), "content": "x", "sender_id": alice.user_id, "sender_type": wrong}
            assert (await world.service.call("POST", path, json=body)).status_code == 422
        await eventually(lambda: len(device.actions("new_message")) == 2)
        shown = [(one["data"]["content"], one["data"]["sender_type"]) for one in device.actions("new_message")]
    assert shown == [("chat", "chat"), ("system", "system")]
    kept = await since(bob, cursor, "message.created")
    page = await bob.ok("GET", path)
    for found in (kept, page["messages"]):
        assert [(one["content"], one["sender_type"]) for one in found] == shown


async def test_a_kept_client_shows_a_notice_once_and_in_order(world: World) -> None:
    """A notice has its place among the messages: without it the timeline would stand still."""
    alice, bob = await world.people("alice", "bob")
    c = await conversation(alice, bob)
    async with chat_client(world.stack, bob.user_id) as screen:
        path = f"/v1/conversations/{c}"
        await alice.ok("POST", f"{path}/messages", json={"client_msg_id": new_id(), "content": "before"})
        await world.service.ok("POST", f"{path}/system-notifications", json=NOTICE)
        await alice.ok("POST", f"{path}/messages", json={"client_msg_id": new_id(), "content": "after"})
        await eventually(lambda: screen.contents(c) == ["before", "Back at six.", "after"])


async def test_a_broadcast_reaches_everybody_with_a_role(world: World) -> None:
    """Online by frame, away by push, nobody with another role; its progress can be followed."""
    doctor = await world.person("dora", ["doctor"])
    away = await world.person("dirk", ["doctor"])
    (alice,) = await world.people("alice")
    async with world.device(doctor) as device, world.device(alice) as other:
        body = {"title": "Rounds", "content": "At eight.", "type": "announcement", "roles": ["doctor"]}
        accepted = await world.service.ok("POST", "/v1/admin/broadcasts", json=body)
        assert accepted["recipients"] >= 2
        await eventually(lambda: device.actions("direct_message"))
        (frame,) = device.actions("direct_message")
        assert (frame["data"]["title"], frame["data"]["broadcast_id"]) == ("Rounds", accepted["broadcast_id"])
        await eventually(lambda: world.pushed(away, 1))
        assert other.actions("direct_message") == []

    async def done() -> bool:
        found = await world.service.ok("GET", f"/v1/admin/broadcasts/{accepted['broadcast_id']}")
        return found["sent"] == found["recipients"] == accepted["recipients"] and "done_at" in found

    await eventually(done)


async def test_an_admin_sees_connections_and_figures_and_disconnects(world: World) -> None:
    """S23: who is connected where; figures of every process; the user's socket is closed, the others' are not."""
    admin = await world.person("root", ["admin"])
    alice, bob = await world.people("alice", "bob")
    c = await conversation(alice, bob)
    async with world.device(alice, edge=2, device_type="tablet") as device, world.device(bob) as other:

        async def connected() -> list[dict[str, Any]]:
            page = await admin.ok("GET", f"/v1/admin/connections?user_id={alice.user_id}")
            return list(page["connections"])

        await eventually(connected)
        (one,) = await connected()
        assert (one["user_id"], one["device_type"]) == (alice.user_id, "tablet")

        async def counted() -> bool:
            await alice.ok(
                "POST", f"/v1/conversations/{c}/messages", json={"client_msg_id": new_id(), "content": "counted"}
            )
            page = await admin.ok("GET", "/v1/admin/stats")
            return bool(
                page["messages_per_s"] > 0
                and page["deliveries_per_s"] > 0
                and page["delivery_p50_ms"]
                and page["connections"] >= 2
                and len(page["by_edge"]) == 2
            )

        await eventually(counted, every_s=0.25, timeout_s=20.0)
        await admin.ok("POST", f"/v1/admin/users/{alice.user_id}/disconnect", json={"device_type": "tablet"})
        await eventually(lambda: device.close_code is not None)
        assert device.close_code == 1001
        assert other.close_code is None
    (alone,) = await world.people("carol")
    for path in ("/v1/admin/stats", "/v1/admin/connections"):
        assert (await alone.call("GET", path)).status_code == 403
