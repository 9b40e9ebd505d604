"""Every rule of the decision, with the reason it gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType, Platform, PushDevice, PushService
from contracts.events import ConversationUpdated, MessageDeleted, MessageEdited
from contracts.ids import new_id
from contracts.preferences import NotificationSettings, QuietHours
from contracts.pushes import SkipReason
from contracts.pushfacts import ConnectionNow, DeliveryFacts, UserFacts
from notifier.decide import Decision, Facts, Later, Policy, Send, Skip, decide, first_look
from notifier.deliveries import Delivery

from .support import AT, delivery, envelope, message, notification_event, notified

PLAIN = message()
IMPORTANT = message(is_important=True)
NOTIFIED = notified()
OTHER_EVENTS = (
    ConversationUpdated(conversation_id=PLAIN.conversation_id, updated_by="bob", updated_at=AT),
    MessageEdited(**PLAIN.model_dump(exclude={"exclude_user_ids"})),
    MessageDeleted(**PLAIN.model_dump(exclude={"exclude_user_ids"})),
)
POLICY = Policy(grace_offline_s=2, grace_idle_desktop_s=30, grace_active_desktop_s=60, large_room_members=200)
LATER = AT + timedelta(seconds=90)
"""After every grace."""
IDLE, ACTIVE = OfflineReason.IDLE_DESKTOP, OfflineReason.ACTIVE_DESKTOP
OFFLINE, UNACKNOWLEDGED = OfflineReason.NO_CONNECTION, OfflineReason.UNACKNOWLEDGED
DESKTOP, MOBILE, TABLET = DeviceType.DESKTOP, DeviceType.MOBILE, DeviceType.TABLET
SITS_THERE = ConnectionNow(device_type=DESKTOP)
AWAY_FROM_IT = ConnectionNow(device_type=DESKTOP, idle=True)
NIGHT = QuietHours(zone="UTC", start="08:00", end="09:00")
"""AT is 08:15:30 in UTC."""
MORNING = AT.replace(hour=9, minute=0, second=0)


def device(device_type: DeviceType = MOBILE) -> PushDevice:
    """A registration of alice's."""
    return PushDevice(
        id=new_id(),
        app_id="app",
        platform=Platform.ANDROID,
        push_service=PushService.FCM,
        device_type=device_type,
        token="t",
        registered_at=AT,
    )


PHONE, LAPTOP, PAD = device(), device(DESKTOP), device(TABLET)


def facts(**changes: Any) -> Facts:
    """Alice takes part, has read nothing and has nothing; any field of either half may be changed."""
    about = {name: changes.pop(name) for name in list(changes) if name in DeliveryFacts.model_fields}
    user = UserFacts(user_id="alice", **changes)
    return Facts(DeliveryFacts(user_id="alice", event_id=new_id(), **about), user)


def wishes(**changes: Any) -> NotificationSettings:
    """Alice's settings."""
    return NotificationSettings(**changes)


def of(reason: OfflineReason, data: Any = PLAIN) -> Delivery:
    """A delivery that was handed over for this reason."""
    return replace(delivery(data), reason=reason)


