"""What an event demands of its delivery."""

from __future__ import annotations

from typing import Any

import pytest

from chat_api.fanout.demand import Demand, demand
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.ids import new_id
from contracts.times import now

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP


def event(event_type: str, **data: Any) -> Envelope:
    """An event with this data."""
    subject = f"conversation:{new_id()}"
    return Envelope(
        id=new_id(), type=event_type, subject=subject, time=now(), seq=7, position=1, partitionkey=subject, data=data
    )


def notified(important: bool, *devices: str) -> Envelope:
    """The system says something to one user."""
    return event("user.notified", notification={"is_important": important}, device_types=list(devices))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            event("message.created", sender_id="alice", sender_type="chat", is_important=True),
            Demand(must_arrive=True, important=True, sender_id="alice", tell="alice"),
        ),
        (
            event("message.created", sender_id="system", sender_type="system", exclude_user_ids=["bob"]),
            Demand(must_arrive=True, sender_id="system", excluded=frozenset({"bob"})),
        ),
        (notified(True), Demand(must_arrive=True, important=True)),
        (notified(True, "mobile"), Demand(must_arrive=True, important=True, devices=frozenset({MOBILE}))),
        (notified(True, "desktop"), Demand(must_arrive=True, devices=frozenset({DESKTOP}))),
        (notified(False, "desktop", "watch"), Demand(must_arrive=True, devices=frozenset({DESKTOP}))),
        (event("message.edited", sender_id="alice", is_important=True), Demand(must_arrive=False)),
        (event("user.notified"), Demand(must_arrive=True)),
    ],
)
def test_each_kind_of_event(given: Envelope, expected: Demand) -> None:
    """Messages and notifications must arrive; who is asked, told and left out follows from the event alone."""
    assert demand(given) == expected


def test_what_is_remembered_of_an_event() -> None:
    """Its place and moment, and whom to tell unless nobody is to be told."""
    one = event("message.created", sender_id="alice", sender_type="chat")
    about = demand(one).about(one, tell=True)
    assert (about.stream, about.seq, about.recorded_at) == (one.subject, 7, one.time.timestamp())
    assert about.tell == "alice"
    assert demand(one).about(one, tell=False).tell is None
