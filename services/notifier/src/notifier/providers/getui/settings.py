"""Settings of the provider for Getui."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class GetuiSettings(BaseSettings):
    """Which application, and how Android shows the pushes."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    getui_app_id: str = ""
    """The application's AppID, as Getui's console shows it."""
    getui_app_key: str = ""
    """The application's AppKey."""
    getui_master_secret: SecretStr = SecretStr("")
    """The application's MasterSecret."""
    getui_channel: str = ""
    """Android's notification channel; none: the app's default one."""
    getui_channel_important: str = ""
    """The channel of important messages; none: the same."""
