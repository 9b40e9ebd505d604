"""A push as JPush takes it; pure.

From "Push API v3" of JPush's documentation: the sections platform, audience, notification (android, ios), message,
options. A key that JPush does not know is refused (1009).
"""

from __future__ import annotations

from typing import Any

from contracts.devices import Platform
from notifier.providers.shared.extras import extras
from notifier.providers.shared.fitting import dump, fitted
from notifier.push import Priority, Push, PushKind, Target

ANDROID_BYTES_MAX = 4_000
"""Of notification and message ("1005" in the section on answers)."""
IOS_BYTES_MAX = 2_000
"""Of the object `ios`, braces included."""
TTL_S_MAX = 864_000
"""Ten days; more is refused."""
BADGE_MAX = 99
_PRIORITY_IMPORTANT = 2
"""The highest of -2 to 2."""


def body(push: Push, to: Target, cid: str | None, *, channel: str = "", channel_important: str = "") -> bytes:
    """The request's body; raises `PayloadTooLarge`. `cid` is JPush's id of this request: the same one again is not
    pushed again."""
    ios = to.platform is Platform.IOS

    def told(title: str, content: str) -> dict[str, Any]:
        if ios:
            return {"notification": {"ios": _ios(push, title, content)}}
        if push.kind is PushKind.RETRACTION:
            return {"message": {"msg_content": "retract", "extras": extras(push)}}
        important = push.priority is Priority.HIGH
        used_channel = (channel_important if important else "") or channel
        return {"notification": {"android": _android(push, title, content, used_channel)}}

    around: dict[str, Any] = {
        "platform": ["ios" if ios else "android"],
        "audience": {"registration_id": [to.token]},
        "options": _options(push, to),
    }
    if cid is not None:
        around["cid"] = cid
    # The limit is about one part of the whole: what stands around it is allowed on top.
    limit = IOS_BYTES_MAX + len(dump({"notification": {"ios": 0}})) if ios else ANDROID_BYTES_MAX
    return fitted(lambda title, content: around | told(title, content), push.title, push.content, limit + _size(around))


def _size(around: dict[str, Any]) -> int:
    # Two objects become one: a comma more, and two pairs of braces less, of which the whole has one again.
    return len(dump(around)) - 2


def _android(push: Push, title: str, content: str, channel: str) -> dict[str, Any]:
    android: dict[str, Any] = {"title": title, "alert": content, "extras": extras(push)}
    if push.priority is Priority.HIGH:
        android["priority"] = _PRIORITY_IMPORTANT
    if channel:
        android["channel_id"] = channel
    if push.badge is not None:
        android["badge_set_num"] = min(push.badge, BADGE_MAX)
    return android


def _ios(push: Push, title: str, content: str) -> dict[str, Any]:
    if push.kind is PushKind.RETRACTION:
        # An empty alert is not shown; the app wakes up, takes back and sets its badge.
        return {"alert": "", "content-available": True, "extras": extras(push)}
    ios: dict[str, Any] = {
        "alert": {"title": title, "body": content},
        "sound": "default",
        # An extension of the app may change what is shown: fetch the text when only ids were sent, say.
        "mutable-content": True,
        "extras": extras(push),
    }
    if push.badge is not None:
        ios["badge"] = push.badge
    if push.group is not None:
        ios["thread-id"] = push.group
    if push.priority is Priority.HIGH:
        ios["interruption-level"] = "time-sensitive"
    return ios


def _options(push: Push, to: Target) -> dict[str, Any]:
    options: dict[str, Any] = {"time_to_live": min(max(push.ttl_s, 0), TTL_S_MAX)}
    if to.platform is Platform.IOS:
        options["apns_production"] = not to.sandbox
        # A push that arrives twice is shown once.
        options["apns_collapse_id"] = push.message_id
    return options
