"""docs/asyncapi.json is what the contracts say, in the form that AsyncAPI 3 demands, and leaves nothing out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from contracts import subjects
from contracts.asyncapi import document, text
from contracts.commands import MARK_READ, PRESENCE, SEND_MESSAGE, STATS, TYPING
from contracts.envelope import Envelope
from contracts.events import EVENT_CLASSES
from contracts.frames import ACTION_OF_EVENT, ClientAction, ServerAction, event_frame, expired_frame, live_key
from contracts.ids import new_id
from contracts.presence import EDGES_BUCKET, PRESENCE_BUCKET
from contracts.stream_ids import ConversationStream, UserStream

from .pages import ROOT

GOLDEN = ROOT / "libs" / "contracts" / "tests" / "golden"
STANDARD = json.loads((Path(__file__).parent / "data" / "asyncapi-3.0.0.schema.json").read_text())
DOCUMENT = document()
REGENERATE = "run `python -m contracts.asyncapi docs/asyncapi.json`, and commit what changed"
KNOWN = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


def test_the_published_document_is_up_to_date() -> None:
    """A change of a contract shows up in the document, in the same commit."""
    assert (ROOT / "docs" / "asyncapi.json").read_text() == text(), REGENERATE


def test_it_is_what_the_standard_demands() -> None:
    """The standard's own schema finds nothing; and would, if something were wrong."""
    validator = Draft7Validator(STANDARD)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []
    wrong = json.loads(json.dumps(DOCUMENT))
    wrong["operations"]["ask_ping"]["action"] = "shout"
    assert list(validator.iter_errors(wrong))


def test_every_reference_leads_somewhere() -> None:
    """No schema, channel or message is named that is not there."""
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text()):
        found: Any = DOCUMENT
        for part in reference.split("/"):
            found = found[part]


def test_every_action_is_there() -> None:
    """What a client may ask and what it may hear: neither more nor less than the contracts know."""
    messages = DOCUMENT["channels"]["socket"]["messages"]
    heard = {message["name"] for name, message in messages.items() if name.startswith("server_")}
    asked = {message["name"] for name, message in messages.items() if name.startswith("client_")}
    assert heard == {action.value for action in ServerAction}
    assert asked == {action.value for action in ClientAction}


def test_every_event_is_there() -> None:
    """Each event's data has its schema."""
    assert {event.__name__ for event in EVENT_CLASSES} <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    "subject",
    [
        subjects.user("anna"),
        subjects.room(KNOWN),
        subjects.role("consultant"),
        subjects.event(ConversationStream(KNOWN), "message.created"),
        subjects.event(UserStream("anna"), "user.read_advanced"),
        subjects.offline("anna"),
        subjects.receipt("fanout-1", 7),
        subjects.DISCONNECT,
        *(subjects.command(name) for name in (SEND_MESSAGE, TYPING, MARK_READ, PRESENCE, STATS)),
        f"$KV.{PRESENCE_BUCKET}.anna.edge-1",
        f"$KV.{EDGES_BUCKET}.edge-1",
    ],
)
def test_every_subject_is_there(subject: str) -> None:
    """A subject as the contracts build it matches exactly one address."""
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    patterns = [re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(address)) for address in addresses]
    assert sum(re.fullmatch(pattern, subject) is not None for pattern in patterns) == 1


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_frames_are_as_described(path: Path) -> None:
    """Each frozen event, as the frame that devices get, fits what the document says of its action."""
    event = Envelope.model_validate_json(path.read_text())
    frame = event_frame(event)
    if frame is None:
        assert event.type not in ACTION_OF_EVENT
        return
    told = json.loads(frame)
    assert_described(told, f"server_{told['action']}")
    with pytest.raises(AssertionError):
        assert_described({**told, "data": {"nonsense": True}}, f"server_{told['action']}")


def test_a_signal_that_expires_is_as_described() -> None:
    """The frame that takes typing back."""
    frame = expired_frame(live_key("typing", new_id(), "anna"))
    assert frame is not None
    assert_described(json.loads(frame), "server_typing")


def assert_described(frame: dict[str, Any], message: str) -> None:
    """Fails unless `frame` fits the payload of that message of the socket."""
    payload = DOCUMENT["channels"]["socket"]["messages"][message]["payload"]
    validator = Draft202012Validator({**payload, "components": DOCUMENT["components"]})
    assert [error.message for error in validator.iter_errors(frame)] == []
