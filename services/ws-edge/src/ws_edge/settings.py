"""What ws-edge is told by its environment: one frozen, documented type; the defaults run on a laptop."""

from __future__ import annotations

import re
import secrets
import socket

from pydantic import Field, field_validator, model_validator

from contracts.frames import FRAME_BYTES_MAX
from kit.settings import ServiceSettings

_EDGE_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}\Z")


def _generated_edge_id() -> str:
    # The host's name for people, random letters because two edges may share a host.
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:40]
    return f"{host}-{secrets.token_hex(4)}"


class EdgeSettings(ServiceSettings):
    """Limits are per socket unless the name says otherwise."""

    port: int = Field(default=8001, ge=0, le=65535)
    """Port of HTTP and WebSocket alike; 0 lets the system choose."""
    edge_id: str = Field(default_factory=_generated_edge_id)
    """Name of this process: its NATS queue group, and its signature under receipts. Unique among running edges."""
    allowed_origins: str = "*"
    """Origins of web pages that may connect, with commas; `*` (any) only in development."""
    nats_connect_timeout_s: float = Field(default=5.0, gt=0)
    """Longest wait of a new socket until NATS has confirmed its user's subscription; then close 1011."""

    heartbeat_interval_ms: int = Field(default=45_000, ge=10, validation_alias="WS_HEARTBEAT_INTERVAL")
    """A socket that was silent for so long is sent a protocol ping."""
    connection_timeout_ms: int = Field(default=20_000, ge=10, validation_alias="WS_CONNECTION_TIMEOUT")
    """A ping that is not answered for so long closes the socket (1001)."""
    max_reconnect_attempts: int = Field(default=15, ge=0, validation_alias="WS_MAX_RECONNECT_ATTEMPTS")
    """Told to clients in `connected`."""
    sync_interval_ms: int = Field(default=25_000, ge=100)
    """Told to clients in `connected`: how often they ask chat-api for what they may have missed unnoticed."""

    frame_bytes_max: int = Field(default=FRAME_BYTES_MAX, ge=1024, le=FRAME_BYTES_MAX)
    """Largest client frame, all fragments together; above it close 4413."""
    send_buffer_bytes_max: int = Field(default=1024 * 1024, ge=4096)
    """Bytes that may wait for a socket beyond what the kernel took; above it close 4408."""
    send_buffer_frames_max: int = Field(default=1_000, ge=1)
    """Frames that may wait for a socket beyond what the kernel took; above it close 4408."""
    pending_receipts_max: int = Field(default=4_096, ge=1)
    """Frames whose pong may be awaited; beyond it the oldest one's receipt is given up (it becomes a push)."""
    dedupe_streams_max: int = Field(default=256, ge=1)
    """Streams whose highest seq a socket remembers, to write no frame twice; the longest unused is forgotten first."""
    close_timeout_s: float = Field(default=5.0, gt=0)
    """How long a peer may take to answer a close frame before TCP is cut."""
    slow_close_grace_s: float = Field(default=1.0, gt=0)
    """How long a close frame to a stuck or silent socket may take to leave before TCP is cut."""
    handshake_timeout_s: float = Field(default=10.0, gt=0)
    """How long a client may take to send its HTTP request."""

    frames_per_second: float = Field(default=20.0, gt=0)
    """Client frames allowed in the long run; above it `rate_limited`."""
    frames_burst: int = Field(default=40, ge=1)
    """Client frames allowed at once."""
    frames_abuse: int = Field(default=100, ge=1)
    """Refused frames in a row (at the rate they come in above the allowed one) until close 4429."""
    commands_waiting_max: int = Field(default=64, ge=1)
    """Commands of one socket that may wait for their turn; above it `rate_limited`."""
    command_timeout_s: float = Field(default=5.0, gt=0)
    """Longest wait for chat-api's answer; then error `timeout`."""

    connections_max: int = Field(default=50_000, ge=1)
    """Sockets of this process; above it 503."""
    connections_per_user_max: int = Field(default=20, ge=1)
    """Sockets of one user on this process; above it close 4429."""
    presence_followed_max: int = Field(default=50_000, ge=200)
    """Different users of this process's `presence_subscribe`s; above it `unavailable`."""
    stats_interval_s: float = Field(default=2.0, gt=0)
    """How often admins' sockets get live figures, while there is one."""
    receipts_waiting_max: int = Field(default=100_000, ge=1)
    """Receipts of this process that may wait to be published; above it they are dropped (they become pushes)."""

    canary_interval_s: float = Field(default=2.0, gt=0)
    """How often the edge publishes to itself through NATS."""
    canary_deaf_after_s: float = Field(default=6.0, gt=0)
    """Not having heard itself for so long, the edge is deaf: not ready, sockets sent elsewhere, a new connection."""
    liveness_patience_s: float = Field(default=60.0, gt=0)
    """Deaf for so long on connections to NATS that seem to stand, the process says that it should be restarted."""
    drain_window_s: float = Field(default=10.0, ge=0)
    """Time over which a stopping edge spreads its sockets' reconnects."""

    @field_validator("edge_id")
    @classmethod
    def _names_a_queue_group(cls, value: str) -> str:
        if not _EDGE_ID.match(value):
            raise ValueError("NATTER_EDGE_ID may hold only letters, digits, _ and - (1 to 64 of them)")
        return value

    @model_validator(mode="after")
    def _limits_fit_each_other(self) -> EdgeSettings:
        if self.send_buffer_bytes_max < self.frame_bytes_max:
            raise ValueError("NATTER_SEND_BUFFER_BYTES_MAX must hold at least one frame (NATTER_FRAME_BYTES_MAX)")
        if self.canary_deaf_after_s < 2 * self.canary_interval_s:
            raise ValueError("NATTER_CANARY_DEAF_AFTER_S must be at least two canary intervals: one may be late")
        if self.liveness_patience_s < 2 * self.canary_deaf_after_s:
            raise ValueError("NATTER_LIVENESS_PATIENCE_S must be at least two NATTER_CANARY_DEAF_AFTER_S")
        if self.env == "production" and "*" in self.origins:
            raise ValueError("NATTER_ALLOWED_ORIGINS must name the allowed origins in production, * is for development")
        return self

    @property
    def origins(self) -> frozenset[str]:
        """The allowed origins, lower case, without a trailing slash."""
        return frozenset(
            origin.strip().rstrip("/").lower() for origin in self.allowed_origins.split(",") if origin.strip()
        )
