"""One socket, from the request to the last frame."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from contracts.codes import CloseCode, ErrorCode
from contracts.errors import Undecodable
from contracts.frames import ClientAction, Connected, FrameError, ServerAction
from natter_client.api import retry_after
from natter_client.backoff import Ended
from natter_client.clock import Clock
from natter_client.errors import RequestFailed
from natter_client.frames import Frame, parse
from natter_client.options import ClientOptions, Device

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Largest frame that is taken from the server: opening a conversation names all its participants."""

_HEAD_BYTES = 256
"""Room for action and ref."""

_QUEUE_FRAMES = 64
"""Frames that may wait to be read before the socket is not read any further."""


class NotConnected(Exception):
    """The attempt to connect came to nothing; `ended` says how."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.reason)
        self.ended = ended


class _Heard(ClientConnection):
    """Knows when anything last arrived, pings of the server included."""

    heard_at = 0.0
    clock: Clock | None = None

    def data_received(self, data: bytes) -> None:
        if self.clock is not None:
            self.heard_at = self.clock.monotonic()
        super().data_received(data)


class Session:
    """A socket after its `connected`."""

    def __init__(self, socket: _Heard, connected: Connected, token: str, clock: Clock) -> None:
        self.connected = connected
        self.token = token
        """The token that the server knows this socket by."""
        self.since = clock.monotonic()
        self.leave_at: float | None = None
        """When the server wants us elsewhere, by `monotonic`."""
        self.probed_at: float | None = None
        """When an answer was asked for because of a silence that still lasts."""
        socket.clock, socket.heard_at = clock, clock.monotonic()
        self._socket = socket
        self._clock = clock
        self._refs = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @property
    def heard_at(self) -> float:
        """When anything last arrived, by `monotonic`."""
        return self._socket.heard_at

    @property
    def quiet_s(self) -> float:
        """A silence above which an answer is asked for: the server should have sent a ping, and some more."""
        return self.connected.heartbeat_interval_ms / 1000 + self.patience_s

    @property
    def patience_s(self) -> float:
        """How long to wait for that answer; with the silence before, interval and timeout in all."""
        return self.connected.connection_timeout_ms / 2000

    async def frames(self) -> AsyncIterator[Frame]:
        """Every frame until the socket is closed; answers to `ask` are passed to who asked."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = parse(await self._socket.recv(decode=False))
                if frame is None:
                    continue
                if isinstance(frame.ref, int) and (asked := self._asked.get(frame.ref)) is not None:
                    self._answer(asked, frame)
                yield frame

    def _answer(self, asked: asyncio.Future[dict[str, Any]], frame: Frame) -> None:
        if asked.done():
            return
        if frame.action != ServerAction.ERROR:
            asked.set_result(frame.data)
            return
        try:
            told = FrameError.model_validate(frame.data)
        except ValidationError:
            asked.set_exception(RequestFailed("an error that this version does not know"))
            return
        retry_after_s = (told.retry_after_ms or 0) / 1000
        asked.set_exception(RequestFailed(told.message, code=told.code, retry_after_s=retry_after_s))

    async def ask(self, action: ClientAction, data: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a frame and wait for its answer; raises RequestFailed."""
        self._refs += 1
        ref = self._refs
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[ref] = answer
        try:
            async with asyncio.timeout(timeout_s):
                await self._write({"action": action.value, "ref": ref, "data": data})
                return await answer
        except TimeoutError:
            raise RequestFailed(f"{action.value}: no answer in time", code=ErrorCode.TIMEOUT) from None
        except ConnectionClosed:
            raise RequestFailed("the socket was closed") from None
        finally:
            del self._asked[ref]
            if answer.done() and not answer.cancelled():
                answer.exception()  # Looked at, also if the wait was over before.

    def fits(self, data: dict[str, Any]) -> bool:
        """Whether the server takes a frame with that much data."""
        limits = self.connected.limits
        return len(json.dumps(data, ensure_ascii=False).encode()) + _HEAD_BYTES < limits.frame_bytes_max

    async def probe(self, timeout_s: float) -> None:
        """Ask for a `pong`; whoever is there answers."""
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._write({"action": ClientAction.PING.value, "data": {}})

    async def _write(self, frame: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(frame, separators=(",", ":"), ensure_ascii=False))

    async def close(self) -> None:
        """Close it and wait until it is closed, a moment at most."""
        await self._socket.close(CloseCode.NORMAL)

    def abort(self) -> None:
        """Drop it without a word: there is nobody at the other end."""
        self._socket.transport.abort()

    def over(self) -> Ended:
        """How it ended; call it after the last frame."""
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(RequestFailed("the socket was closed"))
        now = self._clock.monotonic()
        return Ended(
            lasted_s=now - self.since,
            close_code=_received(self._socket),
            reason=_reason(self._socket),
            told_s=None if self.leave_at is None else self.leave_at - now,
        )


async def open_session(url: str, token: str, device: Device, options: ClientOptions, clock: Clock) -> Session:
    """Connect and wait for `connected`; raises NotConnected. Nothing stays open if it fails."""

    query = urlencode({"device_type": device.type, "device_id": device.id})
    socket: ClientConnection | None = None
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            socket = await connect(
                f"{url}?{query}",
                additional_headers={"Authorization": f"Bearer {token}"},
                create_connection=_Heard,
                compression=None,
                ping_interval=None,  # The server pings; its silence is what betrays a dead connection.
                open_timeout=None,
                close_timeout=options.close_timeout_s,
                max_size=FRAME_BYTES_MAX,
                max_queue=_QUEUE_FRAMES,
                proxy=None,
            )
            first = parse(await socket.recv(decode=False))
        assert isinstance(socket, _Heard)
        if first is None or first.action != ServerAction.CONNECTED:
            raise Undecodable("the first frame is not `connected`")
        return Session(socket, Connected.model_validate(first.data), token, clock)
    except BaseException as failed:
        if socket is not None:
            ended = Ended(close_code=_received(socket), reason=_reason(socket) or repr(failed))
            socket.transport.abort()
        else:
            ended = _not_even_open(failed)
        if isinstance(failed, (OSError, WebSocketException, TimeoutError, ValueError)):
            raise NotConnected(ended) from failed
        raise


def _not_even_open(failed: BaseException) -> Ended:
    if isinstance(failed, InvalidStatus):
        response = failed.response
        return Ended(
            reason=f"HTTP {response.status_code}",
            retry_after_s=retry_after(response.headers.get("Retry-After")),
            token_refused=response.status_code == 401,
        )
    return Ended(reason=repr(failed))


def _received(socket: ClientConnection) -> int | None:
    """The code that the server closed with; None if it did not, or if it only answered us."""
    received = socket.protocol.close_rcvd
    return None if received is None or socket.protocol.close_rcvd_then_sent is False else received.code


def _reason(socket: ClientConnection) -> str:
    received = socket.protocol.close_rcvd
    return "" if received is None else received.reason
