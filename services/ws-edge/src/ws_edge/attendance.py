"""Everybody who wants to know that a socket came, went, or got another token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from contracts.presence import EdgeFigures
from kit.tokens import Principal
from ws_edge.connection import Connection
from ws_edge.following import Following
from ws_edge.metrics import Figures
from ws_edge.presence import PresenceWriter
from ws_edge.registry import Registry
from ws_edge.requests import Requests
from ws_edge.revocations import RevocationWatch
from ws_edge.roles import Roles
from ws_edge.stats_feed import StatsFeed


@dataclass(frozen=True, slots=True)
class Attendance:
    """Told by `Sockets`, in this order; owns the tasks of those whom it tells."""

    presence: PresenceWriter
    roles: Roles
    following: Following
    stats: StatsFeed
    requests: Requests
    revocations: RevocationWatch

    def came(self, connection: Connection) -> None:
        """A socket was entered into the registry."""
        self.roles.came(connection)
        self.stats.came(connection)
        self.presence.changed(connection.user_id)

    def renewed(self, connection: Connection, principal: Principal) -> None:
        """A socket goes on with another token, perhaps in other roles."""
        self.roles.left(connection)
        self.stats.left(connection)
        connection.principal = principal
        self.came(connection)

    def activity(self, connection: Connection, active: bool) -> None:
        """Somebody sits before the socket's device from now on, or nobody."""
        if connection.set_idle(not active):
            self.presence.changed(connection.user_id)

    def left(self, connection: Connection) -> None:
        """A socket was struck from the registry."""
        self.requests.left(connection)
        self.following.left(connection)
        self.stats.left(connection)
        self.roles.left(connection)
        self.presence.changed(connection.user_id)

    def interrupted(self) -> None:
        """NATS was away, or may not have been heard."""
        self.presence.write_anew()
        self.following.interrupted()
        self.revocations.interrupted()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start what they do by themselves."""
        tasks.create_task(self.presence.run(), name="presence")
        tasks.create_task(self.roles.interests.run(), name="roles")
        tasks.create_task(self.following.interests.run(), name="following")
        tasks.create_task(self.following.run(), name="followed")
        tasks.create_task(self.stats.run(), name="stats")
        tasks.create_task(self.revocations.run(), name="revocations")


def edge_figures(registry: Registry, figures: Figures, roles: Callable[[], dict[str, int]]) -> EdgeFigures:
    """What the lease says of this edge."""
    return EdgeFigures(
        connections=len(registry),
        by_device=dict(registry.devices()),
        by_role=dict(roles()),
        users=registry.users_count,
        frames_in=figures.frames_in,
        frames_out=figures.frames_out,
        receipts=figures.receipts,
        slow_closes=figures.slow_closes,
        nats_interruptions=figures.nats_interruptions,
    )
