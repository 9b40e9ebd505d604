"""Who is online: entries, leases and their lives, by a clock in the test's hands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chat_api.presence import book as book_module
from chat_api.presence.book import VOID_AFTER_DEATH_S, VOID_AFTER_REBIRTH_S, PresenceBook
from chat_api.testing import AT
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.presence import LEASE_VALID_S, ConnectionInfo, EdgeLease, EdgePresence, presence_key

MOBILE, DESKTOP, TABLET = DeviceType.MOBILE, DeviceType.DESKTOP, DeviceType.TABLET


class Desk:
    """A book that hears, a clock, and edges that write into it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.revision = 0
        self.book = PresenceBook(lambda: self.time, lambda: AT + timedelta(seconds=self.time))
        self.instances: dict[str, str] = {}
        self.book.replace({}, {})

    def lease(self, edge: str) -> tuple[EdgeLease, int]:
        self.revision += 1
        instance = self.instances.setdefault(edge, new_id())
        at = AT + timedelta(seconds=self.time)
        return EdgeLease(edge_id=edge, instance=instance, started_at=AT, renewed_at=at), self.revision

    def alive(self, *edges: str) -> None:
        """The edges renew their leases."""
        for edge in edges:
            self.book.renew(*self.lease(edge))

    def entry(self, edge: str, *devices: DeviceType, **more: Any) -> tuple[EdgePresence, int]:
        self.revision += 1
        instance = self.instances.setdefault(edge, new_id())
        at = AT + timedelta(seconds=self.revision)
        connections = tuple(
            ConnectionInfo(connection_id=new_id(), device_type=one, connected_at=at, **more) for one in devices
        )
        return EdgePresence(edge_id=edge, instance=instance, connections=connections), self.revision

    def holds(self, edge: str, user: str, *devices: DeviceType, **more: Any) -> str:
        """An edge writes which sockets it holds of a user; returns the key."""
        key = presence_key(user, edge)
        self.book.put(key, *self.entry(edge, *devices, **more))
        return key


def test_several_devices_over_several_edges() -> None:
    """Connections of all living edges, oldest first; the state names each device type once."""
    desk = Desk()
    desk.alive("edge-1", "edge-2")
    desk.holds("edge-1", "anna", DESKTOP, MOBILE)
    other = desk.holds("edge-2", "anna", MOBILE)
    found = desk.book.connections("anna")
    assert {(one.edge_id, one.device_type) for one in found[:2]} == {("edge-1", DESKTOP), ("edge-1", MOBILE)}
    assert (found[2].edge_id, found[2].device_type) == ("edge-2", MOBILE)
    state = desk.book.state("anna")
    assert (state.online, state.device_types, state.last_seen_at) == (True, (DESKTOP, MOBILE), None)
    assert desk.book.online_count == 1
    assert {(one.user_id, one.edge_id) for one in desk.book.all()} == {("anna", "edge-1"), ("anna", "edge-2")}
    desk.book.remove(other)
    assert {one.edge_id for one in desk.book.connections("anna")} == {"edge-1"}
    desk.book.remove(other)
    desk.book.remove(presence_key("nobody", "edge-7"))
    assert desk.book.is_online("anna")


def test_who_has_gone_is_offline_at_once_and_was_last_seen_now() -> None:
    """The last entry's deletion is the moment; coming back forgets it."""
    desk = Desk()
    desk.alive("edge-1")
    key = desk.holds("edge-1", "anna", MOBILE)
    assert desk.book.is_online("anna")
    desk.time += 1
    desk.book.remove(key)
    state = desk.book.state("anna")
    assert (state.online, state.device_types) == (False, ())
    assert state.last_seen_at == AT + timedelta(seconds=1001)
    desk.holds("edge-1", "anna", MOBILE)
    assert desk.book.state("anna").last_seen_at is None
    assert desk.book.state("nobody").last_seen_at is None


def test_an_entry_without_connections_is_nobody() -> None:
    """An edge may write an empty entry before it deletes it."""
    desk = Desk()
    desk.alive("edge-1")
    desk.holds("edge-1", "anna")
    assert not desk.book.is_online("anna")


def test_only_so_many_last_moments_are_remembered(monkeypatch: Any) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(book_module, "LAST_SEEN_MAX", 2)
    desk = Desk()
    desk.alive("edge-1")
    for user in ("a", "b", "c"):
        desk.book.remove(desk.holds("edge-1", user, MOBILE))
    assert [desk.book.state(user).last_seen_at is not None for user in ("a", "b", "c")] == [False, True, True]


def test_a_silent_edge_s_users_are_offline() -> None:
    """Without a renewal for `LEASE_VALID_S` the edge's entries mean nothing, and are to be deleted soon after."""
    desk = Desk()
    desk.alive("edge-1", "edge-2")
    key = desk.holds("edge-1", "anna", MOBILE)
    revision = desk.revision
    desk.holds("edge-2", "ben", MOBILE)
    desk.time += LEASE_VALID_S
    desk.alive("edge-2")
    assert desk.book.is_online("anna")
    desk.time += 0.1
    assert not desk.book.is_online("anna")
    assert desk.book.connections("anna") == ()
    assert desk.book.is_online("ben")
    assert [lease.edge_id for lease in desk.book.edges()] == ["edge-2"]
    assert desk.book.void_entries() == []
    desk.time += VOID_AFTER_DEATH_S + 0.1
    assert desk.book.void_entries() == [(key, revision)]
    assert desk.book.dead_edges() == [], "its entries go first"
    desk.book.remove(key)
    assert desk.book.void_entries() == []
    assert desk.book.dead_edges() == [("edge-1", 1)]
    desk.book.end("edge-1")
    assert desk.book.dead_edges() == []


