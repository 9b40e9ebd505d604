"""Who types, who has read, who has received: told to whoever is there, over sockets and HTTP."""

from __future__ import annotations

import time
from typing import Any

from contracts.frames import TYPING_EXPIRES_MS

from .clients.api import Api
from .clients.history import events_after
from .clients.socket import Device
from .eventually import eventually
from .world import World


def typing(device: Device, conversation: str) -> list[tuple[str, bool]]:
    """Who was said to type in a conversation, or to have stopped."""
    return [
        (frame["data"]["user_id"], frame["data"]["is_typing"])
        for frame in device.actions("typing")
        if frame["data"]["conversation_id"] == conversation
    ]


def reads(device: Device, who: Api) -> list[int]:
    """Up to where a user was said to have read, in the order of the frames."""
    return [frame["data"]["seq"] for frame in device.actions("read") if frame["data"]["user_id"] == who.user_id]


async def ask(device: Device, action: str, ref: str, **data: Any) -> dict[str, Any]:
    """Send a frame and wait for its answer."""
    await device.send({"action": action, "ref": ref, "data": data})
    answer: dict[str, Any] = await eventually(lambda: device.answer(ref))
    return answer


async def test_typing_reaches_the_others_and_is_stored_nowhere(world: World) -> None:
    """Over the socket and over HTTP, also by a host application (S3); not to the typist's own devices."""
    anna, ben, carl = await world.people("anna", "ben", "carl")
    conversation = await anna.open_conversation(ben.user_id, carl.user_id)
    before = await events_after(anna, conversation)
    path = f"/v1/conversations/{conversation}/typing"
    async with (
        world.device(anna, edge=1) as desk,
        world.device(anna, edge=2, device_type="mobile") as phone,
        world.device(ben, edge=2) as other,
        world.device(carl, edge=1, device_type="tablet") as third,
    ):
        answer = await ask(desk, "typing", "t1", conversation_id=conversation, is_typing=True)
        assert answer["action"] == "ack"
        expected = [(anna.user_id, True)]
        await eventually(lambda: typing(other, conversation) == typing(third, conversation) == expected)
        assert (await ask(desk, "typing", "t2", conversation_id=conversation, is_typing=False))["action"] == "ack"
        expected.append((anna.user_id, False))
        await eventually(lambda: typing(other, conversation) == typing(third, conversation) == expected)

        await ben.ok("POST", path, json={"is_typing": True})
        by_ben = [(ben.user_id, True)]
        # A socket that has not been written meanwhile would get the end alone: the latest replaces what is unsent.
        await eventually(lambda: typing(desk, conversation) == typing(phone, conversation) == by_ben)
        await world.service.ok("POST", path, json={"is_typing": False, "user_id": ben.user_id})
        by_ben.append((ben.user_id, False))
        await eventually(lambda: typing(desk, conversation) == typing(phone, conversation) == by_ben)
        assert typing(other, conversation) == expected
        frame = desk.actions("typing")[0]
        assert not {"seq", "stream", "id"} & frame.keys(), "nothing that a client would count on"
    assert await events_after(anna, conversation) == before
    assert await world.pushes.of(carl.user_id) == []


async def test_typing_that_is_not_renewed_ends_by_itself(world: World) -> None:
    """Six seconds after the last word of it, by a frame like the typist's own; a renewal puts it off."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    path = f"/v1/conversations/{conversation}/typing"
    async with world.device(ben, edge=2) as device:
        await anna.ok("POST", path, json={"is_typing": True})
        await eventually(lambda: typing(device, conversation) == [(anna.user_id, True)])
        renew_at = time.monotonic() + 3
        await eventually(lambda: time.monotonic() >= renew_at)
        await anna.ok("POST", path, json={"is_typing": True})
        renewed = time.monotonic()
        await eventually(lambda: typing(device, conversation)[-1] == (anna.user_id, False))
        took = time.monotonic() - renewed
        assert TYPING_EXPIRES_MS / 1000 - 0.5 <= took <= TYPING_EXPIRES_MS / 1000 + 2
        assert typing(device, conversation).count((anna.user_id, False)) == 1


async def test_a_typist_who_goes_away_types_no_more(world: World) -> None:
    """The socket is closed in the middle of a word: the others are told at once, not after six seconds."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben, edge=2) as device:
        async with world.device(anna, edge=1) as desk:
            await ask(desk, "typing", "t", conversation_id=conversation, is_typing=True)
            await eventually(lambda: typing(device, conversation) == [(anna.user_id, True)])
        gone = time.monotonic()
        await eventually(lambda: typing(device, conversation) == [(anna.user_id, True), (anna.user_id, False)])
        assert time.monotonic() - gone < TYPING_EXPIRES_MS / 1000 - 2


