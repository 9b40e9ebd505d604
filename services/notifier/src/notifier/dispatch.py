"""Due rows → facts → decision → a push per device → outcomes; several processes share the work by leases.

Sent, then recorded: a crash between the two sends those pushes again when the lease has run out. A device shows each
once, because what it collapses by is the message's id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from contracts import times
from contracts.pushes import DevicePushState, PushState, SkipReason
from kit.backoff import full_jitter
from kit.health import Health
from kit.logs import Stage, logger
from notifier.afterwards.record import AfterwardsRecord
from notifier.compose import Told
from notifier.decide import Facts, Later, Policy, Send, Skip, decide, first_look
from notifier.deliveries import Delivery, Outcome, Unreadable
from notifier.errors import FactsUnavailable, StoreError, StoreRefused
from notifier.facts import FactsClient
from notifier.metrics import Metrics
from notifier.plans import Begun, Plan, plan_of, skipped
from notifier.sending import Sending
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Lease, Store
from notifier.telling import tell
from notifier.wake import Wake

log = logger()

POSTGRES = "postgres"
"""The dispatch's need in `/healthz/ready`: it asks Postgres every second, so it is the first to know."""
FACTS = "facts"
"""Likewise: what chat-api answers before each push."""

UNRECORDED_MAX = 10_000
"""Sent deliveries that a process remembers while they cannot be recorded; beyond it the oldest would be sent again."""
CARRIED_MAX = 500
"""Most retractions that one round's pushes carry."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a dispatch works with."""

    store: Store
    afterwards: AfterwardsRecord
    facts: FactsClient
    sending: Sending


