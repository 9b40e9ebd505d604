"""HTTP to push services: bounded connections, explicit timeouts, no secret in a log, `Retry-After` in both forms."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from notifier.providers.base import TransientPushError

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 8.0
"""Shorter than a push's own limit (`NATTER_PUSH_TIMEOUT_S`, 10 s): a connection that died without a word is given up
by us and made anew. A push that is merely cancelled would leave it there for the next one."""
WRITE_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 8.0
REQUEST_TIMEOUT_S = 20.0
"""For the whole of a request that nobody waits for any more: on a connection that is busy with others, the limit for
reading never ends."""
CLOSE_GRACE_S = 2.0
CONNECTIONS_MAX = 64
KEEPALIVE_S = 300.0
"""How long an unused connection is kept: a handshake for each push is slow, and Apple takes it for an attack."""
RETRY_AFTER_MAX_S = 86_400.0
"""Longest wait that a service can ask for: a push is not worth sending after a day."""

TALKATIVE = ("httpx", "httpcore", "hpack", "h2", "google.auth", "google.oauth2")
"""Loggers that write addresses, headers or answers, in which tokens and signatures stand."""


class ServiceUnreachable(TransientPushError):
    """The service did not answer: no network, no such name, no time, or something that is no HTTP."""


def keep_quiet() -> None:
    """Whatever the log level: libraries below us write no address and no header."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class Unbroken:
    """Lets requests come to their end although the pushes that asked for them are given up.

    Over HTTP/2 all requests share a connection, and one that is cancelled while it is being made or written to leaves
    it unusable for the others.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[httpx.Response]] = set()

    async def run(self, request: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        """What `request` returns or raises; `ServiceUnreachable` if it is stuck."""
        task = asyncio.create_task(_limited(request), name="push request")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait a little for what is under way, then end it."""
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=CLOSE_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _limited(request: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            return await request
    except TimeoutError:
        raise ServiceUnreachable("no answer in time") from None


def client(*, http2: bool = False, verify: ssl.SSLContext | bool = True) -> httpx.AsyncClient:
    """A client for one service; redirections are not followed. Whoever makes it closes it."""
    keep_quiet()
    return httpx.AsyncClient(
        http2=http2,
        verify=verify,
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEEPALIVE_S,
        ),
        timeout=timeouts(),
        follow_redirects=False,
    )


def timeouts() -> httpx.Timeout:
    """The limits of one request, in seconds."""
    return httpx.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=POOL_TIMEOUT_S)


async def post(
    client: httpx.AsyncClient, service: str, url: str, body: bytes, headers: Mapping[str, str]
) -> httpx.Response:
    """The whole answer; raises `ServiceUnreachable`, whose text names the service and never the address."""
    try:
        return await client.post(url, content=body, headers=headers)
    except (httpx.HTTPError, OSError) as lost:
        raise unreachable(service, lost) from None


def unreachable(service: str, lost: Exception) -> ServiceUnreachable:
    """What to raise when there is no answer. The cause is named by its class: its text may hold the address."""
    return ServiceUnreachable(f"{service} does not answer: {type(lost).__name__}")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3), as seconds or as a date; None: nothing
    that can be read. At most a day."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), RETRY_AFTER_MAX_S)
