"""Reading what fan-out handed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codec import encode
from contracts.errors import Undecodable
from contracts.events import MessageCreated
from notifier.deliveries import read_offline

from .support import envelope, offline


def test_an_offline_delivery_is_read_with_its_typed_event() -> None:
    """What was encoded comes back, with the event's own type."""
    given_delivery = offline()
    read, data = read_offline(encode(given_delivery))
    assert (read.event.id, read.event.data) == (given_delivery.event.id, given_delivery.event.data)
    assert isinstance(data, MessageCreated)


def test_an_event_of_a_later_release_is_read_without_its_data() -> None:
    """A version that this release does not know is no poison: a later release may still want it."""
    read, data = read_offline(encode(offline(event=envelope(dataversion=7))))
    assert (read.event.dataversion, data) == (7, None)


def test_the_reason_of_poison_does_not_repeat_private_text() -> None:
    """What is written to logs about an unreadable message names places, not contents."""
    broken = encode(offline()).replace(b'"content":"hello"', b'"content":["my secret"]')
    with pytest.raises(Undecodable) as refused:
        read_offline(broken)
    assert "content" in str(refused.value)
    assert "secret" not in str(refused.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """No input makes the reader fail in any other way than by saying `Undecodable`."""
    with pytest.raises(Undecodable):
        read_offline(payload)
