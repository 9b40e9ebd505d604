"""Settings of the provider for Umeng."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class UmengSettings(BaseSettings):
    """Which applications: at Umeng, Android's and that of iPhones are two. One of them is enough."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    umeng_android_app_key: str = ""
    """Appkey of the application for Android, as Umeng's console shows it."""
    umeng_android_master_secret: SecretStr = SecretStr("")
    """Its App Master Secret."""
    umeng_ios_app_key: str = ""
    """Appkey of the application for iPhones."""
    umeng_ios_master_secret: SecretStr = SecretStr("")
    """Its App Master Secret."""
    umeng_mi_activity: str = ""
    """Full name of the activity that opens from a push which the maker of a phone brings; none: only Umeng's own
    connection is used, and an app that does not run gets its pushes late."""