# --- without asking anybody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_delivery", "expected"),
    [
        (delivery(PLAIN), None),
        (delivery(NOTIFIED, event=notification_event(NOTIFIED)), None),
        (delivery(NOTIFIED, user_id="bob", event=notification_event(NOTIFIED)), Skip(SkipReason.EXCLUDED)),
        *((delivery(event, event=envelope(type=event.type)), Skip(SkipReason.NOT_A_MESSAGE)) for event in OTHER_EVENTS),
        (delivery(PLAIN, user_id="bob"), Skip(SkipReason.OWN_MESSAGE)),
        (delivery(message(exclude_user_ids=("alice",))), Skip(SkipReason.EXCLUDED)),
        (delivery(message(exclude_user_ids=("carol",)), user_id="carol"), Skip(SkipReason.EXCLUDED)),
        (delivery(message(deleted_at=AT, content="")), Skip(SkipReason.DELETED)),
        (delivery(message(sender_id="alice", deleted_at=AT)), Skip(SkipReason.OWN_MESSAGE)),
    ],
)
def test_what_the_event_itself_says(given_delivery: Delivery, expected: Skip | None) -> None:
    """Nothing is asked for what is no push whatever the answer."""
    assert first_look(given_delivery) == expected


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        ("message.created", SkipReason.UNKNOWN_VERSION),
        ("user.notified", SkipReason.UNKNOWN_VERSION),
        ("message.reacted", SkipReason.NOT_A_MESSAGE),
    ],
)
def test_an_event_of_a_later_release_is_skipped_with_its_own_reason(event_type: str, reason: SkipReason) -> None:
    """A message event of a newer version is told apart from an event that is no message."""
    unknown = replace(delivery(), event=envelope(type=event_type, dataversion=9), data=None)
    assert first_look(unknown) == Skip(reason)


# --- one rule at a time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_delivery", "given_facts", "expected"),
    [
        # Nothing speaks against it.
        (of(OFFLINE), facts(), Send(PLAIN)),
        (of(UNACKNOWLEDGED), facts(devices=(PHONE, LAPTOP)), Send(PLAIN, (PHONE, LAPTOP))),
        (of(OFFLINE, NOTIFIED), facts(member=False, deleted=True), Send(NOTIFIED)),
        # It would tell nobody anything new.
        (of(OFFLINE), facts(blocked=True), Skip(SkipReason.BLOCKED)),
        (of(OFFLINE), facts(member=False), Skip(SkipReason.LEFT)),
        (of(OFFLINE), facts(deleted=True), Skip(SkipReason.DELETED)),
        (of(OFFLINE), facts(read=True), Skip(SkipReason.READ)),
        (of(OFFLINE, IMPORTANT), facts(read=True), Skip(SkipReason.READ)),
        (of(IDLE), facts(read=True), Skip(SkipReason.READ)),
        # Delivered meanwhile: by whatever device, also by sync.
        (of(OFFLINE), facts(delivered_to=(DESKTOP,)), Skip(SkipReason.DELIVERED)),
        (of(OFFLINE), facts(delivered_to=(MOBILE,)), Skip(SkipReason.DELIVERED)),
        (of(UNACKNOWLEDGED), facts(synced=True), Skip(SkipReason.DELIVERED)),
        (of(OFFLINE, NOTIFIED), facts(synced=True), Skip(SkipReason.DELIVERED)),
        # Important: only the phone counts.
        (of(OFFLINE, IMPORTANT), facts(delivered_to=(DESKTOP,), synced=True), Send(IMPORTANT)),
        (of(OFFLINE, IMPORTANT), facts(delivered_to=(MOBILE,)), Skip(SkipReason.DELIVERED)),
        (of(OfflineReason.IMPORTANT_MOBILE, IMPORTANT), facts(connections=(SITS_THERE,)), Send(IMPORTANT)),
        (
            of(OfflineReason.IMPORTANT_MOBILE, IMPORTANT),
            facts(devices=(PHONE, LAPTOP), delivered_to=(DESKTOP,)),
            Send(IMPORTANT, (PHONE,)),
        ),
        # Nobody sits before the desktop that has it, or somebody does.
        (of(IDLE), facts(delivered_to=(DESKTOP,), synced=True, connections=(AWAY_FROM_IT,)), Send(PLAIN)),
        (of(IDLE), facts(delivered_to=(DESKTOP, MOBILE)), Skip(SkipReason.DELIVERED)),
        (of(IDLE), facts(connections=(AWAY_FROM_IT, SITS_THERE)), Skip(SkipReason.ACTIVE_DESKTOP)),
        (of(ACTIVE), facts(connections=(SITS_THERE,)), Skip(SkipReason.ACTIVE_DESKTOP)),
        (of(ACTIVE), facts(connections=(AWAY_FROM_IT,)), Send(PLAIN)),
        (of(ACTIVE), facts(connections=(SITS_THERE,), settings=wishes(push_active_desktop=True)), Send(PLAIN)),
        (of(IDLE, IMPORTANT), facts(connections=(SITS_THERE,)), Send(IMPORTANT)),
        (of(IDLE), facts(devices=(PHONE, LAPTOP, PAD), delivered_to=(TABLET,)), Send(PLAIN, (PHONE,))),
        # What the user wants.
        (of(OFFLINE, IMPORTANT), facts(settings=wishes(pushes=False)), Skip(SkipReason.TURNED_OFF)),
        (of(OFFLINE), facts(muted=True), Skip(SkipReason.MUTED)),
        (of(OFFLINE, IMPORTANT), facts(muted=True), Send(IMPORTANT)),
        (
            of(OFFLINE, IMPORTANT),
            facts(muted=True, settings=wishes(important_past_mute=False)),
            Skip(SkipReason.MUTED),
        ),
        # Large conversations.
        (of(OFFLINE), facts(members=200), Send(PLAIN)),
        (of(OFFLINE), facts(members=201), Skip(SkipReason.LARGE_ROOM)),
        (of(OFFLINE, IMPORTANT), facts(members=5_000), Send(IMPORTANT)),
        # Which devices.
        (of(OFFLINE), facts(devices=(PHONE,)), Send(PLAIN, (PHONE,))),
        (of(OfflineReason.IMPORTANT_MOBILE, IMPORTANT), facts(devices=(LAPTOP,)), Skip(SkipReason.NO_DEVICE)),
        # Only fields that facts know are looked at: an empty answer is nobody who sits anywhere.
        (of(ACTIVE), facts(), Send(PLAIN)),
    ],
)
def test_each_rule_gives_its_reason(given_delivery: Delivery, given_facts: Facts, expected: Decision) -> None:
    """The first rule that applies gives the reason; none applies: send."""
    assert decide(given_delivery, given_facts, POLICY, LATER) == expected


