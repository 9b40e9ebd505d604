"""The inbox on real NATS and real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import streams, subjects
from contracts.codec import encode
from contracts.pushes import PushState
from notifier.link import NATS
from notifier.store import Store

from .support import Bench, Servers, envelope, notification_event, notified, offline, publish, until

STREAM, DURABLE = streams.OFFLINE_DELIVERY.name, streams.NOTIFIER_DURABLE


async def unacknowledged(client: Client) -> int:
    info = await client.jetstream().consumer_info(STREAM, DURABLE)
    return (info.num_ack_pending or 0) + (info.num_pending or 0)


async def all_acknowledged(client: Client) -> bool:
    return await unacknowledged(client) == 0


async def test_a_delivery_becomes_one_pending_row(
    observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """What fan-out hands over is a pending row, and NATS is told."""
    given = offline()
    bench = benches()
    async with bench.running("inbox"):
        await publish(observer, given)
        [row] = await until(store.pushes)
        await until(lambda: all_acknowledged(observer))
        assert NATS.encode() not in bench.health.report()[1]
    assert (row.event_id, row.user_id, row.state) == (given.event.id, "alice", PushState.PENDING)


async def test_s2_a_notification_goes_all_the_way_to_the_provider(
    observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """An event of the user's own stream is a delivery like a message, and its push says what the system said."""
    told = notified()
    bench = benches()
    async with bench.running("inbox", "dispatch"):
        await publish(observer, offline("alice", notification_event(told)))
        await until(lambda: bench.provider.sent)
        await until(lambda: all_acknowledged(observer))
    [push] = bench.provider.sent
    assert (push.message_id, push.title, push.content) == (told.notification.id, "Your appointment", "tomorrow at nine")


async def test_the_same_delivery_again_is_the_same_row(
    observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """Duplicates in one batch and over several make one row per event and user."""
    event = envelope()
    first, second = offline("alice", event), offline("carol", event)
    bench = benches()
    await publish(observer, first, first, second)
    async with bench.running("inbox"):
        await until(lambda: bench.count("natter_notifier_received_total") == 3)
        await publish(observer, first, second)
        await until(lambda: bench.count("natter_notifier_received_total") == 5)
        await until(lambda: all_acknowledged(observer))
    assert sorted(row.user_id for row in await store.pushes()) == ["alice", "carol"]
    assert bench.count("natter_notifier_duplicates_total") == 3


async def test_nothing_is_acknowledged_before_the_commit(
    observer: Client, benches: Callable[..., Bench], store: Store, engine: AsyncEngine
) -> None:
    """While Postgres will not commit, NATS keeps the message; a second process then gets it, and it is one row."""
    bench = benches()
    async with engine.begin() as blocker:
        # The lock that every inbox transaction takes first.
        await blocker.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('notifier.inbox', 0))"))
        async with bench.running("inbox"):
            await publish(observer, offline())
            await until(lambda: bench.count("natter_notifier_received_total") >= 1)
            assert await unacknowledged(observer) == 1
            assert await store.pushes() == []
            await blocker.rollback()
            await until(lambda: all_acknowledged(observer))
    assert len(await store.pushes()) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b'{"user_id": "alice"}',
        b'{"user_id": "alice.>", "reason": "no_connection"}',
        encode(offline()).replace(b'"hello"', b'"\\ud800"'),
        encode(offline()).replace(b'"content":"hello",', b""),
        encode(offline("mallory")),
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=[
        "empty",
        "no json",
        "no utf-8",
        "no object",
        "fields missing",
        "bad user id",
        "half a surrogate pair",
        "event data incomplete",
        "other user than its subject",
        "nested deeply",
    ],
)
async def test_poison_is_put_aside_and_blocks_nothing(
    observer: Client, benches: Callable[..., Bench], store: Store, engine: AsyncEngine, payload: bytes
) -> None:
    """An unreadable message is written down with its reason, taken off the stream, and the next one passes."""
    bench = benches()
    await observer.jetstream().publish(subjects.offline("alice"), payload)
    good = offline()
    await publish(observer, good)
    async with bench.running("inbox"):
        [row] = await until(store.pushes)
        await until(lambda: all_acknowledged(observer))
    assert row.event_id == good.event.id
    async with engine.connect() as connection:
        [aside] = (await connection.execute(text("SELECT * FROM notifier.poison"))).all()
    assert aside.reason
    assert len(aside.reason) <= 500
    assert aside.payload == payload[:4096]
    assert aside.size_bytes == len(payload)
    assert bench.count("natter_notifier_poisoned_total") == 1


