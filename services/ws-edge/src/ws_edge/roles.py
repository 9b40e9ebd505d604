"""Who is connected here in which role: for signals that everybody with a role gets, and for figures."""

from __future__ import annotations

from collections import Counter

from contracts import subjects
from contracts.delivery import DELIVERY_HEADER
from kit.tokens import Role
from ws_edge.bus import Incoming
from ws_edge.connection import Connection
from ws_edge.delivery import Delivery
from ws_edge.subscriptions import Broker, Interests

WITH_SUBJECT = frozenset({Role.CONSULTANT, Role.DOCTOR, Role.ADMIN})
"""Roles with a subject `natter.role.<role>`; nothing is said to all customers at once."""

_KNOWN = frozenset(Role)


class Roles:
    """Connections by role; while there is one with a role, the edge is subscribed to the role's subject."""

    def __init__(self, broker: Broker, delivery: Delivery, *, edge_id: str) -> None:
        self._delivery = delivery
        self._holders: dict[str, dict[Connection, None]] = {}
        self.interests = Interests(
            broker, self._on_message, wanted=self._holders.__contains__, subject=subjects.role, queue=edge_id
        )

    def came(self, connection: Connection) -> None:
        """A socket was opened, or has got another token."""
        for role in roles_of(connection):
            holders = self._holders.setdefault(role, {})
            holders[connection] = None
            if role in WITH_SUBJECT and len(holders) == 1:
                self.interests.joined(role, _nothing)

    def left(self, connection: Connection) -> None:
        """A socket is gone, or is about to get another token."""
        for role in roles_of(connection):
            holders = self._holders.get(role)
            if holders is None or connection not in holders:
                continue
            del holders[connection]
            if not holders:
                del self._holders[role]
                if role in WITH_SUBJECT:
                    self.interests.left(role)

    def counts(self) -> Counter[str]:
        """Connections by role."""
        return Counter({str(role): len(holders) for role, holders in self._holders.items()})

    def _on_message(self, role: str, message: Incoming) -> None:
        headers = message.headers or {}
        # A copy: a socket that overflows is struck out while the frame is written to the others.
        holders = tuple(self._holders.get(role, ()))
        self._delivery.deliver_to(holders, message.data, headers.get(DELIVERY_HEADER), about=f"role {role}")


def roles_of(connection: Connection) -> list[str]:
    """The roles of a socket's token that mean something here."""
    return [] if connection.principal is None else sorted(connection.principal.roles & _KNOWN)


def _nothing() -> None:
    return None
