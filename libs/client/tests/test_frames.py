"""A frame taken apart is the event that it tells of, as history would have told it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.frames import ACTION_OF_EVENT, event_frame
from natter_client.frames import parse

GOLDEN = Path(__file__).parents[2] / "contracts" / "tests" / "golden"
CONSULTS = sorted(kind for kind in ACTION_OF_EVENT if kind.startswith("consult."))


@pytest.mark.parametrize("kind", CONSULTS)
def test_every_step_of_a_consult_is_told_apart(kind: str) -> None:
    """All of them are one action; a device must show the same event whether it came by frame or from a sync."""
    event = decode(Envelope, (GOLDEN / f"{kind}.v1.json").read_text())
    sent = event_frame(event)
    assert sent is not None
    frame = parse(sent)
    assert frame is not None
    shown = frame.event()
    assert shown is not None
    assert (shown.stream, shown.seq, shown.type) == (event.subject, event.seq, kind)
    assert shown.data == json.loads((GOLDEN / f"{kind}.v1.json").read_text())["data"]


def test_the_live_signal_of_the_queue_is_no_event() -> None:
    """What all staff hears of a consult has no place in any order: it must not move a timeline."""
    frame = parse(b'{"action":"consult_updated","data":{"event":"consult.taken","state":"active"}}')
    assert frame is not None
    assert frame.event() is None
