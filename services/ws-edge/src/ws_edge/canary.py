"""The edge hears itself through NATS, or it is deaf; a deaf edge that holds sockets is the worst state there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from contracts import subjects
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import Bus, Incoming

log = logger()

RENEWAL_BACKOFF_CAP_S = 30.0
"""Longest pause between two new connections of an edge that stays deaf, beside the time that it listens to each."""


class Canary:
    """Sings every `interval_s` and listens.

    Unheard for `deaf_after_s`: calls `deaf`, once, and makes a new connection, again and again until it hears. Unheard
    for `patience_s` on connections that seem to stand: calls `stuck`, for then nothing helps but a new process. Heard:
    calls `heard`, and says whether it was deaf before.
    """

    def __init__(
        self,
        *,
        edge_id: str,
        interval_s: float,
        deaf_after_s: float,
        patience_s: float,
        now: Callable[[], float],
        deaf: Callable[[], None],
        stuck: Callable[[], None],
        heard: Callable[[bool], None],
    ) -> None:
        self.subject = subjects.control("canary", edge_id)
        self._interval_s, self._deaf_after_s, self._patience_s = interval_s, deaf_after_s, patience_s
        self._now = now
        self._deaf, self._stuck, self._heard = deaf, stuck, heard
        self._heard_at_s = self._judged_at_s = now()
        self._silent_s = 0.0  # since the song or a new connection
        self._silent_connected_s = 0.0  # since the song, without the time in which there was no connection
        self._is_deaf = False
        self._renew_at_s = 0.0
        self._waits = full_jitter(interval_s, RENEWAL_BACKOFF_CAP_S)

    @property
    def age_s(self) -> float:
        """Seconds since the edge last heard itself."""
        return self._now() - self._heard_at_s

    def expect_anew(self) -> None:
        """The connection has just been (re)made: the time without it does not count as deafness."""
        self._silent_s = 0.0
        self._is_deaf = False

    def hear(self) -> None:
        """The song came back."""
        was_deaf, self._is_deaf = self._is_deaf, False
        self._heard_at_s = self._now()
        self._silent_s = self._silent_connected_s = 0.0
        if was_deaf:
            self._renew_at_s = 0.0
            self._waits = full_jitter(self._interval_s, RENEWAL_BACKOFF_CAP_S)
        self._heard(was_deaf)

    def judge(self, connected: bool) -> None:
        """Deaf is who hears nothing, whatever it believes of its connection: its users are better off elsewhere."""
        now_s = self._now()
        # While this process itself did not run (stopped, swapped out) it heard nothing of anybody: it listens first.
        listened_s = min(now_s - self._judged_at_s, 2 * self._interval_s)
        self._judged_at_s = now_s
        self._silent_s += listened_s
        if connected:
            # NATS that cannot be reached at all is no reason to restart this process: that would not bring it back.
            self._silent_connected_s += listened_s
        if not self._is_deaf and self._silent_s > self._deaf_after_s:
            self._is_deaf = True
            log.error(
                "the edge does not hear itself through NATS",
                stage=Stage.LISTENER,
                seconds=round(self.age_s, 1),
                connected=connected,
            )
            self._deaf()
        if self._silent_connected_s > self._patience_s:
            self._stuck()

    def wants_renewal(self, connected: bool) -> bool:
        """Whether a new connection might help.

        One that stands and is silent is given up at once. One that is broken is nats-py's to repair; only after
        `patience_s` it is doubted whether anybody still does that.
        """
        limit_s = self._deaf_after_s if connected else self._patience_s
        return self._silent_s > limit_s and self._now() >= self._renew_at_s

    async def run(self, bus: Bus, renew: Callable[[], Awaitable[None]]) -> None:
        """Sing and listen; runs until cancelled. `renew` returns with a new connection, after as long as it takes."""

        def on_message(message: Incoming) -> None:
            self.hear()
            bus.on_echo(message.data)

        await bus.subscribe(self.subject, "", on_message)
        self.expect_anew()
        self._judged_at_s = self._now()
        while True:
            if bus.connected:
                bus.post(self.subject, b"")
            await asyncio.sleep(self._interval_s)
            self.judge(bus.connected)
            if self.wants_renewal(bus.connected):
                await self._renew(renew)

    async def _renew(self, renew: Callable[[], Awaitable[None]]) -> None:
        log.warning("connecting to NATS anew", stage=Stage.LISTENER)
        try:
            await renew()
        except Exception:
            # Whatever it was, the next attempt may do better; ending here would end the edge and all its sockets.
            log.exception("connecting anew failed", stage=Stage.LISTENER)
        self._silent_s = 0.0  # it stays deaf, and so says `resync`, until it hears
        self._judged_at_s = self._now()
        self._renew_at_s = self._judged_at_s + self._deaf_after_s + next(self._waits)
