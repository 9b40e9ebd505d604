"""What the sender learns of a message's way: live ticks, cursors for whoever was away, and the story afterwards."""

from __future__ import annotations

from typing import Any

from .eventually import eventually
from .world import World


async def test_s24_the_ticks_and_the_story_of_a_message(world: World) -> None:
    """Delivered and read reach the sender as live frames over both edges, and the story names every device."""
    anna, ben, cleo = await world.people("anna", "ben", "cleo")
    conversation = await anna.open_conversation(ben.user_id, cleo.user_id)
    async with (
        world.device(anna, edge=1, device_type="desktop") as desk,
        world.device(ben, edge=2, device_type="mobile") as phone,
        world.device(ben, edge=1, device_type="tablet"),
    ):
        message = await anna.send(conversation, "hello")
        tick = {"conversation_id": conversation, "user_id": ben.user_id, "seq": message["seq"]}
        await eventually(lambda: tick in [frame["data"] for frame in desk.actions("delivered")])
        assert phone.actions("delivered") == []
        await ben.ok("PUT", f"/v1/conversations/{conversation}/read", json={"seq": message["seq"]})
        await eventually(lambda: tick in [frame["data"] for frame in desk.actions("read")])

        async def story() -> dict[str, Any]:
            told = await anna.ok("GET", f"/v1/messages/{message['id']}/delivery")
            return {one["user_id"]: one for one in told["recipients"]}

        async def on_both_devices() -> bool:
            lines = await story()
            return {device["device_type"] for device in lines[ben.user_id]["devices"]} == {"mobile", "tablet"}

        await eventually(on_both_devices)
        lines = await story()
        assert lines.keys() == {ben.user_id, cleo.user_id}
        assert lines[ben.user_id]["state"] == "read"
        assert lines[cleo.user_id]["state"] in ("waiting", "handed_over"), "the notifier may have taken it already"
    # Somebody who was away sees how far everybody is.
    told = await anna.ok("GET", f"/v1/conversations/{conversation}/cursors")
    assert {"user_id": ben.user_id, "read_seq": message["seq"], "delivered_seq": message["seq"]} in told["cursors"]


async def test_s2_a_notification_is_confirmed_by_a_device_or_pushed(world: World) -> None:
    """Through real edges: who is there sees it and gets no push, who is away gets one."""
    here, away = await world.people("here", "away")
    async with world.device(here, device_type="mobile") as phone:
        body = {"title": "Your appointment", "content": "tomorrow at nine", "type": "appointment_reminder"}
        for user in (here, away):
            answer = await world.service.call("POST", f"/v1/users/{user.user_id}/notifications", json=body)
            assert answer.status_code == 201, answer.text
        await eventually(lambda: [frame["data"]["content"] for frame in phone.actions("direct_message")])
        await eventually(lambda: world.pushed(away, 1))
        assert await world.pushes.of(here.user_id) == []
