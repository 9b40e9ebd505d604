"""Who is connected where: what edges write into JetStream key-value buckets, and what becomes of it.

Derived and disposable: delivery never looks here. Every edge writes one key per user whose sockets it holds, and
renews a lease; what an edge without a lease has written means nothing.
"""

from __future__ import annotations

from pydantic import Field

from contracts.codec import Contract
from contracts.devices import DeviceType
from contracts.frames import ConnectionType
from contracts.ids import UserId, Uuid
from contracts.times import Instant

PRESENCE_BUCKET = "presence"
"""Key `<user_id>.<edge_id>`, value `EdgePresence`; deleted with the user's last socket there. Kept in memory."""

EDGES_BUCKET = "edges"
"""Key `<edge_id>`, value `EdgeLease`. Kept in memory."""

LEASE_RENEW_S = 2.0
"""How often an edge renews its lease."""

LEASE_VALID_S = 7.0
"""An edge that has not renewed for this long is dead; its users went with it. Three renewals may get lost."""


class ConnectionInfo(Contract):
    """One socket: seed row S6."""

    connection_id: Uuid
    device_type: DeviceType
    device_id: str | None = None
    connection_type: ConnectionType = ConnectionType.CHAT
    connected_at: Instant
    roles: tuple[str, ...] = ()
    idle: bool = False
    """Nobody sits before it, as its app says."""


class EdgePresence(Contract):
    """All sockets that one edge holds of one user."""

    edge_id: str
    instance: Uuid
    """Which life of the edge wrote this: what a former life wrote is void."""
    connections: tuple[ConnectionInfo, ...]


class EdgeFigures(Contract):
    """An edge's counters since its start."""

    connections: int = 0
    by_device: dict[str, int] = Field(default_factory=dict)
    by_role: dict[str, int] = Field(default_factory=dict)
    users: int = 0
    frames_in: int = 0
    frames_out: int = 0
    receipts: int = 0
    slow_closes: int = 0
    nats_interruptions: int = 0


class EdgeLease(Contract):
    """An edge is alive."""

    edge_id: str
    instance: Uuid
    started_at: Instant
    renewed_at: Instant
    figures: EdgeFigures = EdgeFigures()


class UserPresence(Contract):
    """Answer of `GET /v1/users/{id}/presence`: seed row S7."""

    user_id: UserId
    online: bool
    device_types: tuple[DeviceType, ...] = ()
    last_seen_at: Instant | None = None
    """When the last socket went, as far as this process remembers; None if online or unknown."""


class UserConnection(ConnectionInfo):
    """One entry of `GET /v1/users/{id}/connections`."""

    edge_id: str


class AdminConnection(UserConnection):
    """One entry of `GET /v1/admin/connections`."""

    user_id: UserId


def presence_key(user_id: str, edge_id: str) -> str:
    """The key in the bucket `presence`."""
    return f"{user_id}.{edge_id}"


def parse_presence_key(key: str) -> tuple[str, str]:
    """(user id, edge id) of a key."""
    user_id, _, edge_id = key.partition(".")
    return user_id, edge_id
