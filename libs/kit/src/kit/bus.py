"""The connection to NATS that never gives up, and the streams on it.

nats-py stops for good after about two minutes without a server, and drops messages of a full subscription with no
more than a callback; both are turned around here: it reconnects for ever, and every asynchronous error reaches the
service as a word that something may have been missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from contracts.streams import StreamDefinition
from kit import cancellation
from kit.logs import Stage, logger
from kit.settings import ServiceSettings

log = logger()

RECONNECT_WAIT_S = 0.5
PING_INTERVAL_S = 5
OUTSTANDING_PINGS_MAX = 2
"""A server that is silent for 10 to 15 s counts as gone: half-open TCP is found long before the kernel would."""
PENDING_BYTES_MAX = 8 * 1024 * 1024
"""What may wait in this process while NATS is away; publishing more raises instead of growing."""

AWAY = (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError)
"""What says that NATS or JetStream is not there now, or has no room: to catch around whatever waits for them."""

Interrupted = Callable[[str], Awaitable[None]]


async def _ignore(_reason: str) -> None:
    return None


class _Client(Client):
    """nats-py's client, of which no cancellation gets lost; all of JetStream goes through `request`."""

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        with cancellation.kept():
            return await super().request(subject, payload, timeout, old_style, headers)

    async def flush(self, timeout: int = 10) -> None:
        with cancellation.kept():
            await super().flush(timeout)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        # Forced, whoever publishes waits here until the server takes what is pending, and a cancellation ends that
        # wait without a word. Not forced, nothing waits, and this is on the way of each publish.
        if not force_flush:
            return await super()._flush_pending()
        with cancellation.kept():
            return await super()._flush_pending(force_flush=True)


async def connect(
    settings: ServiceSettings,
    *,
    service: str,
    on_interrupted: Interrupted = _ignore,
    on_disconnected: Interrupted = _ignore,
) -> Client:
    """Connect as `settings.nats_user`, waiting as long as it takes; cancel the call to stop waiting.

    `on_interrupted(reason)` is called whenever messages may have been missed: after a reconnect, or when a
    subscription's queue overflowed. `on_disconnected` when the connection breaks.
    """
    client = _Client()
    quiet_until: dict[type[Exception], float] = {}

    async def on_error(error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            log.warning("NATS subscription overflowed, messages were dropped", stage=Stage.LISTENER)
            await on_interrupted("slow_consumer")
            return
        # While the server is away every attempt fails in the same way: say it at once, then every 10 s.
        if time.monotonic() < quiet_until.get(type(error), 0.0):
            return
        quiet_until[type(error)] = time.monotonic() + 10
        if isinstance(error, AWAY):
            log.warning("NATS error", stage=Stage.LISTENER, error=type(error).__name__, detail=str(error)[:200])
        else:
            # nats-py reports here what a callback of ours has raised: a bug, and a message that was not handled.
            log.error("a NATS callback failed", stage=Stage.LISTENER, exc_info=error)

    async def on_disconnect() -> None:
        if client.is_closed or client.is_draining:
            return  # our own doing
        log.warning("NATS connection lost", stage=Stage.LISTENER)
        await on_disconnected("disconnected")

    async def on_reconnect() -> None:
        log.info("NATS connection is back", stage=Stage.LISTENER)
        await on_interrupted("reconnected")

    connecting = client.connect(
        servers=settings.nats_url.split(","),
        user=settings.nats_user or None,
        password=settings.nats_password.get_secret_value() or None,
        name=service,
        inbox_prefix=f"_INBOX.{settings.nats_user or service}",
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # declared int, a float works
        connect_timeout=2,
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=OUTSTANDING_PINGS_MAX,
        pending_size=PENDING_BYTES_MAX,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
    )
    await _cancellable(connecting)
    return client


async def _cancellable(connecting: Coroutine[Any, Any, None]) -> None:
    """Run nats-py's connect so that a cancellation is never lost.

    While it fails again and again, `asyncio.wait_for` of Python 3.11 and an `except CancelledError` of nats-py 2.16 can
    each swallow the one cancellation that it gets, and a service that waits for NATS could not be stopped.
    """
    task = asyncio.ensure_future(connecting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        raise


async def ensure_stream(js: JetStreamContext, definition: StreamDefinition) -> None:
    """Create the stream, or bring its limits up to date; safe to call from several processes at once."""
    config = StreamConfig(
        name=definition.name,
        subjects=list(definition.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=definition.max_age_s,
        max_bytes=definition.max_bytes,
        max_msg_size=definition.max_msg_bytes,
        duplicate_window=definition.duplicate_window_s,
    )
    try:
        await js.add_stream(config)
    except BadRequestError:
        await js.update_stream(config)


async def close(client: Client | None, timeout_s: float = 5.0) -> None:
    """Flush what is pending and close; never raises and never takes longer than `timeout_s`."""
    if client is None or client.is_closed:
        return
    try:
        async with asyncio.timeout(timeout_s):
            if client.is_connected:
                await client.flush(timeout=max(1, int(timeout_s)))
            await client.close()
    except Exception as failed:
        log.info("NATS did not close cleanly", stage=Stage.LIFECYCLE, error=type(failed).__name__)


async def abandon(client: Client, timeout_s: float = 2.0) -> None:
    """End a connection that has proved useless; never raises and hardly ever takes long.

    Nothing is flushed and the server is not asked: `Client.close` waits until TCP has taken what is pending, which on a
    half-open connection is when the kernel gives up, a quarter of an hour later. Its own reconnecting is ended first,
    because a cancellation that gets lost there (see `_cancellable`) would leave a second, forgotten connection.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reconnecting = client._reconnection_task
            while reconnecting is not None and not reconnecting.done():
                reconnecting.cancel()
                await asyncio.wait({reconnecting}, timeout=0.1)
            client._pending, client._pending_data_size = [], 0
            writer = getattr(client._transport, "_io_writer", None)
            if writer is not None:
                writer.transport.abort()
            await client.close()
    except Exception as failed:
        log.info("abandoned, but not closed cleanly", stage=Stage.LISTENER, error=type(failed).__name__)
