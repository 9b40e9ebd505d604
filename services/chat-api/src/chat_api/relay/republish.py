"""`chat_api republish`: asks the relay to go back and publish part of the record again, and watches it do so.

Nobody gets anything twice from it: fan-out knows what it has settled, and other readers of EVENTS tell a repeat by the
event's id.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import datetime
from typing import Any

import asyncpg
from tqdm import tqdm

from chat_api.relay import cursor as cursors
from chat_api.relay.cursor import NAME, Cursor
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
            " event, or `all`"
        )
    return instant


async def republish(settings: ChatApiSettings, since: datetime | int | None, *, wait: bool) -> int:
    """Ask for everything from `since` on (None: all), and wait until it is done; returns the exit status."""
    try:
        connection = await connect(settings, "chat-api republish")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as away:
        _say(f"Postgres cannot be reached: {type(away).__name__}: {away}")
        return 1
    try:
        await connection.execute("SET statement_timeout = 0")
        return await _republish(connection, since, wait)
    except asyncpg.UndefinedColumnError:
        _say("the database's schema is not at this release: run `python -m chat_api migrate`")
        return 1
    finally:
        await connection.close()


async def _republish(connection: asyncpg.Connection[Any], since: datetime | int | None, wait: bool) -> int:
    before = await cursors.load(connection)
    start = await _start(connection, since)
    if start is None or start >= before.key:
        _say("nothing has been published since then: there is nothing to publish again")
        return 0
    events = await cursors.count(connection, start, before.key)
    _say(f"asking the relay to publish {events} events again")
    await connection.execute(_ASK, NAME, str(start.txid), start.position)
    await connection.execute(f"NOTIFY {CHANNEL}")
    if not wait:
        return 0
    if not await _taken(connection):
        _say(
            f"no relay has taken the request within {NO_RELAY_AFTER_S:g} s. It stays: the next relay that starts will"
            " do it. Is one running (natter_relay_active)?"
        )
        return 1
    await _watch(connection, before, events)
    return 0


async def _start(connection: asyncpg.Connection[Any], since: datetime | int | None) -> Key | None:
    """The key below the first event from `since` on; None if there is no such event."""
    if since is None:
        return ORIGIN
    row = await connection.fetchrow(_SINCE_POSITION if isinstance(since, int) else _SINCE_TIME, since)
    return None if row is None else Key(int(row["txid_text"]), row["position"]).predecessor()


async def _taken(connection: asyncpg.Connection[Any]) -> bool:
    give_up = asyncio.get_running_loop().time() + NO_RELAY_AFTER_S
    while await connection.fetchval(_STILL_ASKED, NAME):
        if asyncio.get_running_loop().time() > give_up:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def _watch(connection: asyncpg.Connection[Any], before: Cursor, events: int) -> None:
    with tqdm(total=events, unit=" events", file=sys.stderr, dynamic_ncols=True) as bar:
        done = 0
        while done < events:
            await asyncio.sleep(LOOK_EVERY_S)
            now = (await cursors.load(connection)).key
            left = 0 if now >= before.key else await cursors.count(connection, now, before.key)
            bar.update(events - left - done)
            done = events - left
    _say(f"published {events} events again")


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - this is a command, and its answer
