"""The book as it follows real buckets: connects, disconnects, dead edges, and a NATS that goes and forgets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from chat_api.presence import watcher as watcher_module
from chat_api.presence.book import PresenceBook
from chat_api.presence.watcher import PresenceWatcher
from chat_api.settings import ChatApiSettings
from chat_api.testing_presence import ScriptedEdge
from chat_api.testing_world import until
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.presence import EDGES_BUCKET, PRESENCE_BUCKET, presence_key
from kit import buckets, bus

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP
Start = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


@dataclass
class Watched:
    """A book that a watcher keeps, over chat-api's own connection."""

    book: PresenceBook
    client: Client
    js: JetStreamContext


@pytest.fixture
async def edges(servers: Any) -> AsyncIterator[Client]:
    """The edges' connection, with their permissions."""
    client = await nats.connect(
        servers.stack.nats_url,
        user="ws-edge",
        password=servers.stack.nats_password("ws-edge"),
        inbox_prefix=b"_INBOX.ws-edge",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
    )
    yield client
    await bus.close(client)


@pytest.fixture
async def watched(servers: Any, background: Start) -> AsyncIterator[Watched]:
    """A running watcher that has read everything."""
    found = await watch(servers.settings(), background)
    yield found
    await bus.close(found.client)


async def watch(settings: ChatApiSettings, background: Start) -> Watched:
    """One more process that watches."""
    watching: list[PresenceWatcher] = []

    async def interrupted(reason: str) -> None:
        for one in watching:
            one.interrupted(reason)

    client = await bus.connect(settings, service="chat-api", on_interrupted=interrupted, on_disconnected=interrupted)
    found = Watched(PresenceBook(), client, client.jetstream(timeout=5))
    watching.append(PresenceWatcher(found.js, found.book))
    background(watching[0].run())
    await until(lambda: found.book.hearing, "the watcher has read the buckets")
    return found


def person() -> str:
    """A fresh user's id."""
    return f"user-{new_id()[-12:]}"


async def test_presence_is_right_within_a_second_of_connect_and_disconnect(watched: Watched, edges: Client) -> None:
    """Two edges, several devices: each change is in the book at once."""
    anna, book = person(), watched.book
    first, second = ScriptedEdge(edges), ScriptedEdge(edges)
    await first.live()
    await second.live()
    try:
        await first.holds(anna, MOBILE, DESKTOP)
        await until(lambda: len(book.connections(anna)) == 2, "two devices", 1)
        await second.holds(anna, MOBILE)
        await until(
            lambda: {one.edge_id for one in book.connections(anna)} == {first.edge_id, second.edge_id}, "two", 1
        )
        await first.holds(anna)
        await until(lambda: book.state(anna).device_types == (MOBILE,), "one is left", 1)
        await second.holds(anna)
        await until(lambda: not book.is_online(anna), "nobody is left", 1)
        assert book.state(anna).last_seen_at is not None
    finally:
        await first.die()
        await second.die()


async def test_a_process_that_starts_later_reads_what_is_there(
    watched: Watched, edges: Client, servers: Any, background: Start
) -> None:
    """Entries and leases from before its time, without what was deleted since."""
    anna, ben = person(), person()
    edge = ScriptedEdge(edges)
    await edge.live()
    await edge.holds(anna, MOBILE)
    await edge.holds(ben, MOBILE)
    await edge.holds(ben)
    await until(lambda: watched.book.is_online(anna), "the first process knows")
    later = await watch(servers.settings(), background)
    try:
        assert later.book.is_online(anna)
        assert not later.book.is_online(ben)
    finally:
        await edge.die()
        await bus.close(later.client)


async def test_the_users_of_a_killed_edge_are_gone_within_ten_seconds_and_everybody_hears_it(
    watched: Watched, edges: Client, servers: Any, background: Start
) -> None:
    """Two processes clean up side by side: the dead edge's keys go, the living one's stay, and edges hear of it."""
    anna, ben = person(), person()
    dying, living = ScriptedEdge(edges), ScriptedEdge(edges)
    heard: list[tuple[str, str]] = []

    async def hear(message: Any) -> None:
        heard.append((message.subject, (message.headers or {}).get("KV-Operation", "")))

    other = await watch(servers.settings(), background)
    for edge in (dying, living):
        await edge.live()
        await edge.holds(anna, MOBILE)
    await dying.holds(ben, DESKTOP)
    await edges.subscribe(f"$KV.presence.{ben}.*", cb=hear)
    await edges.flush()
    await until(lambda: watched.book.is_online(ben) and len(watched.book.connections(anna)) == 2, "all are there")
    killed = time.monotonic()
    await dying.die()
    try:
        await until(lambda: not watched.book.is_online(ben) and not other.book.is_online(ben), "ben is offline", 10)
        gone = buckets.subject(PRESENCE_BUCKET, presence_key(ben, dying.edge_id))
        await until(
            lambda: (gone, "DEL") in heard, "the edges hear that ben has gone", 10 - (time.monotonic() - killed)
        )
        assert [one.edge_id for one in watched.book.connections(anna)] == [living.edge_id]
        held = watched.book.dead_edges
        await until(lambda: not held(), "the lease is gone, too")
        kv = await watched.js.key_value(EDGES_BUCKET)
        assert (await kv.get(living.edge_id)).value
        with pytest.raises(nats.js.errors.KeyNotFoundError):
            await kv.get(dying.edge_id)
    finally:
        await living.die()
        await bus.close(other.client)


