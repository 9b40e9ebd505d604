"""The signed token with which a provider shows APNs who it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notifier.errors import ConfigError
from notifier.providers.apns.settings import ApnsSettings

RENEW_AFTER_S = 3_000.0
"""50 minutes: Apple refuses what is older than an hour."""
RENEW_NEVER_BEFORE_S = 1_200.0
"""20 minutes: Apple refuses whoever signs anew more often."""


class ProviderTokens:
    """Signs with the account's key, seldom; the key's file is read once."""

    def __init__(self, settings: ApnsSettings, now: Callable[[], datetime]) -> None:
        """Raises `ConfigError`, which names the variable and never says what stands in it."""
        for value, variable in (
            (settings.apns_key_path, "NATTER_APNS_KEY_PATH"),
            (settings.apns_key_id, "NATTER_APNS_KEY_ID"),
            (settings.apns_team_id, "NATTER_APNS_TEAM_ID"),
        ):
            if not value:
                raise ConfigError(f"NOTIFICATION_PROVIDER=apns needs {variable}")
        self._key = _read_key(settings)
        self._key_id = settings.apns_key_id
        self._team_id = settings.apns_team_id
        self._now = now
        self._token = ""
        self._signed_at: datetime | None = None

    def get(self) -> str:
        """The token; signed anew when it is 50 minutes old."""
        if self._signed_at is None or self._age_s(self._signed_at) >= RENEW_AFTER_S:
            self._signed_at = self._now()
            self._token = jwt.encode(
                {"iss": self._team_id, "iat": int(self._signed_at.timestamp())},
                self._key,
                algorithm="ES256",
                headers={"kid": self._key_id},
            )
        return self._token

    def refused(self) -> None:
        """APNs calls it expired: the next one is signed anew, unless that would be too early."""
        if self._signed_at is not None and self._age_s(self._signed_at) >= RENEW_NEVER_BEFORE_S:
            self._signed_at = None

    def _age_s(self, signed_at: datetime) -> float:
        return (self._now() - signed_at).total_seconds()


def _read_key(settings: ApnsSettings) -> ec.EllipticCurvePrivateKey:
    assert settings.apns_key_path is not None, "checked before"
    try:
        pem = settings.apns_key_path.read_bytes()
    except OSError as unread:
        raise ConfigError(f"NATTER_APNS_KEY_PATH: the file cannot be read: {type(unread).__name__}") from None
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("NATTER_APNS_KEY_PATH: the file is no private key without a password, as in .p8") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError("NATTER_APNS_KEY_PATH: the key is not of the curve P-256")
    return key