def test_a_renewal_brings_a_silent_edge_back() -> None:
    """It was slow, not dead: its users are there again."""
    desk = Desk()
    desk.alive("edge-1")
    desk.holds("edge-1", "anna", MOBILE)
    desk.time += LEASE_VALID_S + 1
    assert not desk.book.is_online("anna")
    desk.alive("edge-1")
    assert desk.book.is_online("anna")
    assert desk.book.void_entries() == []


def test_what_a_former_life_wrote_is_void() -> None:
    """An edge was killed and started again under its name: the entries of its former life count for nothing."""
    desk = Desk()
    desk.alive("edge-1")
    key = desk.holds("edge-1", "anna", MOBILE)
    revision = desk.revision
    desk.instances["edge-1"] = new_id()
    desk.alive("edge-1")
    assert not desk.book.is_online("anna")
    desk.time += VOID_AFTER_REBIRTH_S - 0.1
    desk.alive("edge-1")
    assert desk.book.void_entries() == []
    desk.time += 0.2
    assert desk.book.void_entries() == [(key, revision)]
    desk.holds("edge-1", "anna", MOBILE)
    assert desk.book.void_entries() == []
    assert desk.book.is_online("anna")


def test_an_entry_may_be_here_before_its_lease() -> None:
    """Then it waits: it counts when the lease comes, and is not taken for a dead edge's meanwhile."""
    desk = Desk()
    desk.holds("edge-1", "anna", MOBILE)
    assert not desk.book.is_online("anna")
    desk.time += LEASE_VALID_S - 0.1
    assert desk.book.void_entries() == []
    desk.alive("edge-1")
    assert desk.book.is_online("anna")


def test_an_entry_written_anew_by_an_edge_that_was_given_up_is_not_deleted() -> None:
    """A partitioned edge is back: its entries are heard before its lease."""
    desk = Desk()
    desk.alive("edge-1")
    desk.holds("edge-1", "anna", MOBILE)
    desk.time += LEASE_VALID_S + VOID_AFTER_DEATH_S + 1
    desk.book.is_online("anna")
    desk.time += VOID_AFTER_DEATH_S + 1
    assert len(desk.book.void_entries()) == 1
    desk.holds("edge-1", "anna", MOBILE)
    assert desk.book.void_entries() == []


def test_who_hears_nothing_declares_nobody_dead() -> None:
    """NATS is away from this process: what it knows is kept, marked as hearsay, and nothing is deleted."""
    desk = Desk()
    lease = desk.lease("edge-1")
    desk.book.renew(*lease)
    key = desk.holds("edge-1", "anna", MOBILE)
    desk.book.deaf()
    desk.time += 100
    assert [desk.book.hearing] == [False]
    assert desk.book.is_online("anna")
    assert desk.book.void_entries() == []
    desk.book.replace({key: desk.entry("edge-1", MOBILE)}, {"edge-1": lease})
    assert [desk.book.hearing] == [True]
    assert desk.book.is_online("anna"), "the edge gets the time of a lease to be heard again"
    desk.time += LEASE_VALID_S + 0.1
    assert not desk.book.is_online("anna")


def test_reading_again_without_silence_renews_nothing() -> None:
    """A lease that was not renewed since is as old as before, however often it is read."""
    desk = Desk()
    lease = desk.lease("edge-1")
    desk.book.renew(*lease)
    key = desk.holds("edge-1", "anna", MOBILE)
    for _ in range(8):
        desk.time += 1
        desk.book.replace({key: desk.entry("edge-1", MOBILE)}, {"edge-1": lease})
    assert not desk.book.is_online("anna")


def test_a_complete_reading_drops_what_is_gone_and_says_when() -> None:
    """Entries and leases that are not in the buckets any more."""
    desk = Desk()
    desk.alive("edge-1", "edge-2")
    desk.holds("edge-1", "anna", MOBILE)
    kept = desk.holds("edge-2", "ben", MOBILE)
    desk.book.replace({kept: desk.entry("edge-2", TABLET)}, {"edge-2": desk.lease("edge-2")})
    assert [lease.edge_id for lease in desk.book.edges()] == ["edge-2"]
    assert not desk.book.is_online("anna")
    assert desk.book.state("anna").last_seen_at is not None
    assert desk.book.state("ben").device_types == (TABLET,)


def test_buckets_that_were_lost_take_nobody_offline_while_edges_write_anew() -> None:
    """An incomplete reading only adds; what is still missing at the next one is gone."""
    desk = Desk()
    desk.alive("edge-1")
    desk.holds("edge-1", "anna", MOBILE)
    desk.book.deaf()
    desk.time += 30
    desk.book.replace({}, {}, complete=False)
    assert desk.book.is_online("anna")
    desk.time += 3
    desk.book.replace({}, {}, complete=True)
    assert not desk.book.is_online("anna")


def test_online_users_are_listed_by_id_and_role() -> None:
    """Pages in the order of ids; a role is one of a socket's."""
    desk = Desk()
    desk.alive("edge-1")
    for user in ("dora", "anna", "carl", "ben"):
        desk.holds("edge-1", user, MOBILE, roles=("doctor",) if user == "carl" else ("customer",))
    assert [one.user_id for one in desk.book.online(limit=2)] == ["anna", "ben"]
    assert [one.user_id for one in desk.book.online(after="ben", limit=5)] == ["carl", "dora"]
    assert [one.user_id for one in desk.book.online(limit=5, role="doctor")] == ["carl"]
    assert (desk.book.online_count, desk.book.count("doctor"), desk.book.count("admin")) == (4, 1, 0)
