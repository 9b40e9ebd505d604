"""A client that sends whatever bytes a test wants, legal or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence

from ws_edge.rfc6455 import Opcode, unmask


class RawClient:
    """A client that sends whatever bytes a test wants, and reads frames without any cleverness."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(
        cls, port: int, target: str = "/", *, headers: Sequence[str] = (), first: bytes = b""
    ) -> RawClient:
        """Upgrade, and fail if that is refused. `first` goes out in the same write as the request."""
        client = await cls.tcp(port)
        client.writer.write(upgrade_request(target, headers) + first)
        head = await client.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionRefusedError(head.decode("latin-1"))
        return client

    @classmethod
    async def tcp(cls, port: int) -> RawClient:
        """A bare connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self, timeout_s: float = 5.0) -> tuple[int, bytes]:
        """The next frame as (opcode, payload); raises IncompleteReadError at the end of the stream."""
        async with asyncio.timeout(timeout_s):
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self, timeout_s: float = 5.0) -> int:
        """Skip to the close frame; its code (1005 for none), 1006 if the stream ends without one."""
        try:
            while True:
                opcode, payload = await self.frame(timeout_s)
                if opcode == Opcode.CLOSE:
                    return int.from_bytes(payload[:2], "big") if payload else 1005
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006

    async def ended(self, timeout_s: float = 5.0) -> bool:
        """Whether the server ends TCP without sending anything more."""
        async with asyncio.timeout(timeout_s):
            return await self.reader.read(1) == b""

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def upgrade_request(target: str = "/", headers: Sequence[str] = ()) -> bytes:
    """A valid upgrade request; `headers` are lines such as `Origin: http://a` and replace the default of their name."""
    lines = {
        "host": "Host: localhost",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-key": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
    }
    for line in headers:
        lines[line.partition(":")[0].lower()] = line
    # A line without a value leaves the header out.
    kept = [line for line in lines.values() if line.partition(":")[2]]
    return "\r\n".join((f"GET {target} HTTP/1.1", *kept, "", "")).encode()


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = None
) -> bytes:
    """A masked frame as a client sends it, legal or not; `mask=b""` leaves the mask out."""
    key = os.urandom(4) if mask is None else mask
    size = len(payload)
    masked = 0x80 if key else 0
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    if size < 126:
        head += bytes((masked | size,))
    elif size < 65_536:
        head += bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((masked | 127,)) + size.to_bytes(8, "big")
    return head + key + (unmask(payload, key) if key else payload)
