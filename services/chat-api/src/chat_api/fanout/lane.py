"""One lane at work: takes events in order, publishes each to its recipients, and acknowledges what is settled.

Order holds at the sockets because everything of a lane goes through here in the order of EVENTS, over one connection.
JetStream's own redelivery would break it (what was lost comes back after what came later), so whenever something may
have been lost (a reconnect, a silent consumer, a new owner) the lane begins anew: a new consumer from the floor, below
which everything is settled. What is then published a second time has the same stream and seq, and the edges write it
once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from zlib import crc32

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from chat_api import metrics
from chat_api.fanout.lanes import Lanes, Term
from chat_api.fanout.receipts import ReceiptBook, Work
from chat_api.settings import ChatApiSettings
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.streams import EVENTS, fanout_durable, fanout_epoch
from kit.logs import Stage, logger

log = logger()

IDLE_HEARTBEAT_S = 2.0
SILENCE_MAX_S = 7.0
"""A consumer that has not even sent a heartbeat for this long is dead, whatever the server says."""
RENEW_EVERY_S = 1.0
DISCONNECTED = "disconnected"
"""The reason that `kit.bus` gives when the connection breaks."""

Publish = Callable[[Envelope, Work], Awaitable[None]]


class LaneLost(Exception):
    """Another process owns the lane now."""


class Floor:
    """The place in EVENTS up to which everything is settled; events are opened in order and settled in any."""

    def __init__(self, start: int) -> None:
        self.settled = start
        self._opened: deque[int] = deque()
        self._done: set[int] = set()

    def opened(self, place: int) -> None:
        """An event was taken; places rise, except for what JetStream gives again."""
        self._opened.append(place)

    def done(self, place: int) -> None:
        """An event is settled; the floor rises over everything settled below the first that is not."""
        self._done.add(place)
        while self._opened and self._opened[0] in self._done:
            place = self._opened.popleft()
            self._done.discard(place)
            # JetStream may give an event again after a later one.
            self.settled = max(self.settled, place)


class Lane:
    """One term of one lane; `run` ends only by an exception."""

    def __init__(
        self,
        term: Term,
        *,
        settings: ChatApiSettings,
        nats_client: Client,
        js: JetStreamContext,
        lanes: Lanes,
        book: ReceiptBook,
        publish: Publish,
    ) -> None:
        self.term = term
        self._settings = settings
        self._nats = nats_client
        self._js = js
        self._lanes = lanes
        self._book = book
        self._publish = publish
        self._works: set[Work] = set()
        self._anew = asyncio.Event()
        self._anew_reason = ""
        self._heard_at = 0.0
        self._stream_created = ""
        self._floor = Floor(0)
        self._acks: asyncio.Queue[Msg] = asyncio.Queue()
        """Settled events to acknowledge; bounded by the consumer's max_ack_pending."""

    def begin_anew(self, reason: str) -> None:
        """Something may have been lost: go back to the floor. Returns at once."""
        self._anew_reason = reason
        self._anew.set()

    async def run(self) -> None:
        """Work until the lane is lost (`LaneLost`) or something fails; begin anew as often as asked."""
        while True:
            self._anew.clear()
            self._acks = asyncio.Queue()
            subscription = await self._consume()
            acking = asyncio.create_task(self._acknowledge(self._acks))
            try:
                await self._tend()
            finally:
                acking.cancel()
                with contextlib.suppress(nats.errors.Error, asyncio.CancelledError):
                    await acking
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()
                self._book.abandon(self._works)
                self._works.clear()
            log.info("lane begins anew", stage=Stage.LISTENER, lane=self.term.lane, reason=self._anew_reason)
            metrics.fanout_restarts.labels(self._anew_reason).inc()
            if self._anew_reason == DISCONNECTED:
                await self._wait_for_the_others()
            if not await self.next_term():
                raise LaneLost

    async def _wait_for_the_others(self) -> None:
        """Return some time after NATS is back.

        The edges reconnect at the same time as we do. Asked too early, NATS would say of every user that nobody is
        subscribed, and everybody online would get a push.
        """
        back_since: float | None = None
        clock = asyncio.get_running_loop().time
        while back_since is None or clock() - back_since < self._settings.fanout_settle_s:
            await self.note_floor()  # also holds the lease
            if not self._nats.is_connected:
                back_since = None
            elif back_since is None:
                back_since = clock()
            await asyncio.sleep(min(0.1, self._settings.fanout_settle_s))

    async def next_term(self) -> bool:
        """Raise the lane's epoch, so that a new consumer may begin from the floor; False if the lane is not ours."""
        await self.note_floor()
        term = await self._lanes.begin_anew(self.term)
        if term is None:
            return False
        self.term = term
        return True

    async def note_floor(self) -> None:
        """Write down how far we are, for whoever takes the lane next."""
        if not self._stream_created:
            return
        await self._lanes.renew(self.term, self._stream_created, self._floor.settled)

    async def _acknowledge(self, acks: asyncio.Queue[Msg]) -> None:
        while True:
            message = await acks.get()
            try:
                await message.ack()
            except (nats.errors.Error, OSError) as failed:
                # The floor in Postgres knows, and JetStream will be told by a new consumer.
                log.debug("ack failed", stage=Stage.LISTENER, error=type(failed).__name__)

    async def _consume(self) -> Subscription:
        """A new consumer from where the former term was settled, and an end to the former consumer."""
        stream = await self._js.stream_info(EVENTS.name)
        self._stream_created = str(stream.created)
        start = self.term.floor if self.term.floor_stream == self._stream_created else 0
        former = await self._former_consumers()
        start = max([start, *former.values()])
        self._floor = Floor(start)
        inbox = self._nats.new_inbox()
        # Subscribed before the consumer exists: its first message must find someone.
        subscription = await self._nats.subscribe(
            inbox, cb=self._take, pending_msgs_limit=self._settings.fanout_inflight_max + 1000
        )
        await self._js.add_consumer(
            EVENTS.name,
            ConsumerConfig(
                durable_name=fanout_durable(self.term.lane, self.term.epoch),
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=start + 1,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._settings.fanout_ack_wait_s,
                # Also the bound of the subscription's queue: the server sends no more than this unacknowledged.
                max_ack_pending=self._settings.fanout_inflight_max,
                idle_heartbeat=IDLE_HEARTBEAT_S,
            ),
        )
        for name in former:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await self._js.delete_consumer(EVENTS.name, name)
        self._heard_at = asyncio.get_running_loop().time()
        log.info("lane is worked on", stage=Stage.LISTENER, lane=self.term.lane, epoch=self.term.epoch, floor=start)
        return subscription

    async def _former_consumers(self) -> dict[str, int]:
        """The lane's consumers of earlier terms, each with the place up to which it was acknowledged."""
        found: dict[str, int] = {}
        offset = 0
        while page := await self._js.consumers_info(EVENTS.name, offset=offset):
            offset += len(page)
            for consumer in page:
                epoch = fanout_epoch(consumer.name, self.term.lane)
                if epoch is not None and epoch < self.term.epoch:
                    found[consumer.name] = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        return found

    async def _tend(self) -> None:
        """Hold the lease and watch for silence; returns when the lane must begin anew."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(RENEW_EVERY_S):
                    await self._anew.wait()
                return
            except TimeoutError:
                pass
            if not await self._lanes.renew(self.term, self._stream_created, self._floor.settled):
                raise LaneLost
            if self._nats.is_connected and loop.time() - self._heard_at > SILENCE_MAX_S:
                self.begin_anew("silent_consumer")
                return

    async def _take(self, message: Msg) -> None:
        """One message of the consumer: an event, or a heartbeat."""
        self._heard_at = asyncio.get_running_loop().time()
        if self._anew.is_set():
            # What comes now comes again, and in order. Taken now, it could overtake what was lost before it.
            return
        if not message.reply or not message.reply.startswith("$JS.ACK."):
            return
        place = message.metadata.sequence.stream
        self._floor.opened(place)
        try:
            event = decode(Envelope, message.data)
        except ContractError as unreadable:
            # Written by a later release, or by nobody of ours. Blocking on it would stop every conversation.
            log.error("unreadable event skipped", stage=Stage.LISTENER, place=place, error=str(unreadable)[:200])
            metrics.fanout_poison.inc()
            self._pass_over(place, message)
            return
        if crc32(event.subject.encode()) % self._settings.fanout_partitions == self.term.lane:
            await self._deliver(event, message, place)
        else:
            self._pass_over(place, message)

    def _pass_over(self, place: int, message: Msg) -> None:
        self._floor.done(place)
        self._acks.put_nowait(message)

    async def _deliver(self, event: Envelope, message: Msg, place: int) -> None:
        def done() -> None:
            self._works.discard(work)
            self._floor.done(place)
            self._acks.put_nowait(message)

        work = Work(event, done)
        self._works.add(work)
        metrics.fanout_events.inc()
        try:
            await self._publish(event, work)
        except Exception as failed:
            log.warning("delivery interrupted", stage=Stage.DELIVER, event_id=event.id, error=type(failed).__name__)
            self.begin_anew("publish_failed")
            return
        metrics.fanout_lag.observe((datetime.now(UTC) - event.time).total_seconds())
        # All recipients are added: from here on the last receipt settles the event.
        work.settle()
