"""Which deliveries are still open, and what settles them. No I/O; the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.envelope import Envelope

PAST_MAX = 16_384
"""The last so many tickets are known for a while after they are settled: a user's other devices confirm later."""


class About(NamedTuple):
    """What is remembered of an event beyond its delivery: a few words, not its data."""

    stream: str
    seq: int
    recorded_at: float = 0.0
    """When it happened, in seconds since 1970."""
    devices: frozenset[DeviceType] = frozenset()
    """If not empty, only devices of these types count as having it."""
    tell: str | None = None
    """The user who is told that it has arrived: the sender."""


class Heard(NamedTuple):
    """A device has something."""

    about: About
    user_id: str
    first: bool
    """No other device of this user has said so before."""


@dataclass(slots=True, eq=False)
class Work:
    """One event being delivered; `on_done` is called once, when every recipient is settled."""

    event: Envelope
    on_done: Callable[[], None]
    important: bool = False
    about: About | None = None
    """Set by whoever publishes; without it nobody hears of receipts."""
    waiting: set[str] = field(default_factory=set)
    """Recipients not settled yet."""
    adding: bool = True
    """Recipients are still being added."""
    abandoned: bool = False
    """The lane began anew: this event will come again, nothing more is done for this attempt."""

    def settle(self, user_id: str) -> None:
        """One recipient has it, or the notifier has it for him."""
        if not self.abandoned and user_id in self.waiting:
            self.waiting.discard(user_id)
            self._end()

    def all_added(self) -> None:
        """There will be no more recipients."""
        self.adding = False
        if not self.abandoned:
            self._end()

    def _end(self) -> None:
        if not self.waiting and not self.adding:
            self.on_done()


@dataclass(slots=True, eq=False)
class Delivery:
    """One event on its way to one user. Deadlines are in the seconds of the caller's clock."""

    ticket: int
    work: Work
    user_id: str
    deadline: float
    lacks: OfflineReason | None = None
    """A desktop or tablet has it, and yet it may become a push: why, if nothing else confirms it."""
    confirmed: bool = False
    """Some device has it."""


@dataclass(slots=True)
class Undelivered:
    """A delivery to hand to the notifier; its work is settled when that is done."""

    work: Work
    user_id: str
    reason: OfflineReason


@dataclass(slots=True)
class ReceiptBook:
    """All open deliveries of a process. `ack_timeout_s` until a delivery without receipt becomes a push."""

    ack_timeout_s: float
    important_mobile_wait_s: float
    """How long a phone may take to confirm after something else has."""
    push_active_desktop: bool = False
    """Whether a desktop with somebody before it still means a push; users who do not want that are the notifier's."""
    _next_ticket: int = 1
    _open: dict[int, Delivery] = field(default_factory=dict)
    _waiting_for_mobile: dict[int, Delivery] = field(default_factory=dict)
    # A ring by ticket and not a dict: whoever deletes the oldest key of a large dict again and again pays for the gaps.
    _past: list[tuple[int, About, str, bool] | None] = field(default_factory=lambda: [None] * PAST_MAX)

    def __len__(self) -> int:
        return len(self._open) + len(self._waiting_for_mobile)

    def open(self, work: Work, user_id: str, now: float) -> int:
        """Begin a delivery; returns the ticket that its receipt will carry."""
        ticket = self._next_ticket
        self._next_ticket += 1
        work.waiting.add(user_id)
        self._open[ticket] = Delivery(ticket, work, user_id, now + self.ack_timeout_s)
        return ticket

    def receipt(self, ticket: int, device: DeviceType, now: float, *, idle: bool = False) -> bool:
        """A device has the frame; nobody sits before it if `idle`. True if this settles the delivery."""
        delivery = self._open.get(ticket) or self._waiting_for_mobile.get(ticket)
        if delivery is None or not _counts(delivery.work.about, device):
            return False
        lacks = self._lacks(delivery.work, device, idle)
        if lacks is not None:
            if delivery.lacks is None:
                delivery.deadline = now + self.important_mobile_wait_s
                # Moved to a table of its own, so that each table stays in the order of its deadlines.
                self._waiting_for_mobile[ticket] = self._open.pop(ticket)
            delivery.lacks = lacks
            return False
        self._drop(ticket)
        self._remember(delivery)
        delivery.work.settle(delivery.user_id)
        return True

    def _lacks(self, work: Work, device: DeviceType, idle: bool) -> OfflineReason | None:
        """Why this device alone is not enough; None if it is."""
        if device is DeviceType.MOBILE or not _counts(work.about, DeviceType.MOBILE):
            return None
        if work.important:
            return OfflineReason.IMPORTANT_MOBILE
        if idle:
            return OfflineReason.IDLE_DESKTOP
        return OfflineReason.ACTIVE_DESKTOP if self.push_active_desktop else None

    def heard(self, ticket: int, device: DeviceType) -> Heard | None:
        """Who has what, now that a device says so; ask before `receipt`, which may settle it.

        None: a device that does not count, or a ticket of long ago.
        """
        delivery = self._open.get(ticket) or self._waiting_for_mobile.get(ticket)
        if delivery is not None:
            about = delivery.work.about
            if about is None or not _counts(about, device):
                return None
            first, delivery.confirmed = not delivery.confirmed, True
            return Heard(about, delivery.user_id, first)
        past = self._past[ticket % PAST_MAX]
        if past is None or past[0] != ticket or not _counts(past[1], device):
            return None
        _, about, user_id, confirmed = past
        self._past[ticket % PAST_MAX] = (ticket, about, user_id, True)
        return Heard(about, user_id, not confirmed)

    def no_responders(self, ticket: int) -> Undelivered | None:
        """NATS says that no edge holds a socket of the user."""
        delivery = self._drop(ticket)
        if delivery is None:
            return None
        return Undelivered(delivery.work, delivery.user_id, OfflineReason.NO_CONNECTION)

    def expired(self, now: float) -> list[Undelivered]:
        """Deliveries whose time is over; each table is in the order of its deadlines, so only the front is read."""
        late: list[Undelivered] = []
        for table in (self._open, self._waiting_for_mobile):
            due = []
            for ticket, delivery in table.items():
                if delivery.deadline > now:
                    break
                due.append(ticket)
            for ticket in due:
                delivery = table.pop(ticket)
                self._remember(delivery)
                reason = delivery.lacks or OfflineReason.UNACKNOWLEDGED
                late.append(Undelivered(delivery.work, delivery.user_id, reason))
        return late

    def postpone(self, seconds: float) -> None:
        """Nobody was listening for so long: every delivery gets that time back. The order of the deadlines stays."""
        for table in (self._open, self._waiting_for_mobile):
            for delivery in table.values():
                delivery.deadline += seconds

    def abandon(self, works: set[Work]) -> None:
        """Forget every delivery of these works: their events will come again."""
        for work in works:
            work.abandoned = True
        for table in (self._open, self._waiting_for_mobile):
            for ticket in [ticket for ticket, delivery in table.items() if delivery.work.abandoned]:
                del table[ticket]

    def _drop(self, ticket: int) -> Delivery | None:
        return self._open.pop(ticket, None) or self._waiting_for_mobile.pop(ticket, None)

    def _remember(self, delivery: Delivery) -> None:
        about = delivery.work.about
        if about is not None:
            self._past[delivery.ticket % PAST_MAX] = (delivery.ticket, about, delivery.user_id, delivery.confirmed)


def _counts(about: About | None, device: DeviceType) -> bool:
    return about is None or not about.devices or device in about.devices
