"""Latencies: percentiles by nearest rank, so that every figure is one that was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed; `ordered` ascends and is not empty."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def summary(seconds: Iterable[float]) -> Summary | None:
    """The distribution of `seconds`, or None if there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p90, p99 = (percentile(ordered, percent) * 1000 for percent in (50, 90, 99))
    return Summary(len(ordered), round(p50, 2), round(p90, 2), round(p99, 2), round(ordered[-1] * 1000, 2))


@dataclass(frozen=True, slots=True)
class Sample:
    """One message at one device of somebody else; instants in seconds of one clock.

    `accepted_at` is when the server's answer reached the sender. That is later than the commit it tells of, and a
    frame may overtake it.
    """

    group: str
    sent_at: float
    accepted_at: float
    arrived_at: float

    @property
    def after_accepted_s(self) -> float:
        """Accepted → frame; 0 if the frame was there before the sender knew."""
        return max(0.0, self.arrived_at - self.accepted_at)

    @property
    def after_sent_s(self) -> float:
        """Just before the request was written → frame: all that a user waits for."""
        return self.arrived_at - self.sent_at


def by_group(samples: Sequence[Sample], value: Callable[[Sample], float]) -> dict[str, Summary]:
    """A summary for each group, in the order of the names."""
    groups: dict[str, list[float]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(value(sample))
    return {group: found for group in sorted(groups) if (found := summary(groups[group]))}
