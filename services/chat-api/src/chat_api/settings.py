"""Every setting of chat-api, its unit and what it costs."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, model_validator

from chat_api.sniffing import NEVER
from contracts.attachments import ATTACHMENT_BYTES_MAX
from kit.settings import DatabaseSettings


class ChatApiSettings(DatabaseSettings):
    """The defaults run on a laptop; docs/config.md lists them."""

    access_token_ttl_s: int = Field(default=900, ge=60, le=86_400)
    """Life of an access token that `/v1/auth/token` issues."""
    refresh_token_ttl_s: int = Field(default=2_592_000, ge=300, le=31_536_000)
    """Life of a refresh token: whoever does not come back within it signs in again."""
    refresh_grace_s: float = Field(default=10.0, ge=0, le=60)
    """So long a used refresh token gets its first answer again, if nobody has used what that answer brought."""
    sessions_per_user_max: int = Field(default=50, ge=1, le=1000)
    """Open sessions of a local account; one more ends the longest unused."""
    body_bytes_max: int = Field(default=262_144, ge=1024)
    """Largest HTTP body, except for attachments."""
    password_hashes_max: int = Field(default=2, ge=1, le=64)
    """argon2 computations at the same time; each takes about 64 MiB and 50 ms of one core."""
    idempotency_ttl_s: int = Field(default=86_400, ge=60)
    """How long an `Idempotency-Key` is remembered. A `client_msg_id` is remembered for ever."""

    sync_cursor_age_max_s: int = Field(default=2_592_000, ge=1)
    """Whoever was away longer gets a snapshot instead of everything that happened since."""

    send_batch_max: int = Field(default=64, ge=1, le=1000)
    """Most messages committed by one transaction; waiting ones are joined, nobody waits for company."""
    send_queue_max: int = Field(default=4096, ge=1)
    """Sends that may wait for a transaction; above it: 503 `unavailable`."""
    send_workers: int = Field(default=2, ge=1, le=64)
    """Transactions of sends at the same time per process."""
    command_inflight_max: int = Field(default=2048, ge=1)
    """Commands from the edges that one process handles at the same time; above it: `unavailable`."""
    typing_participants_max: int = Field(default=200, ge=2, le=10_000)
    """In larger conversations nobody is told who types: each signal would be a message to everybody."""

    broadcast_batch_max: int = Field(default=500, ge=1, le=2000)
    """Users whom one transaction tells of a broadcast; it holds the locks of all their streams."""
    broadcast_users_per_s: float = Field(default=1000.0, gt=0)
    """How fast a broadcast goes out: what people send each other shares the relay and fan-out with it."""

    relay_batch_max: int = Field(default=500, ge=1, le=5000)
    """Events read and published at a time."""
    relay_poll_s: float = Field(default=0.5, gt=0)
    """The relay looks this often even if nothing wakes it: a lost wake-up costs no more than this."""
    relay_publish_timeout_s: float = Field(default=5.0, gt=0)
    """A publish that JetStream has not stored by then is tried again."""

    delivery_ack_timeout_s: float = Field(
        default=10.0, gt=0, validation_alias=AliasChoices("DELIVERY_ACK_TIMEOUT", "NATTER_DELIVERY_ACK_TIMEOUT")
    )
    """Seconds until a delivery that no device has confirmed becomes a push."""
    important_mobile_wait_s: float = Field(default=2.0, ge=0)
    """Seconds that an important message waits for a mobile's receipt after another device's; so does any message that
    only a desktop has before which nobody sits."""
    push_active_desktop: bool = False
    """Whether what only a desktop has is handed to the notifier although somebody sits before it. Set it there, too."""
    fanout_partitions: int = Field(default=1, ge=1, le=64)
    """Conversations are divided into this many lanes; more lanes than fan-out processes let them share the work.
    The same for all processes, and changed only while none runs."""
    fanout_lease_s: float = Field(default=10.0, gt=0)
    """A dead process's lanes are taken over after this time; a clean stop hands them over at once."""
    fanout_inflight_max: int = Field(default=10_000, ge=1)
    """Events per lane that may wait for receipts; the consumer's max_ack_pending."""
    fanout_ack_wait_s: float = Field(default=60.0, gt=0)
    """JetStream gives an event again if it is not settled by then."""
    fanout_settle_s: float = Field(default=2.0, ge=0, le=5)
    """After a NATS reconnect, fan-out waits this long for the edges to be back before it believes "nobody is there"."""
    membership_cache_max: int = Field(default=10_000, ge=1)
    """Conversations whose participants a fan-out keeps in memory."""
    live_members_max: int = Field(default=200, ge=0, le=1000)
    """Conversations with more members get no live `read` and `delivered` frames; their cursors are asked for."""
    delivery_ledger_days: int = Field(default=7, ge=0, le=365)
    """How long it is kept which device had what; 0: not at all."""
    notifier_url: str = Field(default="", pattern=r"^(https?://[^/@?#]+/?)?$")
    """Where the notifier answers, for the story of a message's delivery; empty: its decisions are not asked for."""
    web_dir: str = ""
    """A folder with built pages (`make web`), served beside the API; empty: none are."""
    web_ws_urls: str = Field(default="", pattern=r"^(wss?://[^\s,;'\"]+(\s*,\s*wss?://[^\s,;'\"]+)*)?$")
    """Where those pages find the edges, with commas; empty: `/v1/ws` of the pages' own origin."""
    web_vapid_public_key: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")
    """The key to which pages subscribe for Web Push (base64url): the public one of `NATTER_WEBPUSH_PRIVATE_KEY`."""
    web_demo: bool = False
    """Whether the login page shows the demo accounts of `make dev`. Never in production."""

    attachments: Literal["nats", "s3"] = Field(
        default="nats", validation_alias=AliasChoices("ATTACHMENTS", "NATTER_ATTACHMENTS")
    )
    """Where files are: the object store on JetStream, or a bucket (needs the extra `s3`)."""
    attachment_bytes_max: int = Field(default=ATTACHMENT_BYTES_MAX, ge=1024, le=1024**3)
    """Largest file."""
    attachment_types: str = (
        "image/png,image/jpeg,image/gif,image/webp,audio/ogg,audio/webm,audio/mpeg,audio/mp4,audio/wav,"
        "application/pdf,text/plain"
    )
    """Types of files that are taken, with commas: what the bytes say, not the name."""
    attachment_uploads_max: int = Field(default=8, ge=1, le=1000)
    """Uploads at the same time per process; each takes up to half a megabyte of memory (with `s3`: 15)."""
    attachment_unused_max: int = Field(default=100, ge=1)
    """Files of one user that no message carries."""
    attachment_unused_ttl_s: int = Field(default=86_400, ge=1)
    """A file that no message carries is deleted after this time."""
    attachment_stall_s: float = Field(default=15.0, gt=0)
    """An upload of which nothing comes for so long is ended."""
    attachment_upload_s: float = Field(default=600.0, gt=0)
    """Longest upload; far less than `attachment_unused_ttl_s`."""
    attachment_sweep_s: float = Field(default=10.0, gt=0)
    """How often the bytes of deleted files are looked for."""
    attachment_store_bytes_max: int = Field(default=0, ge=0)
    """Largest size of the object store on JetStream when it is made; 0: as large as the disk. Full: 503."""
    s3_bucket: str = ""
    """The bucket, which must exist. Credentials come from the environment: `AWS_ACCESS_KEY_ID` and so on."""
    s3_endpoint: str = ""
    """Address of a store that is not Amazon's; HTTPS, unless it is on this machine or this is development."""
    s3_region: str = "us-east-1"

    conversations_per_user_max: int = Field(default=10_000, ge=1)
    """Conversations that somebody may take part in and still open another one."""
    participants_max: int = Field(default=100_000, ge=2)
    """People in one conversation."""
    rate_limits: bool = True
    """False: nobody is held back; for tests and measurements."""
    rate_send_per_s: float = Field(default=20.0, gt=0)
    """Messages per user and process in the long run; read cursors are counted apart, with the same numbers."""
    rate_send_burst: int = Field(default=40, ge=1)
    """Messages at once."""
    rate_write_per_s: float = Field(default=5.0, gt=0)
    """Other changes per user, and refreshes of tokens per client address."""
    rate_write_burst: int = Field(default=20, ge=1)
    """The same, at once."""
    rate_read_per_s: float = Field(default=50.0, gt=0)
    """Requests that change nothing."""
    rate_read_burst: int = Field(default=200, ge=1)
    """The same, at once."""
    rate_typing_per_s: float = Field(default=5.0, ge=1)
    """Typing signals, also at once."""
    rate_upload_per_s: float = Field(default=1.0, gt=0)
    """Attachments."""
    rate_upload_burst: int = Field(default=10, ge=1)
    """The same, at once."""
    rate_password_user_per_min: int = Field(default=5, ge=1)
    """Passwords tried for one user."""
    rate_password_address_per_min: int = Field(default=20, ge=1)
    """Passwords tried from one client address."""
    rate_service_factor: float = Field(default=50.0, ge=0)
    """A service may do so many times more than a user; 0: as much as it likes."""
    rate_buckets_max: int = Field(default=100_000, ge=1)
    """Users and operations that one process counts; the longest unused is forgotten."""
    trusted_proxies: str = "127.0.0.1"
    """Whose `X-Forwarded-For` is believed: addresses with commas, or `*`."""

    @property
    def attachment_type_set(self) -> frozenset[str]:
        """The types of files that are taken."""
        return frozenset(one.strip().lower() for one in self.attachment_types.split(",") if one.strip())

    @model_validator(mode="after")
    def _attachments_are_sound(self) -> ChatApiSettings:
        if self.attachment_type_set & NEVER:
            raise ValueError("NATTER_ATTACHMENT_TYPES: HTML, SVG and XML are never taken, because browsers run them")
        if 2 * self.attachment_upload_s > self.attachment_unused_ttl_s:
            raise ValueError("NATTER_ATTACHMENT_UNUSED_TTL_S must be at least twice NATTER_ATTACHMENT_UPLOAD_S")
        if self.attachments == "s3" and not self.s3_bucket:
            raise ValueError("ATTACHMENTS=s3 needs NATTER_S3_BUCKET")
        parts = urlsplit(self.s3_endpoint)
        if self.s3_endpoint and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
            raise ValueError("NATTER_S3_ENDPOINT must be https://host[:port], without user and password")
        if (
            self.env == "production"
            and parts.scheme == "http"
            and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        ):
            raise ValueError("NATTER_S3_ENDPOINT: in production, it must begin with https://")
        return self

    @model_validator(mode="after")
    def _limits_fit_together(self) -> ChatApiSettings:
        if self.fanout_ack_wait_s < 2 * (self.delivery_ack_timeout_s + self.important_mobile_wait_s):
            raise ValueError(
                "NATTER_FANOUT_ACK_WAIT_S must be at least twice DELIVERY_ACK_TIMEOUT plus "
                "NATTER_IMPORTANT_MOBILE_WAIT_S: JetStream would repeat events that still wait for a receipt"
            )
        if self.fanout_lease_s <= 2 * self.fanout_settle_s:
            raise ValueError(
                "NATTER_FANOUT_LEASE_S must be more than twice NATTER_FANOUT_SETTLE_S: a lane rests that long"
            )
        return self
