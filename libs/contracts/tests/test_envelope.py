"""The envelope is CloudEvents 1.0, and survives the trip."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.codec import decode, encode
from contracts.envelope import SOURCE, Envelope
from contracts.errors import UnknownEvent
from contracts.events import ParticipantLeft
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream

AT = datetime(2026, 1, 31, 8, 15, 30, 123000, tzinfo=UTC)
CONVERSATION = new_id()


def envelope(**changes: Any) -> Envelope:
    """A complete envelope with `changes`."""
    subject = str(ConversationStream(CONVERSATION))
    fields: dict[str, Any] = {
        "id": new_id(),
        "type": "participant.left",
        "subject": subject,
        "time": AT,
        "seq": 3,
        "position": 7,
        "partitionkey": subject,
        "data": {
            "conversation_id": CONVERSATION,
            "user_id": "bob",
            "removed_by": "alice",
            "left_at": "2026-01-31T08:15:30.123Z",
        },
    }
    return Envelope(**(fields | changes))


def test_cloudevents_attributes() -> None:
    """Everything that CloudEvents 1.0 requires is there, under its name and in its form."""
    written = envelope().model_dump(mode="json", exclude_none=True)
    assert written["specversion"] == "1.0"
    assert written["source"] == SOURCE
    assert written["datacontenttype"] == "application/json"
    assert written["time"] == "2026-01-31T08:15:30.123Z"
    assert {"id", "type", "subject", "data"} <= set(written)
    # Names of attributes: lower-case letters and digits, at most 20 of them.
    assert all(name.isalnum() and name == name.lower() and len(name) <= 20 for name in written)


def test_round_trip() -> None:
    """What is written is what is read."""
    sent = envelope(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", txid=2**40)
    assert decode(Envelope, encode(sent)) == sent


def test_stream_and_event() -> None:
    """The envelope knows its stream and its typed data."""
    sent = envelope()
    assert sent.stream == ConversationStream(CONVERSATION)
    event = sent.event()
    assert isinstance(event, ParticipantLeft)
    assert event.left_at == AT


@pytest.mark.parametrize("changes", [{"type": "message.vanished"}, {"dataversion": 99}])
def test_events_of_a_later_release(changes: dict[str, Any]) -> None:
    """A type or version that we do not know can be carried, but not read."""
    with pytest.raises(UnknownEvent):
        decode(Envelope, encode(envelope(**changes))).event()


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 0},
        {"position": 0},
        {"dataversion": 0},
        {"txid": 0},
        {"specversion": "0.3"},
        {"id": "x"},
        {"time": "now"},
    ],
)
def test_impossible_envelopes(changes: dict[str, Any]) -> None:
    """Counting begins at 1, and there is one version of the specification."""
    with pytest.raises(ValidationError):
        envelope(**changes)
