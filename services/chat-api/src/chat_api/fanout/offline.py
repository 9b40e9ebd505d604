"""Hands what reached no device to the notifier; lets go when JetStream has it and Postgres remembers that."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header

from chat_api import metrics
from chat_api.fanout.handovers import Handover, Handovers
from chat_api.fanout.receipts import Undelivered
from chat_api.store.database import DatabaseUnavailable
from contracts import subjects
from contracts.codec import encode
from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.envelope import Envelope
from contracts.streams import OFFLINE_DELIVERY
from contracts.times import now
from kit import bus, tracing
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, debugging, logger

log = logger()

QUEUE_MAX = 10_000
WORKERS = 64
"""Publishes in flight at once; with an ack in about a millisecond this is more than JetStream stores."""
PUBLISH_TIMEOUT_S = 5.0
BATCH_MAX = 500
"""Hand-overs that one statement writes down."""
LOOK_EVERY_S = 1.0
"""How often it is asked which incarnation of the stream is there, while deliveries are handed over."""


class OfflineRoad:
    """OFFLINE_DELIVERY as this process sees it."""

    def __init__(self, nats_client: Client, js: JetStreamContext) -> None:
        self._nats = nats_client
        self._js = js
        self._created = ""
        self._looked_at = 0.0

    async def created(self) -> str:
        """The incarnation of the stream, seen a moment ago: what is stored from now on is there, or in a later one.

        Raises what NATS raises.
        """
        clock = asyncio.get_running_loop().time
        if not self._created or clock() - self._looked_at > LOOK_EVERY_S:
            self._looked_at = clock()
            self._created = str((await self._js.stream_info(OFFLINE_DELIVERY.name)).created)
        return self._created

    def look_again(self) -> None:
        """What was seen is out of date."""
        self._created = ""

    async def publish(self, user_id: str, reason: OfflineReason, event: Envelope, decided_at: datetime) -> Handover:
        """Hand over one delivery, once; raises one of `AWAY`."""
        if not self._nats.is_connected:
            # A publish made now would wait in a buffer and leave even after it was given up.
            raise nats.errors.ConnectionClosedError
        # Asked before: if the stream is made anew meanwhile, the place looks lost and is handed over again. The other
        # way round it would look taken.
        created = await self.created()
        ack = await self._js.publish(
            subjects.offline(user_id),
            encode(OfflineDelivery(user_id=user_id, reason=reason, event=event, decided_at=decided_at)),
            timeout=PUBLISH_TIMEOUT_S,
            stream=OFFLINE_DELIVERY.name,
            # The same event for the same user is the same delivery, however often it is decided.
            headers={Header.MSG_ID.value: f"{event.id}.{user_id}"},
        )
        return Handover(event.position, user_id, reason, decided_at, created, ack.seq)

    async def restore(self, failed: Exception) -> None:
        """Make the stream anew if it is what failed."""
        self.look_again()
        if isinstance(failed, (nats.js.errors.NoStreamResponseError, nats.js.errors.NotFoundError)):
            with contextlib.suppress(*AWAY):
                await bus.ensure_stream(self._js, OFFLINE_DELIVERY)


@dataclass(slots=True)
class _Stored:
    """JetStream has it; Postgres does not know yet."""

    undelivered: Undelivered
    handover: Handover


class OfflineHandover:
    """`hand_over` waits when the queue is full; `run` must be running."""

    def __init__(self, road: OfflineRoad, handovers: Handovers) -> None:
        self._road = road
        self._handovers = handovers
        self._queue: asyncio.Queue[Undelivered] = asyncio.Queue(QUEUE_MAX)
        self._stored: asyncio.Queue[_Stored] = asyncio.Queue(QUEUE_MAX)

    async def hand_over(self, undelivered: Undelivered) -> None:
        """Queue one delivery for the notifier; its work is settled once JetStream and Postgres have it."""
        await self._queue.put(undelivered)

    async def run(self) -> None:
        """Publish what is queued, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_down())
            for _ in range(WORKERS):
                group.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            undelivered = await self._queue.get()
            handover = await self._publish(undelivered)
            if handover is not None:
                await self._stored.put(_Stored(undelivered, handover))

    async def _publish(self, undelivered: Undelivered) -> Handover | None:
        event = undelivered.work.event
        decided_at = now()
        for wait_s in full_jitter(0.1, 5.0):
            if undelivered.work.abandoned:
                # The lane began anew: the event comes again, and the user may be online by then.
                return None
            try:
                handover = await self._road.publish(undelivered.user_id, undelivered.reason, event, decided_at)
            except AWAY as failed:
                log.warning(
                    "cannot hand over to the notifier yet",
                    stage=Stage.DELIVER,
                    error=type(failed).__name__,
                    reason=str(failed)[:200],
                )
                await asyncio.sleep(wait_s)
                await self._road.restore(failed)
            else:
                metrics.fanout_deliveries.labels(undelivered.reason.value).inc()
                if debugging():
                    _say_handed_over(undelivered)
                return handover
        return None

    async def _write_down(self) -> None:
        waits = full_jitter(0.1, 5.0)
        batch: list[_Stored] = []
        while True:
            if not batch:
                batch.append(await self._stored.get())
            while len(batch) < BATCH_MAX and not self._stored.empty():
                batch.append(self._stored.get_nowait())
            try:
                await self._handovers.write([one.handover for one in batch])
            except DatabaseUnavailable:
                log.warning("cannot write down what was handed over, waiting", stage=Stage.DELIVER, held=len(batch))
                await asyncio.sleep(next(waits))
                continue
            waits = full_jitter(0.1, 5.0)
            for one in batch:
                one.undelivered.work.settle(one.undelivered.user_id)
            batch = []


def _say_handed_over(undelivered: Undelivered) -> None:
    event = undelivered.work.event
    log.debug(
        "handed to the notifier",
        stage=Stage.DELIVER,
        stream=event.subject,
        seq=event.seq,
        event_id=event.id,
        user_id=undelivered.user_id,
        reason=undelivered.reason.value,
        **tracing.told(event.traceparent),
    )