def test_a_mention_reaches_people_in_large_conversations() -> None:
    """Only those who are mentioned, though."""
    mention = message(mentions=("alice",))
    assert decide(of(OFFLINE, mention), facts(members=5_000), POLICY, LATER) == Send(mention)
    other = message(mentions=("carol",))
    assert decide(of(OFFLINE, other), facts(members=5_000), POLICY, LATER) == Skip(SkipReason.LARGE_ROOM)


def test_the_text_is_the_one_of_this_moment() -> None:
    """Edited after it was sent, and before it is pushed."""
    decision = decide(of(OFFLINE), facts(content="better"), POLICY, LATER)
    assert isinstance(decision, Send)
    assert decision.told == PLAIN.model_copy(update={"content": "better"})


def test_a_notification_for_some_devices_is_pushed_to_those() -> None:
    """What the host application asked for when it notified (`device_types`)."""
    only = notified().model_copy(update={"device_types": (TABLET,)})
    decision = decide(of(OFFLINE, only), facts(devices=(PHONE, PAD)), POLICY, LATER)
    assert decision == Send(only, (PAD,))


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_delivery", "given_facts", "grace_s"),
    [
        (of(OFFLINE), facts(), 2),
        (of(UNACKNOWLEDGED), facts(), 2),
        (of(OFFLINE, IMPORTANT), facts(), 2),
        (of(OFFLINE), facts(settings=wishes(grace_offline_s=20)), 20),
        (of(OFFLINE), facts(settings=wishes(grace_offline_s=0)), 2),  # at least what the deployment waits
        (of(IDLE), facts(), 30),
        (of(IDLE), facts(settings=wishes(grace_idle_desktop_s=45)), 45),
        (of(IDLE), facts(connections=(SITS_THERE,), settings=wishes(push_active_desktop=True)), 60),
        (of(ACTIVE), facts(connections=(SITS_THERE,), settings=wishes(push_active_desktop=True)), 60),
        (of(ACTIVE), facts(), 30),
        (of(OfflineReason.IMPORTANT_MOBILE, IMPORTANT), facts(), 0),
        (of(IDLE, IMPORTANT), facts(), 0),
    ],
)
def test_the_grace_of_each_state(given_delivery: Delivery, given_facts: Facts, grace_s: int) -> None:
    """Until then it is asked again later, from then on it is sent."""
    due = AT + timedelta(seconds=grace_s)
    just_before = decide(given_delivery, given_facts, POLICY, due - timedelta(milliseconds=1))
    assert just_before == Later(due)
    assert isinstance(decide(given_delivery, given_facts, POLICY, due), Send)


