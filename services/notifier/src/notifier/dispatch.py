"""Due rows → facts → decision → a push per device → outcomes; several processes share the work by leases.

  claim ─► plan (planning.py) ─► users side by side, one user's pushes one after the other ─► record
    ▲                                                │
    └── again as soon as there is room ◄─────────────┘   a service that hangs holds up its own pushes, not the claim

Sent, then recorded: a crash between the two sends those pushes again when the lease has run out. A device shows each
once, because what it collapses by is the message's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from contracts import times
from contracts.pushes import DevicePushState, PushState
from kit.backoff import full_jitter
from kit.health import Health
from kit.logs import Stage, logger
from notifier.deliveries import Delivery, Outcome, Unreadable
from notifier.errors import FactsUnavailable, StoreError, StoreRefused
from notifier.metrics import Metrics
from notifier.planning import Parts, Planner
from notifier.plans import Begun, Plan, given_back, outcomes_of
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Lease
from notifier.telling import tell
from notifier.wake import Wake

log = logger()

POSTGRES = "postgres"
"""The dispatch's need in `/healthz/ready`: it asks Postgres every second, so it is the first to know."""

UNRECORDED_MAX = 10_000
"""Sent deliveries that a process remembers while they cannot be recorded; beyond it the oldest would be sent again."""
FRESH_S = 5.0
"""Age of an answer of chat-api's on which a push is still sent; what had to wait longer for its turn is asked anew."""


@dataclass(frozen=True, slots=True)
class Work:
    """One user's plans, in their order."""

    lease: Lease
    user_id: str
    plans: Sequence[Plan]
    fresh_until: float
    """On the monotonic clock: when what chat-api said is too old to send by."""

    @property
    def size(self) -> int:
        """Deliveries in it."""
        return sum(len(plan.deliveries) for plan in self.plans)


