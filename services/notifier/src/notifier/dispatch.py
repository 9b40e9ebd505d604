"""Due rows → decision → provider → outcome; several processes share the work by leases.

Sent, then recorded: a crash between the two sends that one push again when the lease has run out. A device shows it
once, because a push's id is the message's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime
from itertools import groupby

from contracts import times
from kit import spans, tracing
from kit.backoff import full_jitter
from kit.health import Health
from kit.logs import Stage, logger
from notifier.compose import compose
from notifier.decide import Later, Send, Skip, decide
from notifier.deliveries import Dead, Delivery, Outcome, Postponed, Retry, Sent, Skipped, Unreadable
from notifier.errors import StoreError, StoreRefused
from notifier.metrics import Metrics
from notifier.providers.base import PermanentPushError, Provider, PushError, TransientPushError
from notifier.push import Push
from notifier.retry import wait_before_retry
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Lease, Store
from notifier.wake import Wake

log = logger()

POSTGRES = "postgres"
"""The dispatch's need in `/healthz/ready`: it asks Postgres every second, so it is the first to know."""


UNRECORDED_MAX = 10_000
"""Sent pushes that a process remembers while they cannot be recorded; beyond it the oldest would be sent again."""


class Dispatch:
    """The one task that decides and sends."""

    def __init__(
        self,
        settings: NotifierSettings,
        store: Store,
        provider: Provider,
        metrics: Metrics,
        health: Health,
        wake: Wake,
        stop: Stop,
        *,
        now: Callable[[], datetime] = times.now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._store = store
        self._provider = provider
        self._metrics = metrics
        self._health = health
        self._wake = wake
        self._stop = stop
        self._now = now
        self._jitter = jitter
        self._free = asyncio.Semaphore(settings.dispatch_concurrency)
        self._sent_unrecorded: dict[int, Sent] = {}
        """Pushes that went out while Postgres was away for longer than their lease; at most `UNRECORDED_MAX`."""

    @property
    def unrecorded(self) -> int:
        """Pushes that went out and are not written down yet, because their lease ended while Postgres was away."""
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
            self._health.ok(POSTGRES)
            waits = full_jitter(0.2, 3.0)
            if not found:
                await self._wake.wait(self._settings.poll_interval_s, self._stop)

    async def round(self) -> int:
        """Claim once, and bring everything claimed to an outcome; returns how many there were."""
        lease = await self._store.claim(self._settings.dispatch_batch, self._settings.lease_s)
        if not lease.rows:
            return 0
        for row in lease.rows:
            if isinstance(row, Unreadable):
                await self._give_up_unreadable(lease, row)
        readable = sorted(
            (row for row in lease.rows if isinstance(row, Delivery)), key=lambda row: (row.user_id, row.id)
        )
        async with asyncio.TaskGroup() as users:
            tasks = [
                users.create_task(self._one_user(lease, list(rows)))
                for _, rows in groupby(readable, key=lambda row: row.user_id)
            ]
        if any(task.result() for task in tasks):
            await self._store.release(lease.token)
        return len(lease.rows)

    async def _one_user(self, lease: Lease, rows: list[Delivery]) -> int:
        """One user's pushes, one after the other in their order; returns how many were not begun."""
        async with self._free:
            for begun, delivery in enumerate(rows):
                # Not begun when it could end after the lease: another process would send it too.
                enough = lease.ends_at - time.monotonic() > self._settings.push_timeout_s
                if self._stop or not enough:
                    return len(rows) - begun
                # It went out already, and was claimed again only because nobody could write that down.
                outcome = self._sent_unrecorded.pop(delivery.id, None) or await self._outcome(delivery)
                if await self._record(lease, delivery.id, outcome):
                    self._tell(delivery, outcome)
        return 0

    async def _give_up_unreadable(self, lease: Lease, row: Unreadable) -> None:
        if await self._record(lease, row.id, Dead(row.error)):
            self._metrics.dead.labels("none").inc()
            log.error("delivery cannot be read", stage=Stage.LOCAL_PUSH, delivery_id=row.id, error=row.error)

    async def _outcome(self, delivery: Delivery) -> Outcome:
        match decide(delivery, self._now()):
            case Skip(reason):
                return Skipped(reason)
            case Later(when):
                return Postponed(when)
            case Send(told):
                push = compose(told, delivery.user_id)
                return await (self._recorded(delivery, push) if spans.enabled else self._send(delivery, push))

    async def _recorded(self, delivery: Delivery, push: Push) -> Outcome:
        """`_send`, and a span of it if the event is part of a trace."""
        started_ns = spans.now_ns()
        outcome = await self._send(delivery, push)
        event = delivery.event
        if event.traceparent is not None:
            spans.record(
                spans.SpanName.PUSH_SEND,
                step=None,
                parent=event.traceparent,
                started_ns=started_ns,
                kind=spans.Kind.CLIENT,
                failed=not isinstance(outcome, Sent),
                stream=event.subject,
                seq=event.seq,
                attempt=delivery.attempts + 1,
                provider=self._provider.name,
            )
        return outcome

    async def _send(self, delivery: Delivery, push: Push) -> Outcome:
        try:
            async with asyncio.timeout(self._settings.push_timeout_s):
                return Sent(self._provider.name, await self._provider.send(push))
        except PermanentPushError as refused:
            return Dead(str(refused), self._provider.name)
        except PushError as failed:
            return self._again(
                delivery, failed, failed.retry_after_s if isinstance(failed, TransientPushError) else None
            )
        except TimeoutError:
            return self._again(delivery, TimeoutError("no answer in time"))
        except Exception as bug:
            # A provider raises PushError by contract. Whatever else it raises must not stop everybody's pushes.
            log.exception(
                "the provider failed in a way it should not", stage=Stage.LOCAL_PUSH, event_id=delivery.event.id
            )
            return self._again(delivery, bug)

    def _again(self, delivery: Delivery, failed: Exception, retry_after_s: float | None = None) -> Outcome:
        error = f"{type(failed).__name__}: {failed}"
        wait_s = wait_before_retry(
            self._settings.retry, delivery.attempts + 1, fraction=self._jitter(), retry_after_s=retry_after_s
        )
        if wait_s is None:
            return Dead(error, self._provider.name)
        return Retry(wait_s, error, self._provider.name)

    async def _record(self, lease: Lease, delivery_id: int, outcome: Outcome) -> bool:
        """Write the outcome down, trying as long as the lease lasts: a push that is forgotten is sent again."""
        for wait_s in full_jitter(0.1, 2.0):
            try:
                kept = await self._store.record(lease.token, delivery_id, outcome)
            except StoreError as away:
                if isinstance(away, StoreRefused) or time.monotonic() + wait_s >= lease.ends_at:
                    if isinstance(outcome, Sent):
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

    def _remember(self, delivery_id: int, sent: Sent) -> None:
        if len(self._sent_unrecorded) >= UNRECORDED_MAX:
            del self._sent_unrecorded[next(iter(self._sent_unrecorded))]
        self._sent_unrecorded[delivery_id] = sent

    def _tell(self, delivery: Delivery, outcome: Outcome) -> None:
        """Log and count what became of a delivery."""
        event = delivery.event
        about = {
            "stage": Stage.LOCAL_PUSH,
            "stream": event.subject,
            "seq": event.seq,
            "event_id": event.id,
            "user_id": delivery.user_id,
            **tracing.told(event.traceparent),
        }
        match outcome:
            case Sent(provider):
                self._metrics.sent.labels(provider).inc()
                self._metrics.handover_seconds.observe(max(0.0, (self._now() - delivery.decided_at).total_seconds()))
                log.info("push sent", **about, provider=provider)
            case Skipped(reason):
                self._metrics.skipped.labels(reason.value).inc()
                log.info("push skipped", **about, reason=reason.value)
            case Retry(wait_s, error, provider):
                self._metrics.retried.labels(provider).inc()
                log.warning("push failed, will be tried again", **about, error=error, wait_s=round(wait_s, 3))
            case Dead(error, provider):
                self._metrics.dead.labels(provider or "none").inc()
                log.error("push given up", **about, error=error)
            case Postponed(until):
                log.debug("push postponed", **about, until=times.rfc3339(until))
