"""Every version of every event has a frozen example, which every later release must still read.

A fixture is never edited: a change that an old reader would misread is a new class with the next version.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.codec import decode, encode
from contracts.envelope import Envelope
from contracts.errors import UnknownEvent
from contracts.events import EVENT_CLASSES, EventData, event_class

GOLDEN = Path(__file__).parent / "golden"
ADDED_LATER = {"txid"}
"""Attributes of the envelope that are younger than the fixtures, which stay as they were written."""
FIXTURES = sorted(path.name for path in GOLDEN.glob("*.json"))


def version_of(name: str) -> str:
    """`message.created.v1`, also of `message.created.v1.whole.json`, which has the fields that came later."""
    return name[: name.index(".v") + 3]


def test_every_version_has_a_fixture_and_every_fixture_a_version() -> None:
    """A new event without a fixture, or an old fixture without its class, is a broken promise."""
    assert {f"{event.type}.v{event.version}" for event in EVENT_CLASSES} == {version_of(name) for name in FIXTURES}


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_is_read_and_written_the_same(name: str) -> None:
    """The envelope and its data are read completely: writing them again gives the fixture, field for field."""
    text = (GOLDEN / name).read_text()
    envelope = decode(Envelope, text)
    assert f"{envelope.type}.v{envelope.dataversion}" == version_of(name)
    assert json.loads(encode(envelope)) == json.loads(text)
    assert json.loads(encode(envelope.event())) == json.loads(text)["data"]


@pytest.mark.parametrize("cls", EVENT_CLASSES, ids=lambda cls: f"{cls.type}.v{cls.version}")
def test_fixtures_are_complete(cls: type[EventData]) -> None:
    """Every field of the class stands in one of its fixtures, so that losing one is noticed."""
    names = [name for name in FIXTURES if version_of(name) == f"{cls.type}.v{cls.version}"]
    envelopes = [decode(Envelope, (GOLDEN / name).read_text()) for name in names]
    assert {field for envelope in envelopes for field in envelope.data} == set(cls.model_fields)
    for envelope in envelopes:
        assert all(getattr(envelope, field) is not None for field in set(Envelope.model_fields) - ADDED_LATER)


def test_types_and_versions_are_unique() -> None:
    """Two classes for one type and version would shadow each other."""
    assert len({(event.type, event.version) for event in EVENT_CLASSES}) == len(EVENT_CLASSES)


@pytest.mark.parametrize(("event_type", "version"), [("message.created", 2), ("message.vanished", 1), ("", 1)])
def test_unknown_events_are_told_apart(event_type: str, version: int) -> None:
    """What a later release writes is unknown, not malformed."""
    with pytest.raises(UnknownEvent):
        event_class(event_type, version)
