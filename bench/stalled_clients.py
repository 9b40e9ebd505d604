"""The sockets of `bench.stalled`, in a process of their own: what is measured must not wait for who measures.

Speaks JSON lines: its first line in is `{"port", "tokens", "extra"}`; a word a line follows: `healthy` or `stalled`
(connect the extra socket anew, in that state) or `collect`. It answers each with one line.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
import time
from typing import cast

import uvloop

STALLED_RECEIVE_BUFFER_BYTES = 4_096
MARK = b'{"at":'
"""How a measured frame begins; behind it the ns of the machine's monotonic clock at its publishing, and a comma."""
_TEXT, _PING, _PONG = 1, 9, 10
_MASK = b"\x00\x00\x00\x00"


def upgrade(port: int, token: str) -> bytes:
    """The request of one client."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


class Client(asyncio.Protocol):
    """Reads frames, answers pings, and notes how old each measured frame was."""

    def __init__(self, request: bytes, ages_ns: list[int] | None) -> None:
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._ages_ns = request, ages_ns
        self._upgraded = False
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by type
        self.transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody may wait for a socket that is gone."""
        if not self.greeted.done():
            self.greeted.set_exception(error or ConnectionError("closed before it was greeted"))

    def data_received(self, data: bytes) -> None:
        """Whole frames out of what has come."""
        now_ns = time.monotonic_ns()
        data = self._data + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._data = head
                return
            self._upgraded = True
        position = 0
        while (frame := cut(data, position)) is not None:
            opcode, payload, position = frame
            if opcode == _PING:
                self.transport.write(bytes((0x80 | _PONG, 0x80 | len(payload))) + _MASK + payload)
            elif opcode == _TEXT:
                if payload.startswith(MARK):
                    if self._ages_ns is not None:
                        self._ages_ns.append(now_ns - int(payload[len(MARK) : payload.index(b",")]))
                elif not self.greeted.done():
                    self.greeted.set_result(None)
        self._data = data[position:]


def cut(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """The frame at `start` as (opcode, payload, its end); None if it has not come completely."""
    if len(data) < start + 2:
        return None
    size, body = data[start + 1], start + 2
    if size >= 126:
        body += 2 if size == 126 else 8
        size = int.from_bytes(data[start + 2 : body], "big")
    if len(data) < body + size:
        return None
    return data[start] & 0x0F, data[body : body + size], body + size


class Crowd:
    """All sockets; the extra one is like the others, or never reads again after its greeting."""

    def __init__(self, port: int, extra_token: str) -> None:
        self.ages_ns: list[int] = []
        self._port, self._extra_token = port, extra_token
        self._extra: Client | None = None

    async def join(self, tokens: list[str]) -> None:
        """Connect, a few at a time: the point is not the stampede."""
        for start in range(0, len(tokens), 50):
            await asyncio.gather(*(self._connect(token, self.ages_ns, None) for token in tokens[start : start + 50]))

    async def extra(self, *, stalled: bool) -> None:
        """Connect the extra socket, in place of the one that was there."""
        if self._extra is not None:
            self._extra.transport.abort()
        receive_buffer = STALLED_RECEIVE_BUFFER_BYTES if stalled else None
        self._extra = await self._connect(self._extra_token, None, receive_buffer)
        if stalled:
            self._extra.transport.pause_reading()

    async def _connect(self, token: str, ages_ns: list[int] | None, receive_buffer: int | None) -> Client:
        tcp = socket.socket()
        tcp.setblocking(False)
        if receive_buffer is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            await loop.sock_connect(tcp, ("127.0.0.1", self._port))
            _, client = await loop.create_connection(lambda: Client(upgrade(self._port, token), ages_ns), sock=tcp)
            await client.greeted
        return client


async def serve() -> None:
    """Do what stdin says until it ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    setup = json.loads(await lines.readline())
    crowd = Crowd(setup["port"], setup["extra"])
    await crowd.join(setup["tokens"])
    print(json.dumps({"connected": len(setup["tokens"])}), flush=True)
    while word := (await lines.readline()).decode().strip():
        if word == "collect":
            answer, crowd.ages_ns[:] = {"ages_ns": list(crowd.ages_ns)}, []
        else:
            await crowd.extra(stalled=word == "stalled")
            answer = {}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(serve())
