"""What the edges' entries add up to: who is online, with which connections. No I/O.

An entry counts only while its edge is alive: the edge's lease is of the same life (`instance`) as the entry, and was
renewed less than `LEASE_VALID_S` ago, by this process's own clock at the moment when it heard of it. Machines' clocks
differ; an edge's word on when it spoke is not asked for.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts import times
from contracts.presence import (
    LEASE_VALID_S,
    AdminConnection,
    EdgeLease,
    EdgePresence,
    UserConnection,
    UserPresence,
    parse_presence_key,
    presence_key,
)

LAST_SEEN_MAX = 10_000
"""So many users' last moments are remembered."""

VOID_AFTER_DEATH_S = 1.0
"""What a dead edge wrote is deleted after this."""

VOID_AFTER_REBIRTH_S = 3.0
"""What a former life of a living edge wrote is deleted after this. Neither is deleted at once: entry and lease travel
on two roads, and the entry of a new life may be here before its lease."""

Version = tuple[EdgePresence, int]
"""An entry, and its revision in the bucket."""

LeaseVersion = tuple[EdgeLease, int]
"""A lease, and its revision in the bucket."""


class Unheard(Exception):
    """The edges cannot be heard right now, so nobody can say who is there."""


@dataclass(slots=True)
class _Lease:
    lease: EdgeLease
    revision: int
    heard: float
    standing: bool


