"""Carries committed events to JetStream: reads behind the commit-safe fence, publishes, remembers where it is.

One relay is active (a session lock in Postgres), others stand by. It never gives up: while NATS or Postgres is away it
waits and goes on from its cursor. A crash between publishing and remembering repeats some events, with the same ids.

It also watches the road: a stream that is another one, or ends too early, has lost what the relay believes published.
Then the cursor goes back to the lowest floor of fan-out, and everything from there is published again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, cast

import asyncpg
from nats.aio.client import Client
from nats.js import JetStreamContext

from chat_api import metrics
from chat_api.relay import cursor as cursors
from chat_api.relay import road
from chat_api.relay.cursor import Cursor
from chat_api.relay.publisher import Publication, Publisher
from chat_api.relay.waker import CHANNEL
from chat_api.settings import ChatApiSettings
from chat_api.store import mapping
from chat_api.store.database import connect, is_away
from chat_api.store.keys import Key
from contracts import subjects
from contracts.stream_ids import parse_stream_id
from kit import cancellation, spans, tracing
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, debugging, logger

log = logger()

RELAY_LOCK = 0x4E617474
"""Key of the session lock that makes a process the relay ("Natt")."""
FENCE_WAIT_MIN_S, FENCE_WAIT_MAX_S = 0.001, 0.05
"""How long the relay waits for a transaction that is still running; doubled each time: a long one costs little."""
LOOK_EVERY_S = 3.0
"""How often an idle relay looks whether the stream is still there."""

# Rows of running transactions are invisible, and rows with later ids than theirs must wait for them: the fence. In
# front of it the order is that of the transaction ids, which event_store makes the order in which each stream was
# appended to. The text of the id has a name of its own: ORDER BY prefers an output name to a column, and "1000" sorts
# before "999".
_NEXT = """
SELECT position, txid::text AS txid_text, event_id, stream, seq, type, version, data::text AS data,
       metadata::text AS metadata, recorded_at, txid < pg_snapshot_xmin(pg_current_snapshot()) AS in_front
