"""The one door out: complete and in order through everything that NATS and a second relay can do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy
from nats.js.errors import APIError
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import metrics
from chat_api.commands import handlers
from chat_api.relay.publisher import Publication, Publisher
from chat_api.relay.relay import _NEXT, RELAY_LOCK, Relay
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, create, register, send
from chat_api.testing_world import empty_stream
from contracts import subjects
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.ids import new_id
from contracts.stream_ids import UserStream
from contracts.streams import EVENTS


async def stored(js: JetStreamContext) -> list[Envelope]:
    """Everything in EVENTS, in its order."""
    state = (await js.stream_info(EVENTS.name)).state
    found = []
    for seq in range(state.first_seq, state.last_seq + 1):
        message = await js.get_msg(EVENTS.name, seq=seq)
        assert message.data is not None
        found.append(decode(Envelope, message.data))
    return found


async def until_stored(js: JetStreamContext, ids: list[str], timeout_s: float = 30.0) -> list[str]:
    """Wait until all of `ids` are in EVENTS; returns what is there, in order."""
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            found = [event.id for event in await stored(js)]
        except Exception:  # the stream or the server is away
            found = []
        if set(ids) <= set(found):
            return found
        assert time.monotonic() < give_up, f"{len(set(ids) - set(found))} of {len(ids)} are missing"
        await asyncio.sleep(0.05)


class Writer:
    """Writes conversations, and knows what must come out."""

    def __init__(self, engine: AsyncEngine, db: asyncpg.Connection[Any], wake: Callable[[], None]) -> None:
        self.uow = PostgresUnitOfWork(engine, wake, 60)
        self._db = db
        self._conversations: list[str] = []

    async def begin(self, conversations: int = 3) -> None:
        """Users and conversations."""
        await handlers.register_user(
            register("alice"), self.uow, actor_id="host", password_hash=None, once=None, status=201
        )
        for _ in range(conversations):
            self._conversations.append(await handlers.create_conversation(create("alice"), self.uow, None, 201))

    async def write(self, messages: int) -> None:
        """Messages in all conversations, in concurrent transactions."""
        await asyncio.gather(
            *(
                handlers.send_messages(
                    [send(self._conversations[n % len(self._conversations)], "alice", str(n))], self.uow
                )
                for n in range(messages)
            )
        )

    async def ids(self) -> list[str]:
        """Every event's id."""
        return [str(row[0]) for row in await self._db.fetch("SELECT event_id FROM events")]


def in_order(events: list[Envelope], *, gapless: bool = True) -> None:
    """Each stream's events stand in the order of their seq, each once."""
    seqs: dict[str, list[int]] = {}
    for event in events:
        seqs.setdefault(event.subject, []).append(event.seq)
    for stream, found in seqs.items():
        assert found == sorted(set(found)), f"{stream}: {found}"
        if gapless:
            assert found == list(range(1, len(found) + 1)), f"{stream}: {found}"


async def test_everything_is_relayed_in_order(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any
) -> None:
    """What is in the record is in EVENTS once, per stream in order, under its subject and id, as CloudEvents."""
    relay = Relay(settings.model_copy(update={"relay_batch_max": 7}), client, js)
    background(relay.run())
    writer = Writer(engine, db, relay.wake)
    await writer.begin()
    await writer.write(100)
    found = await until_stored(js, await writer.ids())
    assert len(found) == len(set(found))
    events = await stored(js)
    in_order(events)
    for place, event in enumerate(events, start=1):
        message = await js.get_msg(EVENTS.name, seq=place)
        assert message.subject == subjects.event(event.stream, event.type)
        assert message.headers is not None
        assert message.headers["Nats-Msg-Id"] == event.id
        event.event()
    assert not any(b"fingerprint" in json.dumps(event.data).encode() for event in events)


async def test_polling_finds_what_nobody_announced(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any
) -> None:
    """A lost wake-up costs one interval."""
    background(Relay(settings, client, js).run())
    writer = Writer(engine, db, lambda: None)
    await writer.begin()
    await until_stored(js, await writer.ids())


