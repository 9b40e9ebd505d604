"""RFC 6455, by raw bytes over a real socket, against the echo server on the production transport."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ws_edge.testing.echo import Echo, serve_echo
from ws_edge.testing.raw import RawClient, client_frame, upgrade_request
from ws_edge.transport import HttpAnswer, TransportLimits, Upgrade, listen

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await serve_echo("127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def client(port: int) -> AsyncIterator[RawClient]:
    client = await RawClient.connect(port)
    yield client
    await client.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_message_of_every_length_form_comes_back(client: RawClient, opcode: int, size: int) -> None:
    """All three length encodings and their borders survive the echo."""
    payload = b"*" * size
    await client.send(client_frame(opcode, payload))
    assert await client.frame() == (opcode, payload)


async def test_sixteen_megabytes_come_back(client: RawClient) -> None:
    """A large message is neither refused nor slow."""
    payload = b"\xc3\xa4" * (8 << 20)
    await asyncio.gather(client.send(client_frame(TEXT, payload)), check(client, payload))


async def check(client: RawClient, payload: bytes) -> None:
    assert await client.frame(20) == (TEXT, payload)


async def test_bytes_one_by_one_are_put_together(client: RawClient) -> None:
    """A header or payload may arrive in any number of reads."""
    for byte in client_frame(TEXT, "grüße".encode()) + client_frame(PING, b"x"):
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert await client.frame() == (TEXT, "grüße".encode())
    assert await client.frame() == (PONG, b"x")


async def test_frames_sent_with_the_request_are_not_lost(port: int) -> None:
    """A client need not wait for the 101."""
    client = await RawClient.connect(port, first=client_frame(TEXT, b"early") + client_frame(TEXT, b"bird"))
    assert [await client.frame(), await client.frame()] == [(TEXT, b"early"), (TEXT, b"bird")]
    await client.close()


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"p" * 125])
async def test_ping_is_answered_with_its_payload(client: RawClient, payload: bytes) -> None:
    """A pong carries what the ping carried."""
    await client.send(client_frame(PING, payload))
    assert await client.frame() == (PONG, payload)


async def test_unsolicited_pong_is_ignored(client: RawClient) -> None:
    """A pong that nobody asked for is legal and means nothing."""
    await client.send(client_frame(PONG, b"?") + client_frame(TEXT, b"on"))
    assert await client.frame() == (TEXT, b"on")


async def test_fragments_become_one_message_with_pings_between(client: RawClient) -> None:
    """Control frames may stand between fragments, and are answered at once."""
    await client.send(client_frame(TEXT, b"a", fin=False) + client_frame(PING, b"1"))
    assert await client.frame() == (PONG, b"1")
    await client.send(client_frame(CONTINUATION, b"", fin=False) + client_frame(PING, b"2"))
    assert await client.frame() == (PONG, b"2")
    await client.send(client_frame(CONTINUATION, b"b") + client_frame(BINARY, b"next"))
    assert await client.frame() == (TEXT, b"ab")
    assert await client.frame() == (BINARY, b"next")


async def test_character_may_be_cut_by_a_fragment(client: RawClient) -> None:
    """Fragments are cut anywhere; only the whole must be UTF-8."""
    whole = "κόσμε 😀".encode()
    frames = [client_frame(TEXT if i == 0 else CONTINUATION, whole[i : i + 1], fin=False) for i in range(len(whole))]
    await client.send(b"".join(frames) + client_frame(CONTINUATION, b""))
    assert await client.frame() == (TEXT, whole)


BROKEN = {
    "rsv1": client_frame(TEXT, b"x", rsv=4),
    "rsv2": client_frame(TEXT, b"x", rsv=2),
    "rsv3 on a ping": client_frame(PING, b"x", rsv=1),
    "rsv on a close": client_frame(CLOSE, b"", rsv=7),
    **{f"opcode {opcode:#x}": client_frame(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "no mask": client_frame(TEXT, b"x", mask=b""),
    "fragmented ping": client_frame(PING, b"x", fin=False),
    "fragmented close": client_frame(CLOSE, b"", fin=False),
    "ping of 126 bytes": client_frame(PING, b"x" * 126),
    "close of 126 bytes": client_frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "stray continuation": client_frame(CONTINUATION, b"x"),
    "stray unfinished continuation": client_frame(CONTINUATION, b"x", fin=False),
    "message inside a message": client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"),
    "binary inside a text": client_frame(TEXT, b"x", fin=False) + client_frame(BINARY, b"y"),
    "length with the top bit": b"\x82\xff" + (1 << 63).to_bytes(8, "big") + b"mask",
    "16-bit length of a short frame": b"\x82\xfe\x00\x05mask",
    "64-bit length of a short frame": b"\x82\xff" + (5).to_bytes(8, "big") + b"mask",
    "close of one byte": client_frame(CLOSE, b"\x03"),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_protocol_fault_closes_with_1002_after_what_was_good(client: RawClient, fault: str) -> None:
    """The good message in front is answered, the fault is named by 1002, and TCP ends; nothing after it counts."""
    await client.send(client_frame(TEXT, b"good") + BROKEN[fault] + client_frame(TEXT, b"late"))
    assert await client.frame() == (TEXT, b"good")
    opcode, payload = await client.frame()
    assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
    assert await client.ended()


@pytest.mark.parametrize("fault", ["rsv1", "opcode 0x3", "stray continuation"])
async def test_fault_byte_by_byte_is_found_too(client: RawClient, fault: str) -> None:
    """How the bytes arrive makes no difference."""
    for byte in BROKEN[fault]:
        client.writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert await client.close_code() == 1002


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
async def test_valid_close_code_is_echoed_and_server_ends_tcp(client: RawClient, code: int) -> None:
    """The close handshake: the same code back, then the server closes first."""
    await client.send(client_frame(CLOSE, code.to_bytes(2, "big") + "später".encode()))
    assert await client.frame() == (CLOSE, code.to_bytes(2, "big"))
    assert await client.ended()


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_invalid_close_code_is_a_protocol_error(client: RawClient, code: int) -> None:
    """Codes that must not stand on the wire are refused."""
    await client.send(client_frame(CLOSE, code.to_bytes(2, "big")))
    assert await client.close_code() == 1002
    assert await client.ended()


async def test_empty_close_is_answered_with_an_empty_one(client: RawClient) -> None:
    """No code in, no code out."""
    await client.send(client_frame(CLOSE))
    assert await client.frame() == (CLOSE, b"")
    assert await client.ended()


async def test_close_inside_a_fragmented_message_is_a_normal_close(client: RawClient) -> None:
    """A peer may give up a message."""
    await client.send(client_frame(TEXT, b"x", fin=False) + client_frame(CLOSE, b"\x03\xe8"))
    assert await client.close_code() == 1000


async def test_nothing_after_a_close_frame_is_answered(client: RawClient) -> None:
    """Data and pings behind a close frame do not exist."""
    await client.send(client_frame(CLOSE, b"\x03\xe8") + client_frame(PING) + client_frame(TEXT, b"late"))
    assert await client.close_code() == 1000
    assert await client.ended()


async def test_close_reason_must_be_utf8(client: RawClient) -> None:
    """A reason is text."""
    await client.send(client_frame(CLOSE, b"\x03\xe8\xff\xfe"))
    assert await client.close_code() == 1007


NOT_UTF8 = [
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"ok \xce",
    b"ok \xf0\x9f\x98",
    "κόσμε".encode() + b"\xed\xa0\x80edited",
]


@pytest.mark.parametrize("text", NOT_UTF8)
async def test_text_that_is_not_utf8_closes_with_1007(client: RawClient, text: bytes) -> None:
    """Whole, in fragments, byte by byte: always the same."""
    await client.send(client_frame(TEXT, text))
    assert await client.close_code() == 1007


@pytest.mark.parametrize("text", NOT_UTF8)
async def test_fragmented_text_that_is_not_utf8_closes_with_1007(client: RawClient, text: bytes) -> None:
    """The decoder's state survives a fragment's end."""
    frames = [client_frame(TEXT if i == 0 else CONTINUATION, text[i : i + 1], fin=False) for i in range(len(text))]
    await client.send(b"".join(frames) + client_frame(CONTINUATION, b""))
    assert await client.close_code() == 1007


async def test_wrong_byte_in_an_unfinished_message_fails_at_once(client: RawClient) -> None:
    """The prefix cannot become UTF-8 any more, so the rest is not awaited."""
    await client.send(client_frame(TEXT, "κόσμε".encode(), fin=False))
    await client.send(client_frame(CONTINUATION, b"\xf4\x90", fin=False))
    assert await client.close_code() == 1007


@pytest.mark.parametrize("tail", [b"\xf4\x90", b"\xed\xa0", b"\x80"])
async def test_wrong_byte_in_an_unfinished_frame_fails_at_once(client: RawClient, tail: bytes) -> None:
    """Even inside one frame whose payload has not arrived completely."""
    frame = client_frame(TEXT, "κόσμε".encode() + tail + b"x" * 1000)
    await client.send(frame[: 8 + len("κόσμε".encode())])
    await asyncio.sleep(0.02)  # so that it arrives in two reads; the outcome is the same if it does not
    await client.send(frame[8 + len("κόσμε".encode()) : 8 + len("κόσμε".encode()) + len(tail)])
    assert await client.close_code() == 1007


async def test_binary_may_hold_anything(client: RawClient) -> None:
    """UTF-8 is asked of text alone."""
    await client.send(client_frame(BINARY, b"\xff\xfe"))
    assert await client.frame() == (BINARY, b"\xff\xfe")


@pytest.fixture
async def small_port() -> AsyncIterator[int]:
    limits = TransportLimits(message_bytes_max=1000, too_big=4413, handshake_timeout_s=0.2, close_timeout_s=0.2)
    server = await listen(lambda _request: Upgrade(Echo()), limits, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_message_at_the_limit_passes_and_above_it_closes(small_port: int) -> None:
    """The limit is on the message, and its code is the listener's own."""
    client = await RawClient.connect(small_port)
    await client.send(client_frame(TEXT, b"x" * 1000) + client_frame(TEXT, b"x" * 1001))
    assert await client.frame() == (TEXT, b"x" * 1000)
    assert await client.close_code() == 4413
    await client.close()