class Dispatch:
    """The one task that claims, and a task for each user whose pushes are in hand."""

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
        fresh_s: float = FRESH_S,
    ) -> None:
        self._settings = settings
        self._planner = Planner(settings.policy, parts, metrics, now)
        self._store = parts.store
        self._afterwards = parts.afterwards
        self._sending = parts.sending
        self._metrics = metrics
        self._health = health
        self._wake = wake
        self._stop = stop
        self._now = now
        self._fresh_s = fresh_s
        self._free = asyncio.Semaphore(settings.dispatch_concurrency)
        self._in_hand: dict[str, int] = {}
        """Deliveries by user; at most two claims'."""
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
        async with asyncio.TaskGroup() as in_hand:
            while not self._stop:
                try:
                    pause_s = await self._take(in_hand)
                except (StoreError, FactsUnavailable) as away:
                    if isinstance(away, StoreError):
                        self._health.missing(POSTGRES, str(away))
                    else:
                        self._health.ok(POSTGRES)
                    log.warning("pushes wait", stage=Stage.LOCAL_PUSH, reason=str(away))
                    await self._stop.pause(next(waits))
                    continue
                self._health.ok(POSTGRES)
                waits = full_jitter(0.2, 3.0)
                if pause_s > 0:
                    await self._wake.wait(pause_s, self._stop)

    async def round(self) -> int:
        """Claim once, and bring everything claimed to an outcome; returns how many there were.

        Raises `FactsUnavailable` when nobody says how things stand; what was claimed is given back, due as before.
        """
        works, _ = await self._claim()
        async with asyncio.TaskGroup() as in_hand:
            self._begin(in_hand, works)
        return sum(work.size for work in works)

    async def _take(self, in_hand: asyncio.TaskGroup) -> float:
        """Claim if there is room; returns how long there is nothing more to do, in seconds."""
        if sum(self._in_hand.values()) > self._settings.dispatch_batch:
            # Who ends rings the bell.
            return self._settings.poll_interval_s
        works, pause_s = await self._claim()
        self._begin(in_hand, works)
        return pause_s

    def _begin(self, in_hand: asyncio.TaskGroup, works: Sequence[Work]) -> None:
        for work in works:
            self._in_hand[work.user_id] = work.size
            in_hand.create_task(self._one_user(work))

    async def _claim(self) -> tuple[list[Work], float]:
        """What is to do now, user by user, and if that is nothing, for how long, in seconds."""
        lease = await self._store.claim(
            self._settings.dispatch_batch, self._settings.lease_s, in_hand=self._in_hand.keys()
        )
        if not lease.rows:
            poll_s = self._settings.poll_interval_s
            return [], poll_s if lease.next_due_s is None else min(poll_s, max(lease.next_due_s, 0.001))
        for row in lease.rows:
            if isinstance(row, Unreadable):
                await self._give_up_unreadable(lease, row)
        readable = [row for row in lease.rows if isinstance(row, Delivery)]
        asked_at = time.monotonic()
        try:
            plans = await self._planner.plan(lease, readable, self._sent_unrecorded)
        except (FactsUnavailable, StoreError):
            # If that does not work either, the lease's end does it.
            with contextlib.suppress(StoreError):
                await self._store.release(lease.token)
            raise
        plans.sort(key=lambda plan: (plan.user_id, plan.deliveries[-1].id))
        by_user = groupby(plans, key=lambda plan: plan.user_id)
        return [Work(lease, user, tuple(of_user), asked_at + self._fresh_s) for user, of_user in by_user], 0.0

    # --- one user -----------------------------------------------------------------------------------------------------

    async def _one_user(self, work: Work) -> None:
        """One user's pushes, one after the other in their order; what has to wait too long is given back."""
        try:
            async with self._free:
                for done, plan in enumerate(work.plans):
                    if plan.outcome is None and not self._is_good(work):
                        left = {one.id: given_back(one) for rest in work.plans[done:] for one in rest.deliveries}
                        await self._record(work.lease, left)
                        return
                    await self._one_plan(work.lease, plan)
        finally:
            del self._in_hand[work.user_id]
            self._wake.set()

    def _is_good(self, work: Work) -> bool:
        return self._may_begin(work.lease) and time.monotonic() < work.fresh_until

    def _may_begin(self, lease: Lease) -> bool:
        # Not begun when it could end after the lease: another process would send it too.
        return not self._stop and lease.ends_at - time.monotonic() > self._settings.push_timeout_s

    async def _one_plan(self, lease: Lease, plan: Plan) -> None:
        outcome = plan.outcome
        if outcome is None:
            outcome = await self._sending.send(plan, self._now(), lambda: self._may_begin(lease))
            await self._carried(plan.begun, outcome)
        outcomes = outcomes_of(plan.deliveries, outcome)
        for kept in await self._record(lease, outcomes):
            delivery = next(one for one in plan.deliveries if one.id == kept)
            tell(self._metrics, delivery, outcomes[kept], self._now())

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
        if await self._record(lease, {row.id: Outcome(PushState.DEAD, error=row.error)}):
            self._metrics.settled.labels(PushState.DEAD.value).inc()
            self._metrics.dead.labels("none").inc()
            log.error("delivery cannot be read", stage=Stage.LOCAL_PUSH, delivery_id=row.id, error=row.error)

    # --- writing it down ----------------------------------------------------------------------------------------------

    async def _record(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> frozenset[int]:
        """Write outcomes down together, trying as long as the lease lasts: a push that is forgotten is sent again.
        Returns those that are written."""
        for wait_s in full_jitter(0.1, 2.0):
            try:
                kept = await self._store.record(lease.token, outcomes)
            except StoreError as away:
                if isinstance(away, StoreRefused) or time.monotonic() + wait_s >= lease.ends_at:
                    self._remember(outcomes, str(away))
                    return frozenset()
                self._health.missing(POSTGRES, str(away))
                if all(one.given_back for one in outcomes.values()):
                    # The lease gives it back, too.
                    return frozenset()
                await asyncio.sleep(wait_s)
                continue
            for number, outcome in outcomes.items():
                if not outcome.given_back:
                    self._sent_unrecorded.pop(number, None)
            if len(kept) < len(outcomes):
                self._metrics.leases_lost.inc(len(outcomes) - len(kept))
                log.warning(
                    "another process took deliveries over",
                    stage=Stage.LOCAL_PUSH,
                    delivery_ids=sorted(outcomes.keys() - kept),
                )
            return kept
        raise AssertionError("full_jitter is endless")

    def _remember(self, outcomes: Mapping[int, Outcome], reason: str) -> None:
        log.error(
            "outcome not recorded, the delivery comes again after its lease",
            stage=Stage.LOCAL_PUSH,
            delivery_ids=sorted(outcomes),
            reason=reason,
        )
        if not any(one.anything_left for one in outcomes.values()):
            return
        for number, outcome in outcomes.items():
            if len(self._sent_unrecorded) >= UNRECORDED_MAX:
                del self._sent_unrecorded[next(iter(self._sent_unrecorded))]
            self._sent_unrecorded[number] = outcome
