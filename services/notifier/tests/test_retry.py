"""How long a failed push waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.retry import RetryPolicy, wait_before_retry

POLICY = RetryPolicy(base_s=1, cap_s=60, attempts_max=8)


@pytest.mark.parametrize(
    ("attempts", "fraction", "retry_after_s", "wait_s"),
    [
        (1, 1.0, None, 1.0),
        (1, 0.0, None, 0.0),
        (1, 0.5, None, 0.5),
        (2, 1.0, None, 2.0),
        (6, 1.0, None, 32.0),
        (7, 1.0, None, 60.0),
        (1, 0.5, 30.0, 30.0),
        (7, 1.0, 30.0, 60.0),
        (7, 1.0, 3600.0, 3600.0),
        (8, 1.0, None, None),
        (9, 1.0, 30.0, None),
    ],
)
def test_waits_double_up_to_the_cap_and_end(
    attempts: int, fraction: float, retry_after_s: float | None, wait_s: float | None
) -> None:
    """The jitter chooses below the ceiling, the provider's wish is a lower bound, the last attempt has no next."""
    assert wait_before_retry(POLICY, attempts, fraction=fraction, retry_after_s=retry_after_s) == wait_s


@given(
    attempts=st.integers(1, 10_000),
    fraction=st.floats(0, 1),
    base_s=st.floats(0.001, 10),
    cap_s=st.floats(10, 10_000),
)
def test_a_wait_is_never_negative_and_never_above_the_cap(
    attempts: int, fraction: float, base_s: float, cap_s: float
) -> None:
    """However many attempts there were, the wait stays within its limits and is a number."""
    wait_s = wait_before_retry(RetryPolicy(base_s, cap_s, 100_000), attempts, fraction=fraction)
    assert wait_s is not None
    assert 0 <= wait_s <= cap_s
