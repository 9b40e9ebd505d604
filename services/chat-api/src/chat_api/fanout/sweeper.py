"""Holds the hand-overs against OFFLINE_DELIVERY: forgets what the notifier has, hands over again what was lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import nats.js.errors
from nats.js import JetStreamContext
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.fanout.handovers import Handover, Handovers
from chat_api.fanout.offline import OfflineRoad
from chat_api.store import following, mapping
from chat_api.store.database import DatabaseUnavailable, translated
from contracts.streams import NOTIFIER_DURABLE, OFFLINE_DELIVERY
from kit import bus
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

SWEEP_EVERY_S = 1.0
BATCH_MAX = 500
"""Deliveries that one sweep hands over again."""


@dataclass(frozen=True, slots=True)
class _Found:
    created: str
    last_seq: int
    acknowledged: int
    """The notifier has everything up to this place."""


class Sweeper:
    """`run` sweeps until cancelled; of several processes one at a time does it."""

    def __init__(
        self, engine: AsyncEngine, js: JetStreamContext, road: OfflineRoad, handovers: Handovers, timeout_s: float
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        """Longest wait for NATS: shorter than Postgres lets a transaction idle."""
        self._js = js
        self._road = road
        self._handovers = handovers

    async def run(self) -> None:
        """Sweep every second, waiting out whatever is away."""
        waits = full_jitter(0.5, 5.0)
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                while await self.sweep() == BATCH_MAX:
                    pass
                waits = full_jitter(0.5, 5.0)
            except (DatabaseUnavailable, *AWAY) as away:
                log.debug("hand-overs cannot be looked at now", stage=Stage.DELIVER, error=type(away).__name__)
                await asyncio.sleep(next(waits))
            except Exception as failed:
                log.error("hand-overs cannot be looked at", stage=Stage.DELIVER, exc_info=failed)
                await asyncio.sleep(next(waits))

    async def sweep(self) -> int:
        """One look; returns how many deliveries were handed over again, at most `BATCH_MAX`."""
        async with translated(), self._engine.begin() as connection:
            if not await self._handovers.lock(connection):
                metrics.handovers.set(0)
                return 0
            waiting = await self._handovers.count(connection)
            metrics.handovers.set(waiting)
            if not waiting:
                return 0
            async with asyncio.timeout(self._timeout_s):
                found = await self._look()
            if found is None:
                return 0
            lost = await self._handovers.lost(connection, found.created, found.last_seq, BATCH_MAX)
            async with asyncio.timeout(self._timeout_s):
                again = await self._again(lost) if lost else []
            # Writing begins only now: a transaction that writes holds the record's fence until it ends.
            await self._handovers.update(connection, again)
            await self._handovers.forget_taken(connection, found.created, found.acknowledged)
            await self._handovers.forget_expired(connection, OFFLINE_DELIVERY.max_age_s)
            return len(again)

    async def _look(self) -> _Found | None:
        """The stream and the notifier's place in it; None if the stream changed while it was looked at."""
        try:
            before = await self._js.stream_info(OFFLINE_DELIVERY.name)
        except nats.js.errors.NotFoundError:
            await bus.ensure_stream(self._js, OFFLINE_DELIVERY)
            before = await self._js.stream_info(OFFLINE_DELIVERY.name)
        try:
            consumer = await self._js.consumer_info(OFFLINE_DELIVERY.name, NOTIFIER_DURABLE)
            acknowledged = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        except nats.js.errors.NotFoundError:
            acknowledged = 0  # no notifier has ever been there
        after = await self._js.stream_info(OFFLINE_DELIVERY.name)
        if before.created != after.created:
            return None
        return _Found(str(after.created), after.state.last_seq, acknowledged)

    async def _again(self, lost: list[Handover]) -> list[Handover]:
        """Hand over again what the stream has lost; returns where it is now."""
        log.warning(
            "OFFLINE_DELIVERY has lost what was handed to the notifier, handing over again",
            stage=Stage.DELIVER,
            deliveries=len(lost),
        )
        self._road.look_again()
        rows = await following.at(self._engine, [one.event_position for one in lost])
        results = await asyncio.gather(
            *(self._hand_over(one, rows[one.event_position]) for one in lost if one.event_position in rows),
            return_exceptions=True,
        )
        again: list[Handover] = []
        for result in results:
            if isinstance(result, Handover):
                again.append(result)
            elif not isinstance(result, (*AWAY, ValidationError)):
                raise result
        metrics.handovers_repeated.inc(len(again))
        return again

    async def _hand_over(self, one: Handover, row: mapping.EventRow) -> Handover:
        placed = await self._road.publish(one.user_id, one.reason, mapping.envelope(row), one.decided_at)
        return replace(one, stream_created=placed.stream_created, stream_seq=placed.stream_seq)