async def test_an_edge_that_starts_again_under_its_name_leaves_nobody_behind(watched: Watched, edges: Client) -> None:
    """Killed and back at once: who was connected to the former life is offline at once, and the key is deleted."""
    anna = person()
    former = ScriptedEdge(edges)
    await former.live()
    await former.holds(anna, MOBILE)
    await until(lambda: watched.book.is_online(anna), "anna is there")
    await former.die()
    again = ScriptedEdge(edges, former.edge_id)
    await again.live()
    try:
        await until(lambda: not watched.book.is_online(anna), "her socket died with the former life", 1)
        key = presence_key(anna, former.edge_id)
        kv = await watched.js.key_value(PRESENCE_BUCKET)
        await until_gone(kv, key)
        await again.holds(anna, MOBILE)
        await until(lambda: watched.book.is_online(anna), "she is back", 1)
    finally:
        await again.die()


async def until_gone(kv: Any, key: str) -> None:
    """Wait until a key is deleted."""
    give_up = time.monotonic() + 10
    while True:
        try:
            await kv.get(key)
        except nats.js.errors.KeyNotFoundError:
            return
        assert time.monotonic() < give_up, f"{key} is still there"
        await asyncio.sleep(0.05)


async def test_a_restarted_nats_takes_nobody_offline(watched: Watched, edges: Client, servers: Any) -> None:
    """The buckets are in memory and lost; who is connected stays online, and what edges write anew is heard."""
    anna, ben, book = person(), person(), watched.book
    edge = ScriptedEdge(edges)
    await edge.live(0.2)
    await edge.holds(anna, MOBILE)
    await until(lambda: book.is_online(anna), "anna is there")
    server = servers.stack.part("nats")
    await servers.do(server.kill())
    try:
        await until(lambda: not book.hearing, "it is known that nobody is heard")
        assert book.is_online(anna)
    finally:
        await servers.do(server.start())
    seen: list[bool] = []

    def looking(condition: Callable[[], bool]) -> Callable[[], bool]:
        def look() -> bool:
            seen.append(book.is_online(anna))
            return condition()

        return look

    try:
        await until(looking(lambda: book.hearing), "everything was read again")
        await until(lambda: edges.is_connected, "the edge is back, too")
        await edge.holds(anna, MOBILE)
        await edge.holds(ben, MOBILE)
        await until(looking(lambda: book.is_online(ben)), "what is new is heard")
        complete_at = time.monotonic() + watcher_module.WRITTEN_ANEW_AFTER_S + 0.5
        await until(looking(lambda: time.monotonic() > complete_at), "everything was read a second time")
        assert all(seen)
        await edge.holds(anna)
        await until(lambda: not book.is_online(anna), "and so is what ends", 1)
    finally:
        await edge.die()


async def test_buckets_that_somebody_deletes_are_made_and_read_again(watched: Watched, edges: Client) -> None:
    """An operator's mistake heals: the watch of a bucket that is gone is noticed, without a reconnect."""
    anna, book = person(), watched.book
    edge = ScriptedEdge(edges)
    await edge.live(0.2)
    try:
        await watched.js.delete_key_value(PRESENCE_BUCKET)
        await edge.holds(anna, MOBILE)
        await until(lambda: book.is_online(anna), "the new bucket is heard", 10)
    finally:
        await edge.die()


async def test_what_nobody_can_read_is_passed_over(watched: Watched, edges: Client) -> None:
    """Nonsense under a user's key is no entry, and what comes after it is heard."""
    anna, ben = person(), person()
    edge = ScriptedEdge(edges)
    await edge.live()
    try:
        await edge.holds(anna, MOBILE)
        await until(lambda: watched.book.is_online(anna), "anna is there")
        subject = buckets.subject(PRESENCE_BUCKET, presence_key(anna, edge.edge_id))
        await edges.jetstream().publish(subject, b"\xff{")
        await edge.holds(ben, MOBILE)
        await until(lambda: watched.book.is_online(ben), "ben is heard")
        assert not watched.book.is_online(anna)
    finally:
        await edge.die()
