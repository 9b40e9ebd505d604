"""Pushes, targets and keys for the tests of providers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.devices import DeviceType, Platform, PushService, SubscriptionKeys
from notifier.push import Priority, Push, PushKind, Target

AT = datetime(2026, 1, 31, 8, 15, 30, tzinfo=UTC)
SECRET = "canary-secret-"
"""How every secret of these tests begins that may stand in no error and no log."""


def target(service: PushService, token: str, **changes: Any) -> Target:
    """A registered device; any field may be changed."""
    fields: dict[str, Any] = {
        "device": str(uuid.uuid4()),
        "service": service,
        "token": token,
        "keys": None,
        "app_id": "com.example.chat",
        "platform": Platform.OTHER,
        "device_type": DeviceType.MOBILE,
        "locale": None,
        "sandbox": False,
        "registered_at": AT,
    }
    return Target(**(fields | changes))


def browser_target(endpoint: str, keys: SubscriptionKeys, **changes: Any) -> Target:
    """A browser's subscription."""
    return target(PushService.WEBPUSH, endpoint, keys=keys, platform=Platform.WEB, **changes)


def push(to: Target | None, **changes: Any) -> Push:
    """A push that tells of a message; any field may be changed."""
    message_id = str(uuid.uuid4())
    push_id = str(uuid.uuid4())
    fields: dict[str, Any] = {
        "id": push_id,
        "message_id": message_id,
        "user_id": "alice",
        "target": to,
        "device_class": DeviceType.MOBILE,
        "priority": Priority.NORMAL,
        "title": "Bob",
        "content": "你好, hello",
        "data": {
            "conversation_id": "c1",
            "action": "open_conversation",
            "message_id": message_id,
            "push_id": push_id,
        },
        "group": "c1",
        "badge": 3,
    }
    return Push(**(fields | changes))


def retraction(to: Target, *groups: str, **changes: Any) -> Push:
    """A push that takes back what is shown of some conversations."""
    push_id = str(uuid.uuid4())
    fields: dict[str, Any] = {
        "id": push_id,
        "message_id": push_id,
        "kind": PushKind.RETRACTION,
        "title": "",
        "content": "",
        "data": {"push_id": push_id, "action": "retract"},
        "group": None,
        "retract": groups,
        "badge": 0,
    }
    return push(to, **(fields | changes))


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A private key as a file holds it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_file(folder: Path, curve: ec.EllipticCurve | None = None) -> tuple[Path, ec.EllipticCurvePrivateKey]:
    """A new signing key (P-256 by default), and the file in which it is."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    path = folder / "AuthKey_TEST.p8"
    path.write_bytes(pem(key))
    return path, key
