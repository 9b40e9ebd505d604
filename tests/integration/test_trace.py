"""One message is followed through the whole system by one id, in the logs of every service: seed row S22."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from stack import StackOptions

from .conftest import OpenWorld
from .eventually import eventually
from .world import World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"

WAY = {
    ("chat-api", "broadcast"),
    ("chat-api", "route"),
    ("chat-api", "recipients"),
    ("chat-api", "deliver"),
    ("ws-edge", "received"),
    ("ws-edge", "local_check"),
    ("ws-edge", "local_push"),
    ("notifier", "received"),
    ("notifier", "local_push"),
}
"""Service and stage of each line that a message leaves if one recipient is online and another is away."""


async def test_s22_one_trace_id_from_the_request_to_the_socket_and_the_push(open_world: OpenWorld) -> None:
    """A message to somebody who is online and to somebody who is away: each line carries the caller's id."""
    options = StackOptions(edges=1, log_format="json", log_level="DEBUG")
    async with open_world(options) as world:
        anna, ben, away = await world.people("anna", "ben", "away")
        conversation = await anna.open_conversation(ben.user_id, away.user_id)
        async with world.device(ben) as device:
            body = {"client_msg_id": "m-1", "content": "follow me"}
            path = f"/v1/conversations/{conversation}/messages"
            await anna.ok("POST", path, json=body, headers={"traceparent": TRACEPARENT})
            await eventually(lambda: device.contents(conversation) == ["follow me"])
            await eventually(partial(_followed, world), timeout_s=30)
        events = await anna.ok("GET", f"{path.removesuffix('messages')}events?after_seq=1")
        assert [event["traceparent"].split("-")[1] for event in events["events"]] == [TRACE]


async def test_s22_a_frame_begins_a_trace_too(open_world: OpenWorld) -> None:
    """Sent over the socket with a `traceparent`: the event carries the same trace."""
    async with open_world(StackOptions(edges=1, notifier=False)) as world:
        anna = await world.person("anna")
        conversation = await anna.open_conversation()
        async with world.device(anna) as device:
            data = {"conversation_id": conversation, "client_msg_id": "m-1", "content": "hello"}
            await device.send({"action": "send_message", "ref": "r", "data": data, "traceparent": TRACEPARENT})
            await eventually(lambda: device.answer("r"))
        events = await anna.ok("GET", f"/v1/conversations/{conversation}/events?after_seq=1")
        assert [event["traceparent"].split("-")[1] for event in events["events"]] == [TRACE]


def _followed(world: World) -> bool:
    """Whether every stage has left a line with the trace id."""
    found = {(line["service"], line["stage"]) for line in _lines(world.stack.data_dir / "logs")}
    assert found >= WAY, WAY - found
    return True


def _lines(folder: Path) -> list[dict[str, Any]]:
    """All log lines of all parts that carry the trace id."""
    return [
        json.loads(line)
        for path in folder.glob("*.log")
        for line in path.read_text(errors="replace").splitlines()
        if TRACE in line and line.startswith("{")
    ]
