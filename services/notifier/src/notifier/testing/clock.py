"""A clock that stands until somebody puts it forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

A_MONDAY_AT_NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class FakeClock:
    """Call it for the time; it has a time zone, like every instant of Natter."""

    def __init__(self, now: datetime = A_MONDAY_AT_NOON) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs a time zone: datetime(…, tzinfo=UTC)")
        self._now = now

    def __call__(self) -> datetime:
        """The time that it shows."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Put it forward; it never goes back."""
        self.set(self._now + timedelta(seconds=seconds))

    def set(self, now: datetime) -> None:
        """Put it to `now`, which is not before what it shows."""
        if now < self._now:
            raise ValueError("a clock does not go back")
        self._now = now
