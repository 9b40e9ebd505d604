"""A push before any provider's format: to what, how urgent, which words; pure types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.devices import DeviceType, Platform, PushService, SubscriptionKeys


class Priority(StrEnum):
    """How hard the provider shall try to wake the device."""

    NORMAL = "normal"
    HIGH = "high"


class PushKind(StrEnum):
    """What a push is for."""

    ALERT = "alert"
    """It is shown."""
    RETRACTION = "retraction"
    """It takes back what was shown for `retract`, and brings the badge up to date; it shows nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """One registered device. `token` is a secret: never in a log, an error or a URL that is logged."""

    device: str
    """Its registration's id."""
    service: PushService
    token: str
    keys: SubscriptionKeys | None
    app_id: str
    platform: Platform
    device_type: DeviceType
    locale: str | None
    sandbox: bool
    registered_at: datetime
    """When this token was registered: what a service says about an earlier moment is about another token."""


@dataclass(frozen=True, slots=True)
class Push:
    """One push to one device, or to a user when the provider finds the devices by itself (`target` is None)."""

    id: str
    """This push's own id, which the app acknowledges; `push_id` in `data` says the same."""
    message_id: str
    """That of the message or notification: a device that gets it twice shows it once."""
    user_id: str
    target: Target | None
    device_class: DeviceType
    priority: Priority
    title: str
    content: str
    data: dict[str, str]
    kind: PushKind = PushKind.ALERT
    group: str | None = None
    """The conversation: pushes of one group are shown together, and a device that was away gets the latest."""
    badge: int | None = None
    """Conversations with something unread, of this moment; None: unknown, leave the badge alone."""
    ttl_s: int = 86_400
    """How long the service keeps it for a device that is away, in seconds; 0: now or never."""
    retract: tuple[str, ...] = ()
    """Groups whose pushes the device shall take back, beside whatever this push shows."""
