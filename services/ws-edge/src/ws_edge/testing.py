"""For tests, ours and others': a wire in memory, and an echo server on the very transport that production uses.

`python -m ws_edge.testing echo --port N` serves outside conformance suites: it echoes text and binary messages.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Sequence

import uvloop

from ws_edge.rfc6455 import Opcode, encode_frame, unmask
from ws_edge.session.handshake import Request, check_upgrade
from ws_edge.transport import HttpAnswer, HttpRequest, Socket, TransportLimits, Upgrade, listen

ECHO_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Conformance suites send up to 16 MB."""


class MemoryWire:
    """A `Wire` that keeps what was written; a test says when it takes no more."""

    def __init__(self) -> None:
        self.paused = False
        self.writes: list[bytes] = []
        self.stuck_bytes = 0
        self.closed_with: tuple[int, str] | None = None

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.writes.append(data)

    def buffered(self) -> int:
        """As many bytes as the test says."""
        return self.stuck_bytes

    def close(self, code: int, reason: str, timeout_s: float) -> None:
        """Remember the first close."""
        del timeout_s
        if self.closed_with is None:
            self.closed_with = (code, reason)

    def frames(self) -> list[tuple[int, bytes]]:
        """Everything written so far, as (opcode, payload); clears it."""
        data, self.writes = b"".join(self.writes), []
        return parse_frames(data)


def parse_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Unmasked server frames as (opcode, payload); raises ValueError if the last one is cut."""
    frames, position = [], 0
    while position < len(data):
        opcode, size = data[position] & 0x0F, data[position + 1]
        position += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[position : position + width], "big")
            position += width
        if position + size > len(data):
            raise ValueError("the last frame is cut")
        frames.append((opcode, data[position : position + size]))
        position += size
    return frames


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


class Echo:
    """Sends every message back; stops reading while its peer does not."""

    def opened(self, socket: Socket) -> None:
        """Remember the socket."""
        self._socket = socket

    def message(self, opcode: int, payload: bytes) -> None:
        """Back with it."""
        self._socket.write(encode_frame(Opcode(opcode), payload))
        if self._socket.paused:
            self._socket.pause_reading()

    def pong(self, payload: bytes) -> None:
        """Means nothing here."""

    def heard(self) -> None:
        """Means nothing here."""

    def resumed(self) -> None:
        """The peer reads again: read on."""
        self._socket.resume_reading()

    def closed(self, code: int) -> None:
        """Nothing to clean up."""


def echo_route(request: HttpRequest) -> HttpAnswer | Upgrade:
    """Upgrade whatever is a valid upgrade, on any path."""
    bad = check_upgrade(Request(request.target, request.headers))
    if bad is None:
        return Upgrade(Echo())
    headers = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")) if bad.status == 426 else ()
    return HttpAnswer(bad.status, bad.reason.encode(), "text/plain; charset=utf-8", headers)


async def serve_echo(host: str, port: int) -> asyncio.Server:
    """An echo server that is listening."""
    return await listen(echo_route, TransportLimits(ECHO_MESSAGE_BYTES_MAX), host, port)


async def _echo(host: str, port: int) -> None:
    server = await serve_echo(host, port)
    bound = server.sockets[0].getsockname()[1]
    print(f"echo listens on ws://{host}:{bound}/", flush=True)  # noqa: T201 - a tool speaks on its standard output
    await server.serve_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ws_edge.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    echo = commands.add_parser("echo", help="echo text and binary messages through the production transport")
    echo.add_argument("--host", default="127.0.0.1")
    echo.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_echo(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
