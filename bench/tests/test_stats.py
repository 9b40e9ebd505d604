"""Percentiles by nearest rank, and the two ways to measure a latency."""

from __future__ import annotations

import pytest
from bench.demo.stats import Sample, by_group, percentile, summary
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (90, 90), (99, 99), (99.1, 100), (100, 100)]
)
def test_percentiles_of_one_to_a_hundred(percent: float, expected: float) -> None:
    """Nearest rank: the smallest value that so many do not exceed."""
    assert percentile([float(value) for value in range(1, 101)], percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_measured_value_and_bounds_its_share(values: list[float], percent: float) -> None:
    """Never an invention between two values."""
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= len(ordered) * percent / 100 - 1e-6


def test_a_summary_is_in_milliseconds() -> None:
    """Of any order of values; of none there is none."""
    found = summary([0.003, 0.001, 0.002])
    assert found is not None
    assert (found.count, found.p50_ms, found.p99_ms, found.max_ms) == (3, 2.0, 3.0, 3.0)
    assert summary([]) is None


def test_a_frame_that_overtakes_the_answer_counts_as_zero_after_it() -> None:
    """But from the sending on it is counted as it was."""
    early = Sample("HTTP", sent_at=1.0, accepted_at=1.005, arrived_at=1.004)
    assert early.after_accepted_s == 0
    assert early.after_sent_s == pytest.approx(0.004)


def test_groups_are_kept_apart() -> None:
    """Each way has its own figures, in the order of the names."""
    samples = [Sample("b", 0, 1, 3), Sample("a", 0, 1, 2), Sample("b", 0, 1, 5)]
    found = by_group(samples, lambda sample: sample.after_accepted_s)
    assert [(group, one.count, one.max_ms) for group, one in found.items()] == [("a", 1, 1000.0), ("b", 2, 4000.0)]
