"""What a client can be told; every time in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.devices import DeviceType
from natter_client.timelines import Bookmark


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a client speaks for. A second client with the same user and `id` replaces the first."""

    id: str
    type: str = DeviceType.DESKTOP.value

    def __post_init__(self) -> None:
        DeviceType(self.type)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Times, limits and where to begin. The defaults are what a client in production should use."""

    backoff_base_s: float = 2.0
    """The first wait before coming back is uniform between 0 and this; the ceiling doubles with each attempt."""
    backoff_cap_s: float = 30.0
    attempts_max: int = 15
    """After so many failed attempts the state is `offline`, and one attempt is made about each `slow_retry_s`."""
    slow_retry_s: float = 60.0
    stable_after_s: float = 10.0
    """A connection that lasted so long ends the series of attempts."""
    connect_timeout_s: float = 10.0
    """From the first byte to `connected`."""
    close_timeout_s: float = 1.0
    request_timeout_s: float = 10.0
    """For one HTTP request, and for one call of `token`."""
    send_attempt_timeout_s: float = 5.0
    """How long one attempt to send waits for its acknowledgement before the next one."""
    send_retry_base_s: float = 0.25
    send_retry_cap_s: float = 5.0
    sync_interval_s: float | None = None
    """How often to sync although nothing seems to be missing; None: what `connected` says."""
    sync_after_connect_s: float = 2.0
    """A second sync so long after connecting: the first may have begun below the fence of what was under way."""
    burst_tail_s: float | None = None
    """Also a sync so long after the last durable frame of a burst. The interval finds the same loss later, at the price
    of one request per client and interval, where this costs one per client and burst."""
    resync_jitter_s: float = 1.0
    sync_spacing_s: float = 1.0
    """Pause between syncs that are made because something is missing; doubles up to the interval."""
    repairs_parallel_max: int = 4
    repair_page: int = 200
    repair_max: int = 10_000
    """A hole of a snapshot that is larger is not filled: the timeline begins anew behind it (`Rebased`)."""
    pending_max: int = 500
    """Events per stream that may wait above a gap; beyond it the highest are dropped, and fetched again."""
    events_kept_max: int = 1_000
    """Events per stream that stay in `timelines`."""
    outbox_max: int = 1_000
    refresh_at: float = 0.8
    """When to ask for the next token, as a part of the token's life."""
    refresh_spacing_s: float = 10.0
    """Shortest pause between two requests for a token that fail or bring one that is nearly over."""
    bookmark: Bookmark | None = None
    """Where an earlier client left off (`ChatClient.bookmark`)."""

    def __post_init__(self) -> None:
        if not 0 < self.backoff_base_s <= self.backoff_cap_s:
            raise ValueError("backoff_base_s must be positive and not above backoff_cap_s")
        if min(self.repairs_parallel_max, self.pending_max, self.outbox_max, self.events_kept_max) < 1:
            raise ValueError("repairs_parallel_max, pending_max, outbox_max and events_kept_max must be at least 1")
        if not 1 <= self.repair_page <= 200:
            raise ValueError("repair_page must be between 1 and 200")
