"""Exponential backoff with full jitter: many clients that failed together must not come back together."""

from __future__ import annotations

import random
from collections.abc import Iterator


def full_jitter(base_s: float, cap_s: float) -> Iterator[float]:
    """Endless waits in seconds, each uniform between 0 and `min(cap_s, base_s * 2**attempt)`."""
    ceiling = base_s
    while True:
        yield random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards no secret
        ceiling = min(cap_s, ceiling * 2)
