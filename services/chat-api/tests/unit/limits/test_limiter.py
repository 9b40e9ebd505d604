"""Token buckets: what passes, when the next one may, and what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_api.limits.limiter import Limiter, Rate
from chat_api.limits.operations import Operation, of_request


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def limiter(clock: Clock, *, per_s: float = 2.0, burst: float = 4.0, buckets_max: int = 100) -> Limiter:
    """One rate, for sends."""
    return Limiter({Operation.SEND: Rate(per_s, burst)}, buckets_max=buckets_max, now=clock)


def test_a_burst_passes_and_then_one_at_a_time() -> None:
    """Four at once, and the fifth is told exactly when it may."""
    clock = Clock()
    limits = limiter(clock)
    assert [limits.take(Operation.SEND, "alice") for _ in range(4)] == [0.0] * 4
    wait_s = limits.take(Operation.SEND, "alice")
    assert wait_s == pytest.approx(0.5)
    clock.at += wait_s
    assert limits.take(Operation.SEND, "alice") == 0.0
    assert limits.take(Operation.SEND, "alice") > 0


def test_asking_too_early_costs_nothing() -> None:
    """Whoever is refused again and again still gets through at the time that was named."""
    clock = Clock()
    limits = limiter(clock, burst=1)
    assert limits.take(Operation.SEND, "alice") == 0.0
    for _ in range(49):
        clock.at += 0.01
        assert limits.take(Operation.SEND, "alice") > 0
    clock.at += 0.011
    assert limits.take(Operation.SEND, "alice") == 0.0


def test_users_and_operations_are_counted_apart() -> None:
    """One who floods takes nothing from others; an operation without a rate is free."""
    limits = limiter(Clock(), burst=1)
    assert limits.take(Operation.SEND, "alice") == 0.0
    assert limits.take(Operation.SEND, "alice") > 0
    assert limits.take(Operation.SEND, "bob") == 0.0
    assert [limits.take(Operation.READ, "alice") for _ in range(100)] == [0.0] * 100


def test_a_service_may_do_more() -> None:
    """The factor makes burst and rate larger."""
    clock = Clock()
    limits = limiter(clock)
    assert sum(limits.take(Operation.SEND, "host", factor=50) == 0.0 for _ in range(500)) == 200
    clock.at += 1
    assert sum(limits.take(Operation.SEND, "host", factor=50) == 0.0 for _ in range(500)) == 100


def test_memory_is_bounded() -> None:
    """However many users come, no more than so many buckets are kept, those used last."""
    limits = limiter(Clock(), burst=1, buckets_max=10)
    for number in range(1000):
        limits.take(Operation.SEND, f"user-{number}")
        limits.take(Operation.SEND, "alice")
        assert len(limits) <= 10
    assert limits.take(Operation.SEND, "alice") > 0


@given(st.lists(st.floats(min_value=0, max_value=3), max_size=60), st.integers(1, 5), st.floats(0.5, 10))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], burst: int, per_s: float) -> None:
    """Whatever the moments: what passes is at most the burst and what the time has brought."""
    clock = Clock()
    limits = limiter(clock, per_s=per_s, burst=burst)
    passed = 0
    for pause in pauses:
        clock.at += pause
        passed += limits.take(Operation.SEND, "alice") == 0.0
    assert passed <= burst + per_s * sum(pauses) + 1e-6


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/auth/token", Operation.PASSWORD_FROM_ADDRESS),
        ("POST", "/v1/auth/refresh", Operation.REFRESH_FROM_ADDRESS),
        ("POST", "/v1/auth/logout", Operation.WRITE),
        ("GET", "/v1/conversations/x/messages", Operation.READ),
        ("POST", "/v1/presence/query", Operation.READ),
        ("POST", "/v1/conversations/x/messages", Operation.SEND),
        ("POST", "/v1/chat/x/send", Operation.SEND),
        ("POST", "/chat/x/send", Operation.SEND),
        ("POST", "/v1/conversations/x/typing", Operation.TYPING),
        ("PUT", "/v1/conversations/x/read", Operation.MARK_READ),
        ("POST", "/v1/pushes/x/ack", Operation.MARK_READ),
        ("POST", "/v1/admin/pushes/dead/replay", Operation.WRITE),
        ("POST", "/v1/attachments", Operation.UPLOAD),
        ("GET", "/v1/attachments/x", Operation.READ),
        ("DELETE", "/v1/messages/x", Operation.WRITE),
        ("POST", "/v1/conversations", Operation.WRITE),
    ],
)
def test_which_request_is_of_which_kind(method: str, path: str, operation: Operation) -> None:
    """By method and path alone, so that nothing is read before it is counted."""
    assert of_request(method, path) is operation
