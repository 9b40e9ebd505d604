"""Tells devices to take back what was read elsewhere, within what their services allow."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import groupby

from contracts.devices import PushDevice
from contracts.ids import new_id
from contracts.pushfacts import UserFacts
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from notifier.afterwards.record import AfterwardsRecord, Retraction, RetractionLease
from notifier.compose import Composer
from notifier.errors import FactsUnavailable, StoreError
from notifier.facts import FactsClient
from notifier.metrics import Metrics
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TransientPushError,
)
from notifier.retry import RetryPolicy, wait_before_retry
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.wake import Wake

log = logger()

BATCH = 100
POLL_S = 5.0
ATTEMPTS = RetryPolicy(base_s=2.0, cap_s=600.0, attempts_max=6)
"""A badge of an hour ago helps nobody."""
REFUSED_WAIT_S = 300.0


class Retractor:
    """The one task that takes pushes back. One retraction per device and conversation, however much was read."""

    def __init__(
        self,
        settings: NotifierSettings,
        record: AfterwardsRecord,
        providers: Sequence[Provider],
        composer: Composer,
        facts: FactsClient,
        metrics: Metrics,
        wake: Wake,
        stop: Stop,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._record = record
        self._providers = {one.name: one for one in providers if one.can_retract}
        self._budgets = {name: one.retractions_per_hour for name, one in self._providers.items()}
        self._composer = composer
        self._facts = facts
        self._metrics = metrics
        self._wake = wake
        self._stop = stop
        self._jitter = jitter

    async def run(self) -> None:
        """Until told to stop; if no provider can take anything back, there is nothing to do."""
        if not self._providers:
            await self._stop.wait()
            return
        waits = full_jitter(0.2, 5.0)
        while not self._stop:
            try:
                found = await self.round()
            except (StoreError, FactsUnavailable) as away:
                log.info("retractions wait", stage=Stage.LOCAL_PUSH, reason=str(away))
                await self._stop.pause(next(waits))
                continue
            waits = full_jitter(0.2, 5.0)
            if not found:
                await self._wake.wait(POLL_S, self._stop)

    async def round(self) -> int:
        """Claim once, and bring everything claimed to an end or a later moment; returns how many there were."""
        lease = await self._record.claim_retractions(BATCH, self._settings.lease_s, self._budgets)
        if not lease.rows:
            return 0
        try:
            users = await self._facts.users(row.user_id for row in lease.rows)
        except FactsUnavailable:
            await self._record.delay_retractions(lease.token, [row.id for row in lease.rows], 1.0)
            raise
        by_device = sorted(lease.rows, key=lambda row: row.device_id)
        for _, rows in groupby(by_device, key=lambda row: row.device_id):
            if self._stop or lease.ends_at - time.monotonic() <= self._settings.push_timeout_s:
                break
            await self._one_device(lease, list(rows), users)
        return len(lease.rows)

    async def _one_device(self, lease: RetractionLease, rows: list[Retraction], users: dict[str, UserFacts]) -> None:
        """Everything for one device goes in one push."""
        user = users.get(rows[0].user_id)
        device = None if user is None else _registered(user, rows[0].device_id)
        provider = self._providers.get(rows[0].provider)
        needless = [row.id for row in rows if row.overtaken or device is None or provider is None]
        if needless:
            self._metrics.retractions.labels("needless").inc(len(needless))
            await self._record.retraction_ended(lease.token, needless)
        due = [row for row in rows if row.id not in needless]
        if not due or user is None or device is None or provider is None:
            return
        ids = [row.id for row in due]
        waits = [row.budget_free_in_s for row in due if row.budget_free_in_s is not None]
        if waits:
            # Until then the next push to the device carries it.
            self._metrics.retractions.labels("over_budget").inc(len(ids))
            await self._record.delay_retractions(lease.token, ids, max(1.0, max(waits)))
            return
        groups = [row.conversation_id for row in due]
        push = self._composer.retraction(groups, user.user_id, device, new_id(), user.badge)
        try:
            async with asyncio.timeout(self._settings.push_timeout_s):
                await provider.send(push)
        except ProviderRefusedError as wrong:
            await self._record.delay_retractions(lease.token, ids, REFUSED_WAIT_S)
            log.warning("a retraction waits", stage=Stage.LOCAL_PUSH, provider=provider.name, reason=str(wrong))
        except PermanentPushError as never:
            self._metrics.retractions.labels("failed").inc(len(ids))
            await self._record.retraction_ended(lease.token, ids, failed=str(never))
        except (PushError, TimeoutError) as failed:
            await self._again(lease, due, failed)
        else:
            self._metrics.retractions.labels("sent").inc(len(ids))
            await self._record.retracted(lease.token, ids)
            log.info(
                "pushes taken back", stage=Stage.LOCAL_PUSH, user_id=user.user_id, device=device.id, count=len(ids)
            )

    async def _again(self, lease: RetractionLease, rows: Sequence[Retraction], failed: Exception) -> None:
        ids = [row.id for row in rows]
        error = str(failed) or type(failed).__name__
        wait_s = wait_before_retry(
            ATTEMPTS,
            max(row.attempts for row in rows) + 1,
            fraction=self._jitter(),
            retry_after_s=failed.retry_after_s if isinstance(failed, TransientPushError) else None,
        )
        if wait_s is None:
            self._metrics.retractions.labels("failed").inc(len(ids))
            await self._record.retraction_ended(lease.token, ids, failed=error)
        else:
            await self._record.delay_retractions(lease.token, ids, wait_s, error=error)


def _registered(user: UserFacts, device_id: str) -> PushDevice | None:
    return next((one for one in user.devices if one.id == device_id), None)