@pytest.mark.parametrize(
    ("data", "settings", "expected"),
    [
        (PLAIN, wishes(quiet_hours=NIGHT), Later(MORNING, held=True)),
        (NOTIFIED, wishes(quiet_hours=NIGHT), Later(MORNING, held=True)),
        (IMPORTANT, wishes(quiet_hours=NIGHT), Send(IMPORTANT)),
        (IMPORTANT, wishes(quiet_hours=NIGHT, important_past_quiet_hours=False), Later(MORNING, held=True)),
        (PLAIN, wishes(snooze_until=AT + timedelta(hours=3)), Later(AT + timedelta(hours=3), held=True)),
        (IMPORTANT, wishes(snooze_until=AT + timedelta(hours=3)), Send(IMPORTANT)),
        (PLAIN, wishes(snooze_until=AT), Send(PLAIN)),
    ],
)
def test_what_is_held(data: Any, settings: NotificationSettings, expected: Decision) -> None:
    """Quiet hours and snoozes hold what is not important, or everything if the user wants it so."""
    assert decide(of(OFFLINE, data), facts(settings=settings), POLICY, LATER) == expected


def test_what_was_held_too_long_is_worth_no_push() -> None:
    """A message of yesterday: the next one will say that there is something."""
    at = AT + timedelta(seconds=POLICY.ttl_s)
    assert decide(of(OFFLINE), facts(), POLICY, at - timedelta(seconds=1)) == Send(PLAIN)
    assert decide(of(OFFLINE), facts(), POLICY, at) == Skip(SkipReason.EXPIRED)
    replayed = replace(of(OFFLINE), replayed_at=at)
    assert decide(replayed, facts(), POLICY, at) == Send(PLAIN), "an operator says that it is worth one"


# --- whatever the combination -----------------------------------------------------------------------------------------


@given(
    reason=st.sampled_from(list(OfflineReason)),
    important=st.booleans(),
    about=st.fixed_dictionaries(
        {name: st.booleans() for name in ("member", "read", "deleted", "synced", "muted", "blocked")}
    ),
    delivered_to=st.sets(st.sampled_from(list(DeviceType))),
    quiet=st.booleans(),
    after_s=st.integers(0, 100_000),
)
def test_a_push_implies_that_it_tells_something_to_somebody_who_wants_it(
    reason: OfflineReason,
    important: bool,
    about: dict[str, bool],
    delivered_to: set[DeviceType],
    quiet: bool,
    after_s: int,
) -> None:
    """Nobody is pushed what was read, deleted or is on the phone; the same question always has the same answer."""
    asked = of(reason, IMPORTANT if important else PLAIN)
    stand = facts(**about, delivered_to=tuple(delivered_to), settings=wishes(quiet_hours=NIGHT if quiet else None))
    now = AT + timedelta(seconds=after_s)
    decision = decide(asked, stand, POLICY, now)
    assert decide(asked, stand, POLICY, now) == decision
    if isinstance(decision, Send):
        assert about["member"]
        assert not any(about[name] for name in ("read", "deleted", "blocked"))
        assert MOBILE not in delivered_to
        assert important or not about["muted"]
    if isinstance(decision, Later):
        assert decision.when > now
