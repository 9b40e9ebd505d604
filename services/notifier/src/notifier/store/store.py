"""What the inbox writes, what the dispatch claims and records, and what the API lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.devices import DeviceType
from contracts.errors import Undecodable
from contracts.pushes import DevicePushState, PushRecord, PushState
from notifier.database import translated
from notifier.deliveries import (
    NOTHING,
    About,
    Delivery,
    DeviceRow,
    Outcome,
    PushOutcome,
    Unreadable,
    read_offline,
)
from notifier.errors import StoreError, StoreRefused
from notifier.store import statements

ERROR_CHARS_MAX = 500
POISON_BYTES_MAX = 4_096
"""Enough of an unreadable message to see whose bug it is."""

HELD_USERS_MAX = 20
HELD_EACH_MAX = 500
"""So much is told in one digest; whoever missed more than that gets a second one."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery as it came, what it is about, and how long it is to wait at least, in seconds."""

    offline: OfflineDelivery
    payload: str
    about: About = NOTHING
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that cannot be read: put aside with the reason."""

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
    next_due_s: float | None = None
    """If nothing was due: seconds until something will be, as far as that is known."""


@dataclass(frozen=True, slots=True)
class _Unrecorded:
    """Lease, what became of deliveries that belong together (by id), and who waits for that to be written down."""

    token: str
    outcomes: Mapping[int, Outcome]
    kept: asyncio.Future[frozenset[int]]


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
            await connection.execute(statements.ONE_INBOX_WRITER_AT_A_TIME)
            for each in poison:
                await connection.execute(statements.INSERT_POISON, _poison_values(each))
            if not deliveries:
                return 0
            written = await connection.execute(statements.INSERT_DELIVERIES, _delivery_values(deliveries))
            return int(written.rowcount)

    async def claim(self, batch: int, lease_s: float, *, in_hand: Iterable[str] = ()) -> Lease:
        """Take up to `batch` due deliveries for `lease_s` seconds, oldest first, with the pushes that they have; and
        everything that was held of up to `HELD_USERS_MAX` users. Users `in_hand` are passed over."""
        token, asked_at = str(uuid4()), time.monotonic()
        values = {"token": token, "lease_s": lease_s, "in_hand": list(in_hand)}
        async with translated(), self._engine.begin() as connection:
            rows = list(await connection.execute(statements.CLAIM_DUE, values | {"batch": batch}))
            held = {"users": HELD_USERS_MAX, "each": HELD_EACH_MAX}
            rows += await connection.execute(statements.CLAIM_HELD, values | held)
            pushes = await _pushes_of(connection, [row.id for row in rows])
            next_due_s = None if rows else await connection.scalar(statements.NEXT_DUE)
        rows.sort(key=lambda row: int(row.id))
        return Lease(
            token,
            asked_at + lease_s,
            tuple(_read_row(row, pushes.get(row.id, ())) for row in rows),
            None if next_due_s is None else max(0.0, float(next_due_s)),
        )

    async def begin(self, token: str, rows: Sequence[tuple[int, DeviceRow]]) -> None:
        """Write down pushes (by their delivery's id) before the first of them is sent."""
        values = {
            "token": token,
            "push_ids": [row.push_id for _, row in rows],
            "delivery_ids": [delivery_id for delivery_id, _ in rows],
            "device_ids": [row.device_id for _, row in rows],
            "device_types": [None if row.device_type is None else row.device_type.value for _, row in rows],
            "providers": [row.provider for _, row in rows],
        }
        async with translated(), self._engine.begin() as connection:
            await connection.execute(statements.INSERT_PUSHES, values)

    async def record(self, token: str, outcomes: Mapping[int, Outcome]) -> frozenset[int]:
        """Write down what became of claimed deliveries, all or nothing; returns those whose lease is still ours.

        Outcomes that come while a transaction is under way share the next one: a commit each would cost more than the
        pushes themselves.
        """
        kept: asyncio.Future[frozenset[int]] = asyncio.get_running_loop().create_future()
        self._outcomes.append(_Unrecorded(token, outcomes, kept))
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
                for one in together + self._outcomes:
                    one.kept.cancel()
                raise

    async def _record_together(self, together: Sequence[_Unrecorded]) -> None:
        rows = [(one.token, number, outcome) for one in together for number, outcome in one.outcomes.items()]
        pushes = [(token, push) for token, _, outcome in rows for push in outcome.pushes]
        async with translated(), self._engine.begin() as connection:
            if pushes:
                await connection.execute(statements.RECORD_PUSHES, _push_values(pushes))
            written = await connection.execute(statements.RECORD_DELIVERIES, _outcome_values(rows))
            ours = {int(row.id) for row in written}
        for one in together:
            if not one.kept.done():
                one.kept.set_result(frozenset(ours & one.outcomes.keys()))

    async def release(self, token: str) -> None:
        """Give back what a claim still holds."""
        async with translated(), self._engine.begin() as connection:
            await connection.execute(statements.RELEASE, {"token": token})

    async def pushes(
        self,
        *,
        after_id: int = 0,
        limit: int = 1000,
        event_id: str | None = None,
        user_id: str | None = None,
        state: PushState | None = None,
        provider: str | None = None,
    ) -> list[PushRecord]:
        """One page of the record, oldest first, with every push."""
        values = {"after_id": after_id, "limit": limit, "event_id": event_id, "user_id": user_id}
        values |= {"state": None if state is None else state.value, "provider": provider}
        async with translated(), self._engine.connect() as connection:
            rows = (await connection.execute(statements.LIST_DELIVERIES, values)).mappings().all()
            devices: dict[int, list[dict[str, Any]]] = {}
            if rows:
                listed = await connection.execute(statements.LIST_PUSHES, {"ids": [row["id"] for row in rows]})
                for push in listed.mappings():
                    device = push["device_id"]
                    about = {"id": str(push["push_id"]), "device": None if device is None else str(device)}
                    devices.setdefault(push["delivery_id"], []).append({**push, **about})
        return [
            PushRecord.model_validate({**row, "event_id": str(row["event_id"]), "devices": devices.get(row["id"], ())})
            for row in rows
        ]

    async def waiting(self) -> tuple[int, int]:
        """How many deliveries are pending, and how many are dead; quick however long the history is."""
        async with translated(), self._engine.connect() as connection:
            row = (await connection.execute(statements.COUNT_WAITING)).one()
        return int(row.pending), int(row.dead)

    async def counts(self) -> dict[PushState, int]:
        """How many deliveries stand where; every state is present."""
        async with translated(), self._engine.connect() as connection:
            rows = (await connection.execute(statements.COUNT_BY_STATE)).all()
        return dict.fromkeys(PushState, 0) | {PushState(state): count for state, count in rows}

    async def untrue(self, within_s: float) -> int:
        """Deliveries settled within so many seconds whose end does not fit their pushes: 0, or there is a bug."""
        async with translated(), self._engine.connect() as connection:
            return int(await connection.scalar(statements.COUNT_UNTRUE, {"within_s": within_s}) or 0)


def _fail(unrecorded: Sequence[_Unrecorded], error: StoreError) -> None:
    for one in unrecorded:
        if not one.kept.done():
            one.kept.set_exception(error)


async def _pushes_of(connection: AsyncConnection, ids: list[int]) -> dict[int, list[DeviceRow]]:
    found: dict[int, list[DeviceRow]] = {}
    if ids:
        for row in await connection.execute(statements.PUSHES_OF, {"ids": ids}):
            found.setdefault(row.delivery_id, []).append(
                DeviceRow(
                    push_id=str(row.push_id),
                    device_id=None if row.device_id is None else str(row.device_id),
                    device_type=None if row.device_type is None else DeviceType(row.device_type),
                    provider=row.provider,
                    state=DevicePushState(row.state),
                    attempts=row.attempts,
                    due_now=row.due_now,
                )
            )
    return found


def _read_row(row: Row[Any], pushes: Sequence[DeviceRow]) -> Delivery | Unreadable:
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
        held=row.held,
        replayed_at=row.replayed_at,
        pushes=tuple(pushes),
    )


