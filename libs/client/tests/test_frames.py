"""A frame of the server becomes the event that sync would have told, so that nothing is shown twice or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.frames import event_frame
from natter_client.frames import parse

GOLDEN = Path(__file__).parents[2] / "contracts" / "tests" / "golden"


def golden(name: str, **changes: Any) -> Envelope:
    """A frozen event."""
    found = decode(Envelope, (GOLDEN / name).read_text())
    return found.model_copy(update={"data": found.data | changes})


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_every_durable_frame_is_its_event_again(path: Path) -> None:
    """Stream, seq and type are those of the event, whatever the action is called."""
    event = golden(path.name)
    payload = event_frame(event)
    if payload is None:
        return
    frame = parse(payload)
    assert frame is not None
    shown = frame.event()
    assert shown is not None
    assert (shown.stream, shown.seq, shown.type) == (event.subject, event.seq, event.type)


def test_a_system_notification_is_a_message_of_the_timeline() -> None:
    """S5: without it, the conversation would have a hole at its place."""
    notice = {"title": "Maintenance", "type": "maintenance"}
    event = golden("message.created.v1.json", notice=notice, sender_type="system", message_type="system")
    payload = event_frame(event)
    assert payload is not None
    assert json.loads(payload)["action"] == "system_notification"
    frame = parse(payload)
    assert frame is not None
    shown = frame.event()
    assert shown is not None
    assert (shown.type, shown.seq, shown.data["notice"]) == ("message.created", event.seq, notice)


def test_a_direct_message_looks_as_sync_tells_it() -> None:
    """S2: an application reads the notification at one place, however it came."""
    event = golden("user.notified.v1.json")
    payload = event_frame(event)
    assert payload is not None
    frame = parse(payload)
    assert frame is not None
    shown = frame.event()
    assert shown is not None
    assert shown.data == {"notification": event.data["notification"]}


def test_what_is_no_event_is_none() -> None:
    """Live signals have no place in a stream; actions of a later release mean nothing here."""
    for payload in ('{"action":"typing","data":{}}', '{"action":"later","stream":"user:x","seq":1,"data":{}}'):
        frame = parse(payload)
        assert frame is not None
        assert frame.event() is None
