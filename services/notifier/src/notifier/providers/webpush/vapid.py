"""Who we are to browsers' push services: VAPID (RFC 8292), a signature for each of them, kept for some hours."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from notifier.errors import ConfigError
from notifier.providers.webpush.settings import WebPushSettings

LIFE_S = 12 * 3_600
"""Half of what RFC 8292, section 2 allows: clocks differ."""
RENEW_EARLY_S = 3_600
AUDIENCES_MAX = 1_000
"""Signatures that are kept; the longest unused is made again."""


def base64url(value: bytes) -> str:
    """base64url without padding, as everywhere in Web Push."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Vapid:
    """The key pair of this deployment, and its signatures by audience."""

    def __init__(self, settings: WebPushSettings, now: Callable[[], datetime]) -> None:
        """Raises `ConfigError`, which names the variable and never says what stands in it."""
        self._key = _read_key(settings.webpush_private_key.get_secret_value())
        self._subject = _subject(settings.webpush_subject)
        self._now = now
        self._signed: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.public_key = base64url(public_bytes(self._key))
        """What a page subscribes with (`applicationServerKey`), base64url."""

    def authorization(self, origin: str) -> str:
        """The header for pushes to a service; `origin` is that of the endpoint."""
        now_s = self._now().timestamp()
        token, ends_s = self._signed.pop(origin, ("", 0.0))
        if ends_s - now_s < RENEW_EARLY_S:
            ends_s = now_s + LIFE_S
            # New claims for each audience: one that was changed in place would be signed for another service.
            claims = {"aud": origin, "exp": int(ends_s), "sub": self._subject}
            token = jwt.encode(claims, self._key, algorithm="ES256")
        self._signed[origin] = (token, ends_s)
        if len(self._signed) > AUDIENCES_MAX:
            self._signed.popitem(last=False)
        return f"vapid t={token}, k={self.public_key}"


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as an uncompressed point: 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _subject(value: str) -> str:
    if not value:
        raise ConfigError("NOTIFICATION_PROVIDER=webpush needs NATTER_WEBPUSH_SUBJECT: mailto:… or https://…")
    scheme, _, rest = value.partition(":")
    address = rest.removeprefix("//") if scheme == "https" else rest
    # Apple refuses what is no address that it could write to, and says only that the token is bad.
    if scheme not in ("mailto", "https") or not address or address != address.strip() or "localhost" in address:
        raise ConfigError("NATTER_WEBPUSH_SUBJECT must be mailto:name@host or https://host, without spaces")
    return value


def _read_key(value: str) -> ec.EllipticCurvePrivateKey:
    if not value:
        raise ConfigError(
            "NOTIFICATION_PROVIDER=webpush needs NATTER_WEBPUSH_PRIVATE_KEY: "
            "`python -m notifier.providers.webpush` makes one"
        )
    raw = _raw(value)
    try:
        if raw is not None:
            return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
        key = load_pem_private_key(Path(value).read_bytes(), None)
    except OSError as unread:
        raise ConfigError(
            f"NATTER_WEBPUSH_PRIVATE_KEY is neither 32 bytes in base64url nor a file: {type(unread).__name__}"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("NATTER_WEBPUSH_PRIVATE_KEY is no private key without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError("NATTER_WEBPUSH_PRIVATE_KEY is not of the curve P-256")
    return key


def _raw(value: str) -> bytes | None:
    """The key's 32 bytes, if that is what `value` says."""
    text = value.rstrip("=")
    if len(text) != 43:
        return None
    try:
        return base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
