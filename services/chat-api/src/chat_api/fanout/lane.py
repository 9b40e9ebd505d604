"""One lane at work: takes events in the record's order, publishes each to its recipients, remembers what is settled.

Order holds at the sockets because everything of a lane goes through here in one order, over one connection. EVENTS says
what is new; it is believed only as far as it is whole. Whenever something may be missing (a new term, a hole in the
stream's places, the relay ahead of us while nothing comes) the lane reads the record itself, up to the fence, and
passes over what the stream brings of it later. So a stream that lost messages, or vanished, loses no delivery.

Whenever what we published may have been lost (a reconnect, a silent consumer) the lane begins anew from its floor: what
is published a second time has the same stream and seq, and the edges write it once; receipts are asked only for users
who have not confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.fanout.consumer import Consumer, consume, floor_of_place
from chat_api.fanout.lanes import Lanes, Term
from chat_api.fanout.progress import Progress, Saved
from chat_api.fanout.receipts import ReceiptBook, Work
from chat_api.settings import ChatApiSettings
from chat_api.store import following, mapping
from chat_api.store.keys import ORIGIN, Key, lane_of
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

SILENCE_MAX_S = 7.0
"""A consumer that has not even sent a heartbeat for this long is dead, whatever the server says."""
RENEW_EVERY_S = 1.0
READ_MAX = 500
"""Events read from the record at a time."""
DISCONNECTED = "disconnected"
"""The reason that `kit.bus` gives when the connection breaks."""

Publish = Callable[[Envelope, Work, "set[str] | None"], Awaitable[None]]
"""Publish an event to all its recipients; receipts are asked of these users, or of everybody (None)."""


class LaneLost(Exception):
    """Another process owns the lane now."""


class _Attempt:
    """From one beginning to the next."""

    def __init__(self) -> None:
        self.read = asyncio.Event()
        """The record has been read: from now on what the stream brings is next."""
        self.over = False


class Lane:
    """The lane of one process; `run` ends only by an exception."""

    def __init__(
        self,
        term: Term,
        *,
        settings: ChatApiSettings,
        engine: AsyncEngine,
        nats_client: Client,
        js: JetStreamContext,
        lanes: Lanes,
        book: ReceiptBook,
        publish: Publish,
    ) -> None:
        self.term = term
        self._settings = settings
        self._engine = engine
        self._nats = nats_client
        self._js = js
        self._lanes = lanes
        self._book = book
        self._publish = publish
        self._progress = Progress.load(term.saved) if term.saved is not None else None
        self._said: Saved | None = None
        self._works: set[Work] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._taking = asyncio.Lock()
        """Events are taken one by one, whether the stream or the record brings them."""
        self._reading = False
        self._anew = asyncio.Event()
        self._anew_reason = ""
        self._heard_at = 0.0
        self._next_place = 0
        self._acks: asyncio.Queue[Msg] = asyncio.Queue()
        """Messages to acknowledge; bounded by the consumer's max_ack_pending."""

    def begin_anew(self, reason: str) -> None:
        """Something may have been lost: go back to the floor. Returns at once."""
        self._anew_reason = reason
        self._anew.set()

    async def run(self) -> None:
        """Work until the lane is lost (`LaneLost`) or something fails; begin anew as often as asked."""
        if self.term.nats_server not in (None, self._server()):
            # NATS is another one than the last owner knew: the edges are coming back to it just like us.
            await self._wait_for_the_others()
        while True:
            self._anew.clear()
            self._acks = asyncio.Queue()
            attempt = _Attempt()
            consumer = await self._consume(attempt)
            acking = asyncio.create_task(self._acknowledge(self._acks))
            reading = asyncio.create_task(self._begin(attempt))
            try:
                await self._tend(reading)
            finally:
                attempt.over = True
                attempt.read.set()
                await _cancelled(acking, reading)
                with contextlib.suppress(nats.errors.Error):
                    await consumer.subscription.unsubscribe()
                self._book.abandon(self._works)
                self._works.clear()
                self._room.set()
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
            await self._lanes.hold(self.term)
            if not self._nats.is_connected:
                back_since = None
            elif back_since is None:
                back_since = clock()
            await asyncio.sleep(min(0.1, self._settings.fanout_settle_s))

    async def next_term(self) -> bool:
        """Raise the lane's epoch, so that a new consumer may begin; False if the lane is not ours."""
        await self.save()
        term = await self._lanes.begin_anew(self.term)
        if term is None:
            return False
        self.term = term
        return True

    async def save(self) -> Key | None:
        """Write down how far we are, for whoever takes the lane next; returns how far the relay is.

        None: the lane is not ours any more.
        """
        if self._progress is None:
            return ORIGIN if await self._lanes.hold(self.term) else None
        now = self._progress.save()
        changed = self._said is None or now.open != self._said.open
        relayed = await self._lanes.renew(self.term, now, self._server(), open_changed=changed)
        self._said = now
        return relayed

    def _server(self) -> str:
        # The client keeps what the server said of itself; there is no public way to it.
        return str(self._nats._server_info.get("server_id", ""))

    async def _acknowledge(self, acks: asyncio.Queue[Msg]) -> None:
        while True:
            message = await acks.get()
            try:
                await message.ack()
            except AWAY as failed:
                # Our own progress is what counts; JetStream only keeps count of what is under way.
                log.debug("ack failed", stage=Stage.LISTENER, error=type(failed).__name__)

    async def _consume(self, attempt: _Attempt) -> Consumer:
        if self._progress is None:
            self._progress = Progress(await floor_of_place(self._js, self._engine, self.term))
        consumer = await consume(self._nats, self._js, self.term, self._settings, partial(self._take, attempt))
        self._next_place = consumer.next_place
        self._heard_at = asyncio.get_running_loop().time()
        log.info(
            "lane is worked on",
            stage=Stage.LISTENER,
            lane=self.term.lane,
            epoch=self.term.epoch,
            floor=self._progress.floor.position,
        )
        return consumer

    async def _tend(self, reading: asyncio.Task[None]) -> None:
        """Hold the lease and watch for silence; returns when the lane must begin anew."""
        loop = asyncio.get_running_loop()
        stood_at: Key | None = None
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RENEW_EVERY_S):
                        await self._anew.wait()
                    return
                relayed = await self.save()
                if relayed is None:
                    raise LaneLost
                if not self._reading and self._nats.is_connected and loop.time() - self._heard_at > SILENCE_MAX_S:
                    self.begin_anew("silent_consumer")
                    return
                top = self._known.top
                if relayed > top and top == stood_at and reading.done():
                    # Published, and for a while nothing has come: the stream lost it, with nothing behind it to tell.
                    if self._room.is_set():
                        metrics.fanout_holes.inc()
                    reading = asyncio.create_task(self._read_on())
                stood_at = top
        finally:
            await _cancelled(reading)

    @property
    def _known(self) -> Progress:
        assert self._progress is not None, "known from the first consumer on"
        return self._progress

    async def _begin(self, attempt: _Attempt) -> None:
        """Take everything again that is not settled, and what is new, up to the fence."""
        async with self._taking:
            await self._take_from_record(self._known.floor)
        attempt.read.set()

    async def _read_on(self) -> None:
        """Take what the record holds above the top, up to the fence."""
        async with self._taking:
            await self._take_from_record(self._known.top)

    async def _take_from_record(self, after: Key) -> None:
        self._reading = True
        waits = full_jitter(0.1, 2.0)
        try:
            while not self._anew.is_set():
                try:
                    rows = await following.behind(self._engine, after, READ_MAX)
                except Exception as failed:
                    log.warning("lane cannot read the record yet", stage=Stage.LISTENER, error=type(failed).__name__)
                    await asyncio.sleep(next(waits))
                    continue
                for row in rows:
                    await self._room.wait()
                    if self._anew.is_set():
                        return
                    after = following.key_of(row)
                    await self._take_row(row, after)
                if len(rows) < READ_MAX:
                    return
        finally:
            self._reading = False
            self._heard_at = asyncio.get_running_loop().time()

    async def _take_row(self, row: mapping.EventRow, key: Key) -> None:
        if not self._ours(row.stream):
            if key > self._known.top:
                self._known.pass_over(key)
            return
        try:
            event = mapping.envelope(row)
        except ValidationError as unreadable:
            self._poison(unreadable, position=key.position)
            if key > self._known.top:
                self._known.pass_over(key)
            return
        await self._deliver(event, key)

    async def _take(self, attempt: _Attempt, message: Msg) -> None:
        """One message of the consumer: an event, or a heartbeat."""
        self._heard_at = asyncio.get_running_loop().time()
        if not message.reply or not message.reply.startswith("$JS.ACK."):
            return
        await attempt.read.wait()
        async with self._taking:
            # What comes after "begin anew" comes again. Taken now, it could overtake what was lost before it.
            if not self._anew.is_set() and not attempt.over:
                await self._take_event(message)

    async def _take_event(self, message: Msg) -> None:
        place = message.metadata.sequence.stream
        hole = place > self._next_place
        self._next_place = max(self._next_place, place + 1)
        try:
            event = decode(Envelope, message.data)
        except ContractError as unreadable:
            # Written by a later release, or by nobody of ours. Blocking on it would stop every conversation.
            self._poison(unreadable, place=place)
            self._acks.put_nowait(message)
            return
        if hole or event.txid is None:
            # What lies before this event is gone from the stream; or an older relay does not say where it belongs.
            if hole:
                metrics.fanout_holes.inc()
            await self._take_from_record(self._known.top)
            if self._anew.is_set():
                return
        key = None if event.txid is None else Key(event.txid, event.position)
        if key is None or key <= self._known.top:
            # Taken already. If it is still open, the progress knows.
            self._acks.put_nowait(message)
        elif self._ours(event.subject):
            await self._deliver(event, key, message)
        else:
            self._known.pass_over(key)
            self._acks.put_nowait(message)

    def _ours(self, stream: str) -> bool:
        return lane_of(stream, self._settings.fanout_partitions) == self.term.lane

    def _poison(self, unreadable: Exception, **where: int) -> None:
        log.error("unreadable event skipped", stage=Stage.LISTENER, **where, error=str(unreadable)[:200])
        metrics.fanout_poison.inc()

    async def _deliver(self, event: Envelope, key: Key, message: Msg | None = None) -> None:
        def done() -> None:
            self._works.discard(work)
            self._room.set()
            progress.settle(key)
            if message is not None:
                self._acks.put_nowait(message)

        progress = self._known
        first_time = key > progress.top
        if first_time:
            progress.take(key)
            metrics.fanout_events.inc()
        work = Work(event, done)
        self._works.add(work)
        if len(self._works) >= self._settings.fanout_inflight_max:
            self._room.clear()
        try:
            await self._publish(event, work, progress.waiting(key))
        except Exception as failed:
            log.warning("delivery interrupted", stage=Stage.DELIVER, event_id=event.id, error=type(failed).__name__)
            self.begin_anew("publish_failed")
            return
        if first_time:
            metrics.fanout_lag.observe((datetime.now(UTC) - event.time).total_seconds())
        progress.wait_for(key, work.waiting)
        # All recipients are added: from here on the last receipt settles the event.
        work.all_added()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for their end; what they failed with is logged by whoever it concerns."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("a lane's task failed", stage=Stage.LISTENER, exc_info=result)
