"""NATS interest follows the registry: one subscription per user who is online here, none for anybody else.

Sockets come and go faster than the server answers. So nothing here acts on an event; users whose sockets changed are
noted, and one task compares registry and subscriptions and makes them equal, batch after batch. A last socket that
leaves while a new one arrives is then no race: whatever the registry says when the task looks is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from contracts import subjects
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import BusError, Interest, OnMessage
from ws_edge.registry import Registry

log = logger()

Deliver = Callable[[str, bytes, str | None, str], None]
"""Called with user id, payload, delivery header and reply subject."""


class Broker(Protocol):
    """What is needed of `ws_edge.bus.Bus`."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""

    async def subscribe(self, subject: str, queue: str, on_message: OnMessage) -> Interest:
        """Take messages of `subject`."""

    async def unsubscribe(self, interest: Interest) -> None:
        """Take no more."""

    async def flush(self) -> None:
        """Return when the server has seen everything so far; raises `BusError`."""


class _UserInterest:
    """One user's subscription; `confirmed` once the server has answered a flush behind it."""

    __slots__ = ("confirmed", "interest")

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.confirmed = False


class Subscriptions:
    """Keeps the subscriptions equal to the registry's users."""

    def __init__(self, broker: Broker, registry: Registry, deliver: Deliver, *, edge_id: str) -> None:
        self._broker = broker
        self._registry = registry
        self._deliver = deliver
        self._queue_group = edge_id  # its own, so that each edge gets its copy
        self._interests: dict[str, _UserInterest] = {}
        self._changed: set[str] = set()
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._interests)

    def joined(self, user_id: str, confirmed: Callable[[], None]) -> None:
        """The registry has a new socket of this user; `confirmed` is called once messages will reach it."""
        interest = self._interests.get(user_id)
        if interest is not None and interest.confirmed and user_id not in self._changed:
            confirmed()
            return
        self._waiting.append((user_id, confirmed))
        self._note(user_id)

    def left(self, user_id: str) -> None:
        """A socket of this user was struck from the registry."""
        if not self._registry.online(user_id):
            self._note(user_id)

    def _note(self, user_id: str) -> None:
        self._changed.add(user_id)
        self._wake.set()

    async def run(self) -> None:
        """Make subscriptions follow; runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._catch_up()

    async def _catch_up(self) -> None:
        """One batch: everything noted so far, and one round trip for all who wait."""
        # Those who come in while the server answers are the next batch.
        changed, self._changed = self._changed, set()
        waiting, self._waiting = self._waiting, []
        for user_id in changed:
            await self._align(user_id)
        if not waiting:
            return
        await self._flush()
        for user_id, confirmed in waiting:
            interest = self._interests.get(user_id)
            if interest is not None:
                interest.confirmed = True
                confirmed()
            elif self._registry.online(user_id):
                # Left and came back within the batch.
                self._waiting.append((user_id, confirmed))
                self._note(user_id)

    async def _align(self, user_id: str) -> None:
        interest = self._interests.get(user_id)
        if self._registry.online(user_id):
            if interest is None:
                subject = subjects.user(user_id)
                handle = await self._broker.subscribe(subject, self._queue_group, self._handler(user_id))
                self._interests[user_id] = _UserInterest(handle)
        elif interest is not None:
            del self._interests[user_id]
            await self._broker.unsubscribe(interest.interest)

    def _handler(self, user_id: str) -> OnMessage:
        deliver = self._deliver

        def on_message(payload: bytes, header: str | None, reply: str) -> None:
            deliver(user_id, payload, header, reply)

        return on_message

    async def _flush(self) -> None:
        # While NATS is away this waits; a socket that waits too long for it is closed by its own check.
        waits = full_jitter(0.1, 1.0)
        while True:
            try:
                await self._broker.flush()
            except BusError as failed:
                log.debug("NATS did not confirm", stage=Stage.LISTENER, error=type(failed).__name__)
                await asyncio.sleep(next(waits))
            else:
                return
