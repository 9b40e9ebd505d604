"""Keeps the book in line with the edges' buckets, and deletes there what dead edges have left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import nats.errors
from nats.js import JetStreamContext
from nats.js.kv import KeyValue

from chat_api.presence.book import PresenceBook
from contracts.codec import Contract, decode
from contracts.errors import Undecodable
from contracts.presence import EDGES_BUCKET, PRESENCE_BUCKET, EdgeLease, EdgePresence
from kit import buckets
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()

M = TypeVar("M", bound=Contract)

CHECK_EVERY_S = 2.0
"""How often it is checked that the watches still hear what the buckets get."""
ANSWER_TIMEOUT_S = 2.0
"""NATS that does not answer for so long is away. Less than a lease's life: before the first lease runs out because
nobody is heard, it is known that nobody is heard."""
READ_TIMEOUT_S = 30.0
"""Reading both buckets from the beginning."""
WRITTEN_ANEW_AFTER_S = 3.0
"""Buckets that were lost with their server are complete again after this: the edges write everything anew."""
JANITOR_EVERY_S = 0.5
DELETES_AT_ONCE = 100
WATCH_INACTIVE_S = 30.0
"""NATS forgets a watch whose process is gone after this."""

_BUCKETS = (PRESENCE_BUCKET, EDGES_BUCKET)


class _Watch:
    """One bucket from its beginning: first what it holds, then what it gets."""

    def __init__(self, watcher: Any, heard: int) -> None:
        self._watcher = watcher
        self.heard = heard
        """The revision up to which everything was heard."""

    async def held(self) -> list[KeyValue.Entry]:
        """What the bucket holds, without what was deleted."""
        found: dict[str, KeyValue.Entry] = {}
        async for entry in self._watcher:
            if entry is None:
                return [one for one in found.values() if one.operation is None]
            self.heard = max(self.heard, entry.revision)
            found[entry.key] = entry
        raise nats.errors.ConnectionClosedError

    async def follow(self, take: Callable[[KeyValue.Entry], None]) -> None:
        """Hand over what the bucket gets, for ever."""
        async for entry in self._watcher:
            if entry is not None:
                self.heard = max(self.heard, entry.revision)
                take(entry)


class PresenceWatcher:
    """Runs in every process that serves; they need not know of one another."""

    def __init__(self, js: JetStreamContext, book: PresenceBook) -> None:
        self._js = js
        self._book = book
        self._again = asyncio.Event()
        self._created: list[str] | None = None
        self._anew_until = 0.0
        """Until then the edges may still be writing anew what was lost."""

    def interrupted(self, reason: str) -> None:
        """Something may have been missed: whatever is known is hearsay until everything was read again."""
        if reason == "disconnected":
            self._book.deaf()
        self._again.set()

    async def run(self) -> None:
        """Watch and clean up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._clean_up())

    # --- hearing ------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        waits = full_jitter(0.1, 2.0)
        while True:
            try:
                await self._read_and_follow()
                waits = full_jitter(0.1, 2.0)
            except AWAY as failed:
                self._book.deaf()
                log.warning("presence cannot be heard", stage=Stage.PRESENCE, error=type(failed).__name__)
                await asyncio.sleep(next(waits))

    async def _read_and_follow(self) -> None:
        """Read everything, then follow, until something may have been missed. Raises what NATS raises."""
        self._again.clear()
        async with asyncio.timeout(READ_TIMEOUT_S):
            found = [await buckets.ensure(self._js, bucket) for bucket in _BUCKETS]
        created = [str(one.created) for one in found]
        if self._created is not None and self._created != created:
            self._anew_until = time.monotonic() + WRITTEN_ANEW_AFTER_S
        self._created = created
        anew_s = self._anew_until - time.monotonic()
        ends = [one.state.last_seq for one in found]
        async with self._watching(PRESENCE_BUCKET, ends[0]) as users, self._watching(EDGES_BUCKET, ends[1]) as edges:
            async with asyncio.timeout(READ_TIMEOUT_S):
                entries = _readable(await users.held(), EdgePresence)
                leases = _readable(await edges.held(), EdgeLease)
            self._book.replace(entries, leases, complete=anew_s <= 0)
            following = [
                asyncio.create_task(users.follow(self._take_entry)),
                asyncio.create_task(edges.follow(self._take_lease)),
            ]
            try:
                await self._until_something_was_missed((users, edges), anew_s)
            finally:
                for task in following:
                    task.cancel()
                ended = await asyncio.gather(*following, return_exceptions=True)
            for result in ended:
                if isinstance(result, Exception):
                    raise result

    @asynccontextmanager
    async def _watching(self, bucket: str, heard: int) -> AsyncIterator[_Watch]:
        kv = await self._js.key_value(bucket)
        watcher = await kv.watchall(inactive_threshold=WATCH_INACTIVE_S)
        try:
            yield _Watch(watcher, heard)
        finally:
            with contextlib.suppress(*AWAY):
                await watcher.stop()  # type: ignore[no-untyped-call]

    async def _until_something_was_missed(self, watches: tuple[_Watch, ...], anew_s: float) -> None:
        """Return when everything must be read again: after `anew_s` in any case, if it is above 0."""
        expected = [0] * len(watches)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(anew_s if anew_s > 0 else CHECK_EVERY_S):
                    await self._again.wait()
            if self._again.is_set() or anew_s > 0:
                return
            if any(watch.heard < seq for watch, seq in zip(watches, expected, strict=True)):
                log.warning("presence was not heard, reading it again", stage=Stage.PRESENCE)
                return
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                found = [await self._js.stream_info(buckets.stream(bucket)) for bucket in _BUCKETS]
            if [str(one.created) for one in found] != self._created:
                return
            expected = [one.state.last_seq for one in found]

    def _take_entry(self, entry: KeyValue.Entry) -> None:
        version = _parsed(entry, EdgePresence)
        if version is not None:
            self._book.put(entry.key, *version)
        else:
            self._book.remove(entry.key)

    def _take_lease(self, entry: KeyValue.Entry) -> None:
        version = _parsed(entry, EdgeLease)
        if version is not None:
            self._book.renew(*version)
        else:
            self._book.end(entry.key)

    # --- cleaning up --------------------------------------------------------------------------------------------------

    async def _clean_up(self) -> None:
        """Every process does it; a deletion names the revision that it means, so that nobody deletes what is new."""
        while True:
            await asyncio.sleep(JANITOR_EVERY_S)
            # In any order: several processes that clean up side by side do not all begin with the same user.
            void = self._book.void_entries()
            random.shuffle(void)
            try:
                for start in range(0, len(void), DELETES_AT_ONCE):
                    await self._delete(PRESENCE_BUCKET, void[start : start + DELETES_AT_ONCE])
                await self._delete(EDGES_BUCKET, self._book.dead_edges())
            except AWAY as failed:
                log.info("cleaning up must wait", stage=Stage.PRESENCE, error=type(failed).__name__)
            if void:
                log.info("users of dead edges are gone", stage=Stage.PRESENCE, entries=len(void))

    async def _delete(self, bucket: str, versions: list[tuple[str, int]]) -> None:
        deletes: list[Awaitable[bool]] = [buckets.delete(self._js, bucket, key, at) for key, at in versions]
        for result in await asyncio.gather(*deletes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def _parsed(entry: KeyValue.Entry, model: type[M]) -> tuple[M, int] | None:
    """The value and its revision; None if it was deleted, or is nothing that we can read."""
    if entry.operation is not None:
        return None
    try:
        return decode(model, entry.value or b""), entry.revision or 0
    except Undecodable as wrong:
        log.warning("an entry cannot be read", stage=Stage.PRESENCE, key=entry.key, reason=str(wrong)[:200])
        return None


def _readable(entries: list[KeyValue.Entry], model: type[M]) -> dict[str, tuple[M, int]]:
    found = {entry.key: _parsed(entry, model) for entry in entries}
    return {key: version for key, version in found.items() if version is not None}
