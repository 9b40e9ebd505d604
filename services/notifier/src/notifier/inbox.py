"""OFFLINE_DELIVERY → our table: take, write, commit, and only then acknowledge.

A crash between commit and acknowledgement brings the message again, and the table's unique key makes that harmless.
What cannot be read is written down beside the rest and taken off the stream, so that it never blocks what follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts import subjects
from contracts.delivery import OfflineReason
from contracts.errors import ContractError, Undecodable
from kit import bus, tracing
from kit.backoff import full_jitter
from kit.figures import Figures
from kit.health import Health
from kit.logs import Stage, debugging, logger
from notifier.decide import Policy
from notifier.deliveries import about, read_offline
from notifier.errors import PullBroken, StoreRefused, StoreUnavailable
from notifier.link import NATS, Link
from notifier.metrics import Metric, Metrics
from notifier.pull import Pull, PullOptions
from notifier.settings import NotifierSettings
from notifier.stopping import Stop, Stopped
from notifier.store import Incoming, Poison, Store
from notifier.wake import Wake

log = logger()

_WAIT_S = 1.0
_CONNECTED_POLL_S = 0.1
_TOLD = (Metric.SENT, Metric.FAILED, Metric.SKIPPED, Metric.DEAD)
"""What the admin page shows of us."""


class Inbox:
    """The one task that takes offline deliveries."""

    def __init__(
        self,
        settings: NotifierSettings,
        link: Link,
        store: Store,
        metrics: Metrics,
        health: Health,
        wake: Wake,
        stop: Stop,
    ) -> None:
        self._settings = settings
        self._policy = settings.policy
        self._link = link
        self._store = store
        self._metrics = metrics
        self._health = health
        self._wake = wake
        self._stop = stop
        self._pull: Pull | None = None
        self._figures = Figures("notifier", metrics.registry, [metric.value for metric in _TOLD])
        link.on_interrupted(self._on_interrupted)

    async def run(self) -> None:
        """Until told to stop; whatever is away meanwhile is waited for."""
        try:
            client = await self._link.wait()
            telling = asyncio.create_task(self._figures.tell(client))
            try:
                await self._pull_for_ever(client)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
        except Stopped:
            return

    async def _pull_for_ever(self, client: Client) -> None:
        waits = full_jitter(0.1, 3.0)
        while not self._stop:
            if not client.is_connected:
                # Requests made now would pile up in the client and all be sent when the server is back.
                await self._stop.pause(_CONNECTED_POLL_S)
                continue
            pull = Pull(client, PullOptions(self._settings.inbox_batch, self._settings.inbox_ack_wait_s))
            try:
                await self._stop.unless_stopped(pull.open())
                self._pull = pull
                self._health.ok(NATS)
                log.info("listening for offline deliveries", stage=Stage.LISTENER)
                waits = full_jitter(0.1, 3.0)
                while not self._stop:
                    await self._stop.unless_stopped(pull.wait(_WAIT_S))
                    await self._take_in(await pull.take())
            except PullBroken as broken:
                self._health.missing(NATS, str(broken))
                log.warning("offline deliveries stopped coming", stage=Stage.LISTENER, reason=str(broken))
                await self._stop.pause(next(waits))
            finally:
                self._pull = None
                await pull.close()

    def _on_interrupted(self, reason: str) -> None:
        if self._pull is not None:
            self._pull.interrupt(reason)

    # --- one batch ----------------------------------------------------------------------------------------------------

    async def _take_in(self, messages: Sequence[Msg]) -> None:
        if not messages:
            return
        readable: list[tuple[Msg, Incoming]] = []
        poison: list[tuple[Msg, Poison]] = []
        for message in messages:
            read = read_message(message, self._policy)
            if isinstance(read, Incoming):
                readable.append((message, read))
            else:
                poison.append((message, read))
        self._metrics.received.inc(len(messages))
        try:
            await self._write([each for _, each in readable], [each for _, each in poison])
        except StoreRefused as refused:
            await self._one_by_one(readable, poison, refused)
            return
        await self._settle([message for message, _ in readable], poison)

    async def _one_by_one(
        self, readable: list[tuple[Msg, Incoming]], poison: list[tuple[Msg, Poison]], refused: StoreRefused
    ) -> None:
        """Postgres refused the batch: find out which message it was, so that the others go on."""
        log.warning("batch refused, writing one by one", stage=Stage.RECEIVED, reason=str(refused))
        for message, incoming in readable:
            try:
                await self._write([incoming], [])
                await self._settle([message], [])
            except StoreRefused as why:
                poison.append((message, poison_of(message, str(why))))
        for pair in poison:
            await self._write([], [pair[1]])
            await self._settle([], [pair])

    async def _write(self, deliveries: list[Incoming], poison: list[Poison]) -> None:
        """Commit the batch, waiting for Postgres as long as it takes; nothing is acknowledged before."""
        for wait_s in full_jitter(0.2, 3.0):
            try:
                new = await self._store.take_in(deliveries, poison)
            except StoreUnavailable as away:
                if self._stop:
                    raise Stopped from None
                log.warning("waiting for Postgres", stage=Stage.RECEIVED, reason=str(away), held=len(deliveries))
                await self._stop.pause(wait_s)
                continue
            self._metrics.duplicates.inc(len(deliveries) - new)
            if debugging():
                _say_received(deliveries)
            if new:
                self._wake.set()
            return

    async def _settle(self, written: list[Msg], poison: list[tuple[Msg, Poison]]) -> None:
        try:
            for message in written:
                await message.ack()
            for message, why in poison:
                self._metrics.poisoned.inc()
                log.error(
                    "poison put aside",
                    stage=Stage.RECEIVED,
                    subject=why.subject,
                    stream_seq=why.stream_seq,
                    reason=why.reason,
                )
                await message.term()
        except bus.AWAY as failed:
            # They come again and find their rows.
            raise PullBroken(f"cannot acknowledge: {type(failed).__name__}") from failed


def _say_received(deliveries: Sequence[Incoming]) -> None:
    for each in deliveries:
        event = each.offline.event
        about = {"event_id": event.id, "user_id": each.offline.user_id, **tracing.told(event.traceparent)}
        log.debug("delivery received", stage=Stage.RECEIVED, **about)


def read_message(message: Msg, policy: Policy | None = None) -> Incoming | Poison:
    """What a message says; `Poison` if it is not an offline delivery of the user whom its subject names."""
    try:
        offline, data = read_offline(message.data)
        if subjects.parse_offline(message.subject) != offline.user_id:
            raise Undecodable("the subject names another user than the delivery")
        return Incoming(offline, message.data.decode(), about(data), grace_s(offline.reason, policy or Policy()))
    except (ContractError, ValueError, RecursionError) as unreadable:
        return poison_of(message, str(unreadable) or type(unreadable).__name__)


def grace_s(reason: OfflineReason, policy: Policy) -> float:
    """The least that a delivery waits before anybody is asked about it: what was handed over for a desktop that is
    thought to be active may belong to an idle one by then."""
    match reason:
        case OfflineReason.NO_CONNECTION | OfflineReason.UNACKNOWLEDGED:
            return policy.grace_offline_s
        case OfflineReason.IMPORTANT_MOBILE:
            return 0.0
        case OfflineReason.IDLE_DESKTOP | OfflineReason.ACTIVE_DESKTOP:
            return min(policy.grace_idle_desktop_s, policy.grace_active_desktop_s)


def poison_of(message: Msg, reason: str) -> Poison:
    """The message as it is put aside."""
    metadata = message.metadata
    return Poison(
        stream_seq=metadata.sequence.stream,
        stored_at=metadata.timestamp,
        subject=message.subject,
        reason=reason,
        payload=message.data,
    )
