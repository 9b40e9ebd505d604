"""A client that stops reading: its receive buffer is tiny, so TCP pushes back at once, and it reads when told to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

RECEIVE_BUFFER_BYTES = 4_096
TEXT, CLOSE = 1, 8
NO_CLOSE_FRAME = 1006


class SlowClient:
    """An upgraded socket of which nothing is read but on request; it answers nothing."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.frames: list[dict[str, Any]] = []
        """What has been read so far."""
        self.close_code: int | None = None

    async def read(self) -> dict[str, Any] | None:
        """The next text frame; None at the end, with `close_code`: 1006 if TCP ended without a close frame."""
        try:
            while True:
                first, size = await self._reader.readexactly(2)
                if size >= 126:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
                payload = await self._reader.readexactly(size)
                if first & 0x0F == TEXT:
                    self.frames.append(json.loads(payload))
                    return self.frames[-1]
                if first & 0x0F == CLOSE:
                    self.close_code = int.from_bytes(payload[:2], "big")
                    return None
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close_code = NO_CLOSE_FRAME
            return None

    async def read_to_the_end(self) -> None:
        """Read until the edge has closed or cut the socket."""
        async with asyncio.timeout(30):
            while await self.read() is not None:
                pass


@asynccontextmanager
async def slow_client(url: str, token: str) -> AsyncIterator[SlowClient]:
    """Connected and greeted; from then on silent."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    tcp.setblocking(False)
    await asyncio.get_running_loop().sock_connect(tcp, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=tcp, limit=2 * RECEIVE_BUFFER_BYTES)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        (
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
    )
    client = SlowClient(reader)
    try:
        async with asyncio.timeout(10):
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            greeting = await client.read()
        assert greeting is not None
        assert greeting["action"] == "connected"
        client.frames.clear()
        yield client
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
