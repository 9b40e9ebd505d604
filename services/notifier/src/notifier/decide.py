"""Whether a delivery becomes a push, asked again each time it is due; pure.

The rules stand in the order in which they are asked; the first that applies gives the reason. What they need to know
(the record of this moment, the user's wishes, who is there) is an argument: this file never fetches anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType, PushDevice
from contracts.events import MessageCreated, UserNotified
from contracts.pushes import SkipReason
from contracts.pushfacts import DeliveryFacts, UserFacts
from notifier.deliveries import Delivery
from notifier.quiet import held_until

_ONLY_DESKTOPS = (OfflineReason.IDLE_DESKTOP, OfflineReason.ACTIVE_DESKTOP)
"""A desktop or tablet has it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the deployment has decided; users' own settings go on top. Seconds."""

    grace_offline_s: float = 2.0
    """From the moment that nobody was there: a connection that flaps is back by then, and no push is due."""
    grace_idle_desktop_s: float = 30.0
    """From the moment that only desktops got it before which nobody sits."""
    grace_active_desktop_s: float = 60.0
    """From the moment that only desktops got it, somebody before one of them; only if that is wanted at all."""
    push_active_desktop: bool = False
    large_room_members: int = 200
    """A conversation of more members pushes what is important or mentions the user, and nothing else."""
    ttl_s: float = 86_400.0
    """After that a push is not worth sending any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """How things stand now, as chat-api says."""

    delivery: DeliveryFacts
    user: UserFacts


@dataclass(frozen=True, slots=True)
class Send:
    """Push it now to these devices; none: only a provider that needs no device can carry it."""

    told: MessageCreated | UserNotified
    """As it is now: with the edited text."""
    devices: tuple[PushDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """Never push it."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again at `when`."""

    when: datetime
    held: bool = False
    """For quiet hours or a snooze: what is held of one user becomes one digest."""


Decision: TypeAlias = Send | Skip | Later


def first_look(delivery: Delivery) -> Skip | None:
    """What can be said without asking anybody; None: the facts are needed."""
    message = delivery.data
    if isinstance(message, UserNotified):
        # The system says it to this one user; only a delivery that was misdirected is not for him.
        ours = message.notification.user_id == delivery.user_id
        return None if ours else Skip(SkipReason.EXCLUDED)
    if not isinstance(message, MessageCreated):
        newer = message is None and delivery.event.type in (MessageCreated.type, UserNotified.type)
        return Skip(SkipReason.UNKNOWN_VERSION if newer else SkipReason.NOT_A_MESSAGE)
    if message.sender_id == delivery.user_id:
        return Skip(SkipReason.OWN_MESSAGE)
    if delivery.user_id in message.exclude_user_ids:
        return Skip(SkipReason.EXCLUDED)
    if message.deleted_at is not None:
        return Skip(SkipReason.DELETED)
    return None


def decide(delivery: Delivery, facts: Facts, policy: Policy, now: datetime) -> Decision:
    """The decision for `delivery`, which passed `first_look`, at the instant `now`."""
    told = _as_it_is_now(delivery, facts.delivery)
    skip = _pointless(delivery, facts) or _unwanted(delivery, told, facts, policy)
    if skip is not None:
        return skip
    if now - delivery.worth_since >= timedelta(seconds=policy.ttl_s):
        return Skip(SkipReason.EXPIRED)
    due = delivery.decided_at + timedelta(seconds=_grace_s(delivery, facts, policy))
    if now < due:
        return Later(due)
    settings = facts.user.settings
    if not (_is_important(told) and settings.important_past_quiet_hours):
        until = held_until(settings, now)
        if until is not None:
            return Later(until, held=True)
    return _to_devices(delivery, told, facts)


# --- rules ------------------------------------------------------------------------------------------------------------


def _pointless(delivery: Delivery, facts: Facts) -> Skip | None:
    """It would tell nobody anything new."""
    now, user = facts.delivery, facts.user
    if user.blocked:
        return Skip(SkipReason.BLOCKED)
    if isinstance(delivery.data, MessageCreated):
        if not now.member:
            return Skip(SkipReason.LEFT)
        if now.deleted:
            return Skip(SkipReason.DELETED)
    if now.read:
        return Skip(SkipReason.READ)
    return Skip(SkipReason.DELIVERED) if _is_delivered(delivery, facts) else None


