"""All SQL of the notifier: each statement has a name, a sentence, and this one home.

Every instant that decides who may do what (due, lease, settled) is the database's clock, so that the processes' own
clocks need not agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.errors import Undecodable
from contracts.pushes import PushRecord, PushState
from notifier.database import translated
from notifier.deliveries import (
    Dead,
    Delivery,
    Outcome,
    Postponed,
    Retry,
    Sent,
    Skipped,
    Unreadable,
    read_offline,
)
from notifier.errors import StoreError, StoreRefused

ERROR_CHARS_MAX = 500
POISON_BYTES_MAX = 4_096
"""Enough of an unreadable message to see whose bug it is."""

ONE_INBOX_WRITER_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('notifier.inbox', 0))")
"""Ids are then committed in their order, so that a reader who follows them by `after_id` never misses one."""

INSERT_DELIVERIES = text(
    """
    INSERT INTO notifier.deliveries (event_id, user_id, reason, payload, decided_at)
    SELECT * FROM unnest(
        CAST(:event_ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:reasons AS text[]),
        CAST(:payloads AS text[]), CAST(:decided_ats AS timestamptz[])
    )
    ON CONFLICT (event_id, user_id) DO NOTHING
    """
)
"""Write what is new of a batch; a delivery that is there already stays as it is, whatever became of it."""

INSERT_POISON = text(
    """
    INSERT INTO notifier.poison (stream_seq, stored_at, subject, reason, size_bytes, payload)
    VALUES (:stream_seq, :stored_at, :subject, :reason, :size_bytes, :payload)
    ON CONFLICT (stream_seq, stored_at) DO NOTHING
    """
)
"""Put an unreadable message aside."""

CLAIM_DUE = text(
    """
    WITH due AS (
        SELECT id FROM notifier.deliveries
        WHERE state = 'pending' AND due_at <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp())
        ORDER BY due_at, id
        LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE notifier.deliveries AS d
    SET lease_token = :token, lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.user_id, d.reason, d.payload, d.attempts
    """
)
"""Take due deliveries for a while; those that another process holds are passed over, not waited for."""

SETTLE = text(
    """
    UPDATE notifier.deliveries
    SET state = :state, attempts = attempts + :attempted, provider = coalesce(:provider, provider),
        provider_ref = :provider_ref, skip_reason = :skip_reason, last_error = coalesce(:last_error, last_error),
        settled_at = clock_timestamp(), lease_token = NULL, lease_until = NULL
    WHERE id = :id AND lease_token = :token AND state = 'pending'
    """
)
"""Write down how a delivery ended; nothing happens when the lease has gone to somebody else."""

RETRY_LATER = text(
    """
    UPDATE notifier.deliveries
    SET due_at = clock_timestamp() + make_interval(secs => :wait_s), attempts = attempts + 1,
        provider = :provider, last_error = :last_error, lease_token = NULL, lease_until = NULL
    WHERE id = :id AND lease_token = :token AND state = 'pending'
    """
)
"""Give a failed delivery back, due again after a wait."""

POSTPONE = text(
    """
    UPDATE notifier.deliveries SET due_at = :until, lease_token = NULL, lease_until = NULL
    WHERE id = :id AND lease_token = :token AND state = 'pending'
    """
)
"""Give a delivery back that is to be decided again at a given instant."""

RELEASE = text("UPDATE notifier.deliveries SET lease_token = NULL, lease_until = NULL WHERE lease_token = :token")
"""Give back everything a claim still holds, due as before."""

LIST_PUSHES = text(
    """
    SELECT id, event_id, user_id, reason, state, provider, skip_reason, attempts, received_at, settled_at
    FROM notifier.deliveries
    WHERE id > :after_id
      AND (CAST(:event_id AS uuid) IS NULL OR event_id = CAST(:event_id AS uuid))
      AND (CAST(:user_id AS text) IS NULL OR user_id = CAST(:user_id AS text))
    ORDER BY id
    LIMIT :limit
    """
)
"""One page of the record, oldest first."""

COUNT_BY_STATE = text("SELECT state, count(*) FROM notifier.deliveries GROUP BY state")
"""How many deliveries stand where."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery as it came, read and still in its own words."""

    offline: OfflineDelivery
    payload: str


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that cannot be read, and why."""

    stream_seq: int
    stored_at: datetime
    subject: str
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """What one claim took; `ends_at` is on this process's monotonic clock and errs on the early side."""

    token: str
    ends_at: float
    rows: tuple[Delivery | Unreadable, ...]


_Unrecorded: TypeAlias = tuple[dict[str, Any], Outcome, "asyncio.Future[bool]"]


