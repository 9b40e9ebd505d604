"""What was written by an old release is read by this one: step by step, and never by guessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chat_api.store.upcast import STEPS, upcast
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import Undecodable, UnknownEvent
from contracts.events import EVENT_CLASSES, ConversationUpdated, event_class

GOLDEN = Path(__file__).parents[4] / "libs" / "contracts" / "tests" / "golden"
FIXTURES = sorted(GOLDEN.glob("*.json"))
DATA = {
    "conversation_id": "0198f3a0-1b2c-7000-8000-0000000000c1",
    "updated_by": "alice",
    "updated_at": "2026-01-31T08:15:30.123Z",
}


def rename(data: dict[str, Any]) -> dict[str, Any]:
    """A made-up version -1 called the title "name"."""
    return {("title" if key == "name" else key): value for key, value in data.items()}


def add(data: dict[str, Any]) -> dict[str, Any]:
    """A made-up version 0 knew no metadata."""
    return data | {"metadata": {"of": data["title"]}}


RETIRED = {(ConversationUpdated.type, -1): rename, (ConversationUpdated.type, 0): add}


def test_two_steps_follow_each_other() -> None:
    """Each version goes through the steps that are left, the current one through none."""
    expected = ConversationUpdated.model_validate(DATA | {"title": "T", "metadata": {"of": "T"}})
    assert upcast(ConversationUpdated.type, -1, DATA | {"name": "T"}, RETIRED) == expected
    assert upcast(ConversationUpdated.type, 0, DATA | {"title": "T"}, RETIRED) == expected
    assert upcast(ConversationUpdated.type, 1, DATA | {"title": "T"}, RETIRED).model_dump()["metadata"] is None


def test_the_stored_data_stays_as_it_is() -> None:
    """A step makes new data: the row may be looked at again."""
    data = DATA | {"name": "T"}
    upcast(ConversationUpdated.type, -1, data, RETIRED)
    assert data == DATA | {"name": "T"}


@pytest.mark.parametrize(
    ("event_type", "version", "steps", "told"),
    [
        ("message.vanished", 1, {}, "'message.vanished' version 1 is unknown"),
        ("message.created", 2, {}, "'message.created' version 2 is unknown"),
        ("message.created", 0, {}, "version 0 is unknown"),
        (ConversationUpdated.type, -2, RETIRED, "version -2 is unknown"),
        ("message.created", 1, {("message.created", 1): dict}, r"version 1 \(brought up to 2\) is unknown"),
    ],
)
def test_what_is_unknown_is_named(event_type: str, version: int, steps: Any, told: str) -> None:
    """A later release's event, a lost step, a step that leads nowhere."""
    with pytest.raises(UnknownEvent, match=told):
        upcast(event_type, version, {}, steps)


def test_data_that_does_not_fit_is_named_without_its_content() -> None:
    """Which fields are wrong is told; what stands there may be private."""
    with pytest.raises(Undecodable, match=r"'conversation.updated' version 1 .*: updated_by$") as refused:
        upcast(ConversationUpdated.type, 1, DATA | {"updated_by": "a secret"})
    assert "a secret" not in str(refused.value)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_frozen_event_is_read_as_its_current_class(path: Path) -> None:
    """Whatever was ever written: the fixtures stay for ever, so their steps must."""
    envelope = decode(Envelope, path.read_text())
    current = max(cls.version for cls in EVENT_CLASSES if cls.type == envelope.type)
    assert type(upcast(envelope.type, envelope.dataversion, envelope.data)) is event_class(envelope.type, current)


def test_steps_leave_no_version_behind() -> None:
    """A step leads to a version that another step leaves or that is current; a current version has no step."""
    current = {cls.type: max(one.version for one in EVENT_CLASSES if one.type == cls.type) for cls in EVENT_CLASSES}
    for event_type, version in STEPS:
        assert version < current[event_type]
        assert version + 1 == current[event_type] or (event_type, version + 1) in STEPS
