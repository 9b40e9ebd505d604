"""A lane's progress: nothing is forgotten that is not settled, and nobody is asked again who has settled."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat_api.fanout.progress import Progress, Saved
from chat_api.store.keys import ORIGIN, Key

USERS = [f"user-{n}" for n in range(5)]


def through_json(saved: Saved) -> Saved:
    """As the database gives it back."""
    return Saved(saved.floor, saved.top, json.loads(json.dumps(saved.open)))


class Lane(RuleBasedStateMachine):
    """A record that grows, a lane that works on it, dies at any moment, and begins from what it wrote down."""

    def __init__(self) -> None:
        super().__init__()
        self.record: list[tuple[Key, frozenset[str] | None]] = []
        """Each event's key, and its recipients; None: it is another lane's."""
        self.progress = Progress()
        self.waiting: dict[Key, set[str]] = {}
        """What the process itself knows to be open."""
        self.settled: set[tuple[Key, str]] = set()
        self.known: set[tuple[Key, str]] = set()
        """What of it this process knows: what its predecessor had written down, and what it has seen itself."""
        self.saved = self.progress.save()
        self.known_when_saved: set[tuple[Key, str]] = set()

    @rule(
        jump=st.integers(0, 1),
        step=st.integers(1, 3),
        recipients=st.none() | st.frozensets(st.sampled_from(USERS)),
    )
    def recorded(self, jump: int, step: int, recipients: frozenset[str] | None) -> None:
        last = self.record[-1][0] if self.record else ORIGIN
        # A later transaction may have written its rows, and so got its positions, earlier.
        key = Key(last.txid + 1, max(1, last.position - step)) if jump else Key(last.txid, last.position + step)
        self.record.append((key, recipients))

    @rule(events=st.integers(1, 4))
    def taken(self, events: int) -> None:
        for key, recipients in [one for one in self.record if one[0] > self.progress.top][:events]:
            self.deliver(key, recipients)

    def deliver(self, key: Key, recipients: frozenset[str] | None) -> None:
        if recipients is None:
            if key > self.progress.top:
                self.progress.pass_over(key)
            return
        if key > self.progress.top:
            self.progress.take(key)
        asked = self.progress.waiting(key)
        waiting = set(recipients if asked is None else recipients & asked)
        for user in waiting:
            assert (key, user) not in self.known, "asked although it is known to have settled"
        if waiting:
            self.waiting[key] = waiting
            self.progress.wait_for(key, waiting)
        else:
            self.progress.settle(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        user = data.draw(st.sampled_from(sorted(self.waiting[key])))
        self.waiting[key].discard(user)
        self.settled.add((key, user))
        self.known.add((key, user))
        if not self.waiting[key]:
            del self.waiting[key]
            self.progress.settle(key)

    @rule()
    def begins_anew(self) -> None:
        """In the same process: nothing is asked that was settled, ever."""
        self.replay()

    @rule()
    def written_down(self) -> None:
        self.saved = through_json(self.progress.save())
        self.known_when_saved = set(self.known)

    @rule()
    def dies(self) -> None:
        """The next one knows what was written down."""
        self.progress = Progress.load(self.saved)
        self.known = set(self.known_when_saved)
        self.replay()

    def replay(self) -> None:
        self.waiting.clear()
        top = self.progress.top
        for key, recipients in [one for one in self.record if self.progress.floor < one[0] <= top]:
            self.deliver(key, recipients)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Who has not settled is waited for, or the event is still to be taken: now, and after a crash."""
        for progress in (self.progress, Progress.load(self.saved)):
            for key, recipients in self.record:
                for user in recipients or ():
                    if (key, user) not in self.settled:
                        waiting = progress.waiting(key)
                        assert key > progress.top or waiting is None or user in waiting
                        assert key > progress.floor

    @invariant()
    def what_is_saved_bounded_forgets_nothing(self) -> None:
        for users_max, events_max in ((0, 100), (2, 100), (100, 0), (100, 1), (1, 1)):
            saved = self.progress.save(users_max, events_max)
            assert len(saved.open) <= events_max
            assert sum(len(users or ()) for _, _, users in saved.open) <= users_max
            loaded = Progress.load(through_json(saved))
            assert loaded.floor == saved.floor == self.progress.floor
            for key, waiting in self.waiting.items():
                still = loaded.waiting(key)
                assert key > loaded.top or still is None or still >= waiting


Lane.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestLane = Lane.TestCase


def test_the_floor_is_below_the_first_open_event_and_else_the_top() -> None:
    """However many are settled above it."""
    progress = Progress()
    for position in (3, 5, 8):
        progress.take(Key(7, position))
    assert progress.floor == Key(7, 2)
    progress.settle(Key(7, 5))
    assert progress.floor == Key(7, 2)
    progress.settle(Key(7, 3))
    assert progress.floor == Key(7, 7)
    progress.settle(Key(7, 8))
    assert progress.floor == progress.top == Key(7, 8)
    progress.pass_over(Key(9, 1))
    assert progress.floor == Key(9, 1)


def test_the_largest_events_are_shortened_first() -> None:
    """A room of thousands does not make a conversation of two wait for everybody again."""
    progress = Progress()
    for position, count in enumerate((2, 1000, 2, 900), start=1):
        progress.take(Key(1, position))
        progress.wait_for(Key(1, position), {f"{n:04}" for n in range(count)})
    assert [users if users is None else len(users) for _, _, users in progress.save(users_max=950).open] == [
        2,
        None,
        2,
        900,
    ]
