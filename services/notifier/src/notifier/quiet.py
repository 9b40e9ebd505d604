"""Quiet hours and snoozes: until when a push is held, on the wall clock of the user's zone; pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from contracts.preferences import NotificationSettings, QuietHours

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_ROUNDS_MAX = 3
"""A snooze may end within quiet hours, and these may be followed by nothing else."""


def held_until(settings: NotificationSettings, now: datetime) -> datetime | None:
    """The end of what holds pushes at `now`, in UTC; None if nothing does."""
    at = now
    for _ in range(_ROUNDS_MAX):
        if settings.snooze_until is not None and at < settings.snooze_until:
            at = settings.snooze_until
        elif settings.quiet_hours is not None and (end := quiet_until(settings.quiet_hours, at)) is not None:
            at = end
        else:
            break
    return None if at == now else at.astimezone(UTC)


def quiet_until(quiet: QuietHours, now: datetime) -> datetime | None:
    """When the quiet hours end that `now` lies in, in UTC; None if it lies in none.

    By the wall clock: a night in which clocks change is an hour shorter or longer, and its end is at the same time of
    the clock. An end that the clock skips is the moment of the skip; one that it shows twice is the first one to come.
    """
    zone = ZoneInfo(quiet.zone)
    start, end = quiet.bounds()
    local = now.astimezone(zone)
    if not _within(local.time(), start, end):
        return None
    # It ends today; or tomorrow, if it began this evening and goes on past midnight.
    day = local.date() if local.time() < end else local.date() + _DAY
    return min(moment for moment in _moments(day, end, zone) if moment > now)


def _within(clock: time, start: time, end: time) -> bool:
    return start <= clock < end if start < end else clock >= start or clock < end


def _moments(day: date, clock: time, zone: ZoneInfo) -> set[datetime]:
    """When the clock of `zone` reaches `clock` on that day: once, twice, or by skipping it."""
    wall = datetime.combine(day, clock, zone)
    first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if first <= second:
        return {first, second}
    # Skipped: by the offset from before the change it lies after it, by the one from after the change before it.
    before, after = second, first
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == after.astimezone(zone).utcoffset():
            after = middle
        else:
            before = middle
    return {after.replace(microsecond=0)}
