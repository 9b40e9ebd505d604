"""The settings that all services share; each service adds its own to `ServiceSettings`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PUBLISHED_PREFIX = "natter-development-"
"""How every secret begins that stands in this repository."""
DEVELOPMENT_SECRET = "natter-development-secret-not-for-production"  # noqa: S105 - refused in production, see below


class ServiceSettings(BaseSettings):
    """What a service is told by its environment; the defaults run on a laptop.

    Field names are the environment's names without `NATTER_` and in lower case; docs/config.md lists them all.
    """

    model_config = SettingsConfigDict(env_prefix="NATTER_", frozen=True, extra="ignore", populate_by_name=True)

    env: Literal["development", "production"] = "development"
    """`production` refuses the secrets that are published in this repository."""
    host: str = "127.0.0.1"
    """Address to listen on; containers use 0.0.0.0."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port of the HTTP (and, at the edge, WebSocket) listener; 0 lets the system choose."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    """`console` for people, `json` for collectors."""
    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    """Shared secret of HS256 tokens, at least 32 bytes."""
    nats_url: str = "nats://127.0.0.1:4222"
    """One address or several with commas; credentials never stand here."""
    nats_user: str = ""
    nats_password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _secrets_are_secret(self) -> ServiceSettings:
        if self.env == "production":
            for name, value in self:
                if isinstance(value, SecretStr) and value.get_secret_value().startswith(PUBLISHED_PREFIX):
                    raise ValueError(
                        f"NATTER_{name.upper()} is the published development secret: set your own in production"
                    )
        if len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("NATTER_JWT_SECRET must have at least 32 bytes")
        return self


class DatabaseSettings(ServiceSettings):
    """Settings of the services that own tables in Postgres."""

    database_url: str = "postgresql://natter@127.0.0.1:5433/natter"
    """Where Postgres is, without the password."""
    database_password: SecretStr = SecretStr("")
    database_pool_size: int = Field(default=10, ge=1, le=200)
    """Connections kept per process; a command holds one for about a millisecond."""
    database_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for a connection, and longest single statement."""


def explain(invalid: ValidationError) -> list[str]:
    """One line for each setting that is wrong; never the value, which may be a secret."""
    return [
        ": ".join([*map(str, error["loc"]), error["msg"].removeprefix("Value error, ")])
        for error in invalid.errors(include_input=False, include_url=False, include_context=False)
    ]