class Dispatch:
    """The one task that decides and sends."""

    def __init__(
        self,
        settings: NotifierSettings,
        parts: Parts,
        metrics: Metrics,
        health: Health,
        wake: Wake,
        stop: Stop,
        *,
        now: Callable[[], datetime] = times.now,
    ) -> None:
        self._settings = settings
        self._policy: Policy = settings.policy
        self._store = parts.store
        self._afterwards = parts.afterwards
        self._facts = parts.facts
        self._sending = parts.sending
        self._metrics = metrics
        self._health = health
        self._wake = wake
        self._stop = stop
        self._now = now
        self._free = asyncio.Semaphore(settings.dispatch_concurrency)
        self._sent_unrecorded: dict[int, Outcome] = {}
        """What went out while Postgres was away for longer than its lease; at most `UNRECORDED_MAX`."""

    @property
    def unrecorded(self) -> int:
        """Deliveries that went out and are not written down yet, because their lease ended while Postgres was away."""
        return len(self._sent_unrecorded)

    async def run(self) -> None:
        """Until told to stop; what is in hand then is finished, the rest given back."""
        self._health.missing(POSTGRES, "connecting")
        waits = full_jitter(0.2, 3.0)
        while not self._stop:
            try:
                found = await self.round()
            except StoreError as away:
                self._health.missing(POSTGRES, str(away))
                log.warning("waiting for Postgres", stage=Stage.LIFECYCLE, reason=str(away))
                await self._stop.pause(next(waits))
                continue
            except FactsUnavailable as away:
                self._health.ok(POSTGRES)
                log.warning("pushes wait", stage=Stage.LOCAL_PUSH, reason=str(away))
                await self._stop.pause(next(waits))
                continue
            self._health.ok(POSTGRES)
            waits = full_jitter(0.2, 3.0)
            if not found:
                await self._wake.wait(self._settings.poll_interval_s, self._stop)

    async def round(self) -> int:
        """Claim once, and bring everything claimed to an outcome; returns how many there were.

        Raises `FactsUnavailable` when nobody says how things stand; what was claimed is given back, due as before.
        """
        lease = await self._store.claim(self._settings.dispatch_batch, self._settings.lease_s)
        if not lease.rows:
            return 0
        for row in lease.rows:
            if isinstance(row, Unreadable):
                await self._give_up_unreadable(lease, row)
        readable = [row for row in lease.rows if isinstance(row, Delivery)]
        try:
            plans = await self._plan(lease, readable)
        except FactsUnavailable:
            await self._store.release(lease.token)
            raise
        by_user = sorted(plans, key=lambda plan: (plan.user_id, plan.deliveries[-1].id))
        async with asyncio.TaskGroup() as users:
            tasks = [
                users.create_task(self._one_user(lease, list(of_user)))
                for _, of_user in groupby(by_user, key=lambda plan: plan.user_id)
            ]
        if any(task.result() for task in tasks):
            await self._store.release(lease.token)
        return len(lease.rows)

    # --- planning: everything that can be said before the first push --------------------------------------------------

    async def _plan(self, lease: Lease, deliveries: Sequence[Delivery]) -> list[Plan]:
        looked = {delivery.id: first_look(delivery) for delivery in deliveries}
        to_ask = [one for one in deliveries if looked[one.id] is None and one.id not in self._sent_unrecorded]
        facts = await self._facts.ask(to_ask) if to_ask else {}
        plans: list[Plan] = []
        held: dict[str, list[tuple[Delivery, Send, Facts]]] = {}
        now = self._now()
        for delivery in deliveries:
            skip = looked[delivery.id]
            if delivery.id in self._sent_unrecorded:
                # It went out already, and was claimed again only because nobody could write that down.
                plans.append(Plan((delivery,), outcome=self._sent_unrecorded[delivery.id]))
            elif skip is not None:
                plans.append(Plan((delivery,), outcome=skipped(delivery, skip.reason)))
            else:
                self._decided(delivery, facts[delivery.id], now, plans, held)
        for of_user in held.values():
            # What was held of a user and is still worth telling is one push, on the newest of them.
            *others, (newest, send, newest_facts) = of_user
            told = tuple(one.told for _, one, _ in of_user)
            together = (*(delivery for delivery, _, _ in others), newest)
            plans.append(self._to_send(together, told, send, newest_facts))
        await self._begin(lease, plans)
        return plans

    def _decided(
        self,
        delivery: Delivery,
        facts: Facts,
        now: datetime,
        plans: list[Plan],
        held: dict[str, list[tuple[Delivery, Send, Facts]]],
    ) -> None:
        match decide(delivery, facts, self._policy, now):
            case Skip(reason):
                plans.append(Plan((delivery,), outcome=skipped(delivery, reason)))
            case Later(when, is_held):
                plans.append(Plan((delivery,), outcome=Outcome(PushState.PENDING, until=when, held=is_held)))
            case Send() as send if delivery.held:
                held.setdefault(delivery.user_id, []).append((delivery, send, facts))
            case Send() as send:
                plans.append(self._to_send((delivery,), (send.told,), send, facts))

    def _to_send(self, deliveries: tuple[Delivery, ...], told: tuple[Told, ...], send: Send, facts: Facts) -> Plan:
        routed = self._sending.route(send.devices)
        if isinstance(routed, SkipReason):
            return Plan(deliveries, outcome=skipped(deliveries[-1], routed))
        return plan_of(deliveries, told, routed, facts)

    async def _begin(self, lease: Lease, plans: Sequence[Plan]) -> None:
        """A row per device, before the first push leaves; and what those pushes carry beside their own words."""
        new = [(plan.deliveries[-1].id, begun.row) for plan in plans for begun in plan.begun if begun.is_new]
        if new:
            await self._store.begin(lease.token, new)
        devices = {begun.device.id for plan in plans for begun in plan.begun if begun.device is not None}
        if devices and self._sending.any_can_retract:
            waiting = await self._afterwards.waiting_for(devices, CARRIED_MAX)
            for plan in plans:
                for begun in plan.begun:
                    if begun.device is not None:
                        # The first push to a device takes all.
                        begun.carries = tuple(waiting.pop(begun.device.id, ()))

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _one_user(self, lease: Lease, plans: list[Plan]) -> int:
        """One user's pushes, one after the other in their order; returns how many were not begun."""
        async with self._free:
            for begun, plan in enumerate(plans):
                # Not begun when it could end after the lease: another process would send it too.
                enough = lease.ends_at - time.monotonic() > self._settings.push_timeout_s
                if self._stop or not enough:
                    return len(plans) - begun
                await self._one_plan(lease, plan)
        return 0

    async def _one_plan(self, lease: Lease, plan: Plan) -> None:
        newest = plan.deliveries[-1]
        outcome = plan.outcome
        if outcome is None:
            outcome = await self._sending.send(plan, self._now())
            await self._carried(plan.begun, outcome)
        else:
            self._sent_unrecorded.pop(newest.id, None)
        for other in plan.deliveries[:-1]:
            theirs = outcome_of_the_others(other, outcome)
            if await self._record(lease, other.id, theirs):
                tell(self._metrics, other, theirs, self._now())
        if await self._record(lease, newest.id, outcome):
            tell(self._metrics, newest, outcome, self._now())

    async def _carried(self, begun: Sequence[Begun], outcome: Outcome) -> None:
        accepted = {push.row.push_id for push in outcome.pushes if push.state is DevicePushState.ACCEPTED}
        ids = [number for one in begun if one.row.push_id in accepted for number, _ in one.carries]
        if not ids:
            return
        try:
            await self._afterwards.carried(ids)
        except StoreError as away:
            # Then the device is told once more.
            log.info("retractions that were carried are not recorded", stage=Stage.LOCAL_PUSH, reason=str(away))

    async def _give_up_unreadable(self, lease: Lease, row: Unreadable) -> None:
        if await self._record(lease, row.id, Outcome(PushState.DEAD, error=row.error)):
            self._metrics.settled.labels(PushState.DEAD.value).inc()
            self._metrics.dead.labels("none").inc()
            log.error("delivery cannot be read", stage=Stage.LOCAL_PUSH, delivery_id=row.id, error=row.error)

    async def _record(self, lease: Lease, delivery_id: int, outcome: Outcome) -> bool:
        """Write the outcome down, trying as long as the lease lasts: a push that is forgotten is sent again."""
        for wait_s in full_jitter(0.1, 2.0):
            try:
                kept = await self._store.record(lease.token, delivery_id, outcome)
            except StoreError as away:
                if isinstance(away, StoreRefused) or time.monotonic() + wait_s >= lease.ends_at:
                    if outcome.anything_left:
                        self._remember(delivery_id, outcome)
                    log.error(
                        "outcome not recorded, the delivery comes again after its lease",
                        stage=Stage.LOCAL_PUSH,
                        delivery_id=delivery_id,
                        reason=str(away),
                    )
                    return False
                self._health.missing(POSTGRES, str(away))
                await asyncio.sleep(wait_s)
                continue
            if not kept:
                self._metrics.leases_lost.inc()
                log.warning("another process took this delivery over", stage=Stage.LOCAL_PUSH, delivery_id=delivery_id)
            return kept
        raise AssertionError("full_jitter is endless")

    def _remember(self, delivery_id: int, outcome: Outcome) -> None:
        if len(self._sent_unrecorded) >= UNRECORDED_MAX:
            del self._sent_unrecorded[next(iter(self._sent_unrecorded))]
        self._sent_unrecorded[delivery_id] = outcome


def outcome_of_the_others(other: Delivery, newest: Outcome) -> Outcome:
    """What becomes of what a digest told beside its newest: it waits with it, and ends when it ends."""
    match newest.state:
        case PushState.PENDING:
            return Outcome(PushState.PENDING, wait_s=newest.wait_s, held=True)
        case PushState.SENT:
            return Outcome(PushState.SKIPPED, skip_reason=SkipReason.DIGESTED)
        case PushState.SKIPPED:
            return skipped(other, newest.skip_reason or SkipReason.DIGESTED)
        case PushState.DEAD:
            return Outcome(PushState.DEAD, error=newest.error)
