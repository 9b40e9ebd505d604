"""Settings of the provider for Firebase."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FcmSettings(BaseSettings):
    """Which project, by its service account, and how Android shows the pushes."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore", populate_by_name=True)

    firebase_credentials_path: Path | None = Field(
        default=None, validation_alias=AliasChoices("FIREBASE_CREDENTIALS_PATH", "firebase_credentials_path")
    )
    """The service account's file, as the Firebase console makes it; it names the project, too."""
    fcm_channel: str = ""
    """Android's notification channel; none: the app's default one."""
    fcm_channel_important: str = ""
    """The channel of important messages; none: the same."""
