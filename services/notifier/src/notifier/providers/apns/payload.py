"""A push as APNs takes it; pure.

From Apple's "Generating a remote notification", "Sending notification requests to APNs" and "Pushing background
updates to your App".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifier.providers.shared.fitting import fitted
from notifier.push import Priority, Push, PushKind

PAYLOAD_BYTES_MAX = 4_096


def body(push: Push) -> bytes:
    """The request's body; raises `PayloadTooLarge`."""
    if push.kind is PushKind.RETRACTION:
        # A background push must not hold a badge in `aps`: the app sets it when it wakes up.
        return fitted(
            lambda _title, _content: _beside(push) | {"aps": {"content-available": 1}}, "", "", PAYLOAD_BYTES_MAX
        )

    def notification(title: str, content: str) -> dict[str, Any]:
        aps: dict[str, Any] = {
            "alert": {"title": title, "body": content},
            "sound": "default",
            # An extension of the app may change what is shown: fetch the text when only ids were sent, say.
            "mutable-content": 1,
        }
        if push.badge is not None:
            aps["badge"] = push.badge
        if push.group is not None:
            aps["thread-id"] = push.group
        if push.priority is Priority.HIGH:
            aps["interruption-level"] = "time-sensitive"
        return _beside(push) | {"aps": aps}

    return fitted(notification, push.title, push.content, PAYLOAD_BYTES_MAX)


def headers(push: Push, topic: str, now: datetime) -> dict[str, str]:
    """The request's headers, but for the signature."""
    alert = push.kind is PushKind.ALERT
    return {
        "apns-id": push.id,
        "apns-topic": topic,
        "apns-push-type": "alert" if alert else "background",
        # 10 is refused for background pushes.
        "apns-priority": "10" if alert and push.priority is Priority.HIGH else "5",
        # 0: tried once, and not kept for a device that is away.
        "apns-expiration": str(int(now.timestamp()) + push.ttl_s) if push.ttl_s > 0 else "0",
        # A push that arrives twice is shown once.
        "apns-collapse-id": push.message_id,
    }


def _beside(push: Push) -> dict[str, Any]:
    """What the app finds beside `aps`."""
    beside: dict[str, Any] = dict(push.data)
    if push.retract:
        beside["retract"] = list(push.retract)
    if push.badge is not None and push.kind is PushKind.RETRACTION:
        beside["badge"] = push.badge
    return beside
