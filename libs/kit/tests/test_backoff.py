"""Waits stay between nothing and their ceiling."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from kit.backoff import full_jitter


@given(st.floats(0.001, 10), st.floats(1, 100))
def test_waits_stay_within_bounds(base_s: float, factor: float) -> None:
    """The attempt's ceiling doubles until the cap; no wait is ever above it, or negative."""
    cap_s = base_s * factor
    for attempt, wait_s in enumerate(islice(full_jitter(base_s, cap_s), 100)):
        assert 0 <= wait_s <= min(cap_s, base_s * 2**attempt)


def test_waits_are_spread() -> None:
    """Two that failed together do not come back together."""
    assert len({round(next(full_jitter(1, 1)), 9) for _ in range(100)}) > 90


def test_waits_grow_to_the_cap() -> None:
    """Later waits use the whole range up to the cap, and not more than that."""
    late = [wait_s for _ in range(200) for wait_s in islice(full_jitter(0.1, 8), 10, 12)]
    assert 6 < max(late) <= 8
