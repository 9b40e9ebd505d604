"""The harness for integrators: the rules of production, without servers, on a clock that the test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType, PushService
from contracts.preferences import NotificationSettings, QuietHours
from contracts.pushes import PushState, SkipReason
from contracts.pushfacts import ConnectionNow
from notifier.compose import PushContent
from notifier.decide import Policy
from notifier.providers.base import (
    PermanentPushError,
    ProviderRefusedError,
    TokenGoneError,
    TransientPushError,
)
from notifier.push import Priority
from notifier.testing import FakeClock, NotifierHarness, RecordingProvider

SENT, SKIPPED, DEAD, PENDING = PushState.SENT, PushState.SKIPPED, PushState.DEAD, PushState.PENDING


async def test_a_push_goes_out_when_the_grace_is_over() -> None:
    """Not a moment earlier, and to every registered phone."""
    provider = RecordingProvider(services=[PushService.STUB])
    notifier = NotifierHarness(provider)
    phones = [notifier.device("alice"), notifier.device("alice")]
    waiting = notifier.message("alice", "See you at nine", sender="Ben", is_important=True)
    await notifier.advance(1.9)
    assert (waiting.state, provider.sent) == (PENDING, [])
    await notifier.advance(0.1)
    assert waiting.state is SENT
    assert [(push.title, push.content, push.priority) for push in notifier.pushes_of("alice")] == [
        ("Ben", "See you at nine", Priority.HIGH)
    ] * 2
    assert [push.target and push.target.device for push in provider.sent] == [phone.id for phone in phones]
    assert notifier.pushes_of("ben") == []


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"read": True}, SkipReason.READ),
        ({"deleted": True}, SkipReason.DELETED),
        ({"member": False}, SkipReason.LEFT),
        ({"muted": True}, SkipReason.MUTED),
        ({"synced": True}, SkipReason.DELIVERED),
    ],
)
async def test_what_happens_in_the_grace_decides(now: dict[str, bool], reason: SkipReason) -> None:
    """It is decided when it is due, by how things stand then."""
    notifier = NotifierHarness()
    waiting = notifier.message("alice")
    await notifier.advance(1)
    notifier.now(waiting, **now)
    await notifier.advance(60)
    assert (waiting.state, waiting.reason) == (SKIPPED, reason)
    assert notifier.pushes_of("alice") == []


async def test_an_edited_message_is_pushed_as_it_is_now() -> None:
    """And a user without devices has what the provider finds by itself."""
    notifier = NotifierHarness()
    waiting = notifier.message("alice", "See you at nine")
    notifier.now(waiting, content="See you at ten")
    await notifier.advance(2)
    [push] = notifier.pushes_of("alice")
    assert (push.content, push.target) == ("See you at ten", None)


async def test_what_was_held_at_night_is_one_push_in_the_morning() -> None:
    """What was read by then is not counted; what is important does not wait."""
    notifier = NotifierHarness(clock=FakeClock(datetime(2026, 1, 5, 23, tzinfo=UTC)))
    night = QuietHours(zone="Europe/Berlin", start="22:00", end="07:00")
    notifier.user("alice", settings=NotificationSettings(quiet_hours=night), badge=2)
    messages = [notifier.message("alice", f"message {number}") for number in range(3)]
    urgent = notifier.message("alice", "fire", is_important=True)
    await notifier.advance(60)
    assert [one.held for one in messages] == [True] * 3
    assert [push.content for push in notifier.pushes_of("alice")] == ["fire"]
    assert urgent.state is SENT
    notifier.now(messages[0], read=True)
    await notifier.advance(7 * 3_600 - 61)
    assert len(notifier.pushes_of("alice")) == 1
    await notifier.advance(1)
    digest = notifier.pushes_of("alice")[0]
    assert (digest.content, digest.badge) == ("2 messages in 2 conversations", 2)
    assert [(one.state, one.reason) for one in messages] == [
        (SKIPPED, SkipReason.READ),
        (SKIPPED, SkipReason.DIGESTED),
        (SENT, None),
    ]


async def test_a_digest_that_fails_is_tried_again_as_a_whole() -> None:
    """The messages of it wait together, and end together."""
    provider = RecordingProvider(failures=[TransientPushError("not now")])
    notifier = NotifierHarness(provider)
    snoozed = NotificationSettings(snooze_until=notifier.clock() + timedelta(hours=1))
    notifier.user("alice", settings=snoozed)
    first, second = notifier.message("alice"), notifier.message("alice")
    await notifier.advance(3_600)
    assert [first.state, second.state] == [PENDING, PENDING]
    await notifier.advance(1)
    assert [first.state, second.state] == [SKIPPED, SENT]
    assert [push.id for push in provider.asked] == [provider.asked[0].id] * 2


async def test_a_provider_that_fails_for_now_is_asked_again() -> None:
    """After 1, 2, 4 seconds, or when it asks for it; the same push each time, so that a device can know it."""
    provider = RecordingProvider(
        failures=[TransientPushError("a"), TransientPushError("b"), TransientPushError("c", retry_after_s=30)]
    )
    notifier = NotifierHarness(provider, policy=Policy(grace_offline_s=0))
    waiting = notifier.message("alice")
    asked = []
    for seconds in (0, 1, 2, 29, 1):
        await notifier.advance(seconds)
        asked.append(len(provider.asked))
    assert asked == [1, 2, 3, 3, 4]
    assert (waiting.state, waiting.errors) == (SENT, ["a", "b", "c"])
    assert len({push.id for push in provider.asked}) == 1


async def test_what_became_of_pushes_that_nobody_took() -> None:
    """Failed for good, given up after a day, or the device is gone: only the first two are dead letters."""
    never = NotifierHarness(RecordingProvider(always=PermanentPushError("too large")))
    dead = never.message("alice")
    away = NotifierHarness(RecordingProvider(always=TransientPushError("away")))
    given_up = away.message("alice")
    gone = NotifierHarness(RecordingProvider(services=[PushService.STUB], always=TokenGoneError("uninstalled")))
    gone.device("alice")
    skipped, later = gone.message("alice"), gone.message("alice")
    for notifier in (never, away, gone):
        await notifier.advance(2 * 86_400)
    assert (dead.state, dead.errors) == (DEAD, ["too large"])
    assert given_up.state is DEAD
    assert len(given_up.errors) > 20
    assert (skipped.state, skipped.reason) == (SKIPPED, SkipReason.TOKEN_GONE)
    assert (later.state, later.reason) == (SKIPPED, SkipReason.NO_DEVICE)


async def test_credentials_that_are_refused_use_up_no_attempt() -> None:
    """The push waits for a minute each time, and goes out when somebody has repaired them."""
    provider = RecordingProvider(always=ProviderRefusedError("wrong key"))
    notifier = NotifierHarness(provider)
    waiting = notifier.message("alice")
    await notifier.advance(7_200)
    assert waiting.state is PENDING
    provider.recover()
    await notifier.advance(60)
    assert waiting.state is SENT


async def test_a_device_that_signs_out_between_attempts_gets_nothing() -> None:
    """What another phone got before stays sent."""
    provider = RecordingProvider(services=[PushService.STUB])
    notifier = NotifierHarness(provider)
    stays = notifier.device("alice")
    notifier.device("alice")
    provider.fail(TransientPushError("not now"), TransientPushError("not now"))
    waiting = notifier.message("alice")
    await notifier.advance(2)
    notifier.user("alice", devices=(stays,))
    await notifier.advance(10)
    assert waiting.state is SENT
    assert [push.target and push.target.device for push in provider.sent] == [stays.id]


async def test_an_idle_desktop_is_told_from_one_with_somebody_before_it() -> None:
    """The phone rings after the longer grace, or not at all."""
    notifier = NotifierHarness()
    idle, active = (
        ConnectionNow(device_type=DeviceType.DESKTOP, idle=True),
        ConnectionNow(device_type=DeviceType.DESKTOP),
    )
    notifier.user("alice", connections=(idle,))
    notifier.user("carol", connections=(active,))
    rings = notifier.message("alice", offline=OfflineReason.IDLE_DESKTOP)
    silent = notifier.message("carol", offline=OfflineReason.IDLE_DESKTOP)
    await notifier.advance(29)
    assert rings.state is PENDING
    await notifier.advance(1)
    assert rings.state is SENT
    assert (silent.state, silent.reason) == (SKIPPED, SkipReason.ACTIVE_DESKTOP)


async def test_devices_find_their_provider() -> None:
    """By their service, then whoever needs no token; nobody: a reason."""
    apple, rest = RecordingProvider("apns", services=[PushService.APNS]), RecordingProvider("rest")
    notifier = NotifierHarness(apple, rest)
    notifier.device("alice", PushService.APNS)
    notifier.device("alice", PushService.JPUSH)
    notifier.message("alice")
    only = NotifierHarness(RecordingProvider("apns", services=[PushService.APNS]))
    only.device("alice", PushService.JPUSH)
    nobody, without = only.message("alice"), only.message("carol")
    for each in (notifier, only):
        await each.advance(2)
    assert (len(apple.sent), len(rest.sent)) == (1, 1)
    assert (nobody.reason, without.reason) == (SkipReason.NO_PROVIDER, SkipReason.NO_DEVICE)


async def test_words_by_language_and_without_text() -> None:
    """As the deployment would have it."""
    chinese = NotifierHarness(content=PushContent.IDS, locale="zh-CN")
    chinese.message("alice", "secret")
    chinese.notification("alice", "Invoice", "12 €", action="open_invoice")
    await chinese.advance(2)
    hidden, notice = chinese.pushes_of("alice")
    assert "secret" not in hidden.title + hidden.content
    assert "Invoice" not in notice.title
    assert notice.data["action"] == "open_invoice"


def test_a_clock_does_not_go_back() -> None:
    """And it has a time zone."""
    clock = FakeClock(datetime(2026, 1, 5, tzinfo=UTC))
    clock.advance(60)
    assert clock() == datetime(2026, 1, 5, 0, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        FakeClock(datetime(2026, 1, 5))  # noqa: DTZ001 - that is what is refused
