"""Looks at every socket in turn: one task and a ring of ten slots, not a timer per socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ws_edge.connection import Connection

SLOTS = 10
"""Once around, every socket was looked at: at least ten times per interval, so a deadline is met to a tenth of it."""


class Heartbeat:
    """The ring; each tick looks at a tenth of the sockets, so no tick is long."""

    def __init__(self, interval_s: float, timeout_s: float, now: Callable[[], float]) -> None:
        self.tick_s = min(interval_s, timeout_s, 10.0) / SLOTS / SLOTS
        self._now = now
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._next = 0

    def add(self, connection: Connection) -> None:
        """Look at this socket from now on."""
        connection.ring_slot = self._next
        self._slots[self._next].add(connection)
        self._next = (self._next + 1) % SLOTS

    def remove(self, connection: Connection) -> None:
        """Look at it no more."""
        self._slots[connection.ring_slot].discard(connection)

    def look(self, slot: int) -> None:
        """Check the sockets of one slot."""
        now_s = self._now()
        for connection in tuple(self._slots[slot]):
            connection.check(now_s)

    async def run(self) -> None:
        """Turn the ring; runs until cancelled."""
        while True:
            for slot in range(SLOTS):
                await asyncio.sleep(self.tick_s)
                self.look(slot)
