"""Devices: one that behaves, by an independent WebSocket library, and one that never answers a ping."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from contracts.ids import new_id


class Device:
    """A connected device that keeps every frame it got."""

    def __init__(self, socket: ClientConnection, user_id: str) -> None:
        self.user_id = user_id
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.greeted = asyncio.Event()
        """Set by the first frame, or by the end."""
        self._socket = socket

    async def listen(self) -> None:
        """Collect frames until the socket is closed."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                self.frames.append(json.loads(text))
                self.greeted.set()
        self.greeted.set()
        self.close_code = self._socket.close_code
        self.close_reason = self._socket.close_reason or ""

    async def send(self, frame: dict[str, Any]) -> None:
        """Send a frame as JSON."""
        await self._socket.send(json.dumps(frame))

    async def send_raw(self, data: str | bytes) -> None:
        """Send a text or binary frame as it is."""
        await self._socket.send(data)

    async def send_text_bytes(self, data: bytes) -> None:
        """Send a text frame with any bytes in it."""
        await self._socket.send(data, text=True)

    def actions(self, action: str) -> list[dict[str, Any]]:
        """The frames of one action, in the order they came."""
        return [frame for frame in self.frames if frame["action"] == action]

    def contents(self, conversation_id: str) -> list[str]:
        """The texts of the messages of one conversation, in the order they came."""
        return [
            frame["data"]["content"]
            for frame in self.actions("new_message")
            if frame["data"]["conversation_id"] == conversation_id
        ]

    def answer(self, ref: str) -> dict[str, Any] | None:
        """The ack or error to the frame that carried `ref`."""
        return next((frame for frame in self.frames if frame.get("ref") == ref), None)

    async def close(self) -> None:
        """Close the socket and wait until it is closed."""
        await self._socket.close()


@asynccontextmanager
async def device(
    url: str, token: str, user_id: str, *, device_type: str = "desktop", in_subprotocol: bool = False, **query: str
) -> AsyncIterator[Device]:
    """A device of `user_id`, connected and told so; closed at the end."""
    fields = {"device_type": device_type, "device_id": new_id(), **query}
    address = url + "?" + "&".join(f"{name}={value}" for name, value in fields.items())
    async with connect(
        address,
        additional_headers=None if in_subprotocol else {"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol("natter.v1"), Subprotocol(f"bearer.{token}")] if in_subprotocol else None,
        ping_interval=None,
        compression=None,
        proxy=None,
        max_queue=None,
    ) as socket:
        one = Device(socket, user_id)
        listening = asyncio.create_task(one.listen())
        try:
            async with asyncio.timeout(15):
                await one.greeted.wait()
            yield one
        finally:
            await socket.close()
            await listening


@asynccontextmanager
async def mute_device(url: str, token: str, device_type: str = "mobile") -> AsyncIterator[asyncio.StreamReader]:
    """A phone in a lift: the socket is open and takes bytes, but nothing ever comes back, not even a pong."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        (
            f"GET {parts.path}?device_type={device_type} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
    )
    try:
        async with asyncio.timeout(10):
            assert b"101" in await reader.readline()
            await reader.readuntil(b'"connected"')
        yield reader
    finally:
        writer.close()
