"""The body of a webhook and its signature; pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from contracts.times import rfc3339
from notifier.providers.shared.fitting import dump
from notifier.push import Push, PushKind

SECRET_PREFIX = "whsec_"  # noqa: S105 - how every such secret begins
SECRET_BYTES_MIN = 24
_TYPES = {PushKind.ALERT: "push.alert", PushKind.RETRACTION: "push.retraction"}


def body(push: Push, at: datetime, *, tokens: bool) -> bytes:
    """`type`, `timestamp` and `data`, as Standard Webhooks recommends. Tokens only if they are asked for."""
    device = None
    if push.target is not None:
        target = push.target
        device = {
            "id": target.device,
            "app_id": target.app_id,
            "platform": target.platform.value,
            "push_service": target.service.value,
            "device_type": target.device_type.value,
            "locale": target.locale,
        }
        if tokens:
            device["token"] = target.token
            if target.keys is not None:
                device["p256dh"], device["auth"] = target.keys.p256dh, target.keys.auth
    data = {
        "push_id": push.id,
        "message_id": push.message_id,
        "user_id": push.user_id,
        "title": push.title,
        "content": push.content,
        "priority": push.priority.value,
        "badge": push.badge,
        "group": push.group,
        "ttl_s": push.ttl_s,
        "retract": list(push.retract),
        "data": push.data,
        "device": device,
    }
    return dump({"type": _TYPES[push.kind], "timestamp": rfc3339(at), "data": data})


def keys(secrets: str) -> tuple[bytes, ...]:
    """The keys of one or two secrets; raises `ValueError` without repeating them."""
    found = []
    for secret in secrets.split():
        if not secret.startswith(SECRET_PREFIX):
            raise ValueError("a secret begins with whsec_")
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        if len(key) < SECRET_BYTES_MIN:
            raise ValueError(f"a secret has at least {SECRET_BYTES_MIN} bytes")
        found.append(key)
    if not found:
        raise ValueError("a secret is needed")
    return tuple(found)


def signed(push_id: str, at: datetime, content: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers. `webhook-id` is the push's: the same at every attempt, so that a repeat is known as one."""
    timestamp = str(int(at.timestamp()))
    told = f"{push_id}.{timestamp}.".encode() + content
    signatures = [base64.b64encode(hmac.digest(key, told, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": push_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
