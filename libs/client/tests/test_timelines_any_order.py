"""Whatever is lost, repeated, late or cut off: the timelines end in the record's state, and were never wrong."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.sync import SyncPage
from natter_client.timeline import Delivered, Standing
from natter_client.timelines import NeedSync, Rebased, Repair, Step, Timelines

from .record import Cursor, Record

ROUNDS_MAX = 6


@dataclass
class RepairUnderWay:
    """A repair, and the page of it that is on its way."""

    repair: Repair
    after_seq: int
    page: tuple[list[Delivered], int] | None = None
    asked: bool = False
    seen: int = 0


class AnyOrder(RuleBasedStateMachine):
    """One device against the record."""

    @initialize(conversations=st.lists(st.booleans(), max_size=3), synced=st.booleans())
    def some_history(self, conversations: list[bool], synced: bool) -> None:
        self.record = Record("me")
        self.timelines = Timelines("me", pending_max=3)
        self.conversations = [self.record.create(with_me=with_me) for with_me in conversations]
        self.shown: dict[str, list[int]] = {}
        self.rebased: list[Rebased] = []
        self.named: set[str] = set()
        self.cursor: Cursor | None = None
        self.page_cursor: Cursor | None = None
        self.page: tuple[SyncPage, Cursor] | None = None
        self.syncing = False
        self.expired = False
        self.repairs: list[RepairUnderWay] = []
        self.asked_for_sync = False
        if synced:
            self.record.wire.clear()
            self._sync_to_the_end(10)

    # What happens in the world

    @rule(with_me=st.booleans())
    def create(self, with_me: bool) -> None:
        self.conversations.append(self.record.create(with_me=with_me))

    @precondition(lambda self: self.conversations)
    @rule(which=st.integers(0, 20), count=st.integers(1, 6), slow=st.booleans())
    def post(self, which: int, count: int, slow: bool) -> None:
        conversation = self.conversations[which % len(self.conversations)]
        for _ in range(count):
            txid = self.record.open_txids[0] if slow and self.record.open_txids else None
            self.record.commit(conversation, "message.created", {"conversation_id": conversation}, txid)

    @precondition(lambda self: self.conversations)
    @rule(which=st.integers(0, 20), slow=st.booleans())
    def come_or_go(self, which: int, slow: bool) -> None:
        conversation = self.conversations[which % len(self.conversations)]
        kind = "participant.left" if self.record.takes_part(conversation) else "participant.joined"
        txid = self.record.open_txids[0] if slow and self.record.open_txids else None
        self.record.commit(conversation, kind, {"conversation_id": conversation, "user_id": "me"}, txid)

    @precondition(lambda self: self.conversations)
    @rule(which=st.integers(0, 20))
    def somebody_else_joins(self, which: int) -> None:
        conversation = self.conversations[which % len(self.conversations)]
        self.record.commit(conversation, "participant.joined", {"conversation_id": conversation, "user_id": "another"})

    @precondition(lambda self: self.conversations)
    @rule(which=st.integers(0, 20))
    def read(self, which: int) -> None:
        self.record.read(self.conversations[which % len(self.conversations)], 1)

    @rule()
    def a_slow_transaction_begins(self) -> None:
        if len(self.record.open_txids) < 2:
            self.record.begin()

    @precondition(lambda self: self.record.open_txids)
    @rule()
    def a_slow_transaction_ends_without_a_trace(self) -> None:
        self.record.open_txids.pop(0)

    # What happens on the way

    @precondition(lambda self: self.record.wire)
    @rule(which=st.integers(0, 50), again=st.booleans())
    def a_frame_comes(self, which: int, again: bool) -> None:
        wire = self.record.wire
        frame = wire[which % len(wire)] if again else wire.pop(which % len(wire))
        self._do(self.timelines.live(frame))

    @precondition(lambda self: self.record.wire)
    @rule(count=st.integers(1, 8))
    def frames_come_in_order(self, count: int) -> None:
        for frame in self.record.wire[:count]:
            self._do(self.timelines.live(frame))
        del self.record.wire[:count]

    @precondition(lambda self: self.record.wire)
    @rule(which=st.integers(0, 50))
    def a_frame_is_lost(self, which: int) -> None:
        self.record.wire.pop(which % len(self.record.wire))

    @rule()
    def the_socket_breaks(self) -> None:
        self.record.wire.clear()

    @rule(limit=st.integers(1, 3))
    def a_page_of_a_sync_is_made(self, limit: int) -> None:
        if not self.syncing:
            self._begin_sync()
        if self.page is None:
            self._make_page(limit)

    @precondition(lambda self: self.page is not None)
    @rule()
    def that_page_comes(self) -> None:
        self._take_page()

    @precondition(lambda self: self.syncing)
    @rule()
    def the_sync_fails(self) -> None:
        self._end_sync()

    @precondition(lambda self: self.cursor is not None and not self.syncing)
    @rule()
    def the_cursor_gets_too_old(self) -> None:
        self.expired = True

    @precondition(lambda self: self.repairs)
    @rule(which=st.integers(0, 5), limit=st.integers(1, 4))
    def a_repair_gets_on(self, which: int, limit: int) -> None:
        self._step_repair(self.repairs[which % len(self.repairs)], limit)

    # What must hold

    @invariant()
    def what_is_missing_is_asked_for(self) -> None:
        if self.syncing:
            return
        under_way = {one.repair.stream for one in self.repairs}
        for name in self.timelines.gapped:
            assert name in under_way or self.asked_for_sync, f"nobody mends {name}"

    @invariant()
    def little_is_held_back(self) -> None:
        assert all(len(stream.pending) <= 3 for stream in self.timelines.streams.values())

    def teardown(self) -> None:
        self.record.wire.clear()
        self.record.open_txids.clear()
        if self.syncing:
            self._end_sync()
        for _ in range(ROUNDS_MAX):
            self._sync_to_the_end(3)
            while self.repairs:
                self._step_repair(self.repairs[0], 3)
            if not self.timelines.gapped and not self.timelines.wants_sync:
                break
        else:
            raise AssertionError(f"still incomplete after {ROUNDS_MAX} syncs: {self.timelines.gapped}")
        self._compare()

    def _compare(self) -> None:
        own = self.timelines.streams[self.record.mine]
        assert own.head == self.record.heads.get(self.record.mine, 0)
        for conversation in self.conversations:
            name = f"conversation:{conversation}"
            stream = self.timelines.streams.get(name)
            if not self.record.takes_part(conversation):
                # A frame that is older than the snapshot may open what has ended, and nothing tells of the end again.
                old = stream is not None and self.record.left_note(conversation) <= own.base
                assert stream is None or stream.standing is not Standing.OPEN or old
                continue
            assert stream is not None
            assert stream.standing is Standing.OPEN
            assert stream.head == self.record.heads[name]
            span = self.record.spans(name)[-1]
            shown = [seq for seq in self.shown.get(name, []) if seq >= span.first]
            if name not in self.named:
                assert shown[0] == span.first, "a membership is shown from its beginning"
            assert stream.base >= span.first - 1
            given_up = max((one.to_seq for one in self.rebased if one.stream == name), default=0)
            wanted = range(max(stream.base, given_up) + 1, stream.head + 1)
            assert set(wanted) <= set(shown)

    def _do(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Delivered():
                    self._check(step)
                case Repair():
                    assert all(one.repair.stream != step.stream for one in self.repairs)
                    self.repairs.append(RepairUnderWay(step, step.after_seq))
                case Rebased():
                    self.rebased.append(step)
                case NeedSync():
                    self.asked_for_sync = True

    def _check(self, event: Delivered) -> None:
        recorded = self.record.at(event.stream, event.seq)
        assert (event.type, event.data) == (recorded.type, recorded.data)
        shown = self.shown.setdefault(event.stream, [])
        own = event.stream == self.record.mine
        spans = self.record.spans(event.stream)
        assert own or any(span.first <= event.seq <= (span.last or event.seq) for span in spans), "not the user's"
        if shown:
            last = shown[-1]
            assert event.seq > last, "shown twice, or out of order"
            skipped = range(last + 1, event.seq)
            # One snapshot after another may have begun anew before anything was shown: each gives up a part.
            anew = [one for one in self.rebased if one.stream == event.stream]
            given_up = all(any(one.from_seq < seq <= one.to_seq for one in anew) for seq in skipped)
            # A hole is right only where a membership ended and another one began.
            ended = any(span.last is not None and last <= span.last < event.seq for span in spans)
            assert not skipped or ended or given_up, f"{event.stream}: {list(skipped)} skipped"
        shown.append(event.seq)

    def _begin_sync(self) -> None:
        self.timelines.begin_sync()
        self.asked_for_sync = False
        self.syncing, self.page_cursor = True, self.cursor

    def _make_page(self, limit: int) -> None:
        self.page = self.record.sync(self.page_cursor, limit, expired=self.expired)
        self.expired = False

    def _take_page(self) -> None:
        assert self.page is not None
        (page, cursor), self.page = self.page, None
        for conversation in page.conversations or ():
            self.named.add(f"conversation:{conversation.id}")
        self._do(self.timelines.sync_page(page))
        self.page_cursor = cursor
        snapshot = page.conversations is not None
        if not (snapshot and page.has_more):
            self.cursor = cursor
        if not snapshot and not page.has_more:
            self._end_sync(complete=True)

    def _end_sync(self, *, complete: bool = False) -> None:
        self.syncing, self.page = False, None
        self._do(self.timelines.end_sync(complete=complete))
        if self.timelines.stuck:
            self.cursor = None

    def _sync_to_the_end(self, limit: int) -> None:
        self._begin_sync()
        for _ in itertools.takewhile(lambda _: self.syncing, itertools.count()):
            self._make_page(limit)
            self._take_page()

    def _step_repair(self, one: RepairUnderWay, limit: int) -> None:
        if not one.asked:
            one.seen = self.timelines.streams[one.repair.stream].known_last
            one.page, one.asked = self.record.history(one.repair.stream, one.after_seq, limit), True
            return
        page, one.page, one.asked = one.page, None, False
        if page is None:
            self.repairs.remove(one)
            self._do(self.timelines.repair_refused(one.repair, one.seen))
            return
        events, last_seq = page
        self._do(self.timelines.repaired(events))
        one.after_seq = events[-1].seq if events else one.repair.until_seq
        if not self.timelines.repair_goes_on(one.repair, one.after_seq):
            self.repairs.remove(one)
            self._do(self.timelines.repair_ended(one.repair, last_seq))


AnyOrder.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrder = AnyOrder.TestCase
