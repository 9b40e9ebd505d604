"""Settings of the provider for JPush."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class JPushSettings(BaseSettings):
    """Which application, and how Android shows the pushes."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    jpush_app_key: str = ""
    """The application's AppKey, as JPush's console shows it."""
    jpush_master_secret: SecretStr = SecretStr("")
    """The application's Master Secret."""
    jpush_channel: str = ""
    """Android's notification channel; none: the app's default one."""
    jpush_channel_important: str = ""
    """The channel of important messages; none: the same."""
