"""All SQL about pushes that were sent or given up: each statement has a name, a sentence, and this one home."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.pushes import SkipReason
from notifier.database import translated

HOUR_S = 3_600.0
ERROR_CHARS_MAX = 500

SKIP_READ = text(
    """
    UPDATE notifier.deliveries AS d
    SET state = 'skipped', skip_reason = :reason, settled_at = clock_timestamp(), held = false
    FROM unnest(CAST(:user_ids AS text[]), CAST(:conversation_ids AS uuid[]), CAST(:seqs AS bigint[]))
         AS read (user_id, conversation_id, seq)
    WHERE d.state = 'pending' AND d.user_id = read.user_id AND d.conversation_id = read.conversation_id
      AND d.seq <= read.seq AND d.lease_token IS NULL
      AND NOT EXISTS (SELECT FROM notifier.pushes p WHERE p.delivery_id = d.id)
    """
)
"""What waits and was read needs no push. What somebody holds, or has begun, is asked about again before it is sent."""

# Only if the device shows nothing of the conversation that is newer: it would take that back, too.
_RETRACT = """
    INSERT INTO notifier.retractions (user_id, device_id, provider, conversation_id)
    SELECT DISTINCT d.user_id, p.device_id, p.provider, d.conversation_id
    FROM gone
    JOIN notifier.deliveries d ON d.state = 'sent' AND {which}
    JOIN notifier.pushes p ON p.delivery_id = d.id
         AND p.state = 'accepted' AND p.retracted_at IS NULL AND p.device_id IS NOT NULL
    WHERE p.provider = ANY(CAST(:providers AS text[]))
      AND NOT EXISTS (
          SELECT FROM notifier.deliveries newer JOIN notifier.pushes shown ON shown.delivery_id = newer.id
          WHERE newer.state = 'sent' AND newer.user_id = d.user_id AND newer.conversation_id = d.conversation_id
            AND {newer} AND shown.device_id = p.device_id AND shown.state = 'accepted' AND shown.retracted_at IS NULL
      )
    ON CONFLICT (device_id, conversation_id) WHERE state = 'pending' DO NOTHING
