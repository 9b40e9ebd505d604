"""What the edge does with JetStream key-value buckets; every failure is a `BusError`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from nats.js import JetStreamContext
from nats.js.api import Header, StorageType
from nats.js.kv import KV_DEL, KV_OP

from kit import buckets
from kit.bus import AWAY
from ws_edge.bus import BusError, Incoming, NoAnswer

READ_FILTERS_MAX = 50
"""Patterns in one question; the server answers with up to 1,024 values."""
WATCH_INACTIVE_S = 30.0
"""NATS forgets a watch whose process is gone after this."""

_SUBJECT = "Nats-Subject"
_MARKER_REASON = "Nats-Marker-Reason"


class Road(Protocol):
    """What is needed of `ws_edge.bus.Bus`."""

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over the connection of this moment."""

    async def request(
        self, subject: str, payload: bytes, timeout_s: float, headers: dict[str, str] | None = None
    ) -> bytes:
        """One request, one answer; raises `BusError`."""

    async def request_many(self, subject: str, payload: bytes, timeout_s: float) -> list[Incoming]:
        """One request, and all its answers; raises `BusError`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a key; `value` is None if it was deleted."""

    key: str
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A bucket as it stands: `created` tells it from another one of the same name."""

    created: str
    last_revision: int


class Buckets:
    """Buckets over the edge's connection; nothing waits longer than `timeout_s`."""

    def __init__(self, road: Road, *, timeout_s: float = 2.0) -> None:
        self._road = road
        self._timeout_s = timeout_s

    async def ensure(self, bucket: str, *, durable: bool = False, max_age_s: float | None = None) -> Extent:
        """Create the bucket if it is missing; `durable` ones survive NATS' own restart."""
        storage = StorageType.FILE if durable else StorageType.MEMORY
        with _told():
            async with asyncio.timeout(self._timeout_s):
                found = await buckets.ensure(self._road.jetstream, bucket, storage=storage, max_age_s=max_age_s)
        return Extent(str(found.created), found.state.last_seq)

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        """Write; returns the revision. `NobodyListens`: there is no such bucket."""
        return _revision(await self._road.request(buckets.subject(bucket, key), value, self._timeout_s))

    async def delete(self, bucket: str, key: str) -> int:
        """Delete, and let everybody know; the mark of it ends by itself."""
        headers = {KV_OP: KV_DEL, Header.MSG_TTL.value: f"{int(buckets.MARKER_TTL_S)}s"}
        return _revision(await self._road.request(buckets.subject(bucket, key), b"", self._timeout_s, headers))

    async def read(self, bucket: str, patterns: Sequence[str]) -> list[Entry]:
        """What stands under the keys that match; deleted ones are left out."""
        found: list[Entry] = []
        prefix = len(buckets.subject(bucket, ""))
        subject = f"$JS.API.DIRECT.GET.{buckets.stream(bucket)}"
        for start in range(0, len(patterns), READ_FILTERS_MAX):
            chunk = [buckets.subject(bucket, pattern) for pattern in patterns[start : start + READ_FILTERS_MAX]]
            asked = json.dumps({"multi_last": chunk}).encode()
            for message in await self._road.request_many(subject, asked, self._timeout_s):
                headers = message.headers or {}
                if not is_deletion(message):
                    found.append(Entry(headers.get(_SUBJECT, "")[prefix:], message.data, 0))
        return found

    @asynccontextmanager
    async def watching(self, bucket: str) -> AsyncIterator[Watch]:
        """The bucket from its beginning, and everything that it gets."""
        with _told():
            async with asyncio.timeout(self._timeout_s):
                kv = await self._road.jetstream.key_value(bucket)
                watcher = await kv.watchall(inactive_threshold=WATCH_INACTIVE_S)
        try:
            yield Watch(watcher)
        finally:
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(self._timeout_s):
                    await watcher.stop()  # type: ignore[no-untyped-call]


class Watch:
    """Hands over one entry after the other; None once everything that the bucket held was handed over."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher
        self.heard = 0
        """The revision up to which everything was handed over."""

    async def next(self) -> Entry | None:
        """The next one, after as long as it takes."""
        with _told():
            try:
                entry = await self._watcher.__anext__()
            except StopAsyncIteration:
                raise NoAnswer("the watch has ended") from None
        if entry is None:
            return None
        self.heard = max(self.heard, entry.revision)
        return Entry(entry.key, None if entry.operation is not None else entry.value or b"", entry.revision)


def is_deletion(message: Incoming) -> bool:
    """Whether a message on a key's subject says that the key is gone."""
    headers = message.headers or {}
    return KV_OP in headers or _MARKER_REASON in headers


def is_conditional(message: Incoming) -> bool:
    """Whether the bucket may have refused this message: who hears it on the key's subject cannot know."""
    return Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value in (message.headers or {})


def _revision(answer: bytes) -> int:
    try:
        told = json.loads(answer)
        if "error" not in told:
            return int(told["seq"])
    except (ValueError, KeyError, TypeError):
        told = {}
    raise NoAnswer(f"not stored: {str(told.get('error'))[:200]}")


@contextlib.contextmanager
def _told() -> Any:
    """What NATS' client raises becomes a `BusError`."""
    try:
        yield
    except BusError:
        raise
    except AWAY as failed:
        raise NoAnswer(type(failed).__name__) from failed
