"""Live figures: what each process tells of itself, and what an admin sees of all of them."""

from __future__ import annotations

from pydantic import Field

from contracts.codec import Contract
from contracts.ids import Uuid
from contracts.presence import EdgeLease
from contracts.times import Instant

FIGURES_BUCKET = "figures"
"""Key `<service>.<instance>`, value `ProcessFigures`, renewed every 2 s; entries end by themselves after 10 s."""

FIGURES_RENEW_S = 2.0
FIGURES_AGE_MAX_S = 10.0


class ProcessFigures(Contract):
    """Counters since a process' start, and gauges of this moment, by the names of its Prometheus metrics."""

    service: str
    instance: Uuid
    at: Instant
    values: dict[str, float] = Field(default_factory=dict)


class AdminStats(Contract):
    """Answer of `GET /v1/admin/stats`, and data of a `stats` frame. Rates are per second over the last 10 s or so."""

    at: Instant
    connections: int
    users_online: int
    by_edge: dict[str, int]
    by_device: dict[str, int]
    by_role: dict[str, int]
    messages_per_s: float
    deliveries_per_s: float
    pushes_per_s: float
    push_results_per_s: dict[str, float] = Field(default_factory=dict)
    """How pushes went: `sent` (a provider took them, the same as `pushes_per_s`), `failed` (attempts it did not take),
    `skipped` (none, on purpose), `dead` (given up)."""
    delivery_p50_ms: float | None = None
    """From the commit of a message to a device's receipt."""
    delivery_p99_ms: float | None = None
    relay_lag_s: float | None = None
    fanout_lag_s: float | None = None
    slow_closes: int = 0
    nats_interruptions: int = 0
    gaps_healed: int = 0
    """Times that fan-out or the relay filled a hole of the stream from the record."""
    edges: tuple[EdgeLease, ...] = ()
