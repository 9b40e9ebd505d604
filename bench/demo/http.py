"""A small HTTP/1.1 client: connections that stay open, one request at a time on each.

A full-featured client takes about a millisecond of CPU for a request. At hundreds of messages a second, on the same two
cores as the servers, that is what one would measure.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools


class HttpError(Exception):
    """No answer: the connection failed, or it took too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300


@dataclass(slots=True)
class _Origin:
    host: str
    port: int
    tls: ssl.SSLContext | None
    idle: list[_Connection] = field(default_factory=list)


class HttpClient:
    """Requests to any number of origins; `timeout_s` is for each request as a whole. `close` at the end."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._origins: dict[str, _Origin] = {}

    async def request(self, method: str, url: str, *, token: str = "", body: object = None) -> Answer:
        """One request with an optional JSON body; raises `HttpError`."""
        parts = urlsplit(url)
        origin = self._origin(parts.scheme, parts.netloc)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        payload = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n"
        head += f"Content-Length: {len(payload)}\r\n" if payload or method != "GET" else ""
        head += "Content-Type: application/json\r\n" if payload else ""
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(origin, head.encode("ascii") + b"\r\n" + payload)
        except (OSError, TimeoutError) as failed:
            raise HttpError(f"{type(failed).__name__}: {failed}") from failed

    def close(self) -> None:
        """Let the connections go."""
        for origin in self._origins.values():
            for connection in origin.idle:
                connection.close()
            origin.idle.clear()

    def _origin(self, scheme: str, netloc: str) -> _Origin:
        key = f"{scheme}://{netloc}"
        if key not in self._origins:
            split = urlsplit(key)
            tls = ssl.create_default_context() if scheme == "https" else None
            self._origins[key] = _Origin(split.hostname or "", split.port or (443 if tls else 80), tls)
        return self._origins[key]

    async def _exchange(self, origin: _Origin, request: bytes) -> Answer:
        while origin.idle:
            connection = origin.idle.pop()
            if connection.usable:
                try:
                    return await self._on(connection, origin, request)
                except ConnectionError:
                    # The server may close a kept connection at the very moment in which it is used again.
                    break
        return await self._on(await self._connect(origin), origin, request)

    async def _connect(self, origin: _Origin) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, origin.host, origin.port, ssl=origin.tls)
        return connection

    async def _on(self, connection: _Connection, origin: _Origin, request: bytes) -> Answer:
        try:
            answer = await connection.exchange(request)
        except BaseException:
            # Given up half-way, it can never be used again.
            connection.close()
            raise
        if connection.usable:
            origin.idle.append(connection)
        return answer


class _Connection(asyncio.Protocol):
    """One connection; httptools calls the `on_…` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self.usable = True

    async def exchange(self, request: bytes) -> Answer:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as unreadable:
            self.connection_lost(ConnectionError(f"not HTTP: {unreadable}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(exc or "closed before the answer was complete")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        self.usable = self.usable and self._parser.should_keep_alive()
        if not self.usable and self._transport is not None:
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
