"""Closes the sockets of those who may not stay: a token was revoked, a user blocked, an admin said so."""

from __future__ import annotations

import time
from collections.abc import Callable

from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.control import REVOCATIONS_AGE_MAX_S, Disconnect, Revocation
from contracts.errors import Undecodable
from kit.logs import Stage, logger
from kit.revocations import Revocations
from kit.tokens import Principal
from ws_edge.bus import Incoming
from ws_edge.connection import Connection
from ws_edge.kv import Entry
from ws_edge.registry import Registry
from ws_edge.session.handshake import closing

log = logger()

EXPULSION_TIMEOUT_S = 0.5
"""How long a peer may take to answer the close frame: what the kernel holds for it must not arrive much later."""


class Expulsion:
    """Knows whose tokens are good no more, and acts on it at once."""

    def __init__(self, registry: Registry, wall_clock: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._wall_clock = wall_clock
        self._revocations = Revocations()

    def refuses(self, principal: Principal) -> ErrorCode | None:
        """Why this token is good no more, or None."""
        return self._revocations.refuses(principal)

    def on_entry(self, entry: Entry) -> None:
        """A key of the bucket `revocations`; what was deleted there has run out."""
        if entry.value is None:
            return
        try:
            revocation = decode(Revocation, entry.value)
        except Undecodable as broken:
            log.error("a revocation makes no sense", stage=Stage.RECEIVED, key=entry.key, reason=str(broken))
            return
        self._revocations.apply(revocation)
        for connection in self._registry.of(revocation.user_id):
            self.examine(connection)

    def examine(self, connection: Connection) -> None:
        """Close the socket if its token is good no more."""
        reason = None if connection.principal is None else self.refuses(connection.principal)
        if reason is not None:
            code, words = closing(reason)
            connection.close(code, words, timeout_s=EXPULSION_TIMEOUT_S)

    def forget_old(self) -> None:
        """Drop what no token can be old enough for."""
        self._revocations.forget(self._wall_clock() - REVOCATIONS_AGE_MAX_S)

    def on_disconnect(self, message: Incoming) -> None:
        """`natter.control.disconnect`."""
        try:
            order = decode(Disconnect, message.data)
        except Undecodable as broken:
            log.warning("not disconnected", stage=Stage.RECEIVED, reason=str(broken))
            return
        for connection in self._registry.of(order.user_id):
            if order.connection_id not in (None, connection.id):
                continue
            if order.device_type not in (None, connection.device_type):
                continue
            connection.close(order.code, _short(order.reason), timeout_s=EXPULSION_TIMEOUT_S)


def _short(reason: str) -> str:
    """A close frame holds 123 bytes of reason."""
    return reason.encode()[:123].decode(errors="ignore")
