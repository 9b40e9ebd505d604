"""The road vanishes, whole or in part: everybody gets everything all the same, once, and no push too many."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from chat_api.fanout import lane
from chat_api.fanout.handovers import Handover, Handovers
from chat_api.relay import republish
from chat_api.relay.republish import NoRelay, NotASince, parse_since
from chat_api.settings import ChatApiSettings
from chat_api.store import following
from chat_api.store.keys import ORIGIN
from chat_api.testing_world import Edge, World, until
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.streams import EVENTS, NOTIFIER_DURABLE, OFFLINE_DELIVERY
from contracts.times import now

MOBILE = DeviceType.MOBILE


async def eventually(look: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 20.0) -> None:
    """Poll until `look` finds something true."""
    give_up = time.monotonic() + timeout_s
    while not await look():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.02)


async def lose(observer: Client, *streams: str) -> None:
    """Delete streams with everything in them; one that is being made anew as soon as it is there."""
    for stream in streams:

        async def gone(stream: str = stream) -> bool:
            with contextlib.suppress(NotFoundError):
                return await observer.jetstream().delete_stream(stream)
            return False

        await eventually(gone, f"{stream} is deleted")


def in_order(edge: Edge, c: str, messages: int) -> None:
    """A socket has everything of a conversation with so many messages, and in order."""
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, messages + 2)]


def pushes(world: World, user_id: str) -> Counter[str]:
    """Whom the notifier would push what: it takes each event once per user."""
    return Counter(dict.fromkeys(content for content, _ in world.handed(user_id)))


async def test_both_streams_deleted_again_and_again_under_load(world: World, observer: Client, db: Any) -> None:
    """Online: every message in order. Offline: each handed over. Who confirmed and left before: nothing."""
    world.fanout()
    alice, bob, carol, dave = await world.people("alice", "bob", "carol", "dave")
    edge, daves = await world.edge(bob, MOBILE), await world.edge(dave, MOBILE)
    c, early = await world.conversation(alice, bob, carol), await world.conversation(alice, dave, carol)
    await world.say(early, alice, *map(str, range(5)))
    await until(lambda: len(daves.texts()) == 5, "dave gets the early ones")
    await world.until_settled()
    await world.leave(daves)
    sent = 0
    for _ in range(3):
        await world.say(c, alice, *map(str, range(sent, sent + 20)))
        await lose(observer, EVENTS.name, OFFLINE_DELIVERY.name)
        await world.say(c, alice, *map(str, range(sent + 20, sent + 40)))
        sent += 40
    await until(lambda: len(set(edge.texts())) == sent, "bob gets everything")
    await until(lambda: len({text for text, _ in world.handed(carol)}) == sent, "carol's are handed over")
    await world.until_settled()
    in_order(edge, c, sent)
    assert world.handed(bob) == world.handed(dave) == world.handed(alice) == []


async def test_the_stream_is_lost_while_no_fanout_runs(world: World, observer: Client) -> None:
    """What was on the road and not fanned out is fanned out, although nothing new is ever written."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, *map(str, range(10)))
    await lose(observer, EVENTS.name)
    world.fanout()
    await until(lambda: len(edge.texts()) == 10, "bob gets everything")
    await until(lambda: len(world.handed(carol)) == 10, "carol's are handed over")
    await world.until_settled()
    in_order(edge, c, 10)


