"""A delivery as the notifier sees it, and what became of one; types only, no I/O.

             ┌─► Sent
Delivery ────┼─► Skipped(reason)          settled: never looked at again
             ├─► Dead(error)
             ├─► Retry(wait)              pending: due again later
             └─► Postponed(until)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pydantic import ValidationError

from contracts.codec import decode
from contracts.delivery import OfflineDelivery, OfflineReason
from contracts.envelope import Envelope
from contracts.errors import Undecodable, UnknownEvent
from contracts.events import EventData
from contracts.pushes import SkipReason


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the inbox. `data` is None when the event is of a type or version that this release does not know."""

    id: int
    user_id: str
    reason: OfflineReason
    event: Envelope
    data: EventData | None
    decided_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that an earlier release wrote and this one cannot read."""

    id: int
    error: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A provider took it; `provider_ref` is the provider's own name for it, if it gives one."""

    provider: str
    provider_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """No push, on purpose."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Dead:
    """No push, although one was due: no further attempt would help or is allowed."""

    error: str
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The provider failed for now: try again after `wait_s` seconds."""

    wait_s: float
    error: str
    provider: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not the time yet: decide again at `until`. Not an attempt."""

    until: datetime


Outcome: TypeAlias = Sent | Skipped | Dead | Retry | Postponed


def read_offline(payload: bytes | str) -> tuple[OfflineDelivery, EventData | None]:
    """An OFFLINE_DELIVERY message and its typed event; raises `Undecodable` without repeating the (private) input."""
    offline = decode(OfflineDelivery, payload)
    try:
        return offline, offline.event.event()
    except UnknownEvent:
        return offline, None
    except ValidationError as invalid:
        places = ", ".join(".".join(map(str, error["loc"])) for error in invalid.errors(include_input=False)[:5])
        raise Undecodable(f"event data of {offline.event.type!r} is not valid at: {places}") from None
