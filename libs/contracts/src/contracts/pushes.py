"""What the notifier tells of its decisions: one record per event and user."""

from __future__ import annotations

from enum import StrEnum

from contracts.codec import Contract
from contracts.delivery import OfflineReason
from contracts.ids import UserId, Uuid
from contracts.times import Instant


class PushState(StrEnum):
    """Where a push stands."""

    PENDING = "pending"
    SENT = "sent"
    SKIPPED = "skipped"
    DEAD = "dead"


class PushRecord(Contract):
    """One row of `GET /v1/pushes` at the notifier."""

    id: int
    event_id: Uuid
    user_id: UserId
    reason: OfflineReason
    state: PushState
    provider: str | None = None
    skip_reason: str | None = None
    attempts: int = 0
    received_at: Instant
    settled_at: Instant | None = None
