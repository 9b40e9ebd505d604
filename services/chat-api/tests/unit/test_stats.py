"""Many processes' figures become one page: rates, quantiles, lags."""

from __future__ import annotations

from typing import Any

import pytest

from chat_api.stats import (
    CHAT_API_SAMPLES,
    DELIVERED,
    FANOUT_LAG,
    HEALED,
    MESSAGES,
    PUSHES,
    RELAY_LAG,
    Backlog,
    aggregate,
    quantile,
)
from chat_api.testing import AT, after
from contracts.ids import new_id
from contracts.presence import EdgeFigures, EdgeLease
from contracts.stats import AdminStats, ProcessFigures

ONE, OTHER = new_id(), new_id()


def said(instance: str, seconds: float, **values: float) -> ProcessFigures:
    """What a process said at a moment; `__` in a name stands for what cannot be in one."""
    return ProcessFigures(service="chat-api", instance=instance, at=after(seconds), values=values)


def page(*samples: ProcessFigures, edges: tuple[EdgeLease, ...] = (), **more: Any) -> AdminStats:
    """The page of these words."""
    fields: dict[str, Any] = {"users_online": 0, "backlog": Backlog(), "at": AT}
    return aggregate(samples, edges, **(fields | more))


def edge(name: str, **figures: Any) -> EdgeLease:
    """A living edge."""
    return EdgeLease(
        edge_id=name, instance=new_id(), started_at=AT, renewed_at=AT, figures=EdgeFigures.model_validate(figures)
    )


def test_a_rate_is_what_a_counter_grew_by_in_its_time() -> None:
    """From each process' oldest word to its newest, in whatever order they come; several processes add up."""
    samples = (
        said(ONE, 8, **{MESSAGES: 180.0}),
        said(ONE, 0, **{MESSAGES: 100.0}),
        said(ONE, 4, **{MESSAGES: 110.0}),
        said(OTHER, 2, **{MESSAGES: 1000.0}),
        said(OTHER, 4, **{MESSAGES: 1010.0}),
    )
    assert page(*samples).messages_per_s == 80 / 8 + 10 / 2


def test_a_restart_is_no_fall() -> None:
    """The new process is another one; what it said once has no rate yet."""
    samples = (said(ONE, 0, **{MESSAGES: 900.0}), said(ONE, 2, **{MESSAGES: 920.0}), said(OTHER, 4, **{MESSAGES: 3.0}))
    assert page(*samples).messages_per_s == 10


def test_a_counter_with_labels_is_summed_and_one_label_is_chosen() -> None:
    """Pushes of all providers count; of deliveries only those that a device has confirmed."""
    first = {f'{PUSHES}{{provider="logging"}}': 0.0, DELIVERED: 5.0, DELIVERED.replace("delivered", "unacked"): 0.0}
    then = {
        f'{PUSHES}{{provider="logging"}}': 6.0,
        f'{PUSHES}{{provider="firebase"}}': 4.0,
        DELIVERED: 25.0,
        DELIVERED.replace("delivered", "unacked"): 100.0,
    }
    found = page(said(ONE, 0, **first), said(ONE, 10, **then))
    assert (found.pushes_per_s, found.deliveries_per_s) == (1.0, 2.0)


def test_pushes_by_what_became_of_them() -> None:
    """Every result is there, also one that nobody has seen yet."""
    first = {'natter_notifier_skipped_total{reason="read"}': 1.0}
    then = {
        f'{PUSHES}{{provider="fcm"}}': 20.0,
        'natter_notifier_failed_total{class="transient",provider="fcm"}': 5.0,
        'natter_notifier_skipped_total{reason="read"}': 11.0,
    }
    found = page(said(ONE, 0, **first), said(ONE, 10, **then))
    assert found.push_results_per_s == {"sent": 2.0, "failed": 0.5, "skipped": 1.0, "dead": 0.0}


