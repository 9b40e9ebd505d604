"""What the notifier tells of its decisions: one record per event and user, with one entry per device."""

from __future__ import annotations

from enum import StrEnum

from contracts.codec import Contract
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.ids import UserId, Uuid
from contracts.times import Instant


class PushState(StrEnum):
    """Where a delivery stands: `pending` until every device of it is settled."""

    PENDING = "pending"
    SENT = "sent"
    """At least one provider took it."""
    SKIPPED = "skipped"
    DEAD = "dead"
    """It was due, and no provider took it."""


class SkipReason(StrEnum):
    """Why a push was not sent; stored, shown by the API, and a label of the metrics."""

    NOT_A_MESSAGE = "not_a_message"
    """Only new messages and notifications become pushes."""
    OWN_MESSAGE = "own_message"
    """The user wrote it."""
    EXCLUDED = "excluded"
    """The sender's application left this user out (`exclude_user_id`), or it is a notification for somebody else."""
    UNKNOWN_VERSION = "unknown_version"
    """A message or notification of a later release than this notifier."""
    DELETED = "deleted"
    """The message is a tombstone by now."""
    READ = "read"
    """The user has read it."""
    DELIVERED = "delivered"
    """A device got it meanwhile, over a socket or by sync."""
    LEFT = "left"
    """The user does not take part in the conversation any more."""
    BLOCKED = "blocked"
    """The user may not use the service any more."""
    TURNED_OFF = "turned_off"
    """The user wants no pushes."""
    MUTED = "muted"
    """The user muted the conversation."""
    ACTIVE_DESKTOP = "active_desktop"
    """Somebody sits before a desktop that has it."""
    LARGE_ROOM = "large_room"
    """A conversation of so many pushes what is important or mentions the user, and nothing else."""
    NO_DEVICE = "no_device"
    """The user has no device that could be pushed."""
    NO_PROVIDER = "no_provider"
    """No configured provider carries pushes to the user's devices."""
    TOKEN_GONE = "token_gone"  # noqa: S105 - the name of a reason
    """The device is registered no more."""
    DIGESTED = "digested"
    """It was held, and is part of the one push that told of everything held."""
    EXPIRED = "expired"
    """It was held for longer than a push is worth sending."""
    DROPPED = "dropped"
    """An operator dropped it from the dead letters."""


class DevicePushState(StrEnum):
    """Where the push to one device stands."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    """The provider took it."""
    SKIPPED = "skipped"
    FAILED = "failed"
    """No provider took it, and none will be asked again."""


class DevicePush(Contract):
    """The push to one device; `device` is None when the provider addresses the user."""

    id: Uuid
    """What the app acknowledges: `push_id` in the push's data."""
    device: Uuid | None = None
    device_type: DeviceType | None = None
    provider: str
    state: DevicePushState
    skip_reason: SkipReason | None = None
    attempts: int = 0
    provider_ref: str | None = None
    """The provider's own name for it."""
    last_error: str | None = None
    attempted_at: Instant | None = None
    """First attempt."""
    accepted_at: Instant | None = None
    acknowledged_at: Instant | None = None
    """The app said that it has it."""
    retracted_at: Instant | None = None
    """The device was told to take it back: read elsewhere, or deleted."""
    due_at: Instant | None = None
    """Next attempt, while pending."""


class PushRecord(Contract):
    """One row of `GET /v1/pushes` at the notifier."""

    id: int
    event_id: Uuid
    user_id: UserId
    reason: OfflineReason
    state: PushState
    provider: str | None = None
    skip_reason: SkipReason | None = None
    attempts: int = 0
    last_error: str | None = None
    received_at: Instant
    due_at: Instant | None = None
    """When it is looked at again, while pending."""
    held: bool = False
    """Waits for the end of quiet hours or of a snooze."""
    settled_at: Instant | None = None
    devices: tuple[DevicePush, ...] = ()
