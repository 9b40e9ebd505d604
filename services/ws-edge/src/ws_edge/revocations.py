"""Hears of every revocation: the bucket from its beginning, again whenever something may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from contracts.control import REVOCATIONS_AGE_MAX_S, REVOCATIONS_BUCKET
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from ws_edge.bus import BusError
from ws_edge.kv import Buckets, Entry, Extent, Watch

log = logger()

CHECK_EVERY_S = 5.0
"""How often it is checked that the watch has heard what the bucket got."""
READ_TIMEOUT_S = 30.0


class RevocationWatch:
    """`take` gets every entry, perhaps several times; `complete` is called when all that there is was taken."""

    def __init__(
        self,
        buckets: Buckets,
        take: Callable[[Entry], None],
        complete: Callable[[], None],
        *,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._buckets = buckets
        self._take = take
        self._complete = complete
        self._check_every_s = check_every_s
        self._again = asyncio.Event()

    def interrupted(self) -> None:
        """Something may have been missed."""
        self._again.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        waits = full_jitter(0.1, 2.0)
        while True:
            try:
                await self._watch()
                waits = full_jitter(0.1, 2.0)
            except BusError as failed:
                log.info("revocations cannot be heard", stage=Stage.LISTENER, error=type(failed).__name__)
                await asyncio.sleep(next(waits))

    async def _watch(self) -> None:
        """Read everything, then follow until something may have been missed; raises `BusError`."""
        self._again.clear()
        extent = await self._ensure()
        async with self._buckets.watching(REVOCATIONS_BUCKET) as watch:
            try:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    while (entry := await watch.next()) is not None:
                        self._take(entry)
            except TimeoutError:
                log.warning("revocations were not read in time", stage=Stage.LISTENER)
                return
            self._complete()
            following = asyncio.create_task(self._follow(watch))
            try:
                await self._until_something_was_missed(following, watch, extent.created)
            finally:
                following.cancel()
                (ended,) = await asyncio.gather(following, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended

    async def _ensure(self) -> Extent:
        return await self._buckets.ensure(REVOCATIONS_BUCKET, durable=True, max_age_s=REVOCATIONS_AGE_MAX_S)

    async def _follow(self, watch: Watch) -> None:
        while True:
            entry = await watch.next()
            if entry is not None:
                self._take(entry)

    async def _until_something_was_missed(self, following: asyncio.Task[None], watch: Watch, created: str) -> None:
        expected = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check_every_s):
                    await self._again.wait()
            if self._again.is_set() or following.done():
                return
            if watch.heard < expected:
                log.warning("revocations were not heard, reading them again", stage=Stage.LISTENER)
                return
            extent = await self._ensure()
            if extent.created != created:
                return
            # What the bucket has now must have been heard at the next look.
            expected = extent.last_revision