async def test_oversized_header_alone_is_enough(small_port: int) -> None:
    """The server does not wait for a gigabyte to refuse it."""
    client = await RawClient.connect(small_port)
    await client.send(b"\x82\xff" + (1 << 40).to_bytes(8, "big"))
    assert await client.close_code() == 4413
    await client.close()


async def test_fragments_count_together(small_port: int) -> None:
    """Small fragments do not get around the limit."""
    client = await RawClient.connect(small_port)
    await client.send(client_frame(TEXT, b"x" * 600, fin=False) + client_frame(CONTINUATION, b"x" * 401, fin=False))
    assert await client.close_code() == 4413
    await client.close()


async def test_peer_that_ignores_the_close_is_cut(small_port: int) -> None:
    """After a fault the server ends its side at once, and the whole connection after the close timeout."""
    client = await RawClient.connect(small_port)
    await client.send(client_frame(TEXT, b"x", rsv=4))
    assert await client.close_code() == 1002
    with pytest.raises(ConnectionError):
        await send_for_ever(client)
    await client.close()


async def send_for_ever(client: RawClient) -> None:
    async with asyncio.timeout(5):
        while True:
            await client.send(client_frame(PING))
            await asyncio.sleep(0.02)


async def test_request_that_never_ends_is_cut(small_port: int) -> None:
    """A client that sends half a request does not hold a connection."""
    client = await RawClient.tcp(small_port)
    await client.send(b"GET / HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await client.ended()
    await client.close()


async def http(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and everything after it."""
    client = await RawClient.tcp(port)
    await client.send(request)
    async with asyncio.timeout(5):
        answer = await client.reader.read(-1)
    await client.close()
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: keep-alive, Upgrade"],
        ["Connection: upgrade"],
        ["Connection: UPGRADE,keep-alive"],
        ["Upgrade: WebSocket"],
        ["upgrade: WEBSOCKET"],
        ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
    ],
)
async def test_upgrade_as_browsers_write_it(port: int, headers: list[str]) -> None:
    """Header lists and case are read as HTTP defines them; no extension is agreed to."""
    status, answer = await http_head(port, upgrade_request(headers=headers))
    assert status == 101
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert b"extensions" not in answer.lower()


async def http_head(port: int, request: bytes) -> tuple[int, bytes]:
    client = await RawClient.tcp(port)
    await client.send(request)
    async with asyncio.timeout(5):
        answer = await client.reader.readuntil(b"\r\n\r\n")
    await client.close()
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Sec-WebSocket-Version: 8"], 426),
        (["Sec-WebSocket-Version: 7"], 426),
        (["Sec-WebSocket-Version:"], 426),
        (["Upgrade:"], 426),
        (["Upgrade: h2c"], 426),
        (["Connection: close"], 400),
        (["Connection:"], 400),
        (["Host:"], 400),
        (["Sec-WebSocket-Key:"], 400),
        (["Sec-WebSocket-Key: c2hvcnQ="], 400),
        (["Sec-WebSocket-Key: not base64!"], 400),
    ],
)
async def test_what_is_no_upgrade_is_told_so(port: int, headers: list[str], status: int) -> None:
    """426 names the version that the server speaks; everything else is a 400 with a reason."""
    got, answer = await http(port, upgrade_request(headers=headers))
    assert got == status
    assert (b"sec-websocket-version: 13" in answer.lower()) == (status == 426)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_broken_request_is_a_400(port: int, request_bytes: bytes) -> None:
    """What is no HTTP/1.1 GET gets a reason, not silence."""
    assert (await http(port, request_bytes))[0] == 400


async def test_route_that_fails_is_a_500() -> None:
    """A bug answers 500 and says nothing of itself to the outside."""

    def broken(_request: object) -> HttpAnswer:
        raise RuntimeError("secret")

    server = await listen(broken, TransportLimits(1000), "127.0.0.1", 0)
    status, answer = await http(server.sockets[0].getsockname()[1], upgrade_request())
    assert status == 500
    assert b"secret" not in answer
    server.close()


async def test_echo_waits_for_a_peer_that_does_not_read(port: int) -> None:
    """A flood without reading is held back by TCP, not stored; afterwards everything is there, in order."""
    client = await RawClient.connect(port)
    total, payload = 400, b"y" * 65_000
    sender = asyncio.create_task(send_all(client, total, payload))
    for number in range(total):
        assert await client.frame(20) == (BINARY, number.to_bytes(4, "big") + payload)
    await sender
    await client.close()


async def send_all(client: RawClient, total: int, payload: bytes) -> None:
    for number in range(total):
        await client.send(client_frame(BINARY, number.to_bytes(4, "big") + payload))