async def test_the_stream_is_lost_while_receipts_are_awaited(world: World, observer: Client) -> None:
    """Open deliveries do not depend on the stream: the receipt settles them, silence makes them pushes."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    bobs, carols = await world.edge(bob), await world.edge(carol, MOBILE)
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, "hello")
    await until(lambda: bobs.texts() == ["hello"], "bob's edge has it")
    await lose(observer, EVENTS.name)
    await until(lambda: world.handed(bob) == [("hello", OfflineReason.UNACKNOWLEDGED)], "bob is handed over")
    await world.until_settled()
    assert world.handed(carol) == []
    assert carols.texts() == ["hello"]


async def test_a_stream_too_small_for_what_waits(
    world: World, observer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits drop what the lane had no room for: it reads that from the record, also when nothing comes behind it."""
    admin = observer.jetstream()
    config = (await admin.stream_info(EVENTS.name)).config
    config.max_msgs = 3
    await admin.update_stream(config)
    monkeypatch.setattr(lane, "READ_MAX", 4)
    world.fanout(fanout_inflight_max=2)
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    await world.until_settled()
    edge = await world.edge(bob)
    await world.say(c, alice, *map(str, range(12)))
    await until(lambda: len(edge.texts()) >= 2, "the lane is full")
    edge.devices = (MOBILE,)
    await until(lambda: len(set(edge.texts())) == 12, "bob gets everything")
    edge.devices = ()
    await world.say(c, alice, *map(str, range(12, 18)))
    await until(lambda: "13" in edge.texts(), "the lane is full again")
    await admin.purge_stream(EVENTS.name)
    edge.devices = (MOBILE,)
    await until(lambda: len(set(edge.texts())) == 18, "bob gets what the purge took")
    await world.until_settled()
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(2, 20)]


