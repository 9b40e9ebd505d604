"""What settles a delivery, when, and that it is settled once."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat_api.fanout.receipts import PAST_MAX, About, Heard, ReceiptBook, Undelivered, Work
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.envelope import Envelope
from contracts.ids import new_id
from contracts.times import now

ACK_S = 10.0
MOBILE_S = 2.0
MOBILE, DESKTOP, TABLET = DeviceType.MOBILE, DeviceType.DESKTOP, DeviceType.TABLET

_SUBJECT = f"conversation:{new_id()}"
EVENT = Envelope(
    id=new_id(), type="message.created", subject=_SUBJECT, time=now(), seq=1, position=1, partitionkey=_SUBJECT, data={}
)


class Done:
    """Counts how often a work was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def book() -> ReceiptBook:
    """An empty one."""
    return ReceiptBook(ACK_S, MOBILE_S)


def work(*, important: bool = False) -> tuple[Work, Done]:
    """A work that is still being added to."""
    done = Done()
    return Work(EVENT, done, important), done


ABOUT = About(_SUBJECT, 1)


def test_every_device_is_heard_the_first_as_such() -> None:
    """Also after the delivery is settled, and after it was given up; a ticket of long ago says nothing."""
    receipts, (one, _) = book(), work()
    one.about = ABOUT
    ticket, late = receipts.open(one, "bob", 0), receipts.open(one, "carol", 0)
    assert receipts.heard(ticket, DESKTOP) == Heard(ABOUT, "bob", first=True)
    assert receipts.receipt(ticket, DESKTOP, 1)
    assert receipts.heard(ticket, MOBILE) == Heard(ABOUT, "bob", first=False)
    assert [gone.user_id for gone in receipts.expired(100)] == ["carol"]
    assert receipts.heard(late, MOBILE) == Heard(ABOUT, "carol", first=True)
    assert receipts.heard(late, MOBILE) == Heard(ABOUT, "carol", first=False)
    for _ in range(PAST_MAX):
        receipts.receipt(receipts.open(one, "dave", 0), MOBILE, 1)
    assert receipts.heard(ticket, TABLET) is None
    assert receipts.heard(10**12, MOBILE) is None


def test_a_device_that_is_not_meant_does_not_count() -> None:
    """Its receipt settles nothing and is not heard, neither in time nor late."""
    receipts, (one, done) = book(), work()
    one.about = ABOUT._replace(devices=frozenset({MOBILE}))
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    assert receipts.heard(ticket, DESKTOP) is None
    assert not receipts.receipt(ticket, DESKTOP, 1)
    assert done.times == 0
    assert receipts.heard(ticket, MOBILE) == Heard(one.about, "bob", first=True)
    assert receipts.receipt(ticket, MOBILE, 1)
    assert receipts.heard(ticket, DESKTOP) is None
    assert done.times == 1


def test_a_receipt_settles_a_delivery_once() -> None:
    """The first device decides; what comes later changes nothing."""
    receipts, (one, done) = book(), work()
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    assert done.times == 0
    assert receipts.receipt(ticket, DESKTOP, 1)
    assert done.times == 1
    assert not receipts.receipt(ticket, MOBILE, 2)
    assert receipts.no_responders(ticket) is None
    assert receipts.expired(100) == []
    assert (done.times, len(receipts)) == (1, 0)


def test_a_work_without_recipients_is_done_when_adding_ends() -> None:
    """Nobody to wait for."""
    one, done = work()
    one.all_added()
    assert done.times == 1


def test_receipts_may_come_before_adding_ends() -> None:
    """The fastest edge does not settle an event whose other recipients are not added yet."""
    receipts, (one, done) = book(), work()
    assert receipts.receipt(receipts.open(one, "bob", 0), MOBILE, 0)
    assert done.times == 0
    receipts.open(one, "carol", 0)
    one.all_added()
    assert done.times == 0


