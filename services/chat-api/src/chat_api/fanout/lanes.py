"""Who works on which lane: leases in Postgres, so that any number of fan-out processes share the conversations.

A lane is a fixed part of all streams; one process at a time works on it, which is what keeps each conversation's order
at the sockets. Taking a lane raises its epoch: the consumer's name carries it, and deleting the former epoch's consumer
cuts off a former owner that does not know yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.fanout.progress import Saved
from chat_api.store.database import translated
from chat_api.store.keys import ORIGIN, Key
from kit.logs import Stage, logger

log = logger()

DIVIDE_LOCK = 0x4E61746C
"""Key of the lock under which the lanes are made, or divided anew ("Natl")."""


@dataclass(frozen=True, slots=True)
class Term:
    """One process's ownership of one lane, and how far its predecessor had got."""

    lane: int
    epoch: int
    saved: Saved | None
    """None: the last owner was of a release that noted a place in EVENTS, see `place`."""
    stream_created: str | None
    place: int
    """Every event up to this place in that incarnation of EVENTS was settled; of use only without `saved`."""
    nats_server: str | None
    """The server that the last owner was connected to."""


_LOOK = text("""
SELECT lane, coalesce(partitions, :lanes) AS partitions, coalesce(lease_until >= now(), false) AS held FROM fanout_lanes
""")

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")

# Every event below the lowest floor is settled whatever the lanes, and nothing is known of what lies above it.
_LOW = """
low AS (
    SELECT floor_txid AS txid, floor_position AS position FROM fanout_lanes
    WHERE floor_txid IS NOT NULL ORDER BY floor_txid, floor_position LIMIT 1
)
"""

_DIVIDE = text(f"""
WITH {_LOW}
UPDATE fanout_lanes SET partitions = :lanes, floor_txid = low.txid, floor_position = low.position,
    top_txid = low.txid, top_position = low.position, open = '[]'
FROM low WHERE EXISTS (SELECT FROM fanout_lanes WHERE partitions <> :lanes)
""")  # noqa: S608 - nothing but our own constants

_DROP = text("DELETE FROM fanout_lanes WHERE lane >= :lanes")

_CREATE = text(f"""
WITH {_LOW}, start AS (
    SELECT txid, position FROM low
    UNION ALL SELECT '0'::xid8, 0 WHERE NOT EXISTS (SELECT FROM fanout_lanes)
)
INSERT INTO fanout_lanes (lane, partitions, floor_txid, floor_position, top_txid, top_position, open)
SELECT lane, :lanes, start.txid, start.position, start.txid, start.position, '[]'
FROM generate_series(0, :lanes - 1) lane LEFT JOIN start ON true
ON CONFLICT (lane) DO NOTHING
""")  # noqa: S608 - nothing but our own constants

_TERM = """lane, epoch, floor_txid::text AS floor_txid, floor_position, top_txid::text AS top_txid, top_position,
    open::text AS open, floor_stream, floor, nats_server"""

_TAKE = text(f"""
UPDATE fanout_lanes SET owner = :owner, epoch = epoch + 1, lease_until = now() + make_interval(secs => :lease_s),
    partitions = :lanes
WHERE lane = (
    SELECT lane FROM fanout_lanes
    WHERE lane < :lanes AND (lease_until IS NULL OR lease_until < now())
    ORDER BY lane LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {_TERM}
""")  # noqa: S608 - nothing but our own constants

_ADVANCE_EPOCH = text(f"""
UPDATE fanout_lanes SET epoch = epoch + 1, lease_until = now() + make_interval(secs => :lease_s)
WHERE lane = :lane AND owner = :owner AND epoch = :epoch
RETURNING {_TERM}
""")  # noqa: S608 - nothing but our own constants

_RENEW = text("""
UPDATE fanout_lanes
SET lease_until = now() + make_interval(secs => :lease_s), nats_server = :nats_server,
    floor_txid = CAST(CAST(:floor_txid AS text) AS xid8), floor_position = :floor_position,
    top_txid = CAST(CAST(:top_txid AS text) AS xid8), top_position = :top_position,
    open = coalesce(CAST(:open AS jsonb), open)
WHERE lane = :lane AND owner = :owner AND epoch = :epoch
RETURNING (SELECT txid::text FROM relay_cursor WHERE name = 'events') AS relayed_txid,
    (SELECT position FROM relay_cursor WHERE name = 'events') AS relayed_position
""")

_HOLD = text("""
UPDATE fanout_lanes SET lease_until = now() + make_interval(secs => :lease_s)
WHERE lane = :lane AND owner = :owner AND epoch = :epoch
""")

_RELEASE = text("""
UPDATE fanout_lanes SET owner = NULL, lease_until = NULL WHERE lane = :lane AND owner = :owner AND epoch = :epoch
""")

