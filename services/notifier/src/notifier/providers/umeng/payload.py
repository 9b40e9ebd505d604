"""A push as Umeng takes it, and its signature; pure.

From "U-Push API 集成文档": the sections on sending messages (`type` unicast), and on signatures.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import Any

from contracts.devices import Platform
from notifier.providers.shared.extras import extras
from notifier.providers.shared.fitting import dump, fitted, shorten
from notifier.push import Priority, Push, PushKind, Target

PAYLOAD_BYTES_MAX = 1_840
"""Of the object `payload`; what iPhones may get is a little more, and nowhere said."""
TICKER_BYTES_MAX = 60
TTL_S_MIN = 60
"""The time that a push ends must lie ahead when Umeng looks at it."""
TTL_S_MAX = 601_200
"""Seven days by Umeng's clock, and more is refused: an hour less, whatever ours shows."""
BADGE_MAX = 99
SERVICE_AND_COMMUNICATION = 1
"""What is no advertising: of that the makers of phones bring only so much a day."""
RESERVED = frozenset({"aps", "d", "p"})
"""Keys of Apple's and of Umeng's own beside `aps`; ours of that name would be refused (5002)."""
_CHINA = timezone(timedelta(hours=8))
"""Whose clock Umeng reads times by."""


def body(push: Push, to: Target, app_key: str, now: datetime, *, mi_activity: str = "") -> bytes:
    """The request's body; raises `PayloadTooLarge`."""
    ios = to.platform is Platform.IOS
    ends = now + timedelta(seconds=min(max(push.ttl_s, TTL_S_MIN), TTL_S_MAX))
    around: dict[str, Any] = {
        "appkey": app_key,
        "timestamp": str(int(now.timestamp())),
        "type": "unicast",
        "device_tokens": to.token,
        # The sandbox of iPhones; on Android it would reach devices that were entered by hand, and no others.
        "production_mode": "false" if ios and to.sandbox else "true",
        "policy": _policy(push, ends, ios=ios),
        "category": SERVICE_AND_COMMUNICATION,
        "description": push.kind.value,
        "thirdparty_id": push.id,
    }
    if mi_activity and not ios and push.kind is PushKind.ALERT:
        # The same twice: as older and as newer pages have it.
        around |= {"mipush": "true", "mi_activity": mi_activity}
        around["channel_properties"] = {"channel_activity": mi_activity}
    ticker = shorten(push.title, TICKER_BYTES_MAX)

    def whole(title: str, content: str) -> dict[str, Any]:
        payload = _ios(push, title, content) if ios else _android(push, title, content, ticker)
        return around | {"payload": payload}

    # The limit is about one part of the whole: what stands around it is allowed on top.
    return fitted(whole, push.title, push.content, PAYLOAD_BYTES_MAX + len(dump(around | {"payload": 0})) - 1)


def signature(url: str, content: bytes, secret: str) -> str:
    """What goes into the address: MD5 of method, address, body and secret, as Umeng wants it."""
    told = b"POST" + url.encode() + content + secret.encode()
    return hashlib.md5(told, usedforsecurity=False).hexdigest()


def _policy(push: Push, ends: datetime, *, ios: bool) -> dict[str, Any]:
    policy = {"expire_time": ends.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")}
    if ios and push.kind is PushKind.ALERT:
        # A push that arrives twice is shown once.
        policy["apns_collapse_id"] = push.message_id
    return policy


def _android(push: Push, title: str, content: str, ticker: str) -> dict[str, Any]:
    if push.kind is PushKind.RETRACTION:
        # Shown by nobody: the app gets it.
        return {"display_type": "message", "body": {"custom": extras(push)}}
    shown: dict[str, Any] = {"ticker": ticker, "title": title, "text": content, "after_open": "go_app"}
    if push.badge:
        # From 1: a number that is shown cannot be taken away from here.
        shown["set_badge"] = min(push.badge, BADGE_MAX)
    return {"display_type": "notification", "body": shown, "extra": extras(push)}


def _ios(push: Push, title: str, content: str) -> dict[str, Any]:
    if push.kind is PushKind.RETRACTION:
        return _beside(push) | {"aps": {"content-available": 1}}
    aps: dict[str, Any] = {"alert": {"title": title, "body": content}, "sound": "default", "mutable-content": 1}
    if push.badge is not None:
        aps["badge"] = push.badge
    if push.group is not None:
        aps["thread-id"] = push.group
    if push.priority is Priority.HIGH:
        aps["interruption-level"] = "time-sensitive"
    return _beside(push) | {"aps": aps}


def _beside(push: Push) -> dict[str, str]:
    return {name: value for name, value in extras(push).items() if name not in RESERVED}