@pytest.mark.parametrize(
    ("important", "push_active", "heard", "reason"),
    [
        # What settles it at once, or later: None; what the notifier is told otherwise.
        (False, False, [(DESKTOP, False)], None),
        (False, False, [(TABLET, False)], None),
        (False, False, [(MOBILE, True)], None),
        (False, False, [(DESKTOP, True)], OfflineReason.IDLE_DESKTOP),
        (False, False, [(TABLET, True)], OfflineReason.IDLE_DESKTOP),
        (False, False, [(DESKTOP, True), (TABLET, True)], OfflineReason.IDLE_DESKTOP),
        (False, False, [(DESKTOP, True), (DESKTOP, False)], None),
        (False, False, [(DESKTOP, True), (MOBILE, False)], None),
        (False, True, [(DESKTOP, False)], OfflineReason.ACTIVE_DESKTOP),
        (False, True, [(DESKTOP, True), (TABLET, False)], OfflineReason.ACTIVE_DESKTOP),
        (False, True, [(DESKTOP, False), (MOBILE, False)], None),
        (True, False, [(DESKTOP, True)], OfflineReason.IMPORTANT_MOBILE),
        (True, True, [(DESKTOP, True), (TABLET, False)], OfflineReason.IMPORTANT_MOBILE),
        (True, False, [(DESKTOP, True), (MOBILE, True)], None),
    ],
)
def test_who_sits_before_what_has_it(
    important: bool, push_active: bool, heard: list[tuple[DeviceType, bool]], reason: OfflineReason | None
) -> None:
    """A desktop with nobody before it is not enough; a phone always is, and somebody before a desktop usually."""
    receipts, (one, done) = ReceiptBook(ACK_S, MOBILE_S, push_active), work(important=important)
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    settled = [receipts.receipt(ticket, device, 1, idle=idle) for device, idle in heard]
    assert settled == [False] * (len(heard) - 1) + [reason is None]
    assert receipts.expired(1 + MOBILE_S - 0.1) == []
    late = receipts.expired(1 + MOBILE_S)
    assert late == ([] if reason is None else [Undelivered(one, "bob", reason)])
    assert (done.times, len(receipts)) == (int(reason is None), 0)


def test_what_is_meant_for_desktops_alone_does_not_wait_for_a_phone() -> None:
    """The host application's word: also if nobody sits there."""
    receipts, (one, done) = book(), work()
    one.about = ABOUT._replace(devices=frozenset({DESKTOP}))
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    assert receipts.receipt(ticket, DESKTOP, 1, idle=True)
    assert done.times == 1


def test_nobody_subscribed() -> None:
    """NATS' word goes to the notifier at once; the work is done when it was handed over, not before."""
    receipts, (one, done) = book(), work()
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    assert receipts.no_responders(ticket) == Undelivered(one, "bob", OfflineReason.NO_CONNECTION)
    assert receipts.no_responders(ticket) is None
    assert done.times == 0
    one.settle("bob")
    one.settle("bob")
    assert done.times == 1


def test_silence() -> None:
    """Without a receipt a delivery is late at its deadline, not before."""
    receipts, (one, _) = book(), work()
    receipts.open(one, "bob", 5)
    assert receipts.expired(5 + ACK_S - 0.001) == []
    assert receipts.expired(5 + ACK_S) == [Undelivered(one, "bob", OfflineReason.UNACKNOWLEDGED)]
    assert receipts.expired(1000) == []


@pytest.mark.parametrize("device", [DESKTOP, TABLET])
def test_important_waits_for_a_mobile(device: DeviceType) -> None:
    """A desktop alone does not settle an important message; a mobile does."""
    receipts, (one, done) = book(), work(important=True)
    ticket = receipts.open(one, "bob", 0)
    one.all_added()
    assert not receipts.receipt(ticket, device, 1)
    assert not receipts.receipt(ticket, device, 1.5)
    assert receipts.expired(1 + MOBILE_S - 0.001) == []
    assert receipts.receipt(ticket, MOBILE, 2.5)
    assert done.times == 1
    assert receipts.expired(1000) == []


def test_important_without_a_mobile() -> None:
    """After the wait the mobile gets a push, with the reason."""
    receipts, (one, _) = book(), work(important=True)
    ticket = receipts.open(one, "bob", 0)
    receipts.receipt(ticket, DESKTOP, 1)
    assert receipts.expired(1 + MOBILE_S) == [Undelivered(one, "bob", OfflineReason.IMPORTANT_MOBILE)]
    assert not receipts.receipt(ticket, MOBILE, 4)


def test_a_late_desktop_does_not_hide_an_earlier_deadline() -> None:
    """Whatever the order in which desktops answer, nobody waits for a mobile longer than the wait."""
    receipts, (one, _) = book(), work(important=True)
    early, late = receipts.open(one, "early", 0), receipts.open(one, "late", 5)
    receipts.receipt(late, DESKTOP, 9.4)
    receipts.receipt(early, DESKTOP, 9.5)
    assert [undelivered.user_id for undelivered in receipts.expired(9.4 + MOBILE_S)] == ["late"]
    assert [undelivered.user_id for undelivered in receipts.expired(9.5 + MOBILE_S)] == ["early"]


