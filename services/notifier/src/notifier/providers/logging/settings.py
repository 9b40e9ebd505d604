"""Settings of the logging provider."""

from __future__ import annotations

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class LoggingSettings(BaseSettings):
    """Follows the format of the logs among which the pushes appear."""

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore")

    log_format: Literal["console", "json"] = "console"
    """`console` prints a framed block for people, `json` one line for collectors."""