async def test_who_confirmed_is_not_asked_again_by_the_next_fanout(world: World, db: asyncpg.Connection[Any]) -> None:
    """A dead fan-out's successor knows who of an event's recipients has it: he left, and gets no push."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    bobs, _ = await world.edge(bob, MOBILE), await world.edge(carol)
    first, client = await world.other_process(delivery_ack_timeout_s=5.0)
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, "hello")

    async def written() -> bool:
        found = await db.fetchval("SELECT open->0->2 = to_jsonb($1::text[]) FROM fanout_lanes", [carol])
        return found is True

    await eventually(written, "it is written down that only carol is waited for")
    await client.close()
    await world.ended(first)
    await world.leave(bobs)
    world.fanout()
    await until(lambda: world.handed(carol) == [("hello", OfflineReason.UNACKNOWLEDGED)], "carol is handed over")
    await world.until_settled()
    assert world.handed(bob) == []
    assert bobs.texts() == ["hello"]


async def test_other_numbers_of_lanes(world: World, db: asyncpg.Connection[Any]) -> None:
    """Divided anew, up and down: what was not settled comes again from whoever has the conversation now."""
    alice, *bobs = await world.people("alice", *(f"bob{n}" for n in range(6)))
    conversations = [await world.conversation(alice, bob) for bob in bobs]
    edges = [await world.edge(bob) for bob in bobs]
    for round_, lanes in enumerate((1, 3, 2)):
        running, _ = await world.other_process(fanout_partitions=lanes, delivery_ack_timeout_s=9.0)
        for c in conversations:
            await world.say(c, alice, str(round_))
        await until(lambda text=str(round_): all(text in edge.texts() for edge in edges), "the frames are there")  # type: ignore[misc]
        if lanes == 3:
            other, _ = await world.other_process(fanout_partitions=2)
            await eventually(lambda: _members(db, 2), "another number of lanes waits")
            assert await db.fetchval("SELECT count(DISTINCT partitions) FROM fanout_lanes") == 1
            await world.ended(other)
        await world.ended(running)
    for edge in edges:
        edge.frames.clear()
        edge.devices = (MOBILE,)
    world.fanout(fanout_partitions=2)
    await until(lambda: all(set(edge.texts()) == {"0", "1", "2"} for edge in edges), "all that is open comes again")
    await world.until_settled()
    assert await db.fetchval("SELECT count(*) FROM fanout_lanes") == 2
    assert world.offline == []


async def _members(db: asyncpg.Connection[Any], count: int) -> bool:
    return bool(count == await db.fetchval("SELECT count(*) FROM fanout_members WHERE seen_until > now()"))


async def test_a_lane_that_an_older_release_left(
    world: World, js: JetStreamContext, db: asyncpg.Connection[Any]
) -> None:
    """Of it only a place in EVENTS is known: what lies behind it is delivered, what lies before is not."""
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    await world.say(c, alice, "settled", "open")
    total = await db.fetchval("SELECT count(*) FROM events")

    async def relayed() -> bool:
        return bool((await js.stream_info(EVENTS.name)).state.messages == total)

    await eventually(relayed, "everything is in EVENTS")
    created = str((await js.stream_info(EVENTS.name)).created)
    await db.execute("INSERT INTO fanout_lanes (lane, floor_stream, floor) VALUES (0, $1, $2)", created, total - 1)
    world.fanout()
    await until(lambda: world.handed(bob) == [("open", OfflineReason.NO_CONNECTION)], "the open one is handed over")
    await world.until_settled()
    assert len(world.offline) == 1


# --- hand-overs -------------------------------------------------------------------------------------------------------


async def handed_over(db: asyncpg.Connection[Any]) -> list[str]:
    """Whose deliveries are remembered."""
    return [row[0] for row in await db.fetch("SELECT user_id FROM handovers ORDER BY user_id")]


async def test_what_the_notifier_had_not_taken_is_handed_over_again(
    world: World, observer: Client, db: asyncpg.Connection[Any]
) -> None:
    """OFFLINE_DELIVERY vanishes with one delivery taken and one not: the second comes again, and is then forgotten."""
    world.fanout()
    admin = observer.jetstream()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    consumer = ConsumerConfig(durable_name=NOTIFIER_DURABLE, ack_policy=AckPolicy.EXPLICIT)
    await admin.add_consumer(OFFLINE_DELIVERY.name, consumer)
    await world.say(await world.conversation(alice, bob), alice, "taken")
    pull = await admin.pull_subscribe_bind(NOTIFIER_DURABLE, stream=OFFLINE_DELIVERY.name)
    for message in await pull.fetch(1, timeout=10):
        await message.ack_sync()
    await world.until_settled()

    async def forgotten() -> bool:
        return not await handed_over(db)

    await eventually(forgotten, "what the notifier has is forgotten")
    await world.say(await world.conversation(alice, carol), alice, "not taken")
    await until(lambda: len(world.handed(carol)) == 1, "carol is handed over")
    await world.until_settled()
    assert await handed_over(db) == [carol]
    await lose(observer, OFFLINE_DELIVERY.name)
    await until(lambda: len(world.handed(carol)) == 2, "carol is handed over again")
    first, again = (one for one in world.offline if one.user_id == carol)
    assert first == again, "the same delivery, word for word"
    await admin.add_consumer(OFFLINE_DELIVERY.name, consumer)
    pull = await admin.pull_subscribe_bind(NOTIFIER_DURABLE, stream=OFFLINE_DELIVERY.name)
    for message in await pull.fetch(1, timeout=10):
        await message.ack_sync()
    await eventually(forgotten, "nothing waits any more")
    assert len(world.handed(bob)) == 1


async def test_a_place_that_is_given_twice_was_lost(
    world: World, js: JetStreamContext, engine: Any, db: asyncpg.Connection[Any]
) -> None:
    """The stream's tail was lost and its places are used again: who had the place first is handed over again."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, "hello")
    position = await db.fetchval("SELECT position FROM events WHERE type = 'message.created'")
    created = str((await js.stream_info(OFFLINE_DELIVERY.name)).created)
    handovers = Handovers(engine)
    for user_id in (bob, carol):
        await handovers.write([Handover(position, user_id, OfflineReason.NO_CONNECTION, now(), created, 0)])
    rows = dict(await db.fetch("SELECT user_id, stream_created FROM handovers"))
    assert rows == {bob: "", carol: created}
    # The same delivery at a new place is not another one.
    await handovers.write([Handover(position, carol, OfflineReason.NO_CONNECTION, now(), created, 7)])
    assert await db.fetchval("SELECT stream_seq FROM handovers WHERE user_id = $1", carol) == 7
    await db.execute("UPDATE handovers SET stream_seq = 0 WHERE user_id = $1", carol)
    world.fanout()

    async def placed() -> bool:
        return bool(created == await db.fetchval("SELECT stream_created FROM handovers WHERE user_id = $1", bob))

    await eventually(placed, "bob is handed over again")
    assert [one for one, _ in world.handed(bob)][:1] == ["hello"]


# --- republish --------------------------------------------------------------------------------------------------------