_SEEN = text("""
INSERT INTO fanout_members (owner, seen_until) VALUES (:owner, now() + make_interval(secs => :lease_s))
ON CONFLICT (owner) DO UPDATE SET seen_until = excluded.seen_until
""")

_MEMBERS = text("""
WITH gone AS (DELETE FROM fanout_members WHERE seen_until < now() - interval '1 hour')
SELECT count(*) FROM fanout_members WHERE seen_until >= now()
""")

_GONE = text("DELETE FROM fanout_members WHERE owner = :owner")


class Lanes:
    """The leases of one process, named `owner`."""

    def __init__(self, engine: AsyncEngine, owner: str, lanes: int, lease_s: float) -> None:
        self._engine = engine
        self._owner = owner
        self._lanes = lanes
        self._lease_s = lease_s
        self._said_divided = False

    async def fair_share(self) -> int:
        """Tell the others that we are here; returns how many lanes each process should hold at most."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(_SEEN, {"owner": self._owner, "lease_s": self._lease_s})
            members = await connection.scalar(_MEMBERS)
        return -(-self._lanes // max(1, members or 1))

    async def leave(self) -> None:
        """We are going: our share is for the others."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(_GONE, {"owner": self._owner})

    async def take(self) -> Term | None:
        """A lane that nobody holds, or None."""
        async with translated(), self._engine.begin() as connection:
            if not await self._divided(connection):
                return None
            row = (
                await connection.execute(_TAKE, {"owner": self._owner, "lanes": self._lanes, "lease_s": self._lease_s})
            ).one_or_none()
        return None if row is None else _term(row)

    async def _divided(self, connection: AsyncConnection) -> bool:
        """Make what lanes are missing, or divide anew if there were more or fewer; False while others work on those."""
        if await self._fits(connection):
            return True
        await connection.execute(_LOCK, {"key": DIVIDE_LOCK})
        rows = (await connection.execute(_LOOK, {"lanes": self._lanes})).all()
        if any(row.held and row.partitions != self._lanes for row in rows):
            if not self._said_divided:
                log.error(
                    "another fan-out runs with another number of lanes, waiting for its end",
                    stage=Stage.LISTENER,
                    lanes=self._lanes,
                )
                self._said_divided = True
            return False
        await connection.execute(_DIVIDE, {"lanes": self._lanes})
        await connection.execute(_CREATE, {"lanes": self._lanes})
        await connection.execute(_DROP, {"lanes": self._lanes})
        return True

    async def _fits(self, connection: AsyncConnection) -> bool:
        rows = (await connection.execute(_LOOK, {"lanes": self._lanes})).all()
        return {row.lane for row in rows} == set(range(self._lanes)) and all(
            row.partitions == self._lanes for row in rows
        )

    async def renew(self, term: Term, saved: Saved, nats_server: str, *, open_changed: bool = True) -> Key | None:
        """Hold on to a lane and note how far it is; returns how far the relay is, or None if it is no longer ours."""
        async with translated(), self._engine.begin() as connection:
            row = (
                await connection.execute(
                    _RENEW,
                    self._names(term)
                    | {
                        "nats_server": nats_server,
                        "floor_txid": str(saved.floor.txid),
                        "floor_position": saved.floor.position,
                        "top_txid": str(saved.top.txid),
                        "top_position": saved.top.position,
                        "open": json.dumps(saved.open, separators=(",", ":")) if open_changed else None,
                    },
                )
            ).one_or_none()
        if row is None:
            return None
        return ORIGIN if row.relayed_txid is None else Key(int(row.relayed_txid), row.relayed_position)

    async def hold(self, term: Term) -> bool:
        """Hold on to a lane of which nothing new is to be said; False if it is no longer ours."""
        async with translated(), self._engine.begin() as connection:
            return (await connection.execute(_HOLD, self._names(term))).rowcount == 1

    async def begin_anew(self, term: Term) -> Term | None:
        """The next epoch of a lane that we hold; None if it is no longer ours."""
        async with translated(), self._engine.begin() as connection:
            row = (await connection.execute(_ADVANCE_EPOCH, self._names(term))).one_or_none()
        return None if row is None else _term(row)

    async def release(self, term: Term) -> None:
        """Give a lane back at once, so that nobody waits for the lease to end."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(_RELEASE, {"lane": term.lane, "owner": self._owner, "epoch": term.epoch})

    def _names(self, term: Term) -> dict[str, Any]:
        return {"lane": term.lane, "owner": self._owner, "epoch": term.epoch, "lease_s": self._lease_s}


def _term(row: Any) -> Term:
    saved = None
    if row.floor_txid is not None:
        saved = Saved(
            Key(int(row.floor_txid), row.floor_position),
            Key(int(row.top_txid), row.top_position),
            json.loads(row.open),
        )
    return Term(row.lane, row.epoch, saved, row.floor_stream, row.floor, row.nats_server)
