"""Who works on which lane: leases in Postgres, so that any number of fan-out processes share the conversations.

A lane is a fixed part of all streams; one process at a time works on it, which is what keeps each conversation's order
at the sockets. Taking a lane raises its epoch: the consumer's name carries it, and deleting the former epoch's consumer
cuts off a former owner that does not know yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import translated


@dataclass(frozen=True, slots=True)
class Term:
    """One process's ownership of one lane, and where its predecessor had got to."""

    lane: int
    epoch: int
    floor_stream: str | None
    """Which incarnation of the EVENTS stream `floor` counts in: its time of creation."""
    floor: int
    """Every event up to this place in EVENTS is settled."""


_ENSURE = text("""
INSERT INTO fanout_lanes (lane) SELECT generate_series(0, :lanes - 1) ON CONFLICT (lane) DO NOTHING
""")

_TAKE = text("""
UPDATE fanout_lanes SET owner = :owner, epoch = epoch + 1, lease_until = now() + make_interval(secs => :lease_s)
WHERE lane = (
    SELECT lane FROM fanout_lanes
    WHERE lane < :lanes AND (lease_until IS NULL OR lease_until < now())
    ORDER BY lane LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING lane, epoch, floor_stream, floor
""")

_ADVANCE_EPOCH = text("""
UPDATE fanout_lanes SET epoch = epoch + 1, lease_until = now() + make_interval(secs => :lease_s)
WHERE lane = :lane AND owner = :owner AND epoch = :epoch
RETURNING lane, epoch, floor_stream, floor
""")

_RENEW = text("""
UPDATE fanout_lanes
SET lease_until = now() + make_interval(secs => :lease_s), floor_stream = :floor_stream,
    floor = CASE WHEN floor_stream = :floor_stream THEN greatest(floor, :floor) ELSE :floor END
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
            await connection.execute(_ENSURE, {"lanes": self._lanes})
            row = (
                await connection.execute(_TAKE, {"owner": self._owner, "lanes": self._lanes, "lease_s": self._lease_s})
            ).one_or_none()
        return None if row is None else Term(row.lane, row.epoch, row.floor_stream, row.floor)

    async def renew(self, term: Term, floor_stream: str, floor: int) -> bool:
        """Hold on to a lane and note how far it is; False if it is no longer ours."""
        async with translated(), self._engine.begin() as connection:
            result = await connection.execute(
                _RENEW,
                {
                    "lane": term.lane,
                    "owner": self._owner,
                    "epoch": term.epoch,
                    "lease_s": self._lease_s,
                    "floor_stream": floor_stream,
                    "floor": floor,
                },
            )
        return result.rowcount == 1

    async def begin_anew(self, term: Term) -> Term | None:
        """The next epoch of a lane that we hold; None if it is no longer ours."""
        async with translated(), self._engine.begin() as connection:
            row = (
                await connection.execute(
                    _ADVANCE_EPOCH,
                    {"lane": term.lane, "owner": self._owner, "epoch": term.epoch, "lease_s": self._lease_s},
                )
            ).one_or_none()
        return None if row is None else Term(row.lane, row.epoch, row.floor_stream, row.floor)

    async def release(self, term: Term) -> None:
        """Give a lane back at once, so that nobody waits for the lease to end."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(_RELEASE, {"lane": term.lane, "owner": self._owner, "epoch": term.epoch})
