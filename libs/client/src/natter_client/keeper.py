"""Keeps the timelines complete: does what they ask for, syncs in time, fills gaps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from contracts.codes import ErrorCode
from natter_client.api import Api, EventPage
from natter_client.backoff import exponential
from natter_client.clock import Agenda, Alarm, Clock
from natter_client.errors import NatterError, RequestFailed
from natter_client.frames import Frame
from natter_client.options import ClientOptions
from natter_client.stats import Stats
from natter_client.timeline import Delivered, Source
from natter_client.timelines import (
    Bookmark,
    GapFound,
    GapHealed,
    NeedSync,
    Rebased,
    Repair,
    Step,
    Timelines,
    delivered,
)

log = logging.getLogger("natter_client")

Spawn = Callable[[Coroutine[Any, Any, None]], None]

SYNC, SECOND_SYNC, TAIL_SYNC = "sync", "second_sync", "tail_sync"
"""Names in the agenda: at the interval or when needed; soon after connecting; after the last frame of a burst."""

_RETRY_BASE_S = 0.5
_SNAPSHOTS_MAX = 3
"""Snapshots that one sync may need: a cursor that is too old again and again is a bug of the server."""


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for completeness; `targets` are known once a sync that began after `after` has ended."""

    after: int
    done: asyncio.Future[None]
    targets: dict[str, int] | None = None


