"""Who is away gets a push: asserted with Natter's own rules, in memory, in milliseconds.

Plain pytest, no plugins: `pytest examples/push_test`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from contracts.devices import Platform, PushService
from contracts.preferences import NotificationSettings, QuietHours
from contracts.pushes import PushState, SkipReason
from notifier.providers.base import TransientPushError
from notifier.testing import FakeClock, NotifierHarness, RecordingProvider


def test_who_is_away_gets_a_push() -> None:
    """A message reaches no device of Alice: her phone rings when the grace of two seconds is over."""

    async def story() -> None:
        apple = RecordingProvider("apns", services=[PushService.APNS])
        notifier = NotifierHarness(apple)
        phone = notifier.device("alice", PushService.APNS, platform=Platform.IOS, locale="en")
        notifier.user("alice", badge=1)

        message = notifier.message("alice", "See you at nine", sender="Ben")
        await notifier.advance(2)

        [push] = notifier.pushes_of("alice")
        assert push.target is not None
        assert push.target.device == phone.id
        assert (push.title, push.content, push.badge) == ("Ben", "See you at nine", 1)
        assert push.data["conversation_id"] == message.conversation_id

    asyncio.run(story())


def test_who_comes_back_in_time_gets_none() -> None:
    """The connection was gone for a second, as in a tunnel: the app has fetched the message itself."""

    async def story() -> None:
        notifier = NotifierHarness()
        message = notifier.message("alice")
        await notifier.advance(1)
        notifier.now(message, synced=True)
        await notifier.advance(60)
        assert notifier.pushes_of("alice") == []
        assert message.reason is SkipReason.DELIVERED

    asyncio.run(story())


def test_at_night_only_what_is_important_rings() -> None:
    """The rest is one push in the morning, without what was read in bed."""

    async def story() -> None:
        notifier = NotifierHarness(clock=FakeClock(datetime(2026, 1, 5, 22, 30, tzinfo=UTC)))
        night = QuietHours(zone="Europe/London", start="22:00", end="07:00")
        notifier.user("alice", settings=NotificationSettings(quiet_hours=night))

        read = notifier.message("alice", "Are you awake?")
        notifier.message("alice", "Then tomorrow")
        notifier.message("alice", "The contract is signed", sender="Chris")
        notifier.message("alice", "The house is on fire", is_important=True)
        await notifier.advance(3_600)
        assert [push.content for push in notifier.pushes_of("alice")] == ["The house is on fire"]

        notifier.now(read, read=True)
        await notifier.advance(9 * 3_600)
        assert {push.content for push in notifier.pushes_of("alice")} == {
            "The house is on fire",
            "2 messages in 2 conversations",
        }

    asyncio.run(story())


def test_an_outage_of_the_push_service_loses_nothing() -> None:
    """Half an hour without it: the push comes once it is back, and only once."""

    async def story() -> None:
        service = RecordingProvider(always=TransientPushError("503"))
        notifier = NotifierHarness(service)
        message = notifier.message("alice")
        await notifier.advance(1_800)
        assert notifier.pushes_of("alice") == []
        assert set(message.errors) == {"503"}

        service.recover()
        await notifier.advance(3_600)
        assert len(notifier.pushes_of("alice")) == 1
        assert message.state is PushState.SENT

    asyncio.run(story())