"""

RETRACT_READ = text(
    """
    WITH gone AS (
        SELECT * FROM unnest(CAST(:user_ids AS text[]), CAST(:conversation_ids AS uuid[]), CAST(:seqs AS bigint[]))
            AS read (user_id, conversation_id, seq)
    )
    """
    + _RETRACT.format(
        which="d.user_id = gone.user_id AND d.conversation_id = gone.conversation_id AND d.seq <= gone.seq",
        newer="newer.seq > gone.seq",
    )
)
"""What devices show and was read elsewhere is to be taken back, once per device and conversation."""

RETRACT_DELETED = text(
    """
    WITH gone AS (
        SELECT * FROM unnest(CAST(:conversation_ids AS uuid[]), CAST(:message_ids AS uuid[]))
            AS deleted (conversation_id, message_id)
    )
    """
    + _RETRACT.format(
        which="d.conversation_id = gone.conversation_id AND d.message_id = gone.message_id",
        newer="newer.message_id <> gone.message_id",
    )
)
"""A message that was deleted after it was pushed, if it is all that the device shows of the conversation."""

CLAIM_RETRACTIONS = text(
    """
    WITH due AS (
        SELECT id FROM notifier.retractions
        WHERE state = 'pending' AND due_at <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp())
        ORDER BY due_at, id
        LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE notifier.retractions AS r
    SET lease_token = :token, lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    FROM due WHERE r.id = due.id
    RETURNING r.id, r.user_id, r.device_id, r.provider, r.conversation_id, r.attempts,
        EXISTS (
            SELECT FROM notifier.deliveries newer JOIN notifier.pushes shown ON shown.delivery_id = newer.id
            WHERE newer.user_id = r.user_id AND newer.conversation_id = r.conversation_id
              AND shown.device_id = r.device_id AND shown.accepted_at > r.created_at
        ) AS overtaken,
        (
            SELECT extract(epoch FROM min(sent.settled_at) + make_interval(secs => :hour_s) - clock_timestamp())
            FROM (
                SELECT DISTINCT settled_at FROM notifier.retractions had
                WHERE had.device_id = r.device_id AND had.state = 'sent'
                  AND had.settled_at > clock_timestamp() - make_interval(secs => :hour_s)
            ) sent
            HAVING count(*) >= (SELECT per_hour FROM unnest(CAST(:providers AS text[]), CAST(:per_hours AS integer[]))
                                AS budget (provider, per_hour) WHERE budget.provider = r.provider)
        ) AS budget_free_in_s
    """
)
"""Take due retractions for a while, with what speaks against sending them now."""

SETTLE_RETRACTIONS = text(
    """
    UPDATE notifier.retractions
    SET state = :state, settled_at = CAST(:at AS timestamptz), attempts = attempts + :attempted,
        last_error = :error, lease_token = NULL, lease_until = NULL
    WHERE id = ANY(CAST(:ids AS bigint[])) AND lease_token = :token AND state = 'pending'
    """
)
"""Write down how retractions ended. Those of one push share their moment: they count once."""

MARK_RETRACTED = text(
    """
    UPDATE notifier.pushes AS p SET retracted_at = clock_timestamp()
    FROM notifier.deliveries d, notifier.retractions r
    WHERE r.id = ANY(CAST(:ids AS bigint[])) AND p.delivery_id = d.id AND d.user_id = r.user_id
      AND d.conversation_id = r.conversation_id AND p.device_id = r.device_id
      AND p.state = 'accepted' AND p.retracted_at IS NULL AND p.accepted_at <= r.created_at
    """
)
"""The device shows them no more."""

DELAY_RETRACTIONS = text(
    """
    UPDATE notifier.retractions
    SET due_at = clock_timestamp() + make_interval(secs => :wait_s), attempts = attempts + :attempted,
        last_error = coalesce(:error, last_error), lease_token = NULL, lease_until = NULL
    WHERE id = ANY(CAST(:ids AS bigint[])) AND lease_token = :token AND state = 'pending'
    """
)
"""Give retractions back, due again after a wait."""

WAITING_FOR_DEVICES = text(
    """
    SELECT id, device_id, conversation_id FROM notifier.retractions
    WHERE state = 'pending' AND lease_token IS NULL AND device_id = ANY(CAST(:device_ids AS uuid[]))
    ORDER BY id LIMIT :limit
    """
)
"""What a push that is about to leave for these devices could carry."""

CARRIED = text(
    """
    UPDATE notifier.retractions SET state = 'carried', settled_at = clock_timestamp()
    WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'pending' AND lease_token IS NULL
    """
)
"""A push to that device has carried them."""

ACKNOWLEDGE = text(
    """
    UPDATE notifier.pushes AS p SET acknowledged_at = coalesce(p.acknowledged_at, now())
    FROM notifier.deliveries d
    WHERE p.push_id = CAST(:push_id AS uuid) AND d.id = p.delivery_id AND d.user_id = :user_id
    RETURNING p.acknowledged_at = now() AS first, p.provider
    """
)
"""The app says that it has it; the first word counts."""

REPLAY = text(
    """
    WITH again AS (
        UPDATE notifier.deliveries
        SET state = 'pending', due_at = clock_timestamp(), attempts = 0, settled_at = NULL, skip_reason = NULL,
            replayed_at = clock_timestamp()
        WHERE state = 'dead' AND (CAST(:every AS boolean) OR id = ANY(CAST(:ids AS bigint[])))
        RETURNING id
    ), retried AS (
        UPDATE notifier.pushes p
        SET state = 'pending', due_at = clock_timestamp(), attempts = 0, settled_at = NULL
        FROM again WHERE p.delivery_id = again.id AND p.state = 'failed'
    )
    SELECT count(*) FROM again
    """
)
"""Dead deliveries are due again, as if nothing had been tried."""

DROP = text(
    """
    WITH dropped AS (
        UPDATE notifier.deliveries
        SET state = 'skipped', skip_reason = :reason, settled_at = clock_timestamp()
        WHERE state = 'dead' AND (CAST(:every AS boolean) OR id = ANY(CAST(:ids AS bigint[])))
        RETURNING id
    ), given_up AS (
        UPDATE notifier.pushes p SET state = 'skipped', skip_reason = :reason
        FROM dropped WHERE p.delivery_id = dropped.id AND p.state = 'failed'
    )
    SELECT count(*) FROM dropped
    """
)
"""Dead deliveries that nobody wants any more."""

FORGET = text(
    """
    DELETE FROM notifier.deliveries WHERE id IN (
        SELECT id FROM notifier.deliveries
        WHERE state <> 'pending' AND state <> 'dead' AND settled_at < clock_timestamp() - make_interval(days => :days)
        ORDER BY settled_at LIMIT :limit
    )
    """
)
"""What is settled for so long, with its pushes. Dead letters stay until somebody decides."""

FORGET_RETRACTIONS = text(
    """
    DELETE FROM notifier.retractions
    WHERE state <> 'pending' AND settled_at < clock_timestamp() - make_interval(secs => :hour_s)
    """
)
"""Only the last hour's count."""


