"""How far a lane is in the record's order, and whom each event that is not settled still waits for. No I/O.

    settled            taken: settled, or open for some users          not taken
  ──────────────┤floor├────────────────────────────────────────┤top├──────────────►

What is remembered does not depend on JetStream: a stream that vanished changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chat_api.store.keys import ORIGIN, Key

SAVED_USERS_MAX = 5_000
"""User ids that are written down per lane; above it the events with the most recipients wait for everybody again."""
SAVED_EVENTS_MAX = 2_000
"""Open events that are written down per lane; what lies above counts as not taken."""

Open = dict[Key, set[str] | None]
"""Per event the users who are waited for; None: not known yet, so everybody."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A lane's progress as it is written down."""

    floor: Key
    top: Key
    open: list[list[Any]]
    """`[txid, position, [user, …] | null]`, ascending."""


class Progress:
    """Events are taken in ascending order and settled in any."""

    def __init__(self, top: Key = ORIGIN, open_events: Iterable[tuple[Key, set[str] | None]] = ()) -> None:
        self.top = top
        """Everything up to here was taken."""
        # In the order of the keys, because they are taken in it.
        self._open: Open = dict(open_events)

    @classmethod
    def load(cls, saved: Saved) -> Progress:
        """Progress as it was when it was saved."""
        return cls(
            saved.top,
            (
                (Key(txid, position), None if users is None else set(users))
                for txid, position, users in sorted(saved.open, key=lambda one: (one[0], one[1]))
            ),
        )

    @property
    def floor(self) -> Key:
        """Everything up to here is settled."""
        return next(iter(self._open)).predecessor() if self._open else self.top

    def take(self, key: Key) -> None:
        """An event above the top is to be delivered; it waits for everybody until it is known for whom."""
        self.top = key
        self._open[key] = None

    def pass_over(self, key: Key) -> None:
        """An event above the top needs nothing from this lane."""
        self.top = key

    def waiting(self, key: Key) -> set[str] | None:
        """Who must still get an event that was taken: None is everybody, nobody if it is settled."""
        return self._open.get(key, set())

    def wait_for(self, key: Key, users: set[str]) -> None:
        """It is known whom an open event waits for; `users` is shared, and shrinks without this being told."""
        if key in self._open:
            self._open[key] = users

    def settle(self, key: Key) -> None:
        """Nobody is waited for any more."""
        self._open.pop(key, None)

    def save(self, users_max: int = SAVED_USERS_MAX, events_max: int = SAVED_EVENTS_MAX) -> Saved:
        """What to write down, bounded. Whoever loads it repeats too much rather than too little."""
        kept, top = list(self._open.items()), self.top
        if len(kept) > events_max:
            top = kept[events_max][0].predecessor()
            kept = kept[:events_max]
        too_many = sum(len(users) for _, users in kept if users is not None) - users_max
        everybody: set[Key] = set()
        for key, users in sorted(kept, key=lambda one: len(one[1] or ()), reverse=True):
            if too_many <= 0:
                break
            everybody.add(key)
            too_many -= len(users or ())
        return Saved(
            self.floor,
            top,
            [[*key, None if users is None or key in everybody else sorted(users)] for key, users in kept],
        )