def test_nobody_is_judged_by_time_in_which_nobody_listened() -> None:
    """After a freeze each delivery has as long as it still had; a receipt that waited unread settles it."""
    receipts, (one, done) = book(), work()
    heard, silent = receipts.open(one, "bob", 0), receipts.open(one, "carl", 0)
    one.all_added()
    receipts.postpone(60)
    assert receipts.expired(60 + ACK_S - 0.1) == []
    assert receipts.receipt(heard, DESKTOP, 60.1)
    (late,) = receipts.expired(60 + ACK_S)
    assert (late.user_id, late.reason) == ("carl", OfflineReason.UNACKNOWLEDGED)
    assert not receipts.receipt(silent, DESKTOP, 60 + ACK_S)
    assert done.times == 0


def test_abandoned_works_are_forgotten() -> None:
    """A lane that began anew will deliver again: nothing more is said of the first attempt."""
    receipts, (one, done), (other, other_done) = book(), work(important=True), work()
    tickets = [receipts.open(one, "bob", 0), receipts.open(one, "carol", 0)]
    kept = receipts.open(other, "bob", 0)
    receipts.receipt(tickets[1], DESKTOP, 1)
    receipts.abandon({one})
    one.all_added()
    one.settle("bob")
    assert one.waiting == {"bob", "carol"}, "who is still waited for is remembered"
    assert [receipts.receipt(ticket, MOBILE, 2) for ticket in tickets] == [False, False]
    assert [undelivered.work for undelivered in receipts.expired(1000)] == [other]
    assert (done.times, other_done.times) == (0, 0)
    assert not receipts.receipt(kept, MOBILE, 3)


class Book(RuleBasedStateMachine):
    """Any order of deliveries, receipts, silence and time."""

    def __init__(self) -> None:
        super().__init__()
        self.book = book()
        self.now = 0.0
        self.works: list[tuple[Work, Done]] = []
        self.tickets: dict[int, Work] = {}
        self.settled: set[int] = set()
        self.deadlines: dict[int, float] = {}
        self.waiting: dict[int, OfflineReason] = {}

    def settle(self, ticket: int) -> None:
        assert ticket not in self.settled, "settled twice"
        self.settled.add(ticket)

    @rule(important=st.booleans(), users=st.integers(1, 3))
    def publish(self, important: bool, users: int) -> None:
        one, done = work(important=important)
        self.works.append((one, done))
        for n in range(users):
            ticket = self.book.open(one, f"user-{n}-{len(self.tickets)}", self.now)
            self.tickets[ticket] = one
            self.deadlines[ticket] = self.now + ACK_S
        one.all_added()

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), device=st.sampled_from(DeviceType), idle=st.booleans())
    def receipt(self, data: st.DataObject, device: DeviceType, idle: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.tickets)))
        settles = self.book.receipt(ticket, device, self.now, idle=idle)
        important = self.tickets[ticket].important
        if ticket in self.settled:
            assert not settles
        elif device is MOBILE or not (important or idle):
            assert settles
            self.settle(ticket)
        else:
            assert not settles
            if ticket not in self.waiting:
                self.deadlines[ticket] = self.now + MOBILE_S
            self.waiting[ticket] = OfflineReason.IMPORTANT_MOBILE if important else OfflineReason.IDLE_DESKTOP

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def nobody(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.tickets)))
        undelivered = self.book.no_responders(ticket)
        assert (undelivered is None) is (ticket in self.settled)
        if undelivered is not None:
            self.settle(ticket)
            undelivered.work.settle(undelivered.user_id)

    @rule()
    def sweep(self) -> None:
        expired = self.book.expired(self.now)
        due = {ticket for ticket in self.tickets if ticket not in self.settled and self.deadlines[ticket] <= self.now}
        assert len(expired) == len(due)
        assert {undelivered.reason for undelivered in expired} == {
            self.waiting.get(ticket, OfflineReason.UNACKNOWLEDGED) for ticket in due
        }
        for ticket in due:
            self.settle(ticket)
        for undelivered in expired:
            undelivered.work.settle(undelivered.user_id)

    @invariant()
    def each_work_is_done_when_all_its_deliveries_are(self) -> None:
        for one, done in self.works:
            whole = all(ticket in self.settled for ticket, owner in self.tickets.items() if owner is one)
            assert done.times == (1 if whole else 0)
        assert len(self.book) == len(self.tickets) - len(self.settled)


Book.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestBook = Book.TestCase
