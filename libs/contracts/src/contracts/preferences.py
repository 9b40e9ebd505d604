"""When and how a user wants to be told: what `GET` and `PUT /v1/notification-settings` carry, and mutes."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from contracts.codec import Contract, Flag
from contracts.devices import Locale
from contracts.ids import Uuid
from contracts.times import Instant

GRACE_S_MAX = 3_600
"""Longest wait before a push that a user may ask for, in seconds."""


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone of the IANA database, such as Europe/Berlin")
    return name


Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
"""An IANA time zone: rules for summer time come with it."""

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A wall clock's time, `HH:MM`."""


class QuietHours(Contract):
    """Every day from `start` to `end` on the wall clock of `zone`; an `end` before `start` is on the next day."""

    zone: Zone
    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _some_time_is_left(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end must differ")
        return self

    def bounds(self) -> tuple[time, time]:
        """`start` and `end` as times of a clock."""
        return time.fromisoformat(self.start), time.fromisoformat(self.end)


_Grace = Annotated[int, Field(ge=0, le=GRACE_S_MAX)]


class NotificationSettings(Contract):
    """A user's wishes. What is None is as the deployment has it."""

    pushes: Flag = True
    """False: no push at all, whatever happens."""
    locale: Locale | None = None
    """Language of pushes to devices that name none."""
    show_text: Flag = True
    """False: pushes say that there is something, not what."""
    quiet_hours: QuietHours | None = None
    snooze_until: Instant | None = None
    """Until then pushes are held like in quiet hours."""
    important_past_quiet_hours: Flag = True
    """Important messages are pushed in quiet hours and while snoozed, too."""
    important_past_mute: Flag = True
    """Important messages are pushed from muted conversations, too."""
    grace_offline_s: _Grace | None = None
    """Seconds from the moment that nobody was there until the push. At least what the deployment waits."""
    grace_idle_desktop_s: _Grace | None = None
    """Seconds from the moment that only a desktop with nobody before it got the message; as above."""
    push_active_desktop: Flag | None = None
    """Whether a phone is pushed although somebody sits before the desktop. Important messages are in any case."""


class MuteDraft(Contract):
    """Body of `PUT /v1/conversations/{id}/mute`."""

    muted: Flag = True
    until: Instant | None = None
    """None: until it is taken back."""

    @model_validator(mode="after")
    def _an_end_of_something(self) -> Self:
        if self.until is not None and not self.muted:
            raise ValueError("until belongs to muted: true")
        return self


class Mute(Contract):
    """Whether a user hears of a conversation by push; answer of `PUT /v1/conversations/{id}/mute`."""

    conversation_id: Uuid
    muted: bool
    until: Instant | None = None
