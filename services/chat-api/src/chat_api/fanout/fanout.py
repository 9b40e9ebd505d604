"""The fan-out process: holds its share of the lanes, publishes to users, and settles what comes back.

EVENTS ──► lane ──► recipients ──► natter.user.<id> (reply: our receipt inbox)
                                         │
     receipt from an edge ◄──────────────┤──► settled
     503, nobody subscribed ◄────────────┤──► OFFLINE_DELIVERY ──► written down ──► settled
     nothing in time ◄───────────────────┘──► OFFLINE_DELIVERY ──► written down ──► settled
                                                 all settled ──► the lane's floor rises
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.fanout.demand import Demand, demand
from chat_api.fanout.handovers import Handovers
from chat_api.fanout.lane import Lane, LaneLost
from chat_api.fanout.lanes import Lanes, Term
from chat_api.fanout.ledger import Ledger
from chat_api.fanout.live import LiveNews
from chat_api.fanout.members import MemberList
from chat_api.fanout.offline import OfflineHandover, OfflineRoad
from chat_api.fanout.receipts import ReceiptBook, Work
from chat_api.fanout.recipients import Members, Recipients
from chat_api.fanout.revocations import REVOKING_EVENTS, Revocations
from chat_api.fanout.roles import RoleSignals
from chat_api.fanout.sweeper import Sweeper
from chat_api.settings import ChatApiSettings
from chat_api.store import queries
from chat_api.store.active_members import ActiveMembers
from chat_api.store.database import DatabaseUnavailable, translated
from chat_api.store.keys import lane_of
from contracts import subjects
from contracts.codec import decode
from contracts.delivery import DELIVERY_HEADER, DEVICES_HEADER, TRACE_HEADER, Durable, Receipt, delivery_header
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.frames import event_frame
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream
from kit import spans, tracing
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, debugging, logger

log = logger()

SWEEP_S = 0.1
"""How often expired deliveries are looked for; a push is late by at most this."""
STALL_S = 1.0
"""If the look is late by more than this, the process was frozen or starved, and receipts wait unread."""
_delivered = metrics.fanout_deliveries.labels("delivered")

BALANCE_S = 2.0
"""How often a process looks whether it holds its share of the lanes."""


class Fanout:
    """`run` works until cancelled; `interrupted` is told of every doubt about the NATS connection."""

    def __init__(
        self, settings: ChatApiSettings, engine: AsyncEngine, nats_client: Client, js: JetStreamContext
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._nats = nats_client
        self._js = js
        self._inbox_id = new_id()
        self._lanes = Lanes(engine, self._inbox_id, settings.fanout_partitions, settings.fanout_lease_s)
        self._book = ReceiptBook(
            settings.delivery_ack_timeout_s, settings.important_mobile_wait_s, settings.push_active_desktop
        )
        road, handovers = OfflineRoad(nats_client, js), Handovers(engine)
        self._handover = OfflineHandover(road, handovers)
        self._sweeper = Sweeper(engine, js, road, handovers, settings.database_timeout_s / 2)
        self._recipients = Recipients(self._load_members, settings.membership_cache_max)
        active = ActiveMembers(engine, settings.live_members_max)
        self._news = LiveNews(nats_client, MemberList(active, self._known_members, settings.live_members_max).of)
        self._ledger = Ledger(engine, settings.delivery_ledger_days)
        self._revocations = Revocations(engine, js)
        self._roles = RoleSignals(engine, nats_client)
        self._held: dict[int, tuple[Lane, asyncio.Task[None]]] = {}

    def interrupted(self, reason: str) -> None:
        """Messages may have been lost on the way to us: every lane goes back to its floor."""
        for lane, _ in self._held.values():
            lane.begin_anew(reason)

    async def run(self) -> None:
        """Hold lanes and settle deliveries, until cancelled; then give the lanes back."""
        await self._nats.subscribe(subjects.receipts(self._inbox_id), cb=self._settled)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._handover.run())
                group.create_task(self._sweeper.run())
                group.create_task(self._news.run())
                group.create_task(self._ledger.run())
                group.create_task(self._revocations.run())
                group.create_task(self._sweep())
                group.create_task(self._balance(group))
        finally:
            await self._give_back()

    async def _balance(self, group: asyncio.TaskGroup) -> None:
        """Take lanes while we hold less than our share, let one go while we hold more."""
        waits = full_jitter(0.2, 5.0)
        while True:
            try:
                share = await self._lanes.fair_share()
                while len(self._held) < share and (term := await self._lanes.take()) is not None:
                    self._start(term, group)
                if len(self._held) > share:
                    await self._let_go(max(self._held))
                waits = full_jitter(0.2, 5.0)
            except DatabaseUnavailable:
                await asyncio.sleep(next(waits))
                continue
            metrics.fanout_lanes.set(len(self._held))
            await asyncio.sleep(BALANCE_S if self._held else min(BALANCE_S, self._settings.fanout_lease_s / 10))

    def _start(self, term: Term, group: asyncio.TaskGroup) -> None:
        # While the lane was another's, people came and went without our cache learning of it.
        self._recipients.forget()
        lane = Lane(
            term,
            settings=self._settings,
            engine=self._engine,
            nats_client=self._nats,
            js=self._js,
            lanes=self._lanes,
            book=self._book,
            publish=self._publish,
        )
        self._held[term.lane] = (lane, group.create_task(self._work(lane)))

    async def _work(self, lane: Lane) -> None:
        """Keep one lane going through every trouble, until it is somebody else's."""
        waits = full_jitter(0.1, 5.0)
        number = lane.term.lane
        try:
            while True:
                try:
                    await lane.run()
                except LaneLost:
                    log.info("lane is somebody else's now", stage=Stage.LISTENER, lane=number)
                    return
                except (DatabaseUnavailable, *AWAY) as away:
                    log.warning("lane waits", stage=Stage.LISTENER, lane=number, error=type(away).__name__)
                await asyncio.sleep(next(waits))
                with contextlib.suppress(DatabaseUnavailable):
                    if not await lane.next_term():
                        return
        finally:
            held = self._held.get(number)
            if held is not None and held[0] is lane:
                del self._held[number]

    async def _let_go(self, number: int) -> None:
        lane, task = self._held.pop(number)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await lane.save()
        await self._lanes.release(lane.term)

    async def _give_back(self) -> None:
        # The database may be what we stop for: then the leases end by themselves.
        with contextlib.suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(2):
                for lane, _ in list(self._held.values()):
                    await lane.save()
                    await self._lanes.release(lane.term)
                await self._lanes.leave()
                await self._ledger.write_waiting()
        self._held.clear()

    async def _publish(self, event: Envelope, work: Work, asked: set[str] | None) -> None:
        """Publish `event` to everybody whom it concerns, and open a delivery for each who must confirm it.

        `asked`: only these must (still) confirm it; the others get the frame again, in case it was lost on the way.
        """
        if event.type in REVOKING_EVENTS:
            await self._revocations.put(work, event, asked)
        frame = event_frame(event)
        if frame is None:
            return
        started_ns = spans.now_ns()
        wanted = demand(event)
        work.important = wanted.important
        recipients = await self._recipients.of(event)
        if asked:
            # Whoever was waited for still is, also if he has left and come back meanwhile.
            recipients += asked.difference(recipients)
        work.about = wanted.about(event, tell=len(recipients) <= self._settings.live_members_max)
        headers = _headers(event, wanted)
        if debugging():
            log.debug("recipients found", stage=Stage.RECIPIENTS, **_told(event), recipients=len(recipients))
        now = asyncio.get_running_loop().time()
        for user_id in recipients:
            if user_id in wanted.excluded:
                continue
            reply = ""
            # The sender's own devices get the frame, but are no reason for a push.
            if wanted.must_arrive and user_id != wanted.sender_id and (asked is None or user_id in asked):
                reply = subjects.receipt(self._inbox_id, self._book.open(work, user_id, now))
            await self._nats.publish(subjects.user(user_id), frame, reply=reply, headers=headers)
        if debugging():
            log.debug("published to every recipient", stage=Stage.DELIVER, **_told(event))
        if spans.enabled:
            _record_span(event, started_ns, len(recipients))
        await self._roles.tell(event)
        if event.type == "user.read_advanced":
            self._news.read(event.data["conversation_id"], event.data["user_id"], event.data["seq"])

    async def _settled(self, message: Msg) -> None:
        """A receipt from an edge, or NATS' word that no edge is subscribed."""
        try:
            ticket = subjects.parse_receipt(message.subject)
            if message.headers and message.headers.get("Status") == "503":
                undelivered = self._book.no_responders(ticket)
                if undelivered is not None:
                    await self._handover.hand_over(undelivered)
                return
            receipt = decode(Receipt, message.data)
        except ContractError as wrong:
            log.warning("unreadable receipt", stage=Stage.DELIVER, error=str(wrong)[:200])
            return
        heard = self._book.heard(ticket, receipt.device_type)
        now = asyncio.get_running_loop().time()
        if self._book.receipt(ticket, receipt.device_type, now, idle=receipt.idle):
            _delivered.inc()
        if heard is not None:
            self._ledger.note(heard, receipt)
            if heard.first:
                metrics.fanout_delivery.observe(time.time() - heard.about.recorded_at)
                self._news.delivered(heard)

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        looked_at = clock()
        while True:
            await asyncio.sleep(SWEEP_S)
            stalled_s = clock() - looked_at - SWEEP_S
            if stalled_s > STALL_S:
                # Judged now, everybody whose receipt came meanwhile would get a push; and the lanes may be another's.
                log.warning("fan-out stood still, deliveries get the time back", stage=Stage.DELIVER, seconds=stalled_s)
                self._book.postpone(stalled_s)
            looked_at = clock()
            metrics.fanout_open.set(len(self._book))
            if not self._nats.is_connected:
                # Cut off, we cannot know whether receipts were sent; after the reconnect every lane begins anew.
                continue
            for undelivered in self._book.expired(clock()):
                await self._handover.hand_over(undelivered)
            looked_at = clock()  # a full queue makes this wait, with receipts being read

    async def _load_members(self, conversation_id: str) -> Members:
        async with translated(), self._engine.connect() as connection:
            return Members(
                await queries.member_bounds(connection, conversation_id),
                await queries.ended_memberships(connection, conversation_id),
            )

    def _known_members(self, conversation_id: str) -> Members | None:
        """The members as the cache has them; None if it has not, or if another process's lane changes them."""
        lane = lane_of(str(ConversationStream(conversation_id)), self._settings.fanout_partitions)
        return self._recipients.known(conversation_id) if lane in self._held else None


def _told(event: Envelope) -> dict[str, str | int]:
    return {"stream": event.subject, "seq": event.seq, "event_id": event.id, **tracing.told(event.traceparent)}


def _record_span(event: Envelope, started_ns: int, recipients: int) -> None:
    if event.traceparent is not None:
        spans.record(
            spans.SpanName.FANOUT_PUBLISH,
            step=None,
            parent=event.traceparent,
            started_ns=started_ns,
            kind=spans.Kind.PRODUCER,
            stream=event.subject,
            seq=event.seq,
            event_type=event.type,
            recipients=recipients,
        )


def _headers(event: Envelope, wanted: Demand) -> dict[str, str]:
    headers = {DELIVERY_HEADER: delivery_header(Durable(event.subject, event.seq))}
    if wanted.devices:
        headers[DEVICES_HEADER] = ",".join(sorted(wanted.devices))
    if event.traceparent is not None:
        headers[TRACE_HEADER] = event.traceparent
    return headers
