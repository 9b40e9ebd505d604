"""A delivery as the notifier sees it, and what became of it and of its pushes; types only, no I/O.

A delivery is an event and a user; a push is a delivery and a device. A delivery is settled when all its pushes are:

  pending ─► skipped(reason)                                  decided: no push
          ├─► sent | dead                                     every push is accepted, skipped or failed
          └─► pending, due again at a moment, perhaps held
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from contracts.codec import decode
from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.errors import Undecodable, UnknownEvent
from contracts.events import EventData, MessageCreated, UserNotified
from contracts.pushes import DevicePushState, PushState, SkipReason


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One push as it is written down: to a device, or to the user (`device_id` is None)."""

    push_id: str
    device_id: str | None
    device_type: DeviceType | None
    provider: str
    state: DevicePushState = DevicePushState.PENDING
    attempts: int = 0
    due_now: bool = True
    """Whether its next attempt is due."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the inbox. `data` is None when the event is of a type or version that this release does not know."""

    id: int
    user_id: str
    reason: OfflineReason
    event: Envelope
    data: EventData | None
    decided_at: datetime
    attempts: int
    held: bool = False
    """It was held until now: it is told together with whatever else was."""
    replayed_at: datetime | None = None
    """When an operator brought it back from the dead letters."""
    pushes: tuple[DeviceRow, ...] = ()

    @property
    def worth_since(self) -> datetime:
        """When the time began in which it is worth a push: what is replayed gets all of it again."""
        return self.event.time if self.replayed_at is None else max(self.event.time, self.replayed_at)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that an earlier release wrote and this one cannot read."""

    id: int
    error: str


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """What became of one push in this round."""

    row: DeviceRow
    state: DevicePushState
    attempted: bool = False
    provider_ref: str | None = None
    skip_reason: SkipReason | None = None
    error: str | None = None
    wait_s: float | None = None
    """Seconds until the next attempt, if it is still pending."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery in this round.

    Pending: it is looked at again at `until`, after `wait_s`, or (neither is set) when the first of its pushes is due.
    """

    state: PushState
    skip_reason: SkipReason | None = None
    error: str | None = None
    wait_s: float | None = None
    until: datetime | None = None
    held: bool = False
    follows: int | None = None
    """The delivery on whose pushes a digest waits: this one is due together with it, never alone."""
    given_back: bool = False
    """Nothing was tried: it stays due as it was."""
    pushes: tuple[PushOutcome, ...] = ()

    @property
    def anything_left(self) -> bool:
        """Whether a provider took something: forgotten, it would be sent again."""
        return any(push.state is DevicePushState.ACCEPTED for push in self.pushes)


def settled(delivery: Delivery, pushes: tuple[PushOutcome, ...]) -> Outcome:
    """The outcome of a delivery whose pushes stand like that now; those of earlier rounds count, too."""
    told = {push.row.push_id for push in pushes}
    states = [push.state for push in pushes]
    states += [row.state for row in delivery.pushes if row.push_id not in told]
    errors = [push.error for push in pushes if push.error is not None]
    if DevicePushState.PENDING in states:
        # A push of an earlier round whose time has not come keeps its own: the store knows which one is the nearest.
        return Outcome(PushState.PENDING, error=errors[-1] if errors else None, held=delivery.held, pushes=pushes)
    if DevicePushState.ACCEPTED in states:
        return Outcome(PushState.SENT, pushes=pushes)
    if DevicePushState.FAILED in states:
        # Replayed, a digest is a digest again.
        return Outcome(PushState.DEAD, error=errors[-1] if errors else None, held=delivery.held, pushes=pushes)
    reasons = [push.skip_reason for push in pushes if push.skip_reason is not None]
    return Outcome(PushState.SKIPPED, skip_reason=reasons[-1] if reasons else SkipReason.NO_DEVICE, pushes=pushes)


@dataclass(frozen=True, slots=True)
class About:
    """What a delivery is about: to ask for it, and to find it again. None: outside of any conversation."""

    conversation_id: str | None
    message_id: str | None
    seq: int | None


NOTHING = About(None, None, None)


def about(data: EventData | None) -> About:
    """What an event is about, if it can become a push."""
    match data:
        case MessageCreated():
            return About(data.conversation_id, data.id, data.seq)
        case UserNotified(notification=notification):
            return About(notification.conversation_id, None, None)
        case _:
            return NOTHING


def read_offline(payload: bytes | str) -> tuple[OfflineDelivery, EventData | None]:
    """An OFFLINE_DELIVERY message and its typed event; raises `Undecodable` without repeating the (private) input."""
    offline = decode(OfflineDelivery, payload)
    try:
        return offline, offline.event.event()
    except UnknownEvent:
        return offline, None
    except ValidationError as invalid:
        places = ", ".join(".".join(map(str, error["loc"])) for error in invalid.errors(include_input=False)[:5])
        raise Undecodable(f"event data of {offline.event.type!r} is not valid at: {places}") from None
