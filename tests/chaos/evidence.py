"""What is known about a run when it is over: what devices showed, what the record holds, which pushes went out.

All instants are seconds of this machine's wall clock, which every process of the stack shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as a client gave it to its application."""

    at: float
    stream: str
    seq: int
    type: str
    content: str | None
    """A message's text, which is unique in the run; None for any other event."""


@dataclass(slots=True)
class DeviceSeen:
    """One device, from the start of its client to its end. Closed and opened again it is another one."""

    name: str
    user_id: str
    shown: list[Shown] = field(default_factory=list)
    frames: dict[tuple[str, int], float] = field(default_factory=dict)
    """When the first frame of which event (stream, seq) came, shown or not: what came by frame was confirmed."""
    complete_since: float | None = None
    """From then on nothing may be missing: its first sync had ended. None: it has not got that far."""
    present_at_end: bool = False
    caught_up: bool = False
    """It is present at the end, and has said that it knows everything."""
    sockets: list[tuple[float, float]] = field(default_factory=list)
    """When it held a live socket: from `connected` until it noticed the end."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """When the plan had cut it off."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of the events table."""

    event_id: str
    stream: str
    seq: int
    type: str
    at: float
    data: Mapping[str, object]

    @property
    def content(self) -> str | None:
        """A new message's text; None for any other event."""
        return str(self.data["content"]) if self.type == "message.created" else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message whose sender has the server's word that it is committed."""

    at: float
    sender_id: str
    stream: str
    seq: int
    content: str


@dataclass(frozen=True, slots=True)
class PushRow:
    """A row of the notifier's ledger."""

    event_id: str
    user_id: str
    state: str
    reason: str
    decided_at: float
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Heal:
    """The moment from which a fault was being healed."""

    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one run."""

    devices: Sequence[DeviceSeen]
    record: Sequence[Recorded]
    """Every event of the run's conversations and users."""
    sent: frozenset[str]
    """Texts that somebody tried to send, accepted or not."""
    accepted: Sequence[Accepted]
    unanswered: Sequence[str]
    """Messages whose senders had no answer in the end, in words."""
    refused: Sequence[str]
    """What the server refused for good, in words; nothing of a plan deserves it."""
    pushes: Sequence[PushRow]
    provider_pushes: Mapping[tuple[str, str], int]
    """How often the provider was given a message, by text and user id."""
    heals: Sequence[Heal]
    ack_timeout_s: float
    """DELIVERY_ACK_TIMEOUT of the stack."""
    pushes_may_repeat: bool
    """The notifier was killed: between a push and its record it pushes once more."""
