"""`chat_api republish`: asks the relay to go back and publish part of the record again, and watches it do so.

Nobody gets anything twice from it: fan-out knows what it has settled, and other readers of EVENTS tell a repeat by the
event's id.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any, Protocol

import asyncpg

from chat_api.relay import cursor as cursors
from chat_api.relay.cursor import NAME
from chat_api.relay.waker import CHANNEL
from chat_api.settings import ChatApiSettings
from chat_api.store.database import connect
from chat_api.store.keys import ORIGIN, Key

NO_RELAY_AFTER_S = 10.0
LOOK_EVERY_S = 0.3

_POSITION = re.compile(r"[0-9]{1,18}\Z")

# Both walk the record's order: what was recorded, or numbered, later may stand earlier in it. Slow, and asked seldom.
_SINCE_TIME = """
SELECT txid::text AS txid_text, position FROM events WHERE recorded_at >= $1 ORDER BY txid, position LIMIT 1
"""
_SINCE_POSITION = """
SELECT txid::text AS txid_text, position FROM events WHERE position >= $1 ORDER BY txid, position LIMIT 1
"""

# Never ahead of an earlier request that nobody has taken yet.
_ASK = """
UPDATE relay_cursor SET (rewind_txid, rewind_position) = (
    SELECT * FROM (
        SELECT $2::text::xid8 AS txid, $3::bigint AS position
        UNION ALL SELECT rewind_txid, rewind_position FROM relay_cursor WHERE name = $1 AND rewind_txid IS NOT NULL
    ) asked ORDER BY txid, position LIMIT 1
) WHERE name = $1
"""

_STILL_ASKED = "SELECT rewind_txid IS NOT NULL FROM relay_cursor WHERE name = $1"


class NotASince(ValueError):
    """What was given is no beginning; the text says what would be."""


def parse_since(text: str) -> datetime | int | None:
    """An instant with its offset, a position, or None for `all`; raises `NotASince`."""
    if text == "all":
        return None
    if _POSITION.match(text):
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise NotASince(
            f"{text!r} is no beginning: give an instant with its offset (2026-01-31T08:15:00Z), the position of an"
            " event, or all"
        )
    return instant


class NoRelay(Exception):
    """Nobody has taken the request; it stays for whoever becomes the relay."""


class Progress(Protocol):
    """Is told how far the relay is."""

    def started(self, total: int) -> None:
        """So many events will be published again."""

    def advanced(self, count: int) -> None:
        """So many more are."""


async def republish(
    settings: ChatApiSettings, since: datetime | int | None, progress: Progress, *, wait: bool = True
) -> int:
    """Ask for everything from `since` on (None: all) to be published again; returns how many events that are.

    0: nothing has been published since then, and nothing is asked. With `wait`, returns when the relay has done it, and
    raises `NoRelay` if none has begun within `NO_RELAY_AFTER_S` seconds.
    """
    connection = await connect(settings, "chat-api republish", patient=True)
    try:
        before = (await cursors.load(connection)).key
        start = await _start(connection, since)
        events = 0 if start is None else await cursors.count(connection, start, before)
        if start is None or not events:
            return 0
        progress.started(events)
        await connection.execute(_ASK, NAME, str(start.txid), start.position)
        await connection.execute(f"NOTIFY {CHANNEL}")
        if wait:
            await _until_taken(connection)
            await _watch(connection, before, events, progress)
        return events
    finally:
        await connection.close()


async def _start(connection: asyncpg.Connection[Any], since: datetime | int | None) -> Key | None:
    """The key below the first event from `since` on; None if there is no such event."""
    if since is None:
        return ORIGIN
    row = await connection.fetchrow(_SINCE_POSITION if isinstance(since, int) else _SINCE_TIME, since)
    return None if row is None else Key(int(row["txid_text"]), row["position"]).predecessor()


async def _until_taken(connection: asyncpg.Connection[Any]) -> None:
    give_up = asyncio.get_running_loop().time() + NO_RELAY_AFTER_S
    while await connection.fetchval(_STILL_ASKED, NAME):
        if asyncio.get_running_loop().time() > give_up:
            raise NoRelay
        await asyncio.sleep(LOOK_EVERY_S)


async def _watch(connection: asyncpg.Connection[Any], before: Key, events: int, progress: Progress) -> None:
    done = 0
    while done < events:
        await asyncio.sleep(LOOK_EVERY_S)
        now = (await cursors.load(connection)).key
        left = 0 if now >= before else await cursors.count(connection, now, before)
        # The relay may go back once more meanwhile.
        progress.advanced(max(0, events - left - done))
        done = max(done, events - left)
