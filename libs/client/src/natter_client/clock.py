"""Time and chance as the client sees them, so that a test can own both."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time, waits, and draws lots.

    `monotonic` and `wall` are in seconds; `wall` is compared with a token's `exp` and nothing else, so a clock that is
    set wrong does no harm. `random` is uniform in [0, 1). Waits for an answer of the network use the event loop's own
    time.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random
    wall: Callable[[], float] = time.time


class Alarm:
    """A sleep that can be cut short. For one sleeper."""

    __slots__ = ("_clock", "_rung", "_sleeper", "_until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleeper: asyncio.Future[object] | None = None
        self._rung = False
        self._until = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait that long, or until `ring`."""
        if self._rung:
            self._rung = False
            return
        self._until = self._clock.monotonic() + seconds
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        self._sleeper = sleeper
        try:
            await asyncio.wait((sleeper,))
        finally:
            sleeper.cancel()
            self._sleeper = None
            self._rung = False

    def ring(self) -> None:
        """End the sleep; without one, the next is skipped."""
        self._rung = True
        if self._sleeper is not None:
            self._sleeper.cancel()

    def ring_before(self, moment: float) -> None:
        """End the sleep if it would last beyond that moment of `monotonic`."""
        if self._sleeper is None or self._until > moment:
            self.ring()


class Agenda:
    """Named moments at which something is due, and one task that keeps them; a moment is replaced by a newer one."""

    __slots__ = ("_alarm", "_clock", "_due", "_what")

    def __init__(self, clock: Clock, what: dict[str, Callable[[], None]]) -> None:
        self._clock = clock
        self._what = what
        self._due: dict[str, float] = {}
        self._alarm = Alarm(clock)

    def at(self, name: str, moment: float) -> None:
        """Do `name` at that moment of `monotonic`, and not when it was due before."""
        self._due[name] = moment
        self._alarm.ring_before(moment)

    def soon(self, name: str, seconds: float) -> None:
        """Do `name` within so many seconds; an earlier moment stays."""
        moment = self._clock.monotonic() + seconds
        if moment < self._due.get(name, float("inf")):
            self.at(name, moment)

    def drop(self, *names: str) -> None:
        """Do these no more."""
        for name in names:
            self._due.pop(name, None)

    def clear(self) -> None:
        """Do nothing any more."""
        self._due.clear()

    async def keep(self) -> None:
        """Do what is due when it is due; runs until cancelled."""
        while True:
            now = self._clock.monotonic()
            for name in [name for name, moment in self._due.items() if moment <= now]:
                del self._due[name]
                self._what[name]()
            now = self._clock.monotonic()
            await self._alarm.sleep(max(0.0, min(self._due.values(), default=now + 3600.0) - now))
