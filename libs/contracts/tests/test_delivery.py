"""The header by which an edge routes a frame without reading it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codec import decode, encode
from contracts.delivery import Durable, Live, Receipt, delivery_header, parse_delivery_header
from contracts.devices import DeviceType
from contracts.errors import Undecodable
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream, UserStream

streams = st.one_of(
    st.uuids().map(lambda value: str(ConversationStream(str(value)))),
    st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).map(lambda value: str(UserStream(value))),
)


@given(streams, st.integers(min_value=1, max_value=2**63 - 1))
def test_durable_round_trip(stream: str, seq: int) -> None:
    """A durable frame's stream and seq survive the header, which is one printable line."""
    header = delivery_header(Durable(stream, seq))
    assert parse_delivery_header(header) == Durable(stream, seq)
    assert header.isascii()
    assert header.isprintable()


@given(st.text(min_size=1))
def test_live_round_trip(key: str) -> None:
    """A live signal's key survives the header, whatever it is."""
    assert parse_delivery_header(delivery_header(Live(key))) == Live(key)
    assert parse_delivery_header(delivery_header(Live(key, 6000))) == Live(key, 6000)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "d",
        "d 1",
        "d 1 ",
        "d x s",
        "d -1 s",
        "d ١ s",
        f"d {'9' * 5000} s",
        "l",
        "l ",
        "x s 1",
        "x 1",
        "x 1 ",
        "D 1 s",
    ],
)
def test_other_headers_are_refused(value: str) -> None:
    """What `delivery_header` cannot have written is a contract error, never another kind of exception."""
    with pytest.raises(Undecodable):
        parse_delivery_header(value)


def test_receipt_round_trip() -> None:
    """A receipt names the edge, the connection and the kind of device."""
    receipt = Receipt(edge_id="edge-1", connection_id=new_id(), device_type=DeviceType.MOBILE)
    assert decode(Receipt, encode(receipt)) == receipt


def test_receipt_of_an_unknown_device_is_refused() -> None:
    """A device type that we do not route by is no receipt."""
    data = encode(Receipt(edge_id="edge-1", connection_id=new_id(), device_type=DeviceType.TABLET))
    with pytest.raises(Undecodable, match="device_type"):
        decode(Receipt, data.replace(b"tablet", b"toaster"))
