"""Files between people: sent, shown on sockets, read in parts, taken back; over everything that is real."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from contracts.ids import new_id

from .clients.api import Api
from .eventually import eventually
from .world import World

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(400_000)
NOTE = b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead\x01\x01" + random.Random(2).randbytes(900_000)


async def upload(who: Api, data: bytes, name: str, **fields: str) -> dict[str, Any]:
    """Store a file; returns what it is."""
    stored = await who.ok("POST", "/v1/attachments", files={"file": (name, data)}, data=fields)
    assert isinstance(stored, dict)
    return stored


async def test_a_picture_reaches_everybody_with_what_it_is(world: World) -> None:
    """On the socket as in history; who is away gets a push; the bytes are the bytes."""
    anna, ben, carl = await world.people("anna", "ben", "carl")
    conversation = await anna.open_conversation(ben.user_id, carl.user_id)
    async with world.device(ben, edge=2) as device:
        file = await upload(anna, PNG, "scan.png")
        await anna.send(conversation, "the scan", message_type="image", attachment_id=file["id"])
        await eventually(lambda: device.contents(conversation) == ["the scan"])
        assert device.actions("new_message")[0]["data"]["attachment"] == file
    assert file["sha256"] == hashlib.sha256(PNG).hexdigest()
    got = await ben.call("GET", f"/v1/attachments/{file['id']}")
    assert got.content == PNG
    assert got.headers["content-type"] == "image/png"

    async def pushed() -> bool:
        return len(await world.pushes.sent_to(carl.user_id)) == 1

    await eventually(pushed)


async def test_a_voice_note_over_the_socket_is_wound_forward(world: World) -> None:
    """Sent by a frame, read from the middle."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    note = await upload(anna, NOTE, "note.ogg", duration_ms="4200")
    async with world.device(anna) as phone:
        data = {
            "conversation_id": conversation,
            "client_msg_id": new_id(),
            "message_type": "voice",
            "content": "voice note",
            "attachment_id": note["id"],
        }
        await phone.send({"action": "send_message", "ref": "1", "data": data})
        assert (await eventually(lambda: phone.answer("1")))["action"] == "ack"
        # The same file again, in another message: refused, as over HTTP.
        await phone.send({"action": "send_message", "ref": "2", "data": data | {"client_msg_id": new_id()}})
        refused = await eventually(lambda: phone.answer("2"))
        assert refused["data"]["code"] == "validation_failed"
    history = await ben.ok("GET", f"/v1/conversations/{conversation}/messages")
    assert history["messages"][0]["attachment"]["duration_ms"] == 4200
    part = await ben.call("GET", f"/v1/attachments/{note['id']}", headers={"Range": "bytes=500000-599999"})
    assert part.status_code == 206
    assert part.content == NOTE[500_000:600_000]


async def test_nobody_else_reads_it_and_nobody_after_it_is_taken_back(world: World) -> None:
    """A stranger: 404. Removed: 404. Taken back: 404 for all, and the tombstone on the socket names no file."""
    anna, ben, eve = await world.people("anna", "ben", "eve")
    conversation = await anna.open_conversation(ben.user_id)
    file = await upload(anna, PNG, "private.png")
    path = f"/v1/attachments/{file['id']}"
    message = await anna.send(conversation, "private", message_type="image", attachment_id=file["id"])
    assert (await eve.call("GET", path)).status_code == 404
    assert (await ben.call("GET", path)).status_code == 200
    async with world.device(ben) as device:
        await anna.ok("DELETE", f"/v1/messages/{message['id']}")
        assert [(await who.call("GET", path)).status_code for who in (anna, ben, world.service)] == [404] * 3
        await eventually(lambda: device.actions("message_deleted"))
        assert "attachment" not in device.actions("message_deleted")[0]["data"]
    second = await upload(anna, PNG, "other.png")
    await anna.send(conversation, "other", message_type="image", attachment_id=second["id"])
    await anna.ok("DELETE", f"/v1/conversations/{conversation}/participants/{ben.user_id}")
    assert (await ben.call("GET", f"/v1/attachments/{second['id']}")).status_code == 404


async def test_the_bytes_of_a_deleted_message_leave_the_store(world: World) -> None:
    """Not only hidden: the object store has nothing under the file's id any more."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    file = await upload(anna, PNG, "scan.png")
    message = await anna.send(conversation, "scan", message_type="image", attachment_id=file["id"])
    async with world.observer() as observer:
        js = observer.jetstream()

        async def chunks() -> int:
            info = await js.stream_info("OBJ_attachments", subjects_filter=f"$O.attachments.C.{file['id']}")
            return sum((info.state.subjects or {}).values())

        assert await chunks() == 4
        await anna.ok("DELETE", f"/v1/messages/{message['id']}")

        async def gone() -> bool:
            return await chunks() == 0

        await eventually(gone, timeout_s=30)
