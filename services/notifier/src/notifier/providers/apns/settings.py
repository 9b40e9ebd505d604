"""Settings of the provider for APNs."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class ApnsSettings(BaseSettings):
    """The signing key of a developer account; it is good for all its apps, in production and in the sandbox."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    apns_key_path: Path | None = None
    """The key's file (`AuthKey_….p8`)."""
    apns_key_id: str = ""
    """The key's id, ten characters."""
    apns_team_id: str = ""
    """The account's team id, ten characters."""
    apns_topic: str = ""
    """Bundle id for devices that were registered without an `app_id`."""