def test_nothing_is_said_of_nothing() -> None:
    """Without a word there are no rates, no quantiles, no lag."""
    found = page()
    assert (found.messages_per_s, found.delivery_p50_ms, found.delivery_p99_ms) == (0.0, None, None)
    assert (found.connections, found.relay_lag_s, found.fanout_lag_s, found.gaps_healed) == (0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([], 0.5, None),
        ([(0.1, 0), (float("inf"), 0)], 0.5, None),
        ([(0.1, 10), (0.2, 10), (float("inf"), 10)], 0.5, 0.05),
        ([(0.1, 0), (0.2, 10), (float("inf"), 10)], 0.5, 0.15),
        ([(0.1, 5), (0.2, 10), (float("inf"), 10)], 1.0, 0.2),
        ([(0.1, 1), (0.2, 1), (float("inf"), 100)], 0.99, 0.2),
        ([(0.1, 99), (0.2, 100), (float("inf"), 100)], 0.99, 0.1),
    ],
)
def test_quantiles(buckets: list[tuple[float, int]], share: float, expected: float | None) -> None:
    """Spread evenly within a bucket; above the last bound that bound is all that is known."""
    found = quantile(buckets, share)
    assert found is None if expected is None else found == pytest.approx(expected)


def test_deliveries_of_the_window_make_the_quantiles() -> None:
    """What was measured before the oldest word does not count, nor does in which process it was."""

    def measured(fast: float, all_: float) -> dict[str, float]:
        name = "natter_fanout_delivery_seconds_bucket"
        return {f'{name}{{le="0.01"}}': fast, f'{name}{{le="1.0"}}': all_, f'{name}{{le="+Inf"}}': all_}

    samples = (
        said(ONE, 0, **measured(0, 1000)),
        said(ONE, 2, **measured(50, 1050)),
        said(OTHER, 0, **measured(0, 0)),
        said(OTHER, 2, **measured(48, 50)),
    )
    found = page(*samples)
    assert found.delivery_p50_ms == pytest.approx(10 * 50 / 98, abs=0.01)
    assert found.delivery_p99_ms == pytest.approx(10 + 990 / 2)


def test_lag_is_measured_or_waiting_whichever_is_worse() -> None:
    """A relay that is stuck measures nothing, and yet it is behind."""
    samples = tuple(
        said(ONE, at, **{f"{RELAY_LAG}_sum": total, f"{RELAY_LAG}_count": count, f"{FANOUT_LAG}_sum": 9.0})
        for at, total, count in ((0, 5.0, 100.0), (2, 6.0, 110.0))
    )
    found = page(*samples, backlog=Backlog(relay_s=0.01, fanout_s=30.0))
    assert found.relay_lag_s == pytest.approx(0.1)
    assert found.fanout_lag_s == 30.0


def test_edges_add_up() -> None:
    """Connections by edge, device and role; slow closes and interruptions; healed gaps come from chat-api."""
    edges = (
        edge("one", connections=3, by_device={"mobile": 2, "desktop": 1}, by_role={"customer": 3}, slow_closes=1),
        edge("two", connections=1, by_device={"mobile": 1}, by_role={"admin": 1}, nats_interruptions=4),
    )
    healed = said(ONE, 0, **dict.fromkeys(HEALED, 2.0))
    found = page(healed, edges=edges, users_online=3)
    assert (found.connections, found.users_online) == (4, 3)
    assert found.by_edge == {"one": 3, "two": 1}
    assert found.by_device == {"mobile": 3, "desktop": 1}
    assert found.by_role == {"customer": 3, "admin": 1}
    assert (found.slow_closes, found.nats_interruptions, found.gaps_healed) == (1, 4, 2 * len(HEALED))
    assert found.edges == edges


def test_every_sample_is_one_that_is_counted() -> None:
    """A metric that was renamed would leave its figure at nothing, for ever."""
    from prometheus_client import REGISTRY

    from chat_api import metrics

    metrics.fanout_deliveries.labels("delivered")
    metrics.fanout_delivery.observe(0)
    names = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    assert set(CHAT_API_SAMPLES) <= names
