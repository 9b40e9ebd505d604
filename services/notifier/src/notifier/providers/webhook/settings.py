"""Settings of the webhook."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WebhookSettings(BaseSettings):
    """Where to, and with what it is signed."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    webhook_url: str = ""
    """Where pushes are posted: `https://…`; `http://` only to this machine."""
    webhook_secret: SecretStr = SecretStr("")
    """`whsec_` and at least 24 bytes in base64; two with a space between them while one replaces the other."""
    webhook_tokens: bool = False
    """Whether devices' push tokens are part of what is posted: for an address that pushes by itself."""
