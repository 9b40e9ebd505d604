"""What the notifier is told by its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, field_validator, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from kit.settings import DatabaseSettings
from notifier.compose import PushContent
from notifier.decide import Policy
from notifier.retry import RetryPolicy


class NotifierSettings(DatabaseSettings):
    """Environment names are the fields in upper case after `NATTER_`, but for two that have an older name."""

    port: int = Field(default=8003, ge=0, le=65535)
    """Port of the HTTP listener (health, metrics, the list of pushes); 0 lets the system choose."""
    notification_provider: str = Field(
        default="logging",
        min_length=1,
        validation_alias=AliasChoices("NOTIFICATION_PROVIDER", "notification_provider"),
    )
    """Who carries pushes to devices: names with commas between them, the first that fits a device wins. Each provider
    reads its own settings."""

    push_grace_offline_s: float = Field(default=2.0, ge=0, le=3600)
    """From the moment that nobody was there until the push: a connection that flaps is back by then."""
    push_grace_idle_desktop_s: float = Field(default=30.0, ge=0, le=3600)
    """From the moment that only desktops got it before which nobody sits."""
    push_grace_active_desktop_s: float = Field(default=60.0, ge=0, le=3600)
    """From the moment that only desktops got it, somebody before one of them; see `push_active_desktop`."""
    push_active_desktop: bool = False
    """Whether phones are pushed although somebody sits before a desktop; chat-api must be told, too."""
    push_large_room_members: int = Field(default=200, ge=1)
    """A conversation of more members pushes what is important or mentions somebody, and nothing else."""
    push_ttl_s: float = Field(default=86_400.0, ge=1, le=2_419_200)
    """After that a push is not worth sending: neither by us nor by the service that keeps it for a device."""
    push_content: PushContent = PushContent.FULL
    """`ids`: no word of any message leaves for a push service."""
    push_locale: str = "en"
    """Language for devices and users that name none."""
    push_texts: Path | None = None
    """A folder with `<language>.ftl` files: more languages, or other words."""
    push_ledger_days: int = Field(default=30, ge=1)
    """How long settled deliveries and their pushes are kept; dead letters stay."""
    provider_refused_s: float = Field(default=60.0, gt=0)
    """How long a provider is left alone that does not accept our credentials."""

    inbox_batch: int = Field(default=200, ge=1, le=5_000)
    """Most deliveries taken from NATS and written in one transaction."""
    inbox_ack_wait_s: float = Field(default=30.0, ge=1)
    """How long NATS waits for the ack (sent after the commit) before it offers a delivery again."""

    dispatch_batch: int = Field(default=100, ge=1, le=1_000)
    """Most deliveries one claim takes."""
    dispatch_concurrency: int = Field(default=64, ge=1, le=500)
    """Most users whose pushes are on their way at once; one user's go one after the other."""
    poll_interval_s: float = Field(default=1.0, gt=0)
    """How often due deliveries are looked for when nothing wakes the dispatch earlier."""
    lease_s: float = Field(default=60.0, gt=0)
    """How long a claim holds; the deliveries of a process that died are due again after it."""
    push_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for a provider's answer to one push; no answer counts as a transient failure."""

    retry_base_s: float = Field(default=1.0, gt=0)
    """Longest wait after the first failed attempt; it doubles with every further one."""
    retry_cap_s: float = Field(default=3600.0, gt=0)
    """The doubling ends here."""
    retry_attempts_max: int = Field(default=100, ge=1)
    """Attempts after which a push is given up; before that its time ends (`push_ttl_s`)."""

    shutdown_grace_s: float = Field(default=8.0, gt=0)
    """After SIGTERM: longest wait for what is in hand. Container engines kill after 10 s."""

    @property
    def policy(self) -> Policy:
        """What the deployment has decided about pushes."""
        return Policy(
            grace_offline_s=self.push_grace_offline_s,
            grace_idle_desktop_s=self.push_grace_idle_desktop_s,
            grace_active_desktop_s=self.push_grace_active_desktop_s,
            push_active_desktop=self.push_active_desktop,
            large_room_members=self.push_large_room_members,
            ttl_s=self.push_ttl_s,
        )

    @property
    def retry(self) -> RetryPolicy:
        """The three retry settings as what the rules ask for."""
        return RetryPolicy(self.retry_base_s, self.retry_cap_s, self.retry_attempts_max)

    @field_validator("database_url")
    @classmethod
    def _is_postgres_without_password(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("NATTER_DATABASE_URL must look like postgresql://user@host:port/database") from None
        if url.get_backend_name() != "postgresql":
            raise ValueError("NATTER_DATABASE_URL must begin with postgresql://")
        if url.password:
            raise ValueError("NATTER_DATABASE_URL must not hold the password: set NATTER_DATABASE_PASSWORD")
        return value

    @model_validator(mode="after")
    def _limits_fit_together(self) -> NotifierSettings:
        if self.push_timeout_s * 2 > self.lease_s:
            raise ValueError(
                "NATTER_LEASE_S must be at least twice NATTER_PUSH_TIMEOUT_S, or a slow push outlives its lease"
            )
        if self.retry_base_s > self.retry_cap_s:
            raise ValueError("NATTER_RETRY_BASE_S must not exceed NATTER_RETRY_CAP_S")
        return self
