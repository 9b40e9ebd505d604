"""A push as Getui takes it; pure.

From "RestAPI V2", "推送API", the section on pushes to one cid, and "公共参数": `settings`, `push_message` (what Getui
itself brings to an app that runs), `push_channel` (what Apple and the makers of phones bring to one that does not).
"""

from __future__ import annotations

import hashlib
from typing import Any

from contracts.devices import Platform
from notifier.providers.shared.extras import extras
from notifier.providers.shared.fitting import PayloadTooLarge, clip, dump
from notifier.push import Priority, Push, PushKind, Target

TITLE_CHARS_MAX = 50
BODY_CHARS_MAX = 256
PAYLOAD_CHARS_MAX = 3_072
TTL_MS_MAX = 259_200_000
"""Three days; more is refused."""
NOT_KEPT = -1
ONLINE_FIRST = 1
"""Getui's own connection if the app runs, else the maker of the phone."""
MAKER_FIRST = 4
"""Apple, else Getui: an app on an iPhone that runs in the background has no connection of Getui's."""


def body(push: Push, to: Target, *, channel: str = "", channel_important: str = "") -> bytes:
    """The request's body; raises `PayloadTooLarge`."""
    told = dump(extras(push)).decode()
    if len(told) > PAYLOAD_CHARS_MAX:
        raise PayloadTooLarge("Getui: the push's ids and data alone are larger than it takes")
    important = push.priority is Priority.HIGH
    used_channel = (channel_important if important else "") or channel
    ios = to.platform is Platform.IOS
    whole = {
        # Without hyphens a push's id has 32 characters, the most that Getui takes. The same id again is not pushed.
        "request_id": push.id.replace("-", ""),
        "settings": {
            "ttl": min(push.ttl_s * 1_000, TTL_MS_MAX) if push.ttl_s > 0 else NOT_KEPT,
            "strategy": {"default": ONLINE_FIRST, "ios": MAKER_FIRST},
        },
        "audience": {"cid": [to.token]},
    }
    return dump(whole | (_for_ios(push, told) if ios else _for_android(push, told, used_channel)))


def _for_android(push: Push, told: str, channel: str) -> dict[str, Any]:
    if push.kind is PushKind.RETRACTION:
        # Shown by nobody, and brought only to an app that runs: that is where there is something to take back.
        return {"push_message": {"transmission": told}}
    notification = _notification(push, told)
    ours = dict(notification)
    if channel:
        ours["channel_id"] = channel
    if push.group is not None:
        ours["thread_id"] = push.group
    return {
        "push_message": {"notification": ours},
        "push_channel": {"android": {"ups": {"notification": notification}}},
    }


def _notification(push: Push, told: str) -> dict[str, Any]:
    return {
        "title": clip(push.title, TITLE_CHARS_MAX),
        "body": clip(push.content, BODY_CHARS_MAX),
        "click_type": "payload",
        "payload": told,
        # A push that arrives twice is shown once.
        "notify_id": notify_id(push.message_id),
    }


def _for_ios(push: Push, told: str) -> dict[str, Any]:
    if push.kind is PushKind.RETRACTION:
        ios: dict[str, Any] = {"type": "notify", "payload": told, "aps": {"content-available": 1}}
        return {"push_message": {"transmission": told}, "push_channel": {"ios": ios}}
    aps: dict[str, Any] = {
        "alert": {"title": clip(push.title, TITLE_CHARS_MAX), "body": clip(push.content, BODY_CHARS_MAX)},
        "content-available": 0,
        "sound": "default",
    }
    if push.group is not None:
        aps["thread-id"] = push.group
    ios = {"type": "notify", "payload": told, "aps": aps, "apns-collapse-id": push.message_id}
    if push.badge is not None:
        ios["auto_badge"] = str(push.badge)
    return {"push_message": {"transmission": told}, "push_channel": {"ios": ios}}


def notify_id(message_id: str) -> int:
    """A number of at most 31 bits for a message, always the same: pushes of one number take one another's place."""
    return int.from_bytes(hashlib.sha256(message_id.encode()).digest()[:4]) >> 1
