"""A push as a page's service worker gets it, and encrypted as browsers want it; pure but for the randomness of keys.

RFC 8291 (encryption), RFC 8188 (its form, `aes128gcm`), RFC 8030 section 5 (headers).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.devices import SubscriptionKeys
from notifier.providers.base import TokenGoneError
from notifier.providers.shared.fitting import fitted
from notifier.providers.webpush.vapid import base64url
from notifier.push import Priority, Push, PushKind

PLAINTEXT_BYTES_MAX = 3_993
"""What is left of the 4,096 bytes that every service takes (RFC 8030, section 7.2): 86 are the header with the key, 16
the seal, 1 ends the record."""
TOPIC_CHARS = 32
TTL_S_MAX = 2_419_200
"""Four weeks, the most that the known services keep anything."""


def body(push: Push) -> bytes:
    """The JSON that the service worker reads; raises `PayloadTooLarge`."""

    def fields(title: str, content: str) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": push.kind.value, "push_id": push.id, "data": push.data}
        if push.kind is PushKind.ALERT:
            # Shown under its tag, a push that arrives twice is shown once.
            said |= {"title": title, "content": content, "tag": push.message_id, "group": push.group}
            said["priority"] = push.priority.value
        if push.badge is not None:
            said["badge"] = push.badge
        if push.retract:
            said["retract"] = list(push.retract)
        return said

    return fitted(fields, push.title, push.content, PLAINTEXT_BYTES_MAX)


def headers(push: Push) -> dict[str, str]:
    """The request's headers, but for the signature."""
    found = {
        "content-type": "application/octet-stream",
        "content-encoding": "aes128gcm",
        "ttl": str(min(max(push.ttl_s, 0), TTL_S_MAX)),
        "urgency": "high" if push.priority is Priority.HIGH else "normal",
    }
    group = push.retract[0] if push.kind is PushKind.RETRACTION and len(push.retract) == 1 else push.group
    if group is not None:
        # A browser that was away gets the conversation's latest; a retraction takes the place of what it is about.
        found["topic"] = topic(group)
    return found


def topic(group: str) -> str:
    """A name for the group that the service cannot read, of the length and characters that it takes."""
    return base64url(hashlib.sha256(group.encode()).digest())[:TOPIC_CHARS]


def encrypted(plaintext: bytes, keys: SubscriptionKeys) -> bytes:
    """What only that browser can read; raises `TokenGoneError` if its keys are none."""
    try:
        return bytes(
            http_ece.encrypt(
                plaintext,
                # A pair for this push alone (RFC 8291, section 3.1).
                private_key=ec.generate_private_key(ec.SECP256R1()),
                dh=_bytes(keys.p256dh),
                auth_secret=_bytes(keys.auth),
                version="aes128gcm",
            )
        )
    except (ValueError, http_ece.ECEException):
        # From None: the error's text may hold a key.
        raise TokenGoneError("the subscription's keys are none: nobody could read a push to it") from None


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
