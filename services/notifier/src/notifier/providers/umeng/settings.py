"""Settings of the provider for Umeng."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class UmengSettings(BaseSettings):
    """Which applications: at Umeng an app for Android and one for iPhones are two, and either may be missing."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    umeng_android_app_key: str = ""
    """The Android application's Appkey, as Umeng's console shows it."""
    umeng_android_master_secret: SecretStr = SecretStr("")
    """The Android application's App Master Secret."""
    umeng_android_activity: str = ""
    """The activity that a push opens which came through the phone's maker; none: only Umeng's own connection."""
    umeng_ios_app_key: str = ""
    """The iOS application's Appkey."""
    umeng_ios_master_secret: SecretStr = SecretStr("")
    """The iOS application's App Master Secret."""
    umeng_production: bool = True
    """False: Umeng's test mode, which reaches nothing but the test devices that its console lists."""
