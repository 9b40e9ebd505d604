"""Until when a push is held: quiet hours on the wall clock of a zone, through changes of the clock, and snoozes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.preferences import NotificationSettings, QuietHours
from notifier.quiet import held_until, quiet_until

BERLIN = QuietHours(zone="Europe/Berlin", start="22:00", end="07:00")


def utc(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        # An evening, a night, a morning; the end itself is no quiet hour any more.
        (BERLIN, "2026-01-10T21:30", "2026-01-11T06:00"),
        (BERLIN, "2026-01-11T02:00", "2026-01-11T06:00"),
        (BERLIN, "2026-01-11T05:59:59", "2026-01-11T06:00"),
        (BERLIN, "2026-01-11T06:00", None),
        (BERLIN, "2026-01-11T20:59:59", None),
        (BERLIN, "2026-01-11T21:00", "2026-01-12T06:00"),
        # Within one day.
        (QuietHours(zone="Asia/Shanghai", start="12:00", end="14:00"), "2026-01-10T05:00", "2026-01-10T06:00"),
        (QuietHours(zone="Asia/Shanghai", start="12:00", end="14:00"), "2026-01-10T06:00", None),
        # On the other side of the date line, and by half an hour.
        (QuietHours(zone="Pacific/Kiritimati", start="22:00", end="06:00"), "2026-01-10T12:00", "2026-01-10T16:00"),
        (QuietHours(zone="Asia/Kolkata", start="23:30", end="06:15"), "2026-01-10T18:00", "2026-01-11T00:45"),
        # The clock goes forward in the night of 29 March, and back in that of 25 October.
        (BERLIN, "2026-03-28T21:30", "2026-03-29T05:00"),
        (BERLIN, "2026-10-24T20:30", "2026-10-25T06:00"),
        # The end is skipped by the clock (02:30 on 29 March): it ends when the clock jumps.
        (QuietHours(zone="Europe/Berlin", start="22:00", end="02:30"), "2026-03-29T00:00", "2026-03-29T01:00"),
        # The end comes twice (02:30 on 25 October): the first one ends it, and so does the second one.
        (QuietHours(zone="Europe/Berlin", start="22:00", end="02:30"), "2026-10-25T00:00", "2026-10-25T00:30"),
        (QuietHours(zone="Europe/Berlin", start="22:00", end="02:30"), "2026-10-25T01:10", "2026-10-25T01:30"),
    ],
)
def test_quiet_hours_end_by_the_wall_clock(quiet: QuietHours, now: str, end: str | None) -> None:
    """Also in nights in which the clock changes."""
    assert quiet_until(quiet, utc(now)) == (None if end is None else utc(end))


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "UTC"]),
    start=st.times(),
    end=st.times(),
    minute=st.integers(0, 3 * 365 * 24 * 60),
)
def test_the_end_is_ahead_and_not_quiet(zone: str, start: time, end: time, minute: int) -> None:
    """At most a day and an hour ahead, and a push that waits for it is not held again."""
    now = utc("2025-01-01T00:00") + timedelta(minutes=minute)
    first, last = f"{start:%H:%M}", f"{end:%H:%M}"
    if first == last:
        return
    quiet = QuietHours(zone=zone, start=first, end=last)
    until = quiet_until(quiet, now)
    if until is None:
        return
    assert now < until <= now + timedelta(hours=25)
    again = quiet_until(quiet, until)
    # Unless the clock has just been put back: then the same hours are shown once more.
    went_back = (
        until.astimezone(ZoneInfo(zone)).utcoffset()
        != (until + timedelta(hours=2)).astimezone(ZoneInfo(zone)).utcoffset()
    )
    assert again is None or went_back or until.astimezone(ZoneInfo(zone)).fold == 1


def test_a_snooze_that_ends_at_night_is_followed_by_the_night() -> None:
    """One wait, not two pushes."""
    settings = NotificationSettings(quiet_hours=BERLIN, snooze_until=utc("2026-01-10T23:00"))
    assert held_until(settings, utc("2026-01-10T15:00")) == utc("2026-01-11T06:00")


def test_nothing_holds_without_wishes() -> None:
    """A snooze that is over holds nothing, either."""
    assert held_until(NotificationSettings(), utc("2026-01-10T23:00")) is None
    assert held_until(NotificationSettings(snooze_until=utc("2026-01-10T22:00")), utc("2026-01-10T23:00")) is None
