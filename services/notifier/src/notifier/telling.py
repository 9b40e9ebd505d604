"""Logs and counts what became of deliveries: one place, so that lines and figures tell the same story."""

from __future__ import annotations

from datetime import datetime

from contracts import times
from contracts.pushes import DevicePushState, PushState
from kit import logs, tracing
from kit.logs import Stage, logger
from notifier.deliveries import Delivery, Outcome
from notifier.metrics import Metrics

log = logger()


def tell(metrics: Metrics, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    """A line per push that was tried, and one for a delivery that becomes none."""
    event = delivery.event
    about = {
        "stage": Stage.LOCAL_PUSH,
        "stream": event.subject,
        "seq": event.seq,
        "event_id": event.id,
        "user_id": delivery.user_id,
        **tracing.told(event.traceparent),
    }
    for push in outcome.pushes:
        provider = push.row.provider
        match push.state:
            case DevicePushState.ACCEPTED:
                metrics.sent.labels(provider).inc()
                metrics.handover_seconds.observe(max(0.0, (now - delivery.decided_at).total_seconds()))
                log.info("push sent", **about, provider=provider, push_id=push.row.push_id, device=push.row.device_id)
            case DevicePushState.PENDING if push.error is not None:
                metrics.retried.labels(provider).inc()
                log.warning(
                    "push failed, will be tried again",
                    **about,
                    provider=provider,
                    error=push.error,
                    wait_s=round(push.wait_s or 0.0, 3),
                )
            case DevicePushState.FAILED:
                metrics.dead.labels(provider).inc()
                log.error("push given up", **about, provider=provider, error=push.error)
            case DevicePushState.SKIPPED if push.attempted:
                log.info("push skipped", **about, provider=provider, reason=push.skip_reason)
    if outcome.state is PushState.PENDING:
        if outcome.until is not None and logs.debugging():
            log.debug("push postponed", **about, until=times.rfc3339(outcome.until), held=outcome.held)
        return
    metrics.settled.labels(outcome.state.value).inc()
    if outcome.state is PushState.SKIPPED:
        reason = "unknown" if outcome.skip_reason is None else outcome.skip_reason.value
        metrics.skipped.labels(reason).inc()
        log.info("push skipped", **about, reason=reason)
