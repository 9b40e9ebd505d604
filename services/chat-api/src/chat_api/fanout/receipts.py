"""Which deliveries are still open, and what settles them. No I/O; the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.envelope import Envelope


@dataclass(slots=True, eq=False)
class Work:
    """One event being delivered; `on_done` is called once, when every recipient is settled."""

    event: Envelope
    on_done: Callable[[], None]
    important: bool = False
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
    reached_other: bool = False
    """A desktop or tablet has it, but the message is important and no mobile has."""


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
    _next_ticket: int = 1
    _open: dict[int, Delivery] = field(default_factory=dict)
    _waiting_for_mobile: dict[int, Delivery] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open) + len(self._waiting_for_mobile)

    def open(self, work: Work, user_id: str, now: float) -> int:
        """Begin a delivery; returns the ticket that its receipt will carry."""
        ticket = self._next_ticket
        self._next_ticket += 1
        work.waiting.add(user_id)
        self._open[ticket] = Delivery(ticket, work, user_id, now + self.ack_timeout_s)
        return ticket

    def receipt(self, ticket: int, device: DeviceType, now: float) -> bool:
        """A device has the frame. True if this settles the delivery."""
        delivery = self._open.get(ticket) or self._waiting_for_mobile.get(ticket)
        if delivery is None:
            return False
        if delivery.work.important and device is not DeviceType.MOBILE:
            if not delivery.reached_other:
                delivery.reached_other = True
                delivery.deadline = now + self.important_mobile_wait_s
                # Moved to a table of its own, so that each table stays in the order of its deadlines.
                self._waiting_for_mobile[ticket] = self._open.pop(ticket)
            return False
        self._drop(ticket)
        delivery.work.settle(delivery.user_id)
        return True

    def no_responders(self, ticket: int) -> Undelivered | None:
        """NATS says that no edge holds a socket of the user."""
        delivery = self._drop(ticket)
        if delivery is None:
            return None
        return Undelivered(delivery.work, delivery.user_id, OfflineReason.NO_CONNECTION)

    def expired(self, now: float) -> list[Undelivered]:
        """Deliveries whose time is over; each table is in the order of its deadlines, so only the front is read."""
        late: list[Undelivered] = []
        for table, reason in (
            (self._open, OfflineReason.UNACKNOWLEDGED),
            (self._waiting_for_mobile, OfflineReason.IMPORTANT_MOBILE),
        ):
            due = []
            for ticket, delivery in table.items():
                if delivery.deadline > now:
                    break
                due.append(ticket)
            for ticket in due:
                delivery = table.pop(ticket)
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
