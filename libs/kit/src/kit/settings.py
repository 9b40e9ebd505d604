"""The settings that all services share; each service adds its own to `ServiceSettings`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PUBLISHED_PREFIX = "natter-development-"
"""How every secret begins that stands in this repository."""
DEVELOPMENT_SECRET = "natter-development-secret-not-for-production"  # noqa: S105 - refused in production, see below


class IssuerSettings(BaseModel):
    """Somebody else whose tokens are believed: one entry of `NATTER_ISSUERS`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    """The claim `iss` of its tokens, letter by letter."""
    jwks_url: str
    """Where its public keys are; HTTPS, unless it is on this machine or this is development."""
    audience: str = Field(min_length=1)
    """The claim `aud` of tokens that are meant for us."""
    roles_claim: str = "roles"
    """Where the roles are; a path like `realm_access.roles` is one, too."""
    user_claim: str = "sub"
    """What names the user; must look like a user id."""
    roles_allowed: tuple[Literal["customer", "consultant", "doctor", "admin", "service"], ...] = (
        "customer",
        "consultant",
        "doctor",
        "admin",
    )
    """Roles that it may give; others in its tokens mean nothing here."""

    @field_validator("jwks_url")
    @classmethod
    def _is_a_web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
            raise ValueError("must be https://host/path, without user and password")
        return url

    @property
    def is_guarded(self) -> bool:
        """Whether nobody on the way can put his own keys in the place of the issuer's."""
        parts = urlsplit(self.jwks_url)
        return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


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
    issuers: tuple[IssuerSettings, ...] = ()
    """Other issuers whose tokens are believed, as a JSON list; see `IssuerSettings`."""
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

    @model_validator(mode="after")
    def _issuers_are_sound(self) -> ServiceSettings:
        if len({one.issuer for one in self.issuers}) != len(self.issuers):
            raise ValueError("NATTER_ISSUERS names an issuer twice")
        if self.env == "production" and not all(one.is_guarded for one in self.issuers):
            raise ValueError("NATTER_ISSUERS: in production, jwks_url must begin with https://")
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
