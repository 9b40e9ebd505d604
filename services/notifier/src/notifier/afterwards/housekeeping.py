"""Figures that only the tables know, and forgetting what is settled long since."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from kit.logs import Stage, logger
from notifier.afterwards.record import HOUR_S, AfterwardsRecord
from notifier.errors import StoreError
from notifier.metrics import Metrics
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store

log = logger()

LOOK_EVERY_S = 15.0
UNTRUE_WITHIN_S = 4 * LOOK_EVERY_S
"""Only what ended lately is held against its pushes: an hour of a busy day is millions of rows."""
FORGET_EVERY_S = 600.0
FORGET_MAX = 5_000
"""Deliveries that one transaction deletes."""


class Housekeeping:
    """The one task that looks at the whole."""

    def __init__(
        self,
        settings: NotifierSettings,
        store: Store,
        record: AfterwardsRecord,
        metrics: Metrics,
        stop: Stop,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._record = record
        self._metrics = metrics
        self._stop = stop
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        """What was found untrue, of the last hour."""

    async def run(self) -> None:
        """Until told to stop."""
        since_s = FORGET_EVERY_S
        while not self._stop:
            try:
                await self.look()
                if since_s >= FORGET_EVERY_S:
                    await self.forget()
                    since_s = 0.0
            except StoreError as away:
                log.debug("no figures", stage=Stage.LIFECYCLE, reason=str(away))
            await self._stop.pause(LOOK_EVERY_S)
            since_s += LOOK_EVERY_S

    async def look(self) -> None:
        """Bring the gauges up to date; a ledger that contradicts itself is told."""
        pending, dead = await self._store.waiting()
        self._metrics.unsettled.set(pending)
        self._metrics.dead_letters.set(dead)
        untrue = await self._store.untrue(UNTRUE_WITHIN_S)
        self._seen.append((self._clock(), untrue))
        while self._seen[0][0] < self._clock() - HOUR_S:
            self._seen.popleft()
        self._metrics.ledger_difference.set(max(count for _, count in self._seen))
        if untrue:
            log.error("deliveries and their pushes contradict each other", stage=Stage.LOCAL_PUSH, count=untrue)

    async def forget(self) -> None:
        """Delete what is settled for longer than `NATTER_PUSH_LEDGER_DAYS`."""
        while not self._stop:
            gone = await self._record.forget(self._settings.push_ledger_days, FORGET_MAX)
            if gone < FORGET_MAX:
                return
