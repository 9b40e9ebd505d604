"""Blocked users and ended sessions, from the record to the bucket that everybody who lets people in watches.

An event of this kind is settled when JetStream has stored what it means. The bucket may be lost like every other thing
on NATS; then it is filled again from the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, StorageType
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.fanout.receipts import Work
from chat_api.store import revoked
from chat_api.store.database import DatabaseUnavailable, translated
from chat_api.store.revoked import Standing
from contracts.codec import encode
from contracts.control import REVOCATIONS_AGE_MAX_S, REVOCATIONS_BUCKET
from contracts.envelope import Envelope
from contracts.stream_ids import UserStream
from kit import buckets
from kit.backoff import full_jitter
from kit.bus import AWAY
from kit.logs import Stage, logger

log = logger()
T = TypeVar("T")

SESSIONS_ENDED = "user.sessions_ended"
REVOKING_EVENTS = frozenset({"user.blocked", "user.unblocked", SESSIONS_ENDED})
QUEUE_MAX = 10_000
WORKERS = 8
AT_ONCE = 64
"""Entries stored at the same time when the bucket is filled."""
LOOK_EVERY_S = 5.0
"""How often it is asked whether the bucket is still the one that was filled."""
REFILL_EVERY_S = 86_400.0
"""Blocks are written again so often: entries of the bucket end by their age, a block does not."""

_STREAM = buckets.stream(REVOCATIONS_BUCKET)

_FILLED = text(
    "SELECT stream_created, stream_seq, filled_at < now() - make_interval(secs => :age_s) AS old FROM buckets"
    " WHERE name = :name"
)

_FILL = text("""
INSERT INTO buckets (name, stream_created, stream_seq, filled_at) VALUES (:name, :created, :seq, now())
ON CONFLICT (name) DO UPDATE
SET stream_created = excluded.stream_created, stream_seq = excluded.stream_seq, filled_at = excluded.filled_at
""")

_SEEN = text("""
UPDATE buckets SET stream_seq = :seq WHERE name = :name AND stream_created = :created AND stream_seq < :seq
""")


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    event: Envelope
    user_id: str


class Revocations:
    """`put` waits when the queue is full; `run` must be running."""

    def __init__(self, engine: AsyncEngine, js: JetStreamContext) -> None:
        self._engine = engine
        self._js = js
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(QUEUE_MAX)
        self._stored_seq = 0

    async def put(self, work: Work, event: Envelope, asked: set[str] | None) -> None:
        """Queue what `event` revokes. Its user counts as a recipient who is waited for until it is stored."""
        match event.stream:
            case UserStream(user_id) if asked is None or user_id in asked:
                work.waiting.add(user_id)
                await self._queue.put(_Job(work, event, user_id))
            case _:
                pass  # stored already

    async def run(self) -> None:
        """Store what is queued and keep the bucket whole, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_whole())
            for _ in range(WORKERS):
                group.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            job = await self._queue.get()
            for wait_s in full_jitter(0.1, 2.0):
                if job.work.abandoned:
                    break  # the lane began anew: the event comes again
                try:
                    await self._tell(job.user_id, job.event.type, job.event.data)
                except (DatabaseUnavailable, *AWAY) as away:
                    log.warning("a revocation waits", stage=Stage.DELIVER, error=type(away).__name__)
                except Exception as failed:
                    # Never given up: whoever was blocked must not stay because of a mistake of ours that passes.
                    log.error("a revocation cannot be stored", stage=Stage.DELIVER, exc_info=failed)
                else:
                    metrics.fanout_revocations.inc()
                    job.work.settle(job.user_id)
                    break
                await asyncio.sleep(wait_s)

    async def _tell(self, user_id: str, event_type: str, data: dict[str, Any]) -> None:
        if event_type == SESSIONS_ENDED and data.get("session_id") is not None:
            await self._store(revoked.of_session(data))
        else:
            await self._refresh(user_id)

    async def _refresh(self, user_id: str) -> None:
        """Store what holds for a user now."""
        while True:
            # Asked in this order: if somebody stores something newer meanwhile, our revision is no longer the last.
            revisions = {key: await self._revision(key) for key in revoked.keys_of_user(user_id)}
            try:
                for standing in await revoked.of_user(self._engine, user_id):
                    await self._store(standing, revisions[standing.key])
            except nats.js.errors.BadRequestError as refused:
                if refused.err_code not in (10071, 10164):  # wrong last sequence
                    raise
                continue
            return

    async def _revision(self, key: str) -> int:
        try:
            found = await self._js.get_last_msg(_STREAM, buckets.subject(REVOCATIONS_BUCKET, key))
        except nats.js.errors.NotFoundError:
            return 0
        return found.seq or 0

    async def _store(self, standing: Standing, revision: int | None = None) -> None:
        headers = None if revision is None else {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision)}
        try:
            ack = await self._js.publish(
                buckets.subject(REVOCATIONS_BUCKET, standing.key),
                encode(standing.revocation),
                stream=_STREAM,
                headers=headers,
            )
        except (nats.js.errors.NoStreamResponseError, nats.js.errors.NotFoundError):
            await self._ensure()
            raise
        self._stored_seq = max(self._stored_seq, ack.seq)

    async def _ensure(self) -> tuple[str, int]:
        info = await buckets.ensure(
            self._js, REVOCATIONS_BUCKET, storage=StorageType.FILE, max_age_s=REVOCATIONS_AGE_MAX_S
        )
        return str(info.created), info.state.last_seq

    async def _keep_whole(self) -> None:
        waits = full_jitter(0.2, 5.0)
        while True:
            try:
                await self.look()
                waits = full_jitter(0.2, 5.0)
            except (DatabaseUnavailable, *AWAY) as away:
                log.debug("revocations cannot be looked at now", stage=Stage.DELIVER, error=type(away).__name__)
                await asyncio.sleep(next(waits))
                continue
            except Exception as failed:
                log.error("revocations cannot be looked at", stage=Stage.DELIVER, exc_info=failed)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Fill the bucket if it is another one, or shorter, than the one that was filled, or if a day has passed."""
        created, last_seq = await self._ensure()
        async with translated(), self._engine.connect() as connection:
            filled = (
                await connection.execute(_FILLED, {"name": REVOCATIONS_BUCKET, "age_s": REFILL_EVERY_S})
            ).one_or_none()
        lost = filled is None or filled.stream_created != created or last_seq < filled.stream_seq
        if not lost and last_seq >= self._stored_seq and filled is not None and not filled.old:
            if last_seq > filled.stream_seq:
                await self._note(_SEEN, created, last_seq)
            return
        lost = lost or last_seq < self._stored_seq
        told = await self._fill(sessions=lost)
        log.info("revocations are told again", stage=Stage.DELIVER, entries=told, lost=lost)
        again, last_seq = await self._ensure()
        if again == created:
            self._stored_seq = last_seq
            await self._note(_FILL, created, last_seq)

    async def _fill(self, *, sessions: bool) -> int:
        told = 0
        async for users in revoked.blocked_users(self._engine):
            for some in _chunks(users):
                await asyncio.gather(*(self._refresh(user_id) for user_id in some))
            told += len(users)
        if sessions:
            async for ended in revoked.ended_sessions(self._engine):
                for ends in _chunks(ended):
                    await asyncio.gather(*(self._tell(end["user_id"], SESSIONS_ENDED, end) for end in ends))
                told += len(ended)
        return told

    async def _note(self, statement: object, created: str, seq: int) -> None:
        async with translated(), self._engine.begin() as connection:
            values = {"name": REVOCATIONS_BUCKET, "created": created, "seq": seq}
            await connection.execute(statement, values)  # type: ignore[call-overload]


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]