def _is_delivered(delivery: Delivery, facts: Facts) -> bool:
    """Whether a device has it that makes the push needless."""
    now = facts.delivery
    if DeviceType.MOBILE in now.delivered_to:
        return True
    if delivery.reason in _ONLY_DESKTOPS or _is_important(_told(delivery)):
        # A desktop has it, and its regular sync says so, too; the question is the phone.
        return False
    return now.synced or bool(now.delivered_to)


def _unwanted(delivery: Delivery, told: MessageCreated | UserNotified, facts: Facts, policy: Policy) -> Skip | None:
    """The user, or the deployment, does not want it."""
    settings, now = facts.user.settings, facts.delivery
    if not settings.pushes:
        return Skip(SkipReason.TURNED_OFF)
    important = _is_important(told)
    if now.muted and not (important and settings.important_past_mute):
        return Skip(SkipReason.MUTED)
    if now.members > policy.large_room_members and not important and not _is_mentioned(told, delivery.user_id):
        return Skip(SkipReason.LARGE_ROOM)
    if delivery.reason in _ONLY_DESKTOPS and not important and _sits_there(facts.user):
        wanted = settings.push_active_desktop
        if not (policy.push_active_desktop if wanted is None else wanted):
            return Skip(SkipReason.ACTIVE_DESKTOP)
    return None


def _grace_s(delivery: Delivery, facts: Facts, policy: Policy) -> float:
    """How long after the delivery was given up, in seconds."""
    settings = facts.user.settings
    if delivery.reason is OfflineReason.IMPORTANT_MOBILE or (
        delivery.reason in _ONLY_DESKTOPS and _is_important(_told(delivery))
    ):
        # The fan-out has waited for the phone already.
        return 0.0
    if delivery.reason in _ONLY_DESKTOPS:
        if _sits_there(facts.user):
            return policy.grace_active_desktop_s
        return max(policy.grace_idle_desktop_s, settings.grace_idle_desktop_s or 0)
    return max(policy.grace_offline_s, settings.grace_offline_s or 0)


def _to_devices(delivery: Delivery, told: MessageCreated | UserNotified, facts: Facts) -> Send | Skip:
    """To whatever has not got it; when desktops have it, to what people carry with them."""
    registered = facts.user.devices
    if not registered:
        return Send(told)
    has_it = set(facts.delivery.delivered_to)
    if delivery.reason in (*_ONLY_DESKTOPS, OfflineReason.IMPORTANT_MOBILE):
        has_it.add(DeviceType.DESKTOP)
    wanted = told.device_types if isinstance(told, UserNotified) and told.device_types else tuple(DeviceType)
    devices = tuple(one for one in registered if one.device_type in wanted and one.device_type not in has_it)
    return Send(told, devices) if devices else Skip(SkipReason.NO_DEVICE)


# --- what they ask ----------------------------------------------------------------------------------------------------


def _told(delivery: Delivery) -> MessageCreated | UserNotified:
    assert isinstance(delivery.data, (MessageCreated, UserNotified)), "first_look lets nothing else pass"
    return delivery.data


def _as_it_is_now(delivery: Delivery, now: DeliveryFacts) -> MessageCreated | UserNotified:
    told = _told(delivery)
    if isinstance(told, MessageCreated) and now.content is not None:
        return told.model_copy(update={"content": now.content})
    return told


def _is_important(told: MessageCreated | UserNotified) -> bool:
    return told.notification.is_important if isinstance(told, UserNotified) else told.is_important


def _is_mentioned(told: MessageCreated | UserNotified, user_id: str) -> bool:
    return isinstance(told, UserNotified) or user_id in (told.mentions or ())


def _sits_there(user: UserFacts) -> bool:
    return any(one.device_type is not DeviceType.MOBILE and not one.idle for one in user.connections)
