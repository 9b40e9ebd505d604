"""Many processes' figures to one page for an admin. No I/O.

Counters are compared with what the same process said some seconds ago; so a restart, which is another process, never
looks like a fall.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.presence import EdgeLease
from contracts.stats import AdminStats, ProcessFigures

MESSAGES = "natter_messages_accepted_total"
DELIVERED = 'natter_fanout_deliveries_total{outcome="delivered"}'
PUSHES = "natter_notifier_sent_total"
PUSH_RESULTS = {name: f"natter_notifier_{name}_total" for name in ("sent", "failed", "skipped", "dead")}
DELIVERY = "natter_fanout_delivery_seconds"
RELAY_LAG = "natter_relay_lag_seconds"
FANOUT_LAG = "natter_fanout_lag_seconds"
HEALED = ("natter_relay_road_lost_total", "natter_fanout_holes_total")

CHAT_API_SAMPLES = (
    MESSAGES,
    DELIVERED.partition("{")[0],
    f"{DELIVERY}_bucket",
    *(f"{lag}_{part}" for lag in (RELAY_LAG, FANOUT_LAG) for part in ("sum", "count")),
    *HEALED,
)
"""What a chat-api process tells of itself."""

_BUCKET = re.compile(re.escape(DELIVERY) + r'_bucket\{le="([^"]+)"\}\Z')


@dataclass(frozen=True, slots=True)
class Backlog:
    """Age of the oldest event that the relay, or fan-out, has not taken yet, in seconds; 0 if there is none."""

    relay_s: float = 0.0
    fanout_s: float = 0.0


class Window:
    """What happened between each process' oldest and newest word."""

    def __init__(self, samples: Iterable[ProcessFigures]) -> None:
        said: dict[str, list[ProcessFigures]] = defaultdict(list)
        for sample in samples:
            said[sample.instance].append(sample)
        self._newest: list[ProcessFigures] = []
        self._grown: list[tuple[dict[str, float], float]] = []
        for mine in said.values():
            mine.sort(key=lambda one: one.at)
            first, last = mine[0], mine[-1]
            self._newest.append(last)
            # What a process did before its first word is not lost: a short life counts from its second word on.
            seconds = (last.at - first.at).total_seconds()
            if seconds > 0:
                grown = {name: value - first.values.get(name, 0.0) for name, value in last.values.items()}
                self._grown.append((grown, seconds))

    def per_s(self, name: str) -> float:
        """How fast a counter grew, over all processes and labels."""
        return round(sum(_sum(grown, name) / seconds for grown, seconds in self._grown), 3)

    def mean(self, histogram: str) -> float | None:
        """Mean of what was observed; None if nothing was."""
        count = sum(_sum(grown, f"{histogram}_count") for grown, _ in self._grown)
        total = sum(_sum(grown, f"{histogram}_sum") for grown, _ in self._grown)
        return total / count if count > 0 else None

    def total(self, *names: str) -> int:
        """Counters since the processes' starts."""
        return int(sum(_sum(newest.values, name) for newest in self._newest for name in names))

    def delivery_ms(self, *shares: float) -> list[float | None]:
        """Quantiles of the time from record to receipt, in milliseconds."""
        counts: Counter[float] = Counter()
        for grown, _ in self._grown:
            for name, value in grown.items():
                found = _BUCKET.match(name)
                if found is not None:
                    counts[float(found[1])] += int(value)
        bounds = sorted(counts.items())
        return [None if (s := quantile(bounds, share)) is None else round(s * 1000, 3) for share in shares]


def quantile(buckets: Sequence[tuple[float, int]], share: float) -> float | None:
    """Where `share` of all observations lie below, from (upper bound, how many up to there), in order.

    Within a bucket they are taken as evenly spread; above the last finite bound nothing is known but that.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = share * buckets[-1][1]
    lower, below = 0.0, 0
    for upper, up_to in buckets:
        if up_to >= wanted and up_to > below:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * max(0.0, wanted - below) / (up_to - below)
        if not math.isinf(upper):
            lower, below = upper, up_to
    return lower


def _sum(values: dict[str, float], name: str) -> float:
    """A metric's value; over all its labels, if it has some and none are named."""
    if name in values:
        return values[name]
    return sum(value for key, value in values.items() if key.startswith(f"{name}{{"))


def aggregate(
    samples: Iterable[ProcessFigures],
    edges: Sequence[EdgeLease],
    *,
    users_online: int,
    backlog: Backlog,
    at: datetime,
) -> AdminStats:
    """The whole page."""
    window = Window(samples)
    devices: Counter[str] = Counter()
    roles: Counter[str] = Counter()
    for edge in edges:
        devices.update(edge.figures.by_device)
        roles.update(edge.figures.by_role)
    p50, p99 = window.delivery_ms(0.5, 0.99)
    return AdminStats(
        at=at,
        connections=sum(edge.figures.connections for edge in edges),
        users_online=users_online,
        by_edge={edge.edge_id: edge.figures.connections for edge in edges},
        by_device=dict(devices),
        by_role=dict(roles),
        messages_per_s=window.per_s(MESSAGES),
        deliveries_per_s=window.per_s(DELIVERED),
        pushes_per_s=window.per_s(PUSHES),
        push_results_per_s={result: window.per_s(name) for result, name in PUSH_RESULTS.items()},
        delivery_p50_ms=p50,
        delivery_p99_ms=p99,
        relay_lag_s=_lag(window.mean(RELAY_LAG), backlog.relay_s),
        fanout_lag_s=_lag(window.mean(FANOUT_LAG), backlog.fanout_s),
        slow_closes=sum(edge.figures.slow_closes for edge in edges),
        nats_interruptions=sum(edge.figures.nats_interruptions for edge in edges),
        gaps_healed=window.total(*HEALED),
        edges=tuple(edges),
    )


def _lag(measured_s: float | None, waiting_s: float) -> float:
    """What went through took so long; what is stuck and was never measured may have waited longer."""
    return round(max(measured_s or 0.0, waiting_s), 6)
