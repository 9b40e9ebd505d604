"""The edge hears itself through NATS, or it is deaf; a deaf edge that holds sockets is the worst state there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from contracts import subjects
from kit.logs import Stage, logger
from ws_edge.bus import Bus

log = logger()


class Canary:
    """Sings every `interval_s`; unheard for `deaf_after_s` calls `deaf` once, heard again calls `heard`."""

    def __init__(
        self,
        *,
        edge_id: str,
        interval_s: float,
        deaf_after_s: float,
        now: Callable[[], float],
        deaf: Callable[[], None],
        heard: Callable[[], None],
    ) -> None:
        self.subject = subjects.control("canary", edge_id)
        self._interval_s, self._deaf_after_s = interval_s, deaf_after_s
        self._now = now
        self._deaf, self._heard = deaf, heard
        self._heard_at_s = now()
        self._is_deaf = False

    @property
    def age_s(self) -> float:
        """Seconds since the edge last heard itself."""
        return self._now() - self._heard_at_s

    def expect_anew(self) -> None:
        """The connection has just been (re)made: the time without it does not count as deafness."""
        self._heard_at_s = self._now()

    def hear(self) -> None:
        """The song came back."""
        self._heard_at_s = self._now()
        self._is_deaf = False
        self._heard()

    def judge(self, connected: bool) -> None:
        """Deaf is who believes to be connected and hears nothing; a broken connection is known by itself."""
        if connected and not self._is_deaf and self.age_s > self._deaf_after_s:
            self._is_deaf = True
            log.error("the edge does not hear itself through NATS", stage=Stage.LISTENER, seconds=round(self.age_s, 1))
            self._deaf()

    async def run(self, bus: Bus) -> None:
        """Sing and listen; runs until cancelled."""

        def on_message(payload: bytes, _header: str | None, _reply: str) -> None:
            self.hear()
            bus.on_echo(payload)

        await bus.subscribe(self.subject, "", on_message)
        self.expect_anew()
        while True:
            if bus.connected:
                bus.post(self.subject, b"")
            await asyncio.sleep(self._interval_s)
            self.judge(bus.connected)