class PresenceBook:
    """Made once per process, written by its watcher, read by everybody else.

    `hearing` is False until the buckets have been read, and while they cannot be: nothing expires then, because a
    process that hears nobody cannot tell who is gone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = times.now) -> None:
        self._clock = clock
        self._now = now
        self._of_user: dict[str, dict[str, Version]] = {}
        self._of_edge: dict[str, dict[str, Version]] = {}
        self._leases: dict[str, _Lease] = {}
        self._void: dict[tuple[str, str], float] = {}
        """Entries that do not count, and since when: what a janitor looks through."""
        self._online: set[str] = set()
        self._last_seen: OrderedDict[str, datetime] = OrderedDict()
        self._hearing = False

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def hearing(self) -> bool:
        """Whether what this book says is what the edges say now."""
        return self._hearing

    @property
    def online_count(self) -> int:
        """How many users are online."""
        self._expire()
        return len(self._online)

    def is_online(self, user_id: str) -> bool:
        """Whether some living edge holds a socket of the user."""
        self._expire()
        return user_id in self._online

    def connections(self, user_id: str) -> tuple[UserConnection, ...]:
        """The user's sockets on all living edges, oldest first."""
        self._expire()
        return self._connections(user_id)

    def state(self, user_id: str) -> UserPresence:
        """The user's state; of an unknown user: offline."""
        found = self.connections(user_id)
        return UserPresence(
            user_id=user_id,
            online=bool(found),
            device_types=tuple(sorted({one.device_type for one in found})),
            last_seen_at=None if found else self._last_seen.get(user_id),
        )

    def online(self, *, after: str = "", limit: int, role: str | None = None) -> tuple[UserPresence, ...]:
        """Online users in the order of their ids, behind `after`; with a role: those with a socket of that role."""
        self._expire()
        behind = (user_id for user_id in self._online if user_id > after and self._has_role(user_id, role))
        return tuple(self.state(user_id) for user_id in heapq.nsmallest(limit, behind))

    def count(self, role: str) -> int:
        """How many users with a socket of that role are online."""
        self._expire()
        return sum(1 for user_id in self._online if self._has_role(user_id, role))

    def all(self) -> Iterator[AdminConnection]:
        """Every socket of every living edge, in no particular order."""
        self._expire()
        for user_id in self._online:
            for one in self._connections(user_id):
                yield AdminConnection.model_construct(user_id=user_id, **dict(one))

    def edges(self) -> tuple[EdgeLease, ...]:
        """The living edges' leases, by edge id."""
        self._expire()
        return tuple(held.lease for _, held in sorted(self._leases.items()) if held.standing)

    # --- writing: the watcher -----------------------------------------------------------------------------------------

    def put(self, key: str, presence: EdgePresence, revision: int) -> None:
        """An edge has written a user's entry."""
        user_id, edge_id = parse_presence_key(key)
        self._of_user.setdefault(user_id, {})[edge_id] = (presence, revision)
        self._of_edge.setdefault(edge_id, {})[user_id] = (presence, revision)
        self._void.pop((user_id, edge_id), None)
        self._judge(user_id, edge_id)

    def remove(self, key: str) -> None:
        """A user's entry was deleted."""
        user_id, edge_id = parse_presence_key(key)
        for outer, inner, index in ((user_id, edge_id, self._of_user), (edge_id, user_id, self._of_edge)):
            entries = index.get(outer)
            if entries is not None and entries.pop(inner, None) is not None and not entries:
                del index[outer]
        self._judge(user_id, edge_id)

    def renew(self, lease: EdgeLease, revision: int) -> None:
        """An edge has said that it is alive."""
        before = self._leases.get(lease.edge_id)
        self._leases[lease.edge_id] = _Lease(lease, revision, self._clock(), True)
        if before is None or not before.standing or before.lease.instance != lease.instance:
            self._judge_edge(lease.edge_id)

    def end(self, edge_id: str) -> None:
        """An edge's lease was deleted: it has gone in order, or a janitor has found it dead."""
        if self._leases.pop(edge_id, None) is not None:
            self._judge_edge(edge_id)

    def deaf(self) -> None:
        """The edges cannot be heard any more: what is known is kept, and nothing expires, until `replace`."""
        self._expire()
        self._hearing = False

    def replace(
        self, entries: Mapping[str, Version], leases: Mapping[str, LeaseVersion], *, complete: bool = True
    ) -> None:
        """The buckets were read from the beginning. Users who are online before and after never look offline between.

        `complete` False: the buckets have lost what they held, and the edges are writing it anew; whatever is missing
        may still come.
        """
        now = self._clock()
        for edge_id, (lease, revision) in leases.items():
            known = self._leases.get(edge_id)
            # Read again, but not renewed: the edge has said nothing new.
            if self._hearing and known is not None and known.revision == revision:
                continue
            self._leases[edge_id] = _Lease(lease, revision, now, True)
        if complete:
            for edge_id in self._leases.keys() - leases.keys():
                del self._leases[edge_id]
            for edge_id, users in list(self._of_edge.items()):
                for user_id in [one for one in users if presence_key(one, edge_id) not in entries]:
                    self.remove(presence_key(user_id, edge_id))
        else:
            for held in self._leases.values():
                held.heard = now
        for key, (presence, revision) in entries.items():
            self.put(key, presence, revision)
        for edge_id in list(self._of_edge):
            self._judge_edge(edge_id)
        self._hearing = True

    # --- writing: the janitor -----------------------------------------------------------------------------------------

    def dead_edges(self) -> list[tuple[str, int]]:
        """Edges whose lease has run out, and of whose entries none is left: the lease can go, too. With revisions."""
        self._expire()
        return [
            (edge_id, held.revision)
            for edge_id, held in self._leases.items()
            if not held.standing and edge_id not in self._of_edge
        ]

    def void_entries(self) -> list[tuple[str, int]]:
        """Keys and revisions of entries that have meant nothing for long enough to be deleted."""
        self._expire()
        if not self._hearing:
            return []
        now = self._clock()
        found = []
        for (user_id, edge_id), since in self._void.items():
            if now - since > self._grace_s(edge_id):
                found.append((presence_key(user_id, edge_id), self._of_edge[edge_id][user_id][1]))
        return found

    # --- inside -------------------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        if not self._hearing:
            return
        oldest = self._clock() - LEASE_VALID_S
        for edge_id, held in self._leases.items():
            if held.standing and held.heard < oldest:
                held.standing = False
                self._judge_edge(edge_id)

    def _judge_edge(self, edge_id: str) -> None:
        for user_id in self._of_edge.get(edge_id, ()):
            self._judge(user_id, edge_id)

    def _judge(self, user_id: str, edge_id: str) -> None:
        """Bring `_void`, `_online` and `_last_seen` in line with an entry that has changed, or whose edge has."""
        place = (user_id, edge_id)
        entry = self._of_user.get(user_id, {}).get(edge_id)
        if entry is not None and not self._counts(edge_id, entry[0]):
            self._void.setdefault(place, self._clock())
        else:
            self._void.pop(place, None)
        if self._is_there(user_id):
            self._online.add(user_id)
            self._last_seen.pop(user_id, None)
        elif user_id in self._online:
            self._online.discard(user_id)
            self._last_seen[user_id] = self._now()
            if len(self._last_seen) > LAST_SEEN_MAX:
                self._last_seen.popitem(last=False)

    def _grace_s(self, edge_id: str) -> float:
        held = self._leases.get(edge_id)
        if held is None:
            return LEASE_VALID_S
        return VOID_AFTER_REBIRTH_S if held.standing else VOID_AFTER_DEATH_S

    def _is_there(self, user_id: str) -> bool:
        entries = self._of_user.get(user_id, {}).items()
        return any(presence.connections and self._counts(edge_id, presence) for edge_id, (presence, _) in entries)

    def _counts(self, edge_id: str, presence: EdgePresence) -> bool:
        held = self._leases.get(edge_id)
        return held is not None and held.standing and held.lease.instance == presence.instance

    def _connections(self, user_id: str) -> tuple[UserConnection, ...]:
        found = [
            UserConnection.model_construct(edge_id=edge_id, **dict(one))
            for edge_id, (presence, _) in self._of_user.get(user_id, {}).items()
            if self._counts(edge_id, presence)
            for one in presence.connections
        ]
        return tuple(sorted(found, key=lambda one: (one.connected_at, one.connection_id)))

    def _has_role(self, user_id: str, role: str | None) -> bool:
        return role is None or any(role in one.roles for one in self._connections(user_id))