async def test_text_that_postgres_cannot_hold_as_jsonb_is_no_poison(
    observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """An escaped NUL inside an event is stored like any other text."""
    given = encode(offline()).replace(b"hello", b"hel\\u0000lo")
    bench = benches()
    async with bench.running("inbox"):
        await observer.jetstream().publish(subjects.offline("alice"), given)
        assert len(await until(store.pushes)) == 1
    assert bench.count("natter_notifier_poisoned_total") == 0


async def test_a_message_arrives_at_once_although_the_batch_is_not_full(
    observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """A single delivery is not held back to fill a batch."""
    bench = benches()
    async with bench.running("inbox"):
        await until(lambda: NATS.encode() not in bench.health.report()[1])
        await publish(observer, offline())
        await until(store.pushes, timeout_s=5.0)


async def test_nats_away_is_waited_for(
    servers: Servers, observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """The server dies and comes back: the inbox says so, and takes what is handed over afterwards."""
    bench = benches()
    async with bench.running("inbox"):
        await until(lambda: NATS.encode() not in bench.health.report()[1])
        await servers.part("nats", "kill")
        await until(lambda: NATS.encode() in bench.health.report()[1])
        await servers.part("nats", "start")
        await until(lambda: NATS.encode() not in bench.health.report()[1])
        await until(lambda: observer.is_connected)
        await publish(observer, offline())
        await until(store.pushes)


async def test_a_lost_stream_is_made_again(observer: Client, benches: Callable[..., Bench], store: Store) -> None:
    """Somebody wipes JetStream: the inbox creates stream and consumer anew."""
    bench = benches()
    async with bench.running("inbox"):
        await until(lambda: NATS.encode() not in bench.health.report()[1])
        await observer.jetstream().delete_stream(STREAM)

        async def published() -> bool:
            try:
                await publish(observer, offline())
            except Exception:
                return False
            return True

        await until(published)
        await until(store.pushes)


async def test_postgres_away_is_waited_for(
    servers: Servers, observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """Postgres dies with a batch in hand: the batch is kept, written when it is back, and acknowledged then."""
    bench = benches()
    async with bench.running("inbox"):
        await until(lambda: NATS.encode() not in bench.health.report()[1])
        await servers.part("postgres", "kill")
        try:
            await publish(observer, offline())
            await until(lambda: bench.count("natter_notifier_received_total") >= 1)
            assert await unacknowledged(observer) == 1
        finally:
            await servers.part("postgres", "start")
        await until(lambda: all_acknowledged(observer))
    assert len(await store.pushes()) == 1


async def test_stopping_while_postgres_is_away_is_quick_and_loses_nothing(
    servers: Servers, observer: Client, benches: Callable[..., Bench], store: Store
) -> None:
    """A process that must go gives nothing for acknowledged; its successor writes the delivery."""
    bench = benches()
    await servers.part("postgres", "kill")
    try:
        async with asyncio.timeout(20):
            async with bench.running("inbox"):
                await publish(observer, offline())
                await until(lambda: bench.count("natter_notifier_received_total") >= 1)
        assert await unacknowledged(observer) == 1
    finally:
        await servers.part("postgres", "start")
    async with benches().running("inbox"):
        await until(store.pushes)
