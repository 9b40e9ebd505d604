"""The walker in front of the parser, by bytes alone; the whole RFC over sockets is in test_transport.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ws_edge.rfc6455 import (
    NO_STATUS,
    CheckText,
    Fail,
    Guard,
    Opcode,
    Pass,
    PeerClosed,
    encode_close,
    encode_frame,
    unmask,
)
from ws_edge.testing.raw import client_frame
from ws_edge.testing.wire import parse_frames


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4), st.integers(0, 200))
def test_unmask_in_two_pieces_is_unmask_in_one(data: bytes, mask: bytes, cut: int) -> None:
    """A piece in the middle of a payload is unmasked with the mask turned to its place."""
    naive = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    assert unmask(data, mask) == naive
    assert unmask(data[:cut], mask) + unmask(data[cut:], mask, cut) == naive


@given(st.binary(max_size=70_000))
def test_encoded_frame_is_read_back(payload: bytes) -> None:
    """Every length form is the shortest and says what is in it."""
    assert parse_frames(encode_frame(Opcode.TEXT, payload)) == [(1, payload)]


def test_close_reason_is_cut_at_a_character() -> None:
    """A long reason loses its end, never half a character."""
    ((opcode, payload),) = parse_frames(encode_close(4408, "ä" * 100))
    assert (opcode, len(payload)) == (8, 2 + 122)
    payload[2:].decode()
    assert encode_close(NO_STATUS) == b"\x88\x00"


messages = st.lists(
    st.one_of(
        st.text(max_size=60).map(lambda text: [(1, text.encode(), True)]),
        st.binary(max_size=60).map(lambda data: [(2, data, True)]),
        st.binary(max_size=20).map(lambda data: [(9, data, True)]),
        st.tuples(st.text(max_size=20), st.text(max_size=20)).map(
            lambda pair: [(1, pair[0].encode(), False), (10, b"p", True), (0, pair[1].encode(), True)]
        ),
    ),
    max_size=6,
).map(lambda parts: [frame for part in parts for frame in part])


@given(messages, st.lists(st.integers(1, 40), max_size=60))
def test_legal_bytes_pass_unchanged_however_they_are_cut(
    frames: list[tuple[int, bytes, bool]], cuts: list[int]
) -> None:
    """The parser gets exactly what the client sent, and text is shown to the decoder before its frame is passed."""
    sent = b"".join(client_frame(opcode, payload, fin=fin) for opcode, payload, fin in frames)
    guard, passed, rest = Guard(1000), b"", sent
    for size in [*cuts, len(sent)]:
        piece, rest = rest[:size], rest[size:]
        if not piece:
            continue
        if guard.whole_small_frame(memoryview(piece)):
            passed += piece
            continue
        for step in guard.feed(piece):
            assert isinstance(step, Pass | CheckText), step
            if isinstance(step, Pass):
                passed += step.data
    assert passed == sent
    assert not guard.holds_back


@given(st.binary(max_size=300), st.integers(1, 300))
def test_any_bytes_are_walked_without_an_exception(data: bytes, cut: int) -> None:
    """Garbage ends in a fault or waits for more; what is passed on is a prefix of it."""
    guard, passed = Guard(100), b""
    for piece in (data[:cut], data[cut:]):
        for step in guard.feed(piece):
            if isinstance(step, Fail | PeerClosed):
                return
            if isinstance(step, Pass):
                passed += step.data
    assert data.startswith(passed)


def test_fault_comes_after_what_was_good() -> None:
    """The frames in front of a bad one are passed first."""
    good = client_frame(1, b"good")
    steps = Guard(100).feed(good + client_frame(3, b""))
    assert steps == [Pass(good), Fail(1002, "reserved opcode 0x3")]
