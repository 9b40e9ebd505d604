"""Frames as the sockets see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import Undecodable
from contracts.events import EVENT_CLASSES
from contracts.frames import (
    ACTION_OF_EVENT,
    ClientFrame,
    ServerAction,
    event_frame,
    expired_frame,
    frame_bytes,
    live_key,
)
from contracts.ids import new_id

AT = datetime(2026, 1, 31, 8, 15, 30, 123000, tzinfo=UTC)
WITHOUT_A_FRAME = {
    "user.registered",
    "user.conversation_joined",
    "user.conversation_left",
    "user.updated",
    "user.settings_changed",
    "user.conversation_muted",
    "user.blocked",
    "user.unblocked",
    "user.sessions_ended",
    "user.admin_acted",
}


def envelope(event_type: str, data: dict[str, Any]) -> Envelope:
    """An event of a conversation."""
    subject = f"conversation:{new_id()}"
    return Envelope(
        id=new_id(), type=event_type, subject=subject, time=AT, seq=4, position=9, partitionkey=subject, data=data
    )


def test_event_frame_has_everything_to_merge_by() -> None:
    """A durable frame carries its id, stream, seq and time."""
    event = envelope("message.created", {"content": "hi"})
    frame = event_frame(event)
    assert frame is not None
    assert json.loads(frame) == {
        "action": "new_message",
        "id": event.id,
        "stream": event.subject,
        "seq": 4,
        "time": "2026-01-31T08:15:30.123Z",
        "data": {"content": "hi"},
    }


def test_event_frame_does_not_tell_who_was_left_out() -> None:
    """`exclude_user_ids` is nobody's business, and the event itself stays as it was."""
    event = envelope("message.created", {"content": "hi", "exclude_user_ids": ["carol"]})
    frame = event_frame(event)
    assert frame is not None
    assert b"exclude_user_ids" not in frame
    assert b"carol" not in frame
    assert event.data["exclude_user_ids"] == ["carol"]


@given(st.text())
def test_text_is_readable_utf8(content: str) -> None:
    """Text of any language is written as it is, and read back the same."""
    frame = event_frame(envelope("message.created", {"content": content}))
    assert frame is not None
    assert json.loads(frame)["data"]["content"] == content


def test_unicode_is_not_escaped() -> None:
    """Escapes would double the size of a Chinese message."""
    frame = event_frame(envelope("message.created", {"content": "你好 🙂"}))
    assert frame is not None
    assert "你好 🙂".encode() in frame


def test_every_event_is_a_frame_or_decided_not_to_be() -> None:
    """A new event needs a decision: a frame, or a line in this test."""
    types = {event.type for event in EVENT_CLASSES}
    assert set(ACTION_OF_EVENT) | WITHOUT_A_FRAME == types
    assert not set(ACTION_OF_EVENT) & WITHOUT_A_FRAME


@pytest.mark.parametrize("event_type", sorted(WITHOUT_A_FRAME | {"message.vanished"}))
def test_other_events_are_no_frames(event_type: str) -> None:
    """What devices learn by sync alone, or what a later release invented, is not sent."""
    assert event_frame(envelope(event_type, {})) is None


def test_ref_comes_back_in_its_type() -> None:
    """A client compares the `ref` that it gave, so a number stays a number, and 0 is one."""
    assert json.loads(frame_bytes(ServerAction.ACK, {}, ref=0))["ref"] == 0
    assert json.loads(frame_bytes(ServerAction.ACK, {}, ref="0"))["ref"] == "0"
    assert "ref" not in json.loads(frame_bytes(ServerAction.ACK, {}))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"action": 1}', '{"action": "x", "data": []}', '{"action": "' + "x" * 65 + '"}']
)
def test_client_frames_are_objects_with_an_action(text: str) -> None:
    """Anything else is no frame."""
    with pytest.raises(Undecodable):
        decode(ClientFrame, text)


def test_a_notice_is_a_system_notification() -> None:
    """The same message without a notice is `new_message`."""
    frame = event_frame(envelope("message.created", {"content": "", "notice": {"title": "t", "type": "maintenance"}}))
    assert frame is not None
    assert json.loads(frame)["action"] == "system_notification"


def test_a_typing_signal_is_taken_back_by_its_key() -> None:
    """The edge needs nothing but the key; other signals just end."""
    taken_back = expired_frame(live_key("typing", "c", "alice"))
    assert taken_back is not None
    assert json.loads(taken_back) == {
        "action": "typing",
        "data": {"conversation_id": "c", "user_id": "alice", "is_typing": False},
    }
    assert expired_frame(live_key("read", "c", "alice")) is None
