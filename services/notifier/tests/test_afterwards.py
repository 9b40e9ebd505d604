"""What happens to pushes after they were sent, on real NATS and real Postgres: read elsewhere, deleted, acknowledged,
given up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import streams, subjects
from contracts.codec import encode
from contracts.devices import PushDevice, PushService
from contracts.envelope import Envelope
from contracts.events import EventData, MessageDeleted, UserReadAdvanced
from contracts.ids import new_id
from contracts.preferences import NotificationSettings
from contracts.pushes import DevicePushState, PushRecord, PushState, SkipReason
from contracts.stream_ids import ConversationStream, StreamId, UserStream
from kit.bus import ensure_stream
from notifier.afterwards.happened import read_events
from notifier.afterwards.housekeeping import Housekeeping
from notifier.afterwards.record import Deleted, Read
from notifier.deliveries import about
from notifier.providers.base import PermanentPushError, TransientPushError
from notifier.push import Push, PushKind
from notifier.store import Incoming, Store
from notifier.testing import RecordingProvider

from .support import Bench, Record, envelope, message, offline, phone, until

APNS, FCM = PushService.APNS, PushService.FCM


def apple(**options: Any) -> RecordingProvider:
    """A provider that can take pushes back, twice an hour."""
    return RecordingProvider("apns", services=(APNS,), can_retract=True, **({"retractions_per_hour": 2} | options))


def retractions(provider: RecordingProvider) -> list[Push]:
    """What was taken back."""
    return [push for push in provider.sent if push.kind is PushKind.RETRACTION]


def event(stream: StreamId, data: EventData) -> Envelope:
    """An event as the relay publishes it."""
    return Envelope(
        id=new_id(),
        type=data.type,
        subject=str(stream),
        time=datetime.now(UTC),
        seq=1,
        position=1,
        partitionkey=str(stream),
        data=data.model_dump(mode="json"),
    )


def has_read(user_id: str, conversation_id: str, seq: int) -> Envelope:
    """The user has read the conversation up to there."""
    data = UserReadAdvanced(user_id=user_id, conversation_id=conversation_id, seq=seq, read_at=datetime.now(UTC))
    return event(UserStream(user_id), data)


def was_deleted(conversation_id: str, message_id: str) -> Envelope:
    """The message is a tombstone."""
    told = message(conversation_id=conversation_id, id=message_id, content="", deleted_at=datetime.now(UTC))
    fields = {name: getattr(told, name) for name in MessageDeleted.model_fields}
    return event(ConversationStream(conversation_id), MessageDeleted(**fields))


async def publish_events(client: Client, *events: Envelope) -> None:
    """As the relay does."""
    for one in events:
        await client.jetstream().publish(subjects.event(one.stream, one.type), encode(one))


@pytest.fixture
async def events(observer: Client) -> Client:
    """A NATS user who writes events, into a stream that is there."""
    await ensure_stream(observer.jetstream(), streams.EVENTS)
    return observer


@pytest.fixture
def one(record: Record) -> PushDevice:
    """Alice's phone."""
    device = phone(APNS)
    record.users["alice"] = {"devices": (device,), "badge": 1}
    return device


async def put(store: Store, user_id: str = "alice", **changes: Any) -> str:
    """A message for a user, as the inbox writes it; returns its id."""
    told = message(**changes)
    given = offline(user_id, envelope(told))
    await store.take_in([Incoming(given, encode(given).decode(), about(told))], [])
    return told.id


async def until_sent(bench: Bench, count: int) -> list[PushRecord]:
    """Every delivery is sent."""

    async def there() -> list[PushRecord]:
        found = await bench.store.pushes()
        return found if len(found) == count and all(row.state is PushState.SENT for row in found) else []

    return await until(there)  # type: ignore[no-any-return]


# --- read elsewhere ---------------------------------------------------------------------------------------------------


async def test_what_was_read_elsewhere_is_taken_back(
    events: Client, store: Store, benches: Callable[..., Bench], record: Record, one: PushDevice
) -> None:
    """Three messages were shown and read on the desktop: one retraction, with the badge of this moment."""
    bench, c = benches(apple()), new_id()
    for seq in (1, 2, 3):
        await put(store, conversation_id=c, seq=seq)
    async with bench.running("dispatch", "happened", "retractor"):
        await until_sent(bench, 3)
        record.users["alice"]["badge"] = 0
        await until(lambda: bench.happened.hearing)
        await publish_events(events, has_read("alice", c, 2), has_read("alice", c, 3))
        await until(lambda: retractions(bench.provider))
    [back] = retractions(bench.provider)
    assert (back.retract, back.badge, back.user_id) == ((c,), 0, "alice")
    assert back.target is not None
    assert back.target.device == one.id
    assert all(push.retracted_at for row in await store.pushes() for push in row.devices)


