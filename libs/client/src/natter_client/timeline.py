"""What a client knows of one stream, and how an event finds its place in it. No I/O.

A live frame is a hint, the sequence is the contract: events are shown strictly in the order of `seq`, and what lies
above a gap waits until the gap is filled.

    UNKNOWN ── created with me, joined(me), snapshot ──► OPEN ── left(me) ──► LEFT
                                                          │ ▲                  │
                              404, not in the snapshot    ▼ │ snapshot         │ joined(me)
                                                      UNREACHABLE ─────────────┴──► OPEN, from that seq
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Where an event came from first."""

    LIVE = "live"
    SYNC = "sync"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event with its place; once it is shown, everything below it of that membership was."""

    stream: str
    seq: int
    type: str
    data: dict[str, Any]
    source: Source


class Standing(StrEnum):
    """What the user is to a stream, as far as the client knows."""

    UNKNOWN = "unknown"
    """Frames came, but not where the membership begins."""
    OPEN = "open"
    LEFT = "left"
    """The membership ended at `head`: nothing is shown until another one begins."""
    UNREACHABLE = "unreachable"
    """The server shows it to this user no more; where the membership ended was not seen."""


class StreamTimeline:
    """One stream: shown up to `head` without a hole since `base`, and what waits above a gap."""

    __slots__ = (
        "_me",
        "_pending_max",
        "base",
        "epoch",
        "events",
        "gap_open",
        "head",
        "known_last",
        "name",
        "pending",
        "repairing",
        "standing",
        "vouched",
    )

    def __init__(self, name: str, me: str, *, pending_max: int, events_kept_max: int) -> None:
        self.name = name
        self.base = 0
        """What lies at or below is history."""
        self.head = 0
        self.known_last = 0
        """The highest seq that the stream is known to have."""
        self.standing = Standing.UNKNOWN
        self.pending: dict[int, Delivered] = {}
        self.events: deque[Delivered] = deque(maxlen=events_kept_max)
        """The newest of what was shown, in order."""
        self.epoch = 0
        """Changes with each opening."""
        self.vouched = 0
        """Changes whenever a sync says that the user takes part: a refusal that was asked for before is old."""
        self.repairing = False
        self.gap_open = False
        self._me = me
        self._pending_max = pending_max

    @property
    def complete(self) -> bool:
        """Whether everything is shown that the client has heard of."""
        return self.standing is not Standing.UNKNOWN and not self.gapped and not self.pending

    @property
    def gapped(self) -> bool:
        """Whether something is known to be missing that can be had."""
        return self.standing is Standing.OPEN and self.head < self.known_last

    @property
    def puzzled(self) -> bool:
        """Whether frames came that fit nowhere yet: only a sync can say where they belong."""
        return self.standing is not Standing.OPEN and bool(self.pending)

    def merge(self, event: Delivered, epoch: int) -> list[Delivered] | None:
        """What is to be shown now, in order; None if the event was known before.

        `epoch` is given to the stream if the event opens it.
        """
        if event.seq <= self.head or event.seq in self.pending:
            return None
        self.known_last = max(self.known_last, event.seq)
        if event.source is Source.SYNC:
            self.vouched = epoch
        if self.standing is not Standing.OPEN and self._begins(event):
            self.open(event.seq - 1, epoch)
        elif self.standing is not Standing.OPEN and self._ends(event) and event.seq != self.head + 1:
            return self.left(event.seq, epoch)
        elif self.standing in (Standing.UNKNOWN, Standing.LEFT):
            # By sync and repair everything comes in order: this lies before a membership that is still to come.
            if event.source is Source.LIVE:
                self._hold(event)
            return []
        elif self.standing is Standing.UNREACHABLE and event.source is Source.SYNC:
            # Increments hold only what the user takes part in: it can be read again.
            self.standing, self.epoch = Standing.OPEN, epoch
        if event.seq != self.head + 1:
            self._hold(event)
            return []
        self.pending[event.seq] = event
        return self.flow(epoch)

    def flow(self, epoch: int) -> list[Delivered]:
        """Show what follows on `head` without a gap."""
        shown = []
        while (event := self.pending.pop(self.head + 1, None)) is not None:
            shown.append(event)
            self.events.append(event)
            self.head = event.seq
            if self._ends(event):
                self._end(Standing.LEFT, epoch)
        return shown

    def open(self, base: int, epoch: int) -> None:
        """A membership begins: history up to `base`, everything above it is to be shown."""
        self.base = self.head = base
        self.known_last = max(self.known_last, base)
        self.standing = Standing.OPEN
        self.epoch = self.vouched = epoch
        self._forget_below(base)

    def left(self, at_seq: int, epoch: int) -> list[Delivered]:
        """The user's own stream says that the membership ended there."""
        if at_seq <= self.head:
            return []
        self.head = at_seq
        self.known_last = max(self.known_last, at_seq)
        self._end(Standing.LEFT, epoch)
        return self.flow(epoch)

    def unreachable(self, epoch: int, seen: int) -> list[Delivered]:
        """The server does not show this stream to the user any more; it was asked when `seen` was known.

        Whatever lies at or below was of memberships that have ended; what came later may be of the next one.
        """
        self._forget_below(seen)
        self._end(Standing.UNREACHABLE, epoch)
        return self.flow(epoch)

    def explained(self, seen: int) -> None:
        """A whole sync has ended that began when `seen` was known: frames up to there that fit nowhere never will.

        They were of a membership that began and ended unseen, or they come again by another sync.
        """
        if self.standing is Standing.UNREACHABLE and any(seq <= seen for seq in self.pending):
            # Unless the refusal was a mistake. Asking once more tells.
            self.standing = Standing.OPEN
        elif self.standing is not Standing.OPEN:
            self._forget_below(seen)

    def rebase(self, base: int, epoch: int) -> list[Delivered]:
        """Give up what lies between `head` and `base`."""
        self.open(base, epoch)
        return self.flow(epoch)

    def hint(self, last_seq: int) -> None:
        """The stream is known to reach that far."""
        self.known_last = max(self.known_last, last_seq)

    def messages(self) -> list[dict[str, Any]]:
        """The messages as they are now, by `seq`, as far as their events are kept; deleted ones are tombstones."""
        found: dict[str, dict[str, Any]] = {}
        for event in self.events:
            if event.type in ("message.created", "message.edited", "message.deleted"):
                found[event.data["id"]] = event.data
        return sorted(found.values(), key=lambda message: int(message["seq"]))

    def _begins(self, event: Delivered) -> bool:
        """Whether a membership of this user begins with it."""
        if event.type == "participant.joined":
            return bool(event.data.get("user_id") == self._me)
        if event.type == "conversation.created":
            return self._me == event.data.get("owner_id") or self._me in event.data.get("participant_ids", ())
        return False

    def _ends(self, event: Delivered) -> bool:
        return event.type == "participant.left" and event.data.get("user_id") == self._me

    def _end(self, standing: Standing, epoch: int) -> None:
        """A membership ends at `head`; if the next one's beginning waits already, it opens."""
        self.standing = standing
        self.epoch = epoch
        beginnings = [seq for seq, event in self.pending.items() if seq > self.head and self._begins(event)]
        if beginnings:
            self.open(min(beginnings) - 1, epoch)
        else:
            self.pending.clear()

    def _hold(self, event: Delivered) -> None:
        self.pending[event.seq] = event
        if len(self.pending) > self._pending_max:
            # What is nearest to the gap is shown first; the rest is fetched again.
            del self.pending[max(self.pending)]

    def _forget_below(self, seq: int) -> None:
        for lower in [held for held in self.pending if held <= seq]:
            del self.pending[lower]