def _delivery_values(deliveries: Sequence[Incoming]) -> dict[str, Any]:
    return {
        "event_ids": [each.offline.event.id for each in deliveries],
        "user_ids": [each.offline.user_id for each in deliveries],
        "reasons": [each.offline.reason.value for each in deliveries],
        "payloads": [each.payload for each in deliveries],
        "decided_ats": [each.offline.decided_at for each in deliveries],
        "conversation_ids": [each.about.conversation_id for each in deliveries],
        "message_ids": [each.about.message_id for each in deliveries],
        "seqs": [each.about.seq for each in deliveries],
        "graces_s": [each.grace_s for each in deliveries],
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


def _push_values(pushes: Sequence[tuple[str, PushOutcome]]) -> dict[str, Any]:
    return {
        "push_ids": [push.row.push_id for _, push in pushes],
        "tokens": [token for token, _ in pushes],
        "states": [push.state.value for _, push in pushes],
        "attempted": [int(push.attempted) for _, push in pushes],
        "waits_s": [push.wait_s for _, push in pushes],
        "provider_refs": [_bounded(push.provider_ref) for _, push in pushes],
        "skip_reasons": [push.skip_reason for _, push in pushes],
        "errors": [_bounded(push.error) for _, push in pushes],
    }


def _outcome_values(rows: Sequence[tuple[str, int, Outcome]]) -> dict[str, Any]:
    outcomes = [outcome for *_, outcome in rows]
    tried = [[push for push in outcome.pushes if push.attempted] for outcome in outcomes]
    return {
        "ids": [delivery_id for _, delivery_id, _ in rows],
        "tokens": [token for token, *_ in rows],
        "states": [outcome.state.value for outcome in outcomes],
        # A round is an attempt, to however many devices.
        "attempted": [int(bool(pushes)) for pushes in tried],
        "providers": [pushes[-1].row.provider if pushes else None for pushes in tried],
        "provider_refs": [_bounded(pushes[-1].provider_ref) if pushes else None for pushes in tried],
        "skip_reasons": [outcome.skip_reason for outcome in outcomes],
        "errors": [_bounded(outcome.error) for outcome in outcomes],
        "waits_s": [outcome.wait_s for outcome in outcomes],
        "untils": [outcome.until for outcome in outcomes],
        "helds": [outcome.held for outcome in outcomes],
        "followed": [outcome.follows for outcome in outcomes],
        "given_backs": [outcome.given_back for outcome in outcomes],
    }


def _bounded(words: str | None) -> str | None:
    # Reasons may quote what arrived: a NUL or half a surrogate pair in them would make Postgres refuse the row.
    if words is None:
        return None
    return words[:ERROR_CHARS_MAX].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
