"""WebSocket bytes as a hostile client writes and an honest one reads them; nothing here is shared with the edge."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class WrongFrame(Exception):
    """The server sent what RFC 6455 does not allow."""


def frame(
    opcode: int, payload: bytes, mask: bytes | None, *, fin: bool = True, rsv: int = 0, length_bytes: int | None = None
) -> bytes:
    """One frame; `length_bytes` (0, 2 or 8) is how its length is written, the shortest way if None."""
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65_536 else 8
    short = size if length_bytes == 0 else 126 if length_bytes == 2 else 127
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if mask is not None else 0) | short))
    head += size.to_bytes(length_bytes, "big") if length_bytes else b""
    return head + payload if mask is None else head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """`payload` XOR the mask."""
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(payload), "big")


async def connect(url: str, token: str, **query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upgraded connection; raises ConnectionRefusedError with the answer if the edge says anything but 101."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 22)
    fields = "&".join(f"{name}={value}" for name, value in query.items())
    writer.write(
        (
            f"GET {parts.path}?{fields} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(b'sixteen bytes ok').decode()}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        writer.close()
        raise ConnectionRefusedError(head.decode("latin-1")[:200])
    return reader, writer


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next server frame as (opcode, payload). Raises IncompleteReadError at the end of the stream, `WrongFrame`."""
    first, second = await reader.readexactly(2)
    opcode, size = first & 0x0F, second
    if first & 0x70 or second & 0x80 or opcode not in (TEXT, CLOSE, PING, PONG) or not first & 0x80:
        # The edge never fragments, never sends binary, and agreed to no extension.
        raise WrongFrame(f"header {first:02x} {second:02x}")
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        if opcode in (CLOSE, PING, PONG):
            raise WrongFrame(f"control frame of {size} bytes")
    return opcode, await reader.readexactly(size)