async def test_the_next_relay_goes_on_where_the_last_one_was(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any
) -> None:
    """Nothing is published a second time, not even after the ids are forgotten."""
    first = background(Relay(settings, client, js).run())
    writer = Writer(engine, db, lambda: None)
    await writer.begin()
    await writer.write(20)
    ids = await writer.ids()
    await until_stored(js, ids)
    give_up = time.monotonic() + 10
    while await db.fetchval("SELECT position FROM relay_cursor") != await db.fetchval(
        "SELECT position FROM events ORDER BY txid DESC, position DESC LIMIT 1"
    ):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await js.purge_stream(EVENTS.name)
    background(Relay(settings, client, js).run())
    await writer.write(5)
    new = [one for one in await writer.ids() if one not in ids]
    assert sorted(await until_stored(js, new)) == sorted(new)


async def test_a_restart_of_nats_under_load(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any,
    servers: Any,
) -> None:  # fmt: skip
    """Killed in the middle and back again: every event once and in order."""
    relay = Relay(settings.model_copy(update={"relay_batch_max": 20}), client, js)
    background(relay.run())
    writer = Writer(engine, db, relay.wake)
    await writer.begin()
    writing = asyncio.create_task(_keep_writing(writer, 300))
    await asyncio.sleep(0)
    nats_server = servers.stack.part("nats")
    for _ in range(2):
        await until_stored(js, (await writer.ids())[:5])
        await servers.do(nats_server.kill())
        await servers.do(nats_server.start())
    await writing
    await until_stored(js, await writer.ids())
    in_order(await stored(js))