class Shown:
    """What the command would show."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def started(self, total: int) -> None:
        self.total = total

    def advanced(self, count: int) -> None:
        self.done += count


async def test_republish_gives_nobody_anything_twice(
    world: World, settings: ChatApiSettings, js: JetStreamContext, db: asyncpg.Connection[Any]
) -> None:
    """Everything is in EVENTS a second time; no frame, no push; what is said afterwards arrives."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, *map(str, range(10)))
    await until(lambda: len(edge.texts()) == 10, "bob has everything")
    await world.until_settled()
    frames, handed = len(edge.frames), len(world.handed(carol))
    total = await db.fetchval("SELECT count(*) FROM events")
    middle = await db.fetchval("SELECT position FROM events WHERE stream = $1 AND seq = 6", f"conversation:{c}")
    for since, count in ((None, total), (middle, 6)):
        before = (await js.stream_info(EVENTS.name)).state.messages
        shown = Shown()
        assert await republish.republish(settings, since, shown) == count
        assert (shown.total, shown.done) == (count, count)
        assert (await js.stream_info(EVENTS.name)).state.messages == before + count
    assert await republish.republish(settings, 10**12, Shown()) == 0
    await world.say(c, alice, "afterwards")
    await until(lambda: edge.texts()[-1] == "afterwards", "bob gets what is new")
    await world.until_settled()
    assert (len(edge.frames), len(world.handed(carol))) == (frames + 1, handed + 1)


async def test_republish_since_an_instant(world: World, settings: ChatApiSettings, db: asyncpg.Connection[Any]) -> None:
    """From the first event on that was recorded then or later."""
    await world.people("alice", "bob")
    await eventually(lambda: _relayed(world, db), "everything is relayed")
    instant = parse_since("2026-01-31T08:15:30Z")
    assert await republish.republish(settings, instant, Shown(), wait=False) == 2
    instant = parse_since("2099-01-01T00:00:00+01:00")
    assert await republish.republish(settings, instant, Shown(), wait=False) == 0


async def _relayed(world: World, db: asyncpg.Connection[Any]) -> bool:
    row = await db.fetchrow("SELECT txid::text, position FROM events ORDER BY events.txid DESC, position DESC LIMIT 1")
    cursor = await db.fetchrow("SELECT txid::text, position FROM relay_cursor")
    return row is not None and row == cursor


async def test_republish_without_a_relay(
    world: World, settings: ChatApiSettings, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so; the request stays, the earlier of two counts, and the next relay does it."""
    monkeypatch.setattr(republish, "NO_RELAY_AFTER_S", 0.5)
    await world.people("alice", "bob")
    await eventually(lambda: _relayed(world, db), "everything is relayed")
    assert world.relaying is not None
    await world.ended(world.relaying)
    for since in (None, 2):
        with pytest.raises(NoRelay):
            await republish.republish(settings, since, Shown())
    assert await db.fetchval("SELECT rewind_position FROM relay_cursor") == 0
    world.start(world.relay.run())

    async def done() -> bool:
        taken = not await db.fetchval("SELECT rewind_txid IS NOT NULL FROM relay_cursor")
        return taken and (await world.js.stream_info(EVENTS.name)).state.messages == 4

    await eventually(done, "the next relay publishes both again")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31", "2026-01-31T08:15:00", "-1", "1.5", "ALL"])
def test_what_is_no_beginning(text: str) -> None:
    """An instant without its offset could be any hour: it is refused, and the answer says what would do."""
    with pytest.raises(NotASince, match="offset"):
        parse_since(text)


async def test_the_record_is_followed_behind_the_fence(world: World, engine: Any, db: asyncpg.Connection[Any]) -> None:
    """While a transaction that wrote earlier is still running, nothing of later ones is read."""
    await world.people("alice")
    rows = await following.behind(engine, ORIGIN, 10)
    assert len(rows) == 1
    transaction = db.transaction()
    await transaction.start()
    await db.execute("SELECT pg_current_xact_id()")
    await world.people("bob")
    assert await following.behind(engine, following.key_of(rows[0]), 10) == []
    await transaction.rollback()
    assert len(await following.behind(engine, following.key_of(rows[0]), 10)) == 1