class Keeper:
    """One sync at a time, a few repairs side by side, and the user's callback in the order of the streams."""

    def __init__(
        self,
        api: Api,
        timelines: Timelines,
        options: ClientOptions,
        clock: Clock,
        stats: Stats,
        agenda: Agenda,
        spawn: Spawn,
        on_event: Callable[[Delivered], None] | None,
        on_rebased: Callable[[Rebased], None] | None,
    ) -> None:
        self.cursor = options.bookmark.cursor if options.bookmark is not None else None
        self._api = api
        self._timelines = timelines
        self._options = options
        self._clock = clock
        self._stats = stats
        self._agenda = agenda
        self._spawn = spawn
        self._on_event = on_event
        self._on_rebased = on_rebased
        self._interval_s = options.sync_interval_s or 30.0
        self._online = False
        self._running = False
        self._again = False
        self._begun = 0
        self._failures = 0
        self._spacing_s = options.sync_spacing_s
        self._spaced_from = float("-inf")
        self._parallel = asyncio.Semaphore(options.repairs_parallel_max)
        self._pauses: set[Alarm] = set()
        self._gap_since: dict[str, float] = {}
        self._waiters: list[_Waiter] = []

    def connected(self, sync_interval_s: float) -> None:
        """There is a socket: whatever is accepted from now on comes as a frame; what came before, by sync."""
        self._online = True
        self._failures = 0
        self._interval_s = self._options.sync_interval_s or sync_interval_s
        self._agenda.soon(SYNC, 0.0)
        self._agenda.soon(SECOND_SYNC, self._options.sync_after_connect_s)
        for pause in self._pauses:
            pause.ring()

    def disconnected(self) -> None:
        """No socket, no syncs: the next one begins with the next socket."""
        self._online = False
        self._agenda.drop(SYNC, SECOND_SYNC, TAIL_SYNC)

    def frame(self, frame: Frame) -> None:
        """A durable frame came."""
        assert frame.stream is not None
        event = frame.event()
        self._do(self._timelines.hint(frame.stream, frame.seq) if event is None else self._timelines.live(event))
        if self._options.burst_tail_s is not None:
            # Spread: one message wakes every member of a conversation.
            tail_s = self._options.burst_tail_s * (1 + self._clock.random() / 4)
            self._agenda.at(TAIL_SYNC, self._clock.monotonic() + tail_s)

    def resync(self) -> None:
        """The server may have missed something: so did all its other clients."""
        self._stats.resyncs += 1
        self._agenda.soon(SYNC, self._options.resync_jitter_s * self._clock.random())

    def sync(self) -> None:
        """Sync now; if one is running, once more after it."""
        if self._running:
            self._again = True
        else:
            self._running = True
            self._spawn(self._sync())

    def sync_unless_failing(self) -> None:
        """A sync for the sake of caution; while syncs fail, the one that is to be tried again is enough."""
        if not self._failures:
            self.sync()

    async def caught_up(self) -> None:
        """Wait until all is shown that a sync which begins after this call tells of."""
        waiter = _Waiter(self._begun, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            if self._online:
                self.sync()
            await waiter.done
        finally:
            self._waiters.remove(waiter)

    def give_up(self, why: NatterError) -> None:
        """Nobody will be caught up any more."""
        for waiter in self._waiters:
            if not waiter.done.done():
                waiter.done.set_exception(why)

    def bookmark(self) -> Bookmark | None:
        """Where a later client can begin; None before the first sync."""
        return None if self.cursor is None else Bookmark(self.cursor, self._timelines.places())

    async def _sync(self) -> None:
        self._begun += 1
        self._timelines.begin_sync()
        failed: RequestFailed | None = None
        try:
            await self._pages()
        except RequestFailed as failure:
            failed = failure
        finally:
            self._running = False
        if failed is not None:
            self._do(self._timelines.end_sync(complete=False))
            self._failed(failed)
            return
        self._stats.syncs += 1
        self._failures = 0
        for waiter in self._waiters:
            if waiter.after < self._begun and waiter.targets is None:
                waiter.targets = self._timelines.gapped
        self._do(self._timelines.end_sync(complete=True))
        self._check_waiters()
        self._next_sync()

    async def _pages(self) -> None:
        cursor = self.cursor
        snapshots = 0
        confirmed = False
        while True:
            page = await self._api.sync(cursor)
            snapshot = page.conversations is not None
            self._stats.resets += page.reset
            self._do(self._timelines.sync_page(page))
            if page.has_more and page.next_cursor == cursor:
                raise RequestFailed("sync does not get on: the same cursor again")
            cursor = page.next_cursor
            # A snapshot in part is no place to go on from.
            if not (snapshot and page.has_more):
                self.cursor = cursor
            # Behind a snapshot, what happened while its pages were read.
            snapshots += snapshot and not page.has_more
            if snapshots > _SNAPSHOTS_MAX:
                raise RequestFailed("sync does not get on: snapshot after snapshot")
            if not snapshot and not page.has_more:
                if confirmed or not page.events:
                    return
                # Once more, with the cursor that came with them: it says that they arrived, and need no push.
                confirmed = True

    def _failed(self, failed: RequestFailed) -> None:
        self._stats.syncs_failed += 1
        self._failures += 1
        wait_s = self._wait_s(self._failures, failed)
        if failed.code is ErrorCode.VALIDATION_FAILED and self.cursor is not None:
            # Not a cursor of this server (any more): a snapshot is always to be had.
            self.cursor, wait_s = None, 0.0
        log.info("sync failed, again in %.1f s: %s", wait_s, failed)
        self._again = False
        if self._online:
            self._agenda.soon(SYNC, wait_s)

    def _next_sync(self) -> None:
        again, self._again = self._again, False
        if self._timelines.stuck:
            log.warning("the user's own stream has a hole that increments do not fill: taking a snapshot")
            self.cursor, again = None, True
        if self._timelines.wants_sync:
            self._spacing_s = min(self._spacing_s * 2, self._interval_s)
        else:
            self._spacing_s = self._options.sync_spacing_s
        if self._online:
            self._agenda.soon(SYNC, 0.0 if again else self._interval_s * (0.8 + 0.2 * self._clock.random()))

    def _need_sync(self) -> None:
        # What is missing may lie above the fence for a while: asking without a pause would not bring it sooner.
        if not self._online:
            return
        now = self._clock.monotonic()
        wait_s = max(0.0, self._spaced_from + self._spacing_s - now)
        self._spaced_from = now + wait_s
        self._agenda.soon(SYNC, wait_s)

    def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Delivered():
                    self._call(self._on_event, step)
                case Repair():
                    self._spawn(self._repair(step))
                case NeedSync():
                    self._need_sync()
                case GapFound():
                    self._stats.gaps += 1
                    self._gap_since[step.stream] = self._clock.monotonic()
                case GapHealed():
                    self._stats.healed(self._clock.monotonic() - self._gap_since.pop(step.stream))
                case Rebased():
                    self._stats.rebased += 1
                    log.warning("%s begins anew: seq %s to %s not shown", step.stream, step.from_seq + 1, step.to_seq)
                    self._call(self._on_rebased, step)
        if self._waiters:
            self._check_waiters()

    def _call(self, callback: Callable[[Any], None] | None, value: object) -> None:
        if callback is None:
            return
        try:
            callback(value)
        except Exception:
            # It was shown; what the application did with it is the application's.
            self._stats.callbacks_failed += 1
            log.exception("a callback of the application failed")

    def _check_waiters(self) -> None:
        for waiter in self._waiters:
            if waiter.targets is None or waiter.done.done():
                continue
            streams = self._timelines.streams
            if not any(streams[name].gapped and streams[name].head < seq for name, seq in waiter.targets.items()):
                waiter.done.set_result(None)

    async def _repair(self, repair: Repair) -> None:
        """Read what is missing, page by page, however long it takes; ends early if it is no longer missing."""
        self._stats.repairs += 1
        conversation_id = repair.stream.removeprefix("conversation:")
        after_seq, last_seq, failures = repair.after_seq, 0, 0
        while self._timelines.repair_goes_on(repair, after_seq):
            seen = 0
            try:
                async with self._parallel:
                    seen = self._timelines.streams[repair.stream].known_last
                    page = await self._api.events(conversation_id, after_seq)
                if not page.events:
                    raise RequestFailed(f"{repair.stream} ends at {page.last_seq}, but frames were above it")
            except RequestFailed as failed:
                if failed.code in (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN):
                    self._do(self._timelines.repair_refused(repair, seen))
                    return
                failures += 1
                await self._pause(self._wait_s(failures, failed))
                continue
            failures = 0
            self._do(self._timelines.repaired(_events(page)))
            after_seq, last_seq = page.events[-1].seq, page.last_seq
        self._do(self._timelines.repair_ended(repair, last_seq))

    def _wait_s(self, failures: int, failed: RequestFailed) -> float:
        ceiling_s = exponential(failures, _RETRY_BASE_S, self._options.backoff_cap_s)
        return failed.retry_after_s + self._clock.random() * ceiling_s

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until there is a new socket."""
        alarm = Alarm(self._clock)
        self._pauses.add(alarm)
        try:
            await alarm.sleep(seconds)
        finally:
            self._pauses.discard(alarm)


def _events(page: EventPage) -> list[Delivered]:
    return [delivered(envelope, Source.REPAIR) for envelope in page.events]