async def _keep_writing(writer: Writer, messages: int) -> None:
    for _ in range(messages // 10):
        await writer.write(10)
        await asyncio.sleep(0.02)


async def test_a_stream_that_was_deleted_is_filled_again(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any,
    observer: Client,
) -> None:  # fmt: skip
    """The relay makes it anew by itself, also while idle, and everything that nobody had settled is in it, in order."""
    relay = Relay(settings, client, js)
    background(relay.run())
    writer = Writer(engine, db, relay.wake)
    await writer.begin()
    await until_stored(js, await writer.ids())
    for messages in (60, 0):
        await observer.jetstream().delete_stream(EVENTS.name)
        await writer.write(messages)
        await until_stored(js, await writer.ids())
        in_order(await stored(js))


async def test_what_every_lane_has_settled_is_not_published_again(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any,
    observer: Client,
) -> None:  # fmt: skip
    """The relay goes back to the lowest floor of the lanes, under new message ids, and never forward."""
    relay = Relay(settings, client, js)
    background(relay.run())
    writer = Writer(engine, db, relay.wake)
    await writer.begin()
    await writer.write(20)
    await until_stored(js, await writer.ids())
    order = await db.fetch("SELECT event_id, txid::text AS txid, position FROM events ORDER BY events.txid, position")
    await db.executemany(
        "INSERT INTO fanout_lanes (lane, floor_txid, floor_position) VALUES ($1, $2::text::xid8, $3)",
        [(lane, order[place]["txid"], order[place]["position"]) for lane, place in enumerate((12, 9))],
    )
    await observer.jetstream().delete_stream(EVENTS.name)
    behind = [str(row["event_id"]) for row in order[10:]]
    assert await until_stored(js, behind) == behind
    message = await js.get_msg(EVENTS.name, seq=1)
    assert message.headers is not None
    assert message.headers["Nats-Msg-Id"] == f"{behind[0]}.1"
    await db.execute("UPDATE fanout_lanes SET floor_txid = pg_current_xact_id()")
    await observer.jetstream().delete_stream(EVENTS.name)
    await writer.write(1)
    new = [one for one in await writer.ids() if one not in {str(row["event_id"]) for row in order}]
    assert await until_stored(js, new) == new


async def test_a_lost_tail_is_noticed(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any
) -> None:
    """A stream that ends before what it had acknowledged has lost it: the same events come again."""
    relay = Relay(settings, client, js)
    first = background(relay.run())
    writer = Writer(engine, db, relay.wake)
    await writer.begin()
    ids = await until_stored(js, await writer.ids())
    give_up = time.monotonic() + 10
    while await db.fetchval("SELECT stream_seq FROM relay_cursor") != len(ids):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    # JetStream takes nothing back from the end of a stream that we could ask it for: so it had acknowledged more.
    await db.execute("UPDATE relay_cursor SET stream_seq = stream_seq + 3")
    background(Relay(settings, client, js).run())
    give_up = time.monotonic() + 10
    while [event.id for event in await stored(js)] != ids + ids:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    assert await db.fetchval("SELECT generation FROM relay_cursor") == 1


async def test_a_full_disk_is_waited_out(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any,
    observer: Client,
) -> None:  # fmt: skip
    """While JetStream refuses everything for want of room the relay goes on asking; nothing is lost or mixed up."""
    admin = observer.jetstream()
    config = (await admin.stream_info(EVENTS.name)).config
    config.discard, config.max_msgs = DiscardPolicy.NEW, 3
    await admin.update_stream(config)
    relay = Relay(settings, client, js)
    background(relay.run())
    writer = Writer(engine, db, relay.wake)
    before = metrics.relay_retries._value.get()
    await writer.begin()
    await writer.write(20)
    give_up = time.monotonic() + 10
    while metrics.relay_retries._value.get() == before or len(await stored(js)) < 3:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    config.max_msgs = -1
    await admin.update_stream(config)
    await until_stored(js, await writer.ids())
    in_order(await stored(js))


async def test_one_relay_is_active_and_the_other_takes_over(
    settings: ChatApiSettings, client: Client, js: JetStreamContext, engine: AsyncEngine, db: Any, background: Any
) -> None:
    """A session lock decides; when its holder dies the other goes on, and nothing is doubled."""
    relays = [background(Relay(settings, client, js).run()) for _ in range(2)]

    async def holders() -> list[int]:
        rows = await db.fetch(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            RELAY_LOCK,
        )
        return [row["pid"] for row in rows]

    writer = Writer(engine, db, lambda: None)
    await writer.begin()
    await until_stored(js, await writer.ids())
    (holder,) = await holders()
    assert await db.fetchval("SELECT pg_terminate_backend($1)", holder)
    await writer.write(20)
    await until_stored(js, await writer.ids())
    assert await holders() not in ([holder], [])
    in_order(await stored(js))
    assert not any(relay.done() for relay in relays)


async def test_the_order_is_that_of_numbers(db: asyncpg.Connection[Any]) -> None:
    """Transaction 10 comes after transaction 9, also when they are read as text; the cursor does not skip it."""
    for number, txid in enumerate(("9", "10", "100", "11"), start=1):
        await db.execute(
            "INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at, txid)"
            " VALUES ($1, 'user:x', $2, 'user.registered', 1, '{}', '{}', $3, $4::text::xid8)",
            new_id(),
            number,
            AT,
            txid,
        )
    assert [row["seq"] for row in await db.fetch(_NEXT, "0", 0, 10)] == [1, 2, 4, 3]
    assert [row["seq"] for row in await db.fetch(_NEXT, "9", 1, 10)] == [2, 4, 3]
    assert [row["seq"] for row in await db.fetch(_NEXT, "10", 2, 1)] == [4]


# --- the publisher alone ----------------------------------------------------------------------------------------------


def publications(count: int, user_id: str = "alice") -> list[Publication]:
    """Some events."""
    return [
        Publication(subjects.event(UserStream(user_id), "user.registered"), new_id(), str(n).encode())
        for n in range(count)
    ]


async def payloads(js: JetStreamContext) -> list[bytes]:
    """What EVENTS holds."""
    state = (await js.stream_info(EVENTS.name)).state
    return [(await js.get_msg(EVENTS.name, seq=seq)).data or b"" for seq in range(state.first_seq, state.last_seq + 1)]


async def look(publisher: Publisher, js: JetStreamContext) -> None:
    """What the relay does before a chain begins."""
    publisher.begin_chain((await js.stream_info(EVENTS.name)).state.last_seq)


async def publish_all(publisher: Publisher, js: JetStreamContext, batch: list[Publication]) -> None:
    """Publish, and look at the stream whenever the chain is broken."""
    give_up = time.monotonic() + 10
    while batch:
        await look(publisher, js)
        batch = batch[await publisher.publish(batch) :]
        assert time.monotonic() < give_up


@pytest.mark.parametrize("size", [1, 2, 500])
async def test_batches_follow_each_other(client: Client, js: JetStreamContext, size: int) -> None:
    """Many in flight, stored in order, chained over batches."""
    publisher = Publisher(client, 5)
    await look(publisher, js)
    batch = publications(size * 3)
    for start in range(0, size * 3, size):
        assert await publisher.publish(batch[start : start + size]) == size
    assert await payloads(js) == [publication.payload for publication in batch]
    assert publisher.highest_place == size * 3
    await publisher.close()


async def test_a_repeat_is_recognised_before_the_chain_is_looked_at(client: Client, js: JetStreamContext) -> None:
    """What JetStream has already is acknowledged, although its predecessor is no longer the last one."""
    batch = publications(10)
    first, second = Publisher(client, 5), Publisher(client, 5)
    await look(first, js)
    assert await first.publish(batch) == 10
    assert await first.publish(batch[3:]) == 7
    await look(second, js)
    assert await second.publish(batch) == 10
    assert len(await payloads(js)) == 10
    # The server's own rules, without our code: the end's place first, then duplicate, then the predecessor's id.
    repeat = {"Nats-Msg-Id": batch[2].message_id}
    ack = await js.publish(batch[2].subject, b"", headers=repeat | {"Nats-Expected-Last-Msg-Id": "somebody-else"})
    assert ack.duplicate
    with pytest.raises(APIError, match="wrong last sequence"):
        await js.publish(batch[2].subject, b"", headers=repeat | {"Nats-Expected-Last-Sequence": "999"})
    await first.close()
    await second.close()


async def test_a_chain_begins_only_where_the_stream_was_seen_to_end(client: Client, js: JetStreamContext) -> None:
    """Nothing is published before somebody has looked, and nothing new is stored behind what nobody has seen."""
    publisher, other = Publisher(client, 1), Publisher(client, 1)
    batch = publications(4)
    assert await publisher.publish(batch) == 0
    await look(publisher, js)
    await look(other, js)
    assert await other.publish(batch[:2]) == 2
    assert await publisher.publish(batch[2:]) == 0, "the stream does not end where this one saw it end"
    assert not publisher.chained
    await publish_all(publisher, js, batch[2:])
    assert await payloads(js) == [publication.payload for publication in batch]
    await publisher.close()
    await other.close()


async def test_a_lost_publish_holds_back_those_behind_it(client: Client, js: JetStreamContext) -> None:
    """JetStream refuses what does not follow its predecessor: nothing is stored too early."""
    batch = publications(10)
    lost = batch[4]
    broken = [*batch[:4], Publication("natter.nobody.listens", lost.message_id, lost.payload), *batch[5:]]
    publisher = Publisher(client, 1)
    await look(publisher, js)
    assert await publisher.publish(broken) == 4
    assert await payloads(js) == [publication.payload for publication in batch[:4]]
    await publish_all(publisher, js, batch[4:])
    assert await payloads(js) == [publication.payload for publication in batch]
    await publisher.close()


async def test_nothing_is_stored_in_a_stream_whose_loss_nobody_noticed(
    client: Client, js: JetStreamContext, observer: Client
) -> None:
    """The predecessor is gone with a deleted stream: the chain is broken until somebody looks."""
    publisher = Publisher(client, 1)
    batch = publications(6)
    await look(publisher, js)
    assert await publisher.publish(batch[:3]) == 3
    await empty_stream(observer.jetstream(), EVENTS)
    assert await publisher.publish(batch[3:]) == 0
    assert (await js.stream_info(EVENTS.name)).state.messages == 0
    await publish_all(publisher, js, batch[3:])
    assert await payloads(js) == [publication.payload for publication in batch[3:]]
    await publisher.close()
