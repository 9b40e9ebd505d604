"""Token buckets: a burst is fine, a flood is not. No I/O; the clock is given."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chat_api.limits.operations import Operation


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many per second in the long run."""

    per_s: float
    burst: float


class Limiter:
    """One bucket per operation and key, at most `buckets_max`: the longest unused is forgotten, and full again."""

    def __init__(
        self, rates: Mapping[Operation, Rate], *, buckets_max: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = dict(rates)
        self._buckets_max = buckets_max
        self._now = now
        self._buckets: OrderedDict[tuple[Operation, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, operation: Operation, key: str, *, factor: float = 1.0) -> float:
        """0 if it may be done now; else the seconds until it may, and nothing is taken.

        `factor` makes the bucket so many times larger. An operation without a rate is free.
        """
        rate = self._rates.get(operation)
        if rate is None:
            return 0.0
        now, burst, per_s = self._now(), rate.burst * factor, rate.per_s * factor
        tokens, at = self._buckets.get((operation, key), (burst, now))
        tokens = min(burst, tokens + (now - at) * per_s)
        # Binary fractions: after exactly the time that was named there must be a whole token.
        wait_s = 0.0 if tokens >= 1 - 1e-9 else (1 - tokens) / per_s
        self._buckets[operation, key] = (tokens if wait_s else tokens - 1, now)
        self._buckets.move_to_end((operation, key))
        if len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
        return wait_s
