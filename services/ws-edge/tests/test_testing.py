"""The fakes do what the real things do."""

from __future__ import annotations

import pytest

from ws_edge.rfc6455 import encode_frame
from ws_edge.testing.raw import RawClient, client_frame, upgrade_request
from ws_edge.testing.servers import until
from ws_edge.testing.wire import MemoryWire, parse_frames


def test_memory_wire_keeps_what_is_written_and_the_first_close() -> None:
    """As a socket: one close frame, and frames in order."""
    wire = MemoryWire()
    wire.write(encode_frame(1, b"a") + encode_frame(2, b"b" * 70_000))
    assert wire.frames() == [(1, b"a"), (2, b"b" * 70_000)]
    assert wire.frames() == []
    wire.close(1000, "a", 1)
    wire.close(4408, "b", 1)
    assert wire.closed_with == (1000, "a")


def test_cut_frame_is_noticed() -> None:
    """Half a frame is no frame."""
    with pytest.raises(ValueError, match="cut"):
        parse_frames(encode_frame(1, b"abc")[:-1])


def test_upgrade_request_can_leave_headers_out() -> None:
    """A line without a value removes the default."""
    assert b"Host" not in upgrade_request(headers=["Host:"])
    assert upgrade_request("/x", ["Host: y"]).startswith(b"GET /x HTTP/1.1\r\nHost: y\r\n")


def test_client_frame_masks_unless_told_not_to() -> None:
    """The mask bit and four bytes of key."""
    assert client_frame(1, b"ab", mask=b"\0\0\0\0") == b"\x81\x82\0\0\0\0ab"
    assert client_frame(1, b"ab", mask=b"") == b"\x81\x02ab"


async def test_until_gives_up_with_a_name() -> None:
    """A test that waits in vain says for what."""
    with pytest.raises(TimeoutError, match="rain"):
        await until(lambda: False, "rain", timeout_s=0.02)


async def test_raw_client_reports_a_refused_upgrade() -> None:
    """Nobody listens: the error of the operating system comes through."""
    with pytest.raises(OSError):
        await RawClient.connect(1)
