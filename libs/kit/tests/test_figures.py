"""What a process tells of itself is what its metrics say, under names that others find."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from contracts.codec import decode
from contracts.stats import ProcessFigures
from kit import figures
from kit.figures import Figures, sample_key


def counting() -> tuple[CollectorRegistry, Counter, Histogram]:
    """A registry with a counter that has a label, and a histogram."""
    registry = CollectorRegistry()
    return (
        registry,
        Counter("sent_total", "Sent", ["provider"], registry=registry),
        Histogram("lag_seconds", "Lag", buckets=(1, 2), registry=registry),
    )


def test_only_the_named_samples_are_told() -> None:
    """With their labels as Prometheus writes them."""
    registry, sent, lag = counting()
    sent.labels("logging").inc(3)
    lag.observe(1.5)
    told = Figures("notifier", registry, ("sent_total", "lag_seconds_bucket")).now()
    assert told.values == {
        'sent_total{provider="logging"}': 3.0,
        'lag_seconds_bucket{le="1.0"}': 0.0,
        'lag_seconds_bucket{le="2.0"}': 1.0,
        'lag_seconds_bucket{le="+Inf"}': 1.0,
    }
    assert sample_key("plain", {}) == "plain"


def test_each_life_of_a_process_has_its_own_key() -> None:
    """So that a restart, which begins at zero, is not compared with what was before."""
    registry, _, _ = counting()
    one, other = (Figures("notifier", registry, ()) for _ in range(2))
    assert one.key != other.key
    assert one.key == f"notifier.{one.now().instance}"


class Line:
    """A connection that is there, or not."""

    def __init__(self) -> None:
        self.is_connected = True
        self.published: list[tuple[str, ProcessFigures]] = []

    async def publish(self, subject: str, payload: bytes) -> None:
        """Keep what is published."""
        self.published.append((subject, decode(ProcessFigures, payload)))


async def until(condition: Callable[[], bool]) -> None:
    """Poll `condition` until it holds."""
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


async def test_they_are_told_again_and_again_but_not_into_the_void(monkeypatch: Any) -> None:
    """While cut off nothing is published: it would all go out at once when it is worth nothing."""
    monkeypatch.setattr(figures, "FIGURES_RENEW_S", 0.01)
    registry, sent, _ = counting()
    line, told = Line(), Figures("notifier", registry, ("sent_total",))
    task = asyncio.create_task(told.tell(line))  # type: ignore[arg-type]
    try:
        await until(lambda: len(line.published) >= 2)
        sent.labels("logging").inc()
        await until(lambda: line.published[-1][1].values == {'sent_total{provider="logging"}': 1.0})
        line.is_connected = False
        count = len(line.published)
        await asyncio.sleep(0.05)
        assert len(line.published) == count
        line.is_connected = True
        await until(lambda: len(line.published) > count)
    finally:
        task.cancel()
    assert {subject for subject, _ in line.published} == {f"$KV.figures.{told.key}"}
