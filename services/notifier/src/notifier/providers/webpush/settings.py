"""Settings of the provider for Web Push."""

from __future__ import annotations

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KNOWN_HOSTS = "fcm.googleapis.com,*.push.services.mozilla.com,*.notify.windows.com,web.push.apple.com,*.push.apple.com"


class WebPushSettings(BaseSettings):
    """The key pair that browsers' subscriptions were made for, and where pushes may go."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    webpush_private_key: SecretStr = SecretStr("")
    """Private key of the curve P-256: its 32 bytes in base64url, or the path of a PEM file."""
    webpush_subject: str = ""
    """Whom a push service can write to: `mailto:` or `https:`."""
    webpush_allowed_hosts: str = KNOWN_HOSTS
    """Hosts of endpoints, with commas; `*.` stands for one or more labels, `*` alone for every public host."""

    @field_validator("webpush_allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        for host in filter(None, (one.strip() for one in value.split(","))):
            if host != "*" and not host.removeprefix("*.").replace(".", "").replace("-", "").isalnum():
                raise ValueError(f"NATTER_WEBPUSH_ALLOWED_HOSTS: {host!r} is no host's name: no scheme, port or path")
        return value

    @property
    def hosts(self) -> tuple[str, ...]:
        """The patterns, in lower case."""
        return tuple(one.strip().lower() for one in self.webpush_allowed_hosts.split(",") if one.strip())
