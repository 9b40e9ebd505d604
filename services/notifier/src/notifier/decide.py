"""Whether a delivery becomes a push, asked again each time it is due; pure.

The rules stand in the order in which they are asked; the first that applies gives the reason. What a later rule needs
to know (receipts, preferences, presence) becomes an argument: this file never fetches anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from contracts.events import MessageCreated, UserNotified
from notifier.deliveries import Delivery, SkipReason


@dataclass(frozen=True, slots=True)
class Send:
    """Push it now."""

    told: MessageCreated | UserNotified


@dataclass(frozen=True, slots=True)
class Skip:
    """Never push it."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again at `when`."""

    when: datetime


Decision: TypeAlias = Send | Skip | Later


def decide(delivery: Delivery, now: datetime) -> Decision:
    """The decision for `delivery` at the instant `now`; no rule of this release waits, so `now` changes nothing yet."""
    message = delivery.data
    if isinstance(message, UserNotified):
        # The system says it to this one user; only a delivery that was misdirected is not for him.
        ours = message.notification.user_id == delivery.user_id
        return Send(message) if ours else Skip(SkipReason.EXCLUDED)
    if not isinstance(message, MessageCreated):
        newer = message is None and delivery.event.type in (MessageCreated.type, UserNotified.type)
        return Skip(SkipReason.UNKNOWN_VERSION if newer else SkipReason.NOT_A_MESSAGE)
    if message.sender_id == delivery.user_id:
        return Skip(SkipReason.OWN_MESSAGE)
    if delivery.user_id in message.exclude_user_ids:
        return Skip(SkipReason.EXCLUDED)
    if message.deleted_at is not None:
        return Skip(SkipReason.DELETED)
    return Send(message)
