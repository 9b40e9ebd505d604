"""Hands pushes to providers, and says what became of each: accepted, to be tried again, or never."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from contracts.devices import PushDevice
from contracts.pushes import DevicePushState, SkipReason
from kit import spans
from kit.logs import Stage, logger
from notifier.breaker import Breaker
from notifier.compose import Composer
from notifier.deliveries import Delivery, Outcome, PushOutcome, settled
from notifier.errors import FactsUnavailable
from notifier.facts import FactsClient
from notifier.metrics import FailureClass, Metrics
from notifier.plans import Begun, Plan
from notifier.providers.base import (
    PermanentPushError,
    Provider,
    ProviderRefusedError,
    PushError,
    TokenGoneError,
    TransientPushError,
)
from notifier.providers.routing import Routed, route
from notifier.push import Push
from notifier.retry import wait_before_retry
from notifier.settings import NotifierSettings

log = logger()


class Sending:
    """All providers of the process, each with its breaker."""

    def __init__(
        self,
        settings: NotifierSettings,
        providers: Sequence[Provider],
        composer: Composer,
        facts: FactsClient,
        metrics: Metrics,
        *,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self.providers = tuple(providers)
        self.composer = composer
        self._facts = facts
        self._metrics = metrics
        self._jitter = jitter
        self._breakers = {one.name: Breaker(clock, settings.provider_refused_s) for one in providers}
        for one in providers:
            metrics.refused.labels(one.name).set(0)

    @property
    def any_can_retract(self) -> bool:
        """Whether it is any use to look for retractions."""
        return any(one.can_retract for one in self.providers)

    def route(self, devices: Sequence[PushDevice]) -> tuple[Routed, ...] | SkipReason:
        """Who carries what."""
        return route(self.providers, devices)

    async def send(self, plan: Plan, now: datetime, may_begin: Callable[[], bool] = lambda: True) -> Outcome:
        """Try the plan's pushes one after the other, as long as `may_begin`; what became of its newest delivery."""
        newest = plan.deliveries[-1]
        outcomes = list(plan.ended)
        for begun in plan.begun:
            if not may_begin():
                # Somebody else does, or this process in its next round.
                outcomes.append(PushOutcome(begun.row, DevicePushState.PENDING, wait_s=0.0))
                continue
            wait_s = self._breakers[begun.provider.name].wait_s()
            if wait_s is not None:
                outcomes.append(PushOutcome(begun.row, DevicePushState.PENDING, wait_s=wait_s))
                continue
            outcomes.append(await self._one(newest, begun, plan, now))
        return settled(newest, tuple(outcomes))

    async def _one(self, delivery: Delivery, begun: Begun, plan: Plan, now: datetime) -> PushOutcome:
        started_ns = spans.now_ns()
        outcome = await self._attempt(delivery, begun, plan, now)
        event = delivery.event
        if spans.enabled and event.traceparent is not None:
            spans.record(
                spans.SpanName.PUSH_SEND,
                step=None,
                parent=event.traceparent,
                started_ns=started_ns,
                kind=spans.Kind.CLIENT,
                failed=outcome.state is not DevicePushState.ACCEPTED,
                stream=event.subject,
                seq=event.seq,
                attempt=begun.row.attempts + 1,
                provider=begun.provider.name,
            )
        return outcome

    async def _attempt(self, delivery: Delivery, begun: Begun, plan: Plan, now: datetime) -> PushOutcome:
        name, row = begun.provider.name, begun.row
        self._metrics.attempted.labels(name).inc()
        refused = False
        try:
            async with asyncio.timeout(self._settings.push_timeout_s):
                ref = await begun.provider.send(self._composed(begun, plan))
            return PushOutcome(row, DevicePushState.ACCEPTED, attempted=True, provider_ref=ref)
        except ProviderRefusedError as wrong:
            refused = True
            return self._refused(begun, wrong)
        except TokenGoneError as gone:
            return await self._gone(delivery, begun, gone, now)
        except PermanentPushError as never:
            self._failed(name, FailureClass.PERMANENT)
            return PushOutcome(row, DevicePushState.FAILED, attempted=True, error=str(never))
        except TransientPushError as failed:
            return self._again(delivery, begun, str(failed) or type(failed).__name__, now, failed.retry_after_s)
        except PushError as failed:
            return self._again(delivery, begun, f"{type(failed).__name__}: {failed}", now)
        except TimeoutError:
            return self._again(delivery, begun, "no answer in time", now)
        except Exception as bug:
            # A provider raises PushError by contract. Whatever else is raised here must not stop everybody's pushes.
            log.exception(
                "the provider failed in a way it should not", stage=Stage.LOCAL_PUSH, event_id=delivery.event.id
            )
            return self._again(delivery, begun, f"{type(bug).__name__}: {bug}", now)
        finally:
            self._went(name, refused=refused)

    def _composed(self, begun: Begun, plan: Plan) -> Push:
        assert plan.facts is not None
        groups = tuple(conversation for _, conversation in begun.carries)
        return self.composer.digest(plan.told, plan.facts, begun.device, begun.row.push_id, retract=groups)

    def _went(self, name: str, *, refused: bool) -> None:
        if not self._breakers[name].went(refused=refused):
            return
        self._metrics.refused.labels(name).set(int(refused))
        if refused:
            log.error(
                "the provider does not accept us, its pushes wait: look at its credentials",
                stage=Stage.LOCAL_PUSH,
                provider=name,
            )
        else:
            log.info("the provider accepts us again", stage=Stage.LOCAL_PUSH, provider=name)

    def _refused(self, begun: Begun, wrong: ProviderRefusedError) -> PushOutcome:
        """Not the push's fault: it waits, and no attempt is used up."""
        self._failed(begun.provider.name, FailureClass.REFUSED)
        return PushOutcome(
            begun.row, DevicePushState.PENDING, error=str(wrong), wait_s=self._settings.provider_refused_s
        )

    async def _gone(self, delivery: Delivery, begun: Begun, gone: TokenGoneError, now: datetime) -> PushOutcome:
        device = begun.device
        if device is None:
            self._failed(begun.provider.name, FailureClass.PERMANENT)
            return PushOutcome(begun.row, DevicePushState.FAILED, attempted=True, error=str(gone))
        if gone.since is not None and gone.since < device.registered_at:
            # About the token before this one: the service is behind.
            return self._again(delivery, begun, f"{gone}, as of before this token was registered", now)
        self._failed(begun.provider.name, FailureClass.TOKEN_GONE)
        try:
            removed = await self._facts.gone(device)
            log.info("the device's token is good no more", stage=Stage.LOCAL_PUSH, device=device.id, removed=removed)
        except FactsUnavailable as away:
            # The next push to it finds that out again.
            log.warning("cannot say that a token is gone", stage=Stage.LOCAL_PUSH, device=device.id, reason=str(away))
        return PushOutcome(
            begun.row, DevicePushState.SKIPPED, attempted=True, skip_reason=SkipReason.TOKEN_GONE, error=str(gone)
        )

    def _again(
        self, delivery: Delivery, begun: Begun, error: str, now: datetime, retry_after_s: float | None = None
    ) -> PushOutcome:
        self._failed(begun.provider.name, FailureClass.TRANSIENT)
        wait_s = wait_before_retry(
            self._settings.retry, begun.row.attempts + 1, fraction=self._jitter(), retry_after_s=retry_after_s
        )
        ends = delivery.worth_since + timedelta(seconds=self._settings.push_ttl_s)
        if wait_s is None or now + timedelta(seconds=wait_s) >= ends:
            return PushOutcome(begun.row, DevicePushState.FAILED, attempted=True, error=error)
        return PushOutcome(begun.row, DevicePushState.PENDING, attempted=True, error=error, wait_s=wait_s)

    def _failed(self, provider: str, failure: FailureClass) -> None:
        self._metrics.failed.labels(provider, failure.value).inc()