@dataclass(frozen=True, slots=True)
class Read:
    """A user has read a conversation up to a seq."""

    user_id: str
    conversation_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message is a tombstone by now."""

    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """One device is to take back what it shows of one conversation."""

    id: int
    user_id: str
    device_id: str
    provider: str
    conversation_id: str
    attempts: int
    overtaken: bool
    """The device has got something newer of that conversation since."""
    budget_free_in_s: float | None
    """Seconds until the device may get another one; None: now."""


@dataclass(frozen=True, slots=True)
class RetractionLease:
    """What one claim took; `ends_at` is on this process's monotonic clock."""

    token: str
    ends_at: float
    rows: tuple[Retraction, ...]


class AfterwardsRecord:
    """Every call is one transaction, and raises `StoreUnavailable` or `StoreRefused`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(
        self, reads: Sequence[Read], deletions: Sequence[Deleted], can_retract: Collection[str]
    ) -> tuple[int, int]:
        """What follows from these: (pending deliveries that need no push any more, retractions that are due)."""
        skipped = retractions = 0
        providers = sorted(can_retract)
        async with translated(), self._engine.begin() as connection:
            if reads:
                values: dict[str, Any] = {
                    "user_ids": [one.user_id for one in reads],
                    "conversation_ids": [one.conversation_id for one in reads],
                    "seqs": [one.seq for one in reads],
                }
                done = await connection.execute(SKIP_READ, values | {"reason": SkipReason.READ.value})
                skipped = done.rowcount
                retractions += (await connection.execute(RETRACT_READ, values | {"providers": providers})).rowcount
            if deletions:
                values = {
                    "conversation_ids": [one.conversation_id for one in deletions],
                    "message_ids": [one.message_id for one in deletions],
                    "providers": providers,
                }
                retractions += (await connection.execute(RETRACT_DELETED, values)).rowcount
        return skipped, retractions

    async def claim_retractions(self, batch: int, lease_s: float, budgets: dict[str, int | None]) -> RetractionLease:
        """Take up to `batch` due retractions for `lease_s` seconds; `budgets` are per hour, by provider."""
        token, asked_at = str(uuid4()), time.monotonic()
        bounded = {name: per_hour for name, per_hour in budgets.items() if per_hour is not None}
        values = {
            "batch": batch,
            "token": token,
            "lease_s": lease_s,
            "hour_s": HOUR_S,
            "providers": list(bounded),
            "per_hours": list(bounded.values()),
        }
        async with translated(), self._engine.begin() as connection:
            rows = (await connection.execute(CLAIM_RETRACTIONS, values)).all()
        return RetractionLease(
            token,
            asked_at + lease_s,
            tuple(
                Retraction(
                    id=row.id,
                    user_id=row.user_id,
                    device_id=str(row.device_id),
                    provider=row.provider,
                    conversation_id=str(row.conversation_id),
                    attempts=row.attempts,
                    overtaken=row.overtaken,
                    budget_free_in_s=None if row.budget_free_in_s is None else float(row.budget_free_in_s),
                )
                for row in sorted(rows, key=lambda row: int(row.id))
            ),
        )

    async def retracted(self, token: str, ids: Sequence[int]) -> None:
        """The device was told."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(MARK_RETRACTED, {"ids": list(ids)})
            await self._settle(connection, token, ids, "sent", attempted=1)

    async def retraction_ended(self, token: str, ids: Sequence[int], *, failed: str | None = None) -> None:
        """No retraction: it is needless (None), or the provider will never take it."""
        async with translated(), self._engine.begin() as connection:
            state = "skipped" if failed is None else "failed"
            await self._settle(connection, token, ids, state, attempted=int(failed is not None), error=failed)

    async def delay_retractions(
        self, token: str, ids: Sequence[int], wait_s: float, *, error: str | None = None
    ) -> None:
        """Not now: again after `wait_s` seconds. With an error it was an attempt."""
        values = {"ids": list(ids), "token": token, "wait_s": wait_s, "attempted": int(error is not None)}
        async with translated(), self._engine.begin() as connection:
            await connection.execute(DELAY_RETRACTIONS, values | {"error": _bounded(error)})

    async def waiting_for(self, device_ids: Iterable[str], limit: int) -> dict[str, list[tuple[int, str]]]:
        """Per device the retractions that a push could carry: (id, conversation id)."""
        values = {"device_ids": list(device_ids), "limit": limit}
        found: dict[str, list[tuple[int, str]]] = {}
        async with translated(), self._engine.connect() as connection:
            for row in await connection.execute(WAITING_FOR_DEVICES, values):
                found.setdefault(str(row.device_id), []).append((row.id, str(row.conversation_id)))
        return found

    async def carried(self, ids: Sequence[int]) -> None:
        """Another push has told the device."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(MARK_RETRACTED, {"ids": list(ids)})
            await connection.execute(CARRIED, {"ids": list(ids)})

    async def acknowledge(self, push_id: str, user_id: str) -> tuple[str, bool] | None:
        """The app has it: (provider, whether that is news); None if it is no push of this user's."""
        async with translated(), self._engine.begin() as connection:
            row = (await connection.execute(ACKNOWLEDGE, {"push_id": push_id, "user_id": user_id})).one_or_none()
        return None if row is None else (row.provider, bool(row.first))

    async def replay(self, ids: Collection[int] | None) -> int:
        """Make dead letters due again, these or (None) all of them; returns how many."""
        async with translated(), self._engine.begin() as connection:
            return int(await connection.scalar(REPLAY, {"ids": list(ids or ()), "every": ids is None}) or 0)

    async def drop(self, ids: Collection[int] | None) -> int:
        """Give dead letters up for good, these or (None) all of them; returns how many."""
        values = {"ids": list(ids or ()), "every": ids is None, "reason": SkipReason.DROPPED.value}
        async with translated(), self._engine.begin() as connection:
            return int(await connection.scalar(DROP, values) or 0)

    async def forget(self, days: int, limit: int) -> int:
        """Delete up to `limit` deliveries that have been settled for `days`; returns how many."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(FORGET_RETRACTIONS, {"hour_s": HOUR_S})
            return int((await connection.execute(FORGET, {"days": days, "limit": limit})).rowcount)

    async def _settle(
        self, connection: Any, token: str, ids: Sequence[int], state: str, *, attempted: int, error: str | None = None
    ) -> None:
        at = await connection.scalar(text("SELECT clock_timestamp()"))
        values = {"ids": list(ids), "token": token, "state": state, "attempted": attempted, "at": at}
        await connection.execute(SETTLE_RETRACTIONS, values | {"error": _bounded(error)})


def _bounded(words: str | None) -> str | None:
    return None if words is None else words[:ERROR_CHARS_MAX].replace("\x00", "\ufffd")
