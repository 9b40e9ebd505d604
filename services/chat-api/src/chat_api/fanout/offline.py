"""Hands what reached no device to the notifier, and does not let go before JetStream has it."""

from __future__ import annotations

import asyncio
import contextlib

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header

from chat_api import metrics
from chat_api.fanout.receipts import Undelivered
from contracts import subjects
from contracts.codec import encode
from contracts.delivery import OfflineDelivery
from contracts.streams import OFFLINE_DELIVERY
from contracts.times import now
from kit import bus
from kit.backoff import full_jitter
from kit.logs import Stage, logger

log = logger()

QUEUE_MAX = 10_000
WORKERS = 64
"""Publishes in flight at once; with an ack in about a millisecond this is more than JetStream stores."""
PUBLISH_TIMEOUT_S = 5.0


class OfflineHandover:
    """`hand_over` waits when the queue is full; `run` must be running."""

    def __init__(self, nats_client: Client, js: JetStreamContext) -> None:
        self._nats = nats_client
        self._js = js
        self._queue: asyncio.Queue[Undelivered] = asyncio.Queue(QUEUE_MAX)

    async def hand_over(self, undelivered: Undelivered) -> None:
        """Queue one delivery for the notifier; its work is settled once JetStream has stored it."""
        await self._queue.put(undelivered)

    async def run(self) -> None:
        """Publish what is queued, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            undelivered = await self._queue.get()
            if not undelivered.work.abandoned:
                await self._publish(undelivered)
                undelivered.work.settle()

    async def _publish(self, undelivered: Undelivered) -> None:
        event = undelivered.work.event
        payload = encode(
            OfflineDelivery(user_id=undelivered.user_id, reason=undelivered.reason, event=event, decided_at=now())
        )
        # The same event for the same user is the same delivery, however often it is decided.
        headers = {Header.MSG_ID.value: f"{event.id}.{undelivered.user_id}"}
        for wait_s in full_jitter(0.1, 5.0):
            if undelivered.work.abandoned:
                # The lane began anew: the event comes again, and the user may be online by then.
                return
            try:
                if not self._nats.is_connected:
                    # A publish made now would wait in a buffer and leave even after it was given up.
                    raise nats.errors.ConnectionClosedError
                await self._js.publish(
                    subjects.offline(undelivered.user_id),
                    payload,
                    timeout=PUBLISH_TIMEOUT_S,
                    stream=OFFLINE_DELIVERY.name,
                    headers=headers,
                )
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as failed:
                log.warning("cannot hand over to the notifier yet", stage=Stage.DELIVER, error=type(failed).__name__)
                await asyncio.sleep(wait_s)
                await self._restore_stream(failed)
            else:
                metrics.fanout_deliveries.labels(undelivered.reason.value).inc()
                log.debug(
                    "handed to the notifier",
                    stage=Stage.DELIVER,
                    stream=event.subject,
                    seq=event.seq,
                    event_id=event.id,
                    user_id=undelivered.user_id,
                    reason=undelivered.reason.value,
                )
                return

    async def _restore_stream(self, failed: Exception) -> None:
        if isinstance(failed, nats.js.errors.NoStreamResponseError):
            with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError):
                await bus.ensure_stream(self._js, OFFLINE_DELIVERY)
