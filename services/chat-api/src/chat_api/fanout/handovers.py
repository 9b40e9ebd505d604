"""What was handed to the notifier and not yet taken by it, in Postgres: OFFLINE_DELIVERY may vanish.

JetStream's word that a delivery is stored holds only as long as its data. So each delivery is written down with the
place that it got, until the notifier has acknowledged that place; the sweeper hands over again what was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.store.database import translated
from contracts.delivery import OfflineReason

SWEEP_LOCK = 0x4E617468
"""Key of the lock that the sweeping process holds ("Nath")."""
COUNT_MAX = 10_000
"""The gauge counts no further: counting a million rows each second would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One delivery to the notifier, and where OFFLINE_DELIVERY has it."""

    event_position: int
    user_id: str
    reason: OfflineReason
    decided_at: datetime
    stream_created: str
    """The incarnation of the stream; never a later one than that which has the delivery."""
    stream_seq: int


_NEW = """
new AS (
    SELECT * FROM unnest(
        CAST(:positions AS bigint[]), CAST(:user_ids AS text[]), CAST(:reasons AS text[]),
        CAST(:decided AS timestamptz[]), CAST(:created AS text[]), CAST(:seqs AS bigint[])
    ) AS n (event_position, user_id, reason, decided_at, stream_created, stream_seq)
)
"""

# Two deliveries cannot have one place: the one that was there first was lost with the stream's tail.
_DISPLACE = text(f"""
WITH {_NEW}
UPDATE handovers h SET stream_created = '' FROM new
WHERE h.stream_created = new.stream_created AND h.stream_seq = new.stream_seq
  AND (h.event_position, h.user_id) <> (new.event_position, new.user_id)
""")  # noqa: S608 - nothing but our own constants

_WRITE = text(f"""
WITH {_NEW}
INSERT INTO handovers SELECT * FROM new ORDER BY event_position, user_id
ON CONFLICT (event_position, user_id) DO UPDATE
SET stream_created = excluded.stream_created, stream_seq = excluded.stream_seq
""")  # noqa: S608 - nothing but our own constants

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")

_COUNT = text(f"SELECT count(*) FROM (SELECT FROM handovers LIMIT {COUNT_MAX}) AS counted")  # noqa: S608 - nothing but our own constants

_LOST = text("""
SELECT event_position, user_id, reason, decided_at, stream_created, stream_seq FROM handovers
WHERE stream_created < :created OR stream_created > :created
   OR (stream_created = :created AND stream_seq > :last_seq)
LIMIT :limit
""")

_TAKEN = text("DELETE FROM handovers WHERE stream_created = :created AND stream_seq <= :floor")

_EXPIRED = text("DELETE FROM handovers WHERE decided_at < now() - make_interval(secs => :max_age_s)")


class Handovers:
    """The table; every call but those on a connection is a transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, handovers: Sequence[Handover]) -> None:
        """Write a batch down. Raises `DatabaseUnavailable`."""
        # One row per delivery: the same one decided twice has the same place.
        unique = {(one.event_position, one.user_id): one for one in handovers}
        async with translated(), self._engine.begin() as connection:
            # The lane's progress is written later, and reaches the disk not before this does.
            await connection.execute(text("SET LOCAL synchronous_commit = off"))
            await self.update(connection, list(unique.values()))

    async def update(self, connection: AsyncConnection, handovers: Sequence[Handover]) -> None:
        """Write down where deliveries are now."""
        if not handovers:
            return
        values = {
            "positions": [one.event_position for one in handovers],
            "user_ids": [one.user_id for one in handovers],
            "reasons": [one.reason.value for one in handovers],
            "decided": [one.decided_at for one in handovers],
            "created": [one.stream_created for one in handovers],
            "seqs": [one.stream_seq for one in handovers],
        }
        await connection.execute(_DISPLACE, values)
        await connection.execute(_WRITE, values)

    async def lock(self, connection: AsyncConnection) -> bool:
        """Whether this transaction is the one that sweeps now."""
        return bool(await connection.scalar(_TRY_LOCK, {"key": SWEEP_LOCK}))

    async def count(self, connection: AsyncConnection) -> int:
        """How many wait, up to `COUNT_MAX`."""
        return int(await connection.scalar(_COUNT) or 0)

    async def lost(self, connection: AsyncConnection, created: str, last_seq: int, limit: int) -> list[Handover]:
        """Deliveries that this incarnation of the stream, which ends at `last_seq`, does not have."""
        rows = await connection.execute(_LOST, {"created": created, "last_seq": last_seq, "limit": limit})
        return [
            Handover(
                row.event_position,
                row.user_id,
                OfflineReason(row.reason),
                row.decided_at,
                row.stream_created,
                row.stream_seq,
            )
            for row in rows
        ]

    async def forget_taken(self, connection: AsyncConnection, created: str, floor: int) -> None:
        """The notifier has acknowledged everything up to this place."""
        await connection.execute(_TAKEN, {"created": created, "floor": floor})

    async def forget_expired(self, connection: AsyncConnection, max_age_s: float) -> None:
        """The stream would have dropped these by now, too."""
        await connection.execute(_EXPIRED, {"max_age_s": max_age_s})