async def test_what_is_newer_than_what_was_read_stays_on_the_screen(
    store: Store, benches: Callable[..., Bench], one: PushDevice
) -> None:
    """A retraction takes a conversation's pushes as a whole, so it waits until all of them are read."""
    bench, c = benches(apple()), new_id()
    for seq in (1, 2):
        await put(store, conversation_id=c, seq=seq)
    async with bench.running("dispatch"):
        await until_sent(bench, 2)
    assert await bench.record.note([Read("alice", c, 1)], [], ["apns"]) == (0, 0)
    assert await bench.record.note([Read("alice", c, 2)], [], ["apns"]) == (0, 1)
    assert await bench.record.note([Read("alice", c, 2)], [], ["apns"]) == (0, 0), "once per device and conversation"


async def test_reading_one_conversation_cancels_only_its_own(
    events: Client, store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """Of what waits: read in A, the push of A is cancelled at once, and that of B still goes out."""
    record.users["alice"] = {"settings": NotificationSettings(snooze_until=datetime(2100, 1, 1, tzinfo=UTC))}
    bench, a, b = benches(), new_id(), new_id()
    await put(store, conversation_id=a, seq=5)
    await put(store, conversation_id=b, seq=5)
    async with bench.running("dispatch", "happened"):

        async def held() -> bool:
            return all(row.held for row in await store.pushes())

        await until(held)
        await until(lambda: bench.happened.hearing)
        await publish_events(events, has_read("alice", a, 5), has_read("carol", b, 9))

        async def cancelled() -> bool:
            return [row.state for row in await store.pushes()] == [PushState.SKIPPED, PushState.PENDING]

        await until(cancelled)
    assert (await store.pushes())[0].skip_reason is SkipReason.READ
    assert bench.count("natter_notifier_settled_total") == 1


async def test_a_deleted_message_disappears_from_the_screen(
    events: Client, store: Store, benches: Callable[..., Bench], one: PushDevice
) -> None:
    """If it is all that the device shows of the conversation."""
    bench, c = benches(apple()), new_id()
    message_id = await put(store, conversation_id=c)
    async with bench.running("dispatch", "happened", "retractor"):
        await until_sent(bench, 1)
        await until(lambda: bench.happened.hearing)
        await publish_events(events, was_deleted(c, message_id))
        await until(lambda: retractions(bench.provider))


async def test_apples_budget_is_kept(
    store: Store, benches: Callable[..., Bench], record: Record, one: PushDevice
) -> None:
    """Two background pushes an hour; the third retraction waits, and the next message carries it along."""
    bench = benches(apple())
    rooms = [new_id() for _ in range(3)]
    for c in rooms:
        await put(store, conversation_id=c)
    async with bench.running("dispatch"):
        await until_sent(bench, 3)
    bench = benches(bench.provider)
    await bench.connected()
    for c in rooms:
        await bench.record.note([Read("alice", c, 1)], [], ["apns"])
        await bench.retractor.round()
    assert [push.retract for push in retractions(bench.provider)] == [(rooms[0],), (rooms[1],)]
    assert (await bench.record.waiting_for([one.id], 10))[one.id][0][1] == rooms[2]
    await put(store)
    await bench.dispatch.round()
    assert bench.provider.sent[-1].kind is PushKind.ALERT
    assert bench.provider.sent[-1].retract == (rooms[2],)
    assert await bench.record.waiting_for([one.id], 10) == {}


async def test_many_conversations_read_at_once_are_one_retraction(
    store: Store, benches: Callable[..., Bench], one: PushDevice
) -> None:
    """Mark all as read, and no flood."""
    bench = benches(apple())
    rooms = [new_id() for _ in range(20)]
    for c in rooms:
        await put(store, conversation_id=c)
    async with bench.running("dispatch"):
        await until_sent(bench, 20)
    bench = benches(bench.provider)
    await bench.connected()
    await bench.record.note([Read("alice", c, 1) for c in rooms], [], ["apns"])
    await bench.retractor.round()
    [back] = retractions(bench.provider)
    assert sorted(back.retract) == sorted(rooms)


@pytest.mark.parametrize(
    ("failures", "sent"), [([TransientPushError("busy", retry_after_s=0.01)], 1), ([PermanentPushError("no")], 0)]
)
async def test_a_retraction_that_fails(
    store: Store, benches: Callable[..., Bench], one: PushDevice, failures: list[Exception], sent: int
) -> None:
    """For now: again. For good: never, and nothing else waits for it."""
    provider = apple()
    bench, c = benches(provider), new_id()
    await put(store, conversation_id=c)
    async with bench.running("dispatch"):
        await until_sent(bench, 1)
    bench = benches(provider)
    provider.fail(*failures)
    await bench.record.note([Read("alice", c, 1)], [], ["apns"])
    async with bench.running("retractor"):
        await until(lambda: len([push for push in provider.asked if push.kind is PushKind.RETRACTION]) == 1 + sent)
    assert len(retractions(provider)) == sent


async def test_a_provider_that_cannot_take_back_is_not_asked(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """Nothing is even written down."""
    record.users["alice"] = {"devices": (phone(FCM),)}
    bench, c = benches(RecordingProvider("fcm", services=(FCM,))), new_id()
    await put(store, conversation_id=c)
    async with bench.running("dispatch"):
        await until_sent(bench, 1)
    assert await bench.record.note([Read("alice", c, 1)], [], []) == (0, 0)


def test_events_are_read_to_the_furthest_and_rubbish_is_left_out() -> None:
    """Of one user and conversation one read; what cannot be read is no reason to stop."""
    c = new_id()
    payloads = [encode(has_read("alice", c, seq)) for seq in (3, 5, 4)] + [b"rubbish", encode(was_deleted(c, c))]
    assert read_events(payloads) == ([Read("alice", c, 5)], [Deleted(c, c)])


# --- acknowledged, given up, forgotten --------------------------------------------------------------------------------


async def test_the_app_says_that_it_has_it(store: Store, benches: Callable[..., Bench], one: PushDevice) -> None:
    """Once; and nobody says so for somebody else."""
    bench = benches(apple())
    await put(store)
    async with bench.running("dispatch"):
        [row] = await until_sent(bench, 1)
    push_id = row.devices[0].id
    assert await bench.record.acknowledge(push_id, "mallory") is None
    assert await bench.record.acknowledge(new_id(), "alice") is None
    assert await bench.record.acknowledge(push_id, "alice") == ("apns", True)
    assert await bench.record.acknowledge(push_id, "alice") == ("apns", False)
    assert (await store.pushes())[0].devices[0].acknowledged_at is not None


async def test_dead_letters_are_replayed_or_dropped(
    store: Store, benches: Callable[..., Bench], one: PushDevice
) -> None:
    """Exactly those that are dead; replayed they are sent under the ids that they had."""
    provider = apple(always=PermanentPushError("no"))
    bench = benches(provider)
    for _ in range(3):
        await put(store)
    async with bench.running("dispatch"):
        await until(lambda: len(provider.asked) == 3)
    dead = await store.pushes(state=PushState.DEAD)
    assert len(dead) == 3
    provider.recover()
    assert await bench.record.drop([dead[0].id, 999_999]) == 1
    assert await bench.record.replay([dead[1].id]) == 1
    assert await bench.record.replay(None) == 1
    again = benches(provider)
    async with again.running("dispatch"):

        async def done() -> bool:
            return [row.state for row in await store.pushes()] == [PushState.SKIPPED, PushState.SENT, PushState.SENT]

        await until(done)
    first, *others = await store.pushes()
    assert (first.skip_reason, first.devices[0].skip_reason) == (SkipReason.DROPPED, SkipReason.DROPPED)
    assert {push.id for row in others for push in row.devices} == {push.id for push in provider.sent}
    assert {row.devices[0].id for row in dead} >= {push.id for push in provider.sent}
    assert await store.untrue(3600) == 0
    assert await bench.record.replay(None) == 0


async def test_what_is_settled_long_since_is_forgotten(
    store: Store, benches: Callable[..., Bench], one: PushDevice, engine: AsyncEngine
) -> None:
    """With its pushes; what is dead stays until somebody decides, what waits stays anyway."""
    bench = benches(apple(failures=[PermanentPushError("no")]))
    for _ in range(3):
        await put(store)
    async with bench.running("dispatch"):
        await until(lambda: len(bench.provider.asked) == 3)
    await put(store)
    async with engine.begin() as connection:
        old = "UPDATE notifier.deliveries SET settled_at = settled_at - interval '31 days'"
        await connection.execute(text(old))
    housekeeping = Housekeeping(bench.settings, store, bench.record, bench.metrics, benches().stop)
    await housekeeping.forget()
    await housekeeping.look()
    assert sorted(row.state for row in await store.pushes()) == [PushState.DEAD, PushState.PENDING]
    assert [push.state for row in await store.pushes() for push in row.devices] == [DevicePushState.FAILED]
    gauges = {name: bench.metrics.registry.get_sample_value(f"natter_notifier_{name}") for name in (
        "unsettled", "dead_letters", "ledger_difference")}  # fmt: skip
    assert gauges == {"unsettled": 1, "dead_letters": 1, "ledger_difference": 0}


async def test_a_ledger_that_contradicts_itself_is_noticed(
    store: Store, benches: Callable[..., Bench], one: PushDevice, engine: AsyncEngine
) -> None:
    """A delivery that counts as sent although no provider took it."""
    bench = benches(apple(failures=[PermanentPushError("no")]))
    await put(store)
    async with bench.running("dispatch"):
        await until(lambda: bench.provider.asked)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE notifier.deliveries SET state = 'sent'"))
    assert await store.untrue(3600) == 1