async def test_a_signal_from_who_takes_no_part_is_refused(world: World) -> None:
    """An error frame with the code of HTTP; nobody is told, and the socket lives on."""
    anna, ben, eve = await world.people("anna", "ben", "eve")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben) as device, world.device(eve) as stranger:
        good: list[tuple[str, dict[str, Any]]] = [("typing", {"is_typing": True}), ("mark_read", {"seq": 1})]
        bad: list[tuple[str, dict[str, Any]]] = [("typing", {"is_typing": "maybe"}), ("mark_read", {"seq": -1})]
        for action, data in good:
            answer = await ask(stranger, action, action, conversation_id=conversation, **data)
            assert (answer["action"], answer["data"]["code"]) == ("error", "not_found")
        for action, data in bad:
            answer = await ask(stranger, action, f"bad-{action}", conversation_id=conversation, **data)
            assert (answer["action"], answer["data"]["code"]) == ("error", "validation_failed")
        await anna.send(conversation, "end")
        await eventually(lambda: device.contents(conversation) == ["end"])
        assert typing(device, conversation) == []
        await stranger.send({"action": "ping", "ref": "alive"})
        await eventually(lambda: stranger.answer("alive"))


async def test_read_cursors_only_rise_and_everybody_concerned_sees_them(world: World) -> None:
    """To the other participant, to the reader's other device, in the unread count; a lower one changes nothing."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    sent = [await anna.send(conversation, f"message {number}") for number in range(4)]
    last = sent[-1]["seq"]

    async def unread() -> int:
        found = await ben.ok("GET", "/v1/conversations")
        return int(next(one["unread_count"] for one in found["conversations"] if one["id"] == conversation))

    async with (
        world.device(anna, edge=1) as writer,
        world.device(ben, edge=2, device_type="mobile") as phone,
        world.device(ben, edge=1, device_type="desktop") as desk,
    ):
        assert await unread() == 4
        answer = await ask(phone, "mark_read", "r1", conversation_id=conversation, seq=last - 1)
        told = {"conversation_id": conversation, "user_id": ben.user_id, "seq": last - 1}
        assert (answer["action"], answer["data"]) == ("ack", told)
        await eventually(lambda: reads(writer, ben) == reads(desk, ben) == [last - 1])
        assert await unread() == 1
        lower = await ask(phone, "mark_read", "r2", conversation_id=conversation, seq=last - 2)
        assert lower["data"]["seq"] == last - 1, "what holds"
        assert (await ben.ok("PUT", f"/v1/conversations/{conversation}/read", json={"seq": 1}))["seq"] == last - 1
        beyond = await ask(phone, "mark_read", "r3", conversation_id=conversation, seq=last + 1)
        assert (beyond["action"], beyond["data"]["code"]) == ("error", "seq_out_of_range")
        await ben.ok("PUT", f"/v1/conversations/{conversation}/read", json={"seq": last})
        await eventually(lambda: reads(writer, ben) == reads(desk, ben) == [last - 1, last])
        assert await unread() == 0
        await anna.send(conversation, "one more")
        await eventually(lambda: "one more" in phone.contents(conversation))
        assert await unread() == 1


async def test_a_host_application_reports_what_was_read_by_message_ids(world: World) -> None:
    """The seed's read status (S4): the latest of the named messages counts, and the others are told."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    sent = [await anna.send(conversation, f"message {number}") for number in range(3)]
    body = {"user_id": ben.user_id, "message_ids": [sent[1]["id"], sent[0]["id"]]}
    async with world.device(anna, edge=2) as writer:
        answer = await world.service.ok("PUT", f"/v1/conversations/{conversation}/read", json=body)
        assert answer == {"seq": sent[1]["seq"]}
        await eventually(lambda: reads(writer, ben) == [sent[1]["seq"]])
    assert (await ben.ok("GET", f"/v1/conversations/{conversation}"))["unread_count"] == 1


async def test_a_sender_learns_that_a_message_was_delivered(world: World) -> None:
    """When the first of the other's devices has it, not before; and only the sender is told."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)

    def delivered(device: Device) -> list[int]:
        return [
            frame["data"]["seq"]
            for frame in device.actions("delivered")
            if (frame["data"]["conversation_id"], frame["data"]["user_id"]) == (conversation, ben.user_id)
        ]

    async with world.device(anna, edge=1) as writer:
        first = await anna.send(conversation, "into the void")
        await eventually(lambda: "into the void" in writer.contents(conversation))
        assert delivered(writer) == []
        async with world.device(ben, edge=2) as device:
            second = await anna.send(conversation, "now you are here")
            await eventually(lambda: delivered(writer) == [second["seq"]])
            assert second["seq"] > first["seq"]
            assert device.actions("delivered") == []
