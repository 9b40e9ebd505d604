"""The process's one connection to NATS, and who wants to know that it was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client

from kit import bus
from kit.health import Health
from notifier.settings import NotifierSettings
from notifier.stopping import Stop, Stopped

NATS = "nats"
"""The need in `/healthz/ready`."""
_CLOSE_TIMEOUT_S = 2.0


class Link:
    """`open` connects, for as long as it takes; `client` is None until then."""

    def __init__(self, settings: NotifierSettings, health: Health, stop: Stop) -> None:
        self._settings = settings
        self._health = health
        self._stop = stop
        self._there = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []
        self.client: Client | None = None
        health.missing(NATS, "connecting")

    def on_interrupted(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the reason whenever what was asked of the server may be forgotten there."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Connect; returns without a connection only when the process is told to stop."""
        try:
            self.client = await self._stop.unless_stopped(
                bus.connect(
                    self._settings,
                    service="notifier",
                    on_interrupted=self._interrupted,
                    on_disconnected=self._disconnected,
                )
            )
        except Stopped:
            return
        self._there.set()

    async def wait(self) -> Client:
        """The connection, once there is one; raises `Stopped`."""
        await self._stop.unless_stopped(self._there.wait())
        assert self.client is not None
        return self.client

    async def close(self) -> None:
        """For good; never takes long."""
        await bus.close(self.client, timeout_s=_CLOSE_TIMEOUT_S)

    async def _interrupted(self, reason: str) -> None:
        for listener in self._listeners:
            listener(reason)

    async def _disconnected(self, reason: str) -> None:
        self._health.missing(NATS, reason)
        await self._interrupted(reason)
