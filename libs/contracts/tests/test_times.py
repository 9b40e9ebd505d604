"""Instants: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.times import Instant, now, rfc3339

INSTANT = TypeAdapter(Instant)
instants = st.datetimes(
    min_value=datetime(1000, 1, 2),  # noqa: DTZ001
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(instants)
def test_milliseconds_survive(instant: datetime) -> None:
    """An instant cut to milliseconds is the same after the trip over JSON."""
    cut = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    text = rfc3339(cut)
    assert len(text) == len("2026-01-31T08:15:30.123Z")
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == cut


@given(instants, st.integers(min_value=-14 * 60, max_value=14 * 60))
def test_other_zones_are_the_same_instant(instant: datetime, minutes: int) -> None:
    """The zone of the writer does not matter."""
    assert rfc3339(instant.astimezone(timezone(timedelta(minutes=minutes)))) == rfc3339(instant)


def test_example() -> None:
    """The documented form, to the letter."""
    assert rfc3339(datetime(2026, 1, 31, 8, 15, 30, 123999, tzinfo=UTC)) == "2026-01-31T08:15:30.123Z"


def test_naive_times_are_refused() -> None:
    """A time without a zone means nothing to another machine."""
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 1, 31))  # noqa: DTZ001
    with pytest.raises(ValidationError):
        INSTANT.validate_json('"2026-01-31T08:15:30"')


def test_now_survives_json() -> None:
    """`now` has no more digits than JSON will carry."""
    instant = now()
    assert INSTANT.validate_json(INSTANT.dump_json(instant)) == instant
    assert instant.tzinfo is UTC
