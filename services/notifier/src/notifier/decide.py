"""Whether a delivery becomes a push, asked again each time it is due; pure.

The rules stand in the order in which they are asked; the first that applies gives the reason. What they need to know
(the record of this moment, the user's wishes, who is there) is an argument: this file never fetches anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from contracts.devices import PushDevice
from contracts.events import MessageCreated, UserNotified
from contracts.pushes import SkipReason
from contracts.pushfacts import DeliveryFacts, UserFacts
from notifier.deliveries import Delivery


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
    raise NotImplementedError
