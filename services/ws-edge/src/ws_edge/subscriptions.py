"""NATS interest follows what is wanted here: one subscription per key (a user, a role), none for anything else.

Sockets come and go faster than the server answers. So nothing here acts on an event; keys that changed are noted, and
one task compares what is wanted with what is subscribed and makes them equal, batch after batch. A last socket that
leaves while a new one arrives is then no race: whatever is wanted when the task looks is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts import subjects
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import BusError, Incoming, Interest, OnMessage
from ws_edge.registry import Registry

log = logger()

Deliver = Callable[[str, Incoming], None]
"""Called with the key that the message is for, and the message."""


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


class _KeyInterest:
    """One key's subscription; `confirmed` once the server has answered a flush behind it."""

    __slots__ = ("confirmed", "interest")

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.confirmed = False


class Interests:
    """Keeps the subscriptions equal to the keys that are wanted."""

    def __init__(
        self,
        broker: Broker,
        deliver: Deliver,
        *,
        wanted: Callable[[str], bool],
        subject: Callable[[str], str],
        queue: str = "",
    ) -> None:
        """`queue`: the queue group; the edge's own id, so that each edge gets its copy, or none."""
        self._broker = broker
        self._deliver = deliver
        self._wanted = wanted
        self._subject = subject
        self._queue = queue
        self._interests: dict[str, _KeyInterest] = {}
        self._changed: set[str] = set()
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._interests)

    def joined(self, key: str, confirmed: Callable[[], None]) -> None:
        """The key is wanted (still or again); `confirmed` is called once its messages arrive here."""
        interest = self._interests.get(key)
        if interest is not None and interest.confirmed and key not in self._changed:
            confirmed()
            return
        self._waiting.append((key, confirmed))
        self._note(key)

    def left(self, key: str) -> None:
        """Somebody no longer wants the key; perhaps others do."""
        if not self._wanted(key):
            self._note(key)

    async def stand(self, keys: Sequence[str]) -> None:
        """Return when the messages of all these keys arrive here, or they are not wanted any more."""
        missing = set(keys)
        done = asyncio.Event()

        def confirm(key: str) -> None:
            missing.discard(key)
            if not missing:
                done.set()

        for key in tuple(missing):
            self.joined(key, lambda key=key: confirm(key))  # type: ignore[misc]
        if missing:
            await done.wait()

    def _note(self, key: str) -> None:
        self._changed.add(key)
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
        for key in changed:
            await self._align(key)
        if not waiting:
            return
        await self._flush()
        for key, confirmed in waiting:
            interest = self._interests.get(key)
            if interest is not None:
                interest.confirmed = True
                confirmed()
            elif self._wanted(key):
                # Left and came back within the batch.
                self._waiting.append((key, confirmed))
                self._note(key)

    async def _align(self, key: str) -> None:
        interest = self._interests.get(key)
        if self._wanted(key):
            if interest is None:
                handle = await self._broker.subscribe(self._subject(key), self._queue, self._handler(key))
                self._interests[key] = _KeyInterest(handle)
        elif interest is not None:
            del self._interests[key]
            await self._broker.unsubscribe(interest.interest)

    def _handler(self, key: str) -> OnMessage:
        deliver = self._deliver

        def on_message(message: Incoming) -> None:
            deliver(key, message)

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


class Subscriptions(Interests):
    """The subscriptions of all users who are online here."""

    def __init__(self, broker: Broker, registry: Registry, deliver: Deliver, *, edge_id: str) -> None:
        super().__init__(broker, deliver, wanted=registry.online, subject=subjects.user, queue=edge_id)