FROM events
WHERE (txid, position) > ($1::text::xid8, $2::bigint)
ORDER BY txid, position LIMIT $3
"""


class Relay:
    """`run` stands by until it is the one, then relays, until cancelled."""

    def __init__(self, settings: ChatApiSettings, nats_client: Client, js: JetStreamContext) -> None:
        self._settings = settings
        self._nats = nats_client
        self._js = js
        self._woken = asyncio.Event()
        self.active = False
        """Whether this process is the relay now."""

    def wake(self) -> None:
        """There may be something to relay; a shortcut for writers in the same process."""
        self._woken.set()

    async def run(self) -> None:
        """Relay for ever; every trouble is waited out."""
        waits = full_jitter(0.2, 5.0)
        while True:
            try:
                connection = await connect(self._settings, "chat-api relay")
                try:
                    await self._stand_by(connection)
                    waits = full_jitter(0.2, 5.0)
                    await self._serve(connection)
                finally:
                    self.active = False
                    metrics.relay_active.set(0)
                    connection.terminate()
            except asyncio.CancelledError:
                if cancellation.is_meant():
                    raise
                log.warning("relay lost Postgres, waiting", stage=Stage.ROUTE, error="CancelledError")
            except Exception as error:
                if not is_away(error):
                    log.error("relay failed, beginning again", stage=Stage.ROUTE, exc_info=error)
                else:
                    log.warning("relay lost Postgres, waiting", stage=Stage.ROUTE, error=type(error).__name__)
            await asyncio.sleep(next(waits))

    async def _stand_by(self, connection: asyncpg.Connection[Any]) -> None:
        said = False
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", RELAY_LOCK):
            if not said:
                log.info("another relay is active, standing by", stage=Stage.ROUTE)
                said = True
            await asyncio.sleep(self._settings.relay_poll_s)
        log.info("relay is active", stage=Stage.ROUTE)
        self.active = True
        metrics.relay_active.set(1)

    async def _serve(self, connection: asyncpg.Connection[Any]) -> None:
        # A cursor that a crash forgets means that some events are published again, with the same ids.
        await connection.execute("SET synchronous_commit = off")
        await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
        publisher = Publisher(self._nats, self._settings.relay_publish_timeout_s)
        try:
            await self._carry_on(connection, publisher, await cursors.load(connection))
        finally:
            await publisher.close()

    async def _carry_on(self, connection: asyncpg.Connection[Any], publisher: Publisher, cursor: Cursor) -> None:
        waits = full_jitter(0.05, 1.0)
        fence_wait_s = FENCE_WAIT_MIN_S
        clock = asyncio.get_running_loop().time
        looked_at, asked_at, reconnects = 0.0, 0.0, -1
        while True:
            self._woken.clear()
            if clock() - asked_at > self._settings.relay_poll_s:
                asked_at = clock()
                asked = await cursors.take_request(connection, cursor)
                if asked is not None:
                    await self._went_back(connection, cursor, asked, "somebody asked for it")
                    cursor = asked
            if reconnects != self._nats.stats["reconnects"]:
                # Another server, or the same one after whatever has happened to its data.
                reconnects = self._nats.stats["reconnects"]
                publisher.break_chain()
            found = await connection.fetch(_NEXT, *_arguments(cursor.key), self._settings.relay_batch_max)
            rows = list(takewhile(lambda row: row["in_front"], found))
            idle_for_long = not rows and clock() - looked_at > LOOK_EVERY_S
            if not publisher.chained or idle_for_long:
                looked_at = clock()
                seen = await self._look(connection, cursor)
                if seen is None:
                    await asyncio.sleep(next(waits))
                    continue
                looked, place = seen
                # An idle relay's chain goes on; only a new one begins where the stream ends now.
                if looked != cursor or not publisher.chained:
                    publisher.begin_chain(place)
                if looked != cursor:
                    cursor = looked
                    continue
            if not rows:
                # Something is there but behind the fence: the transaction that it waits for ends in a moment, and
                # nobody will wake us for that.
                await self._pause(fence_wait_s if found else self._settings.relay_poll_s)
                fence_wait_s = min(2 * fence_wait_s, FENCE_WAIT_MAX_S) if found else FENCE_WAIT_MIN_S
                continue
            fence_wait_s = FENCE_WAIT_MIN_S
            stored = await publisher.publish([_publication(row, cursor) for row in rows])
            if stored:
                cursor = replace(cursor, key=_key(rows[stored - 1]), stream_seq=publisher.highest_place)
                await cursors.save(connection, cursor)
                _measure(rows[:stored])
                waits = full_jitter(0.05, 1.0)
            if stored < len(rows):
                await asyncio.sleep(next(waits))

    async def _look(self, connection: asyncpg.Connection[Any], cursor: Cursor) -> tuple[Cursor, int] | None:
        """Look at the stream: the cursor as it must be now, and where the stream ends. None if JetStream is away."""
        if not self._nats.is_connected:
            return None
        try:
            seen = await road.look(self._js)
        except AWAY as away:
            log.warning("JetStream does not answer", stage=Stage.ROUTE, error=type(away).__name__)
            return None
        lost = road.loss(cursor, seen)
        looked = cursor
        if lost is not None:
            looked = cursor.back_to(await cursors.lowest_floor(connection) or cursor.key)
            metrics.relay_road_lost.inc()
        if lost is not None or cursor.stream_created is None:
            # What is acknowledged from here on lies behind what is there now.
            looked = replace(looked, stream_created=seen.created, stream_seq=seen.last_seq)
            await cursors.save(connection, looked)
        if lost is not None:
            await self._went_back(connection, cursor, looked, lost.value)
        return looked, seen.last_seq

    async def _went_back(self, connection: asyncpg.Connection[Any], before: Cursor, after: Cursor, reason: str) -> None:
        events = await cursors.count(connection, after.key, before.key)
        metrics.relay_republished.inc(events)
        log.warning(
            "publishing again",
            stage=Stage.ROUTE,
            reason=reason,
            events=events,
            from_position=after.key.position,
            generation=after.generation,
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def _arguments(key: Key) -> tuple[str, int]:
    return str(key.txid), key.position


def _key(row: asyncpg.Record) -> Key:
    return Key(int(row["txid_text"]), row["position"])


def _publication(row: asyncpg.Record, cursor: Cursor) -> Publication:
    return Publication(
        subject=subjects.event(parse_stream_id(row["stream"]), row["type"]),
        message_id=cursor.message_id(str(row["event_id"])),
        payload=mapping.envelope_bytes(cast(mapping.EventRow, _Attributes(row))),
    )


class _Attributes:
    """A driver's record with its columns as attributes, as SQLAlchemy's rows have them."""

    __slots__ = ("_row",)

    def __init__(self, row: asyncpg.Record) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return self._row[name]


def _measure(rows: Sequence[asyncpg.Record]) -> None:
    now = datetime.now(UTC)
    metrics.relay_published.inc(len(rows))
    for row in rows:
        metrics.relay_lag.observe((now - row["recorded_at"]).total_seconds())
        if debugging():
            about = {"stream": row["stream"], "seq": row["seq"], "event_id": str(row["event_id"])}
            log.debug("relayed", stage=Stage.ROUTE, **about, **tracing.told(tracing.within(row["metadata"])))
        if spans.enabled:
            _record_span(row)


def _record_span(row: asyncpg.Record) -> None:
    traceparent = tracing.within(row["metadata"])
    if traceparent is not None:
        spans.record(
            spans.SpanName.RELAY_PUBLISH,
            step=None,
            parent=traceparent,
            started_ns=int(row["recorded_at"].timestamp() * 1e9),
            kind=spans.Kind.PRODUCER,
            stream=row["stream"],
            seq=row["seq"],
            event_type=row["type"],
        )