class Store:
    """The notifier's tables. Every call is one transaction, and raises `StoreUnavailable` or `StoreRefused`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._outcomes: list[_Unrecorded] = []
        """Outcomes waiting for the transaction that is under way; bounded by what one claim takes."""
        self._recording: asyncio.Task[None] | None = None

    async def take_in(self, deliveries: Sequence[Incoming], poison: Iterable[Poison]) -> int:
        """Write a batch; returns how many of the deliveries were new."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(ONE_INBOX_WRITER_AT_A_TIME)
            for each in poison:
                await connection.execute(INSERT_POISON, _poison_values(each))
            if not deliveries:
                return 0
            written = await connection.execute(INSERT_DELIVERIES, _delivery_values(deliveries))
            return int(written.rowcount)

    async def claim(self, batch: int, lease_s: float) -> Lease:
        """Take up to `batch` due deliveries for `lease_s` seconds, oldest first."""
        token, asked_at = str(uuid4()), time.monotonic()
        async with translated(), self._engine.begin() as connection:
            rows = await connection.execute(CLAIM_DUE, {"batch": batch, "token": token, "lease_s": lease_s})
            claimed = sorted(rows.all(), key=lambda row: int(row.id))
        return Lease(token, asked_at + lease_s, tuple(_read_row(row) for row in claimed))

    async def record(self, token: str, delivery_id: int, outcome: Outcome) -> bool:
        """Write down what became of a claimed delivery; False when the lease is no longer ours.

        Outcomes that come while a transaction is under way share the next one: a commit each would cost more than the
        pushes themselves.
        """
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._outcomes.append(({"id": delivery_id, "token": token}, outcome, kept))
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(self._record_all())
        return await kept

    async def _record_all(self) -> None:
        while self._outcomes:
            together, self._outcomes = self._outcomes, []
            try:
                await self._record_together(together)
            except StoreRefused:
                # One of them cannot be written: it must not take the others with it.
                for one in together:
                    try:
                        await self._record_together([one])
                    except StoreError as refused:
                        _fail([one], refused)
            except StoreError as away:
                _fail(together, away)
            except BaseException:
                for _, _, kept in together + self._outcomes:
                    kept.cancel()
                raise

    async def _record_together(self, together: Sequence[_Unrecorded]) -> None:
        async with translated(), self._engine.begin() as connection:
            results = [await _record(connection, where, outcome) for where, outcome, _ in together]
        for (_, _, kept), result in zip(together, results, strict=True):
            if not kept.done():
                kept.set_result(result)

    async def release(self, token: str) -> None:
        """Give back what a claim still holds."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(RELEASE, {"token": token})

    async def pushes(
        self, *, after_id: int = 0, limit: int = 1000, event_id: str | None = None, user_id: str | None = None
    ) -> list[PushRecord]:
        """One page of the record, oldest first."""
        values = {"after_id": after_id, "limit": limit, "event_id": event_id, "user_id": user_id}
        async with translated(), self._engine.connect() as connection:
            rows = (await connection.execute(LIST_PUSHES, values)).mappings().all()
        return [PushRecord.model_validate({**row, "event_id": str(row["event_id"])}) for row in rows]

    async def counts(self) -> dict[PushState, int]:
        """How many deliveries stand where; every state is present."""
        async with translated(), self._engine.connect() as connection:
            rows = (await connection.execute(COUNT_BY_STATE)).all()
        return dict.fromkeys(PushState, 0) | {PushState(state): count for state, count in rows}


def _fail(unrecorded: Sequence[_Unrecorded], error: StoreError) -> None:
    for _, _, kept in unrecorded:
        if not kept.done():
            kept.set_exception(error)


async def _record(connection: AsyncConnection, where: dict[str, Any], outcome: Outcome) -> bool:
    match outcome:
        case Retry(wait_s, error, provider):
            values: dict[str, Any] = {"wait_s": wait_s, "provider": provider, "last_error": _bounded(error)}
            done = await connection.execute(RETRY_LATER, where | values)
        case Postponed(until):
            done = await connection.execute(POSTPONE, where | {"until": until})
        case settled:
            done = await connection.execute(SETTLE, where | _settlement(settled))
    return bool(done.rowcount)


def _settlement(outcome: Sent | Skipped | Dead) -> dict[str, Any]:
    nothing = {"attempted": 0, "provider": None, "provider_ref": None, "skip_reason": None, "last_error": None}
    match outcome:
        case Sent(provider, ref):
            named = _bounded(ref) if ref is not None else None
            return nothing | {"state": PushState.SENT, "attempted": 1, "provider": provider, "provider_ref": named}
        case Skipped(reason):
            return nothing | {"state": PushState.SKIPPED, "skip_reason": reason}
        case Dead(error, provider):
            attempted = int(provider is not None)
            values = {"state": PushState.DEAD, "attempted": attempted, "provider": provider}
            return nothing | values | {"last_error": _bounded(error)}


def _read_row(row: Row[Any]) -> Delivery | Unreadable:
    try:
        offline, data = read_offline(row.payload)
    except Undecodable as unreadable:
        return Unreadable(row.id, str(unreadable))
    return Delivery(
        id=row.id,
        user_id=row.user_id,
        reason=OfflineReason(row.reason),
        event=offline.event,
        data=data,
        decided_at=offline.decided_at,
        attempts=row.attempts,
    )


def _delivery_values(deliveries: Sequence[Incoming]) -> dict[str, Any]:
    return {
        "event_ids": [each.offline.event.id for each in deliveries],
        "user_ids": [each.offline.user_id for each in deliveries],
        "reasons": [each.offline.reason.value for each in deliveries],
        "payloads": [each.payload for each in deliveries],
        "decided_ats": [each.offline.decided_at for each in deliveries],
    }


def _poison_values(poison: Poison) -> dict[str, Any]:
    return {
        "stream_seq": poison.stream_seq,
        "stored_at": poison.stored_at,
        "subject": _bounded(poison.subject),
        "reason": _bounded(poison.reason),
        "size_bytes": len(poison.payload),
        "payload": poison.payload[:POISON_BYTES_MAX],
    }


def _bounded(words: str) -> str:
    # Reasons may quote what arrived: a NUL or half a surrogate pair in them would make Postgres refuse the row.
    return words[:ERROR_CHARS_MAX].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
