"""Pushes that are in hand: who waits for whom, for how long, and on how old an answer of chat-api's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.codec import encode
from contracts.devices import PushService
from contracts.pushes import DevicePushState, PushRecord, PushState, SkipReason
from notifier.deliveries import about
from notifier.providers.base import PermanentPushError, TransientPushError
from notifier.push import Push
from notifier.store import Incoming, Store
from notifier.testing import RecordingProvider

from .support import Bench, Record, envelope, message, offline, phone, until

FCM, APNS = PushService.FCM, PushService.APNS


async def put(store: Store, user_id: str, content: str = "hello", *, grace_s: float = 0.0) -> None:
    """A message for a user, as the inbox writes it."""
    told = message(content=content)
    given = offline(user_id, envelope(told))
    await store.take_in([Incoming(given, encode(given).decode(), about(told), grace_s)], [])


async def states(store: Store) -> dict[str, PushState]:
    """By user; one delivery each."""
    return {row.user_id: row.state for row in await store.pushes()}


async def row_of(store: Store, user_id: str) -> PushRecord:
    """His only delivery."""
    [row] = await store.pushes(user_id=user_id)
    return row


class Gate(RecordingProvider):
    """Pushes to alice wait at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.begun: list[str] = []

    async def send(self, push: Push) -> str | None:
        """Wait if it is hers."""
        self.begun.append(push.content)
        if push.user_id == "alice":
            await self.open.wait()
        return await super().send(push)


def was_sent(provider: RecordingProvider, user_id: str) -> bool:
    """Whether it took one of his."""
    return user_id in [push.user_id for push in provider.sent]


async def test_a_push_that_hangs_holds_up_its_own_user_alone(store: Store, benches: Callable[..., Bench]) -> None:
    """What comes for others meanwhile is claimed and sent; her next one begins when the first one has ended."""
    gate = Gate()
    bench = benches(gate)
    await put(store, "alice", "first")
    async with bench.running("dispatch"):
        await until(lambda: gate.begun == ["first"])
        await put(store, "alice", "second")
        for name in ("carol", "dave"):
            await put(store, name)
            await until(partial(was_sent, gate, name))
        assert gate.begun.count("second") == 0
        gate.open.set()
        await until(lambda: len(gate.sent) == 4)
    assert [push.content for push in gate.sent if push.user_id == "alice"] == ["first", "second"]
    assert all(row.attempts == 1 for row in await store.pushes())


async def test_what_waited_long_for_its_turn_is_asked_about_anew(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """She reads it while her push waits behind somebody else's that hangs: it is not sent on the old answer."""
    gate = Gate()
    bench = benches(gate, dispatch_concurrency=1, fresh_s=0.3)
    await put(store, "alice")
    await put(store, "carol")
    async with bench.running("dispatch"):
        await until(lambda: gate.begun)
        await until(lambda: [one.user_id for one in record.asked].count("carol") == 1)
        record.deliveries["carol"] = {"read": True}
        answered_at = time.monotonic()
        await until(lambda: time.monotonic() > answered_at + 0.4)
        gate.open.set()

        async def both() -> bool:
            return await states(store) == {"alice": PushState.SENT, "carol": PushState.SKIPPED}

        await until(both)
    assert [push.user_id for push in gate.sent] == ["alice"]
    assert (await row_of(store, "carol")).skip_reason is SkipReason.READ
    assert bench.count("natter_notifier_leases_lost_total") == 0


class NeverAnswers(RecordingProvider):
    """Takes every push and says nothing."""

    async def send(self, push: Push) -> str | None:
        """Never returns."""
        self.asked.append(push)
        await asyncio.Event().wait()
        raise AssertionError


async def test_many_devices_of_one_user_do_not_outlive_the_lease(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """A service that never answers, five devices: those that could end after the lease are not begun in this round."""
    record.users["alice"] = {"devices": tuple(phone(FCM) for _ in range(5))}
    provider = NeverAnswers("fcm", services=(FCM,))
    bench = benches(provider, lease_s=2.0, push_timeout_s=0.6, retry_base_s=60.0, retry_cap_s=60.0)
    await put(store, "alice")
    await bench.round()
    row = await row_of(store, "alice")
    assert len(provider.asked) < 5
    assert sum(push.attempts for push in row.devices) == len(provider.asked)
    assert {push.state for push in row.devices} == {DevicePushState.PENDING}
    assert bench.count("natter_notifier_leases_lost_total") == 0


async def test_the_nearest_of_its_pushes_decides_when_a_delivery_is_due(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """One service asks for an hour, the other one for ten minutes: the first one's hour delays nobody else's push."""
    record.users["alice"] = {"devices": (phone(FCM), phone(APNS))}
    fcm = RecordingProvider("fcm", services=(FCM,), failures=[TransientPushError("busy", retry_after_s=600)])
    apns = RecordingProvider(
        "apns",
        services=(APNS,),
        failures=[TransientPushError("busy"), TransientPushError("busier", retry_after_s=3_600)],
    )
    bench = benches(fcm, apns)
    await put(store, "alice")
    async with bench.running("dispatch"):
        await until(lambda: len(apns.asked) == 2)

        async def both_wait() -> bool:
            due = sorted(push.due_at for push in (await row_of(store, "alice")).devices if push.due_at is not None)
            return len(due) == 2 and (due[1] - due[0]).total_seconds() > 1_800

        await until(both_wait)
    row = await row_of(store, "alice")
    assert row.due_at is not None
    assert 500 < (row.due_at - datetime.now(UTC)).total_seconds() <= 600


async def test_what_is_due_soon_is_not_left_to_the_next_poll(store: Store, benches: Callable[..., Bench]) -> None:
    """The dispatch sleeps until the next one is due, however seldom it looks by itself."""
    bench = benches(poll_interval_s=3_600.0)
    await put(store, "alice", grace_s=0.5)
    async with bench.running("dispatch"):
        await until(lambda: bench.provider.sent)


async def test_a_question_without_an_answer_stops_nobody_elses_push(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """chat-api cannot say anything about one user: the others of other requests are sent, and he when it can."""
    record.refused_users = {"user0"}
    for number in range(100):
        await put(store, f"user{number}")
    bench = benches(dispatch_batch=100)
    await bench.round()
    sent = {push.user_id for push in bench.provider.sent}
    assert len(sent) == 60, "two of three requests were answered"
    assert "user0" not in sent
    waiting = [row for row in await store.pushes() if row.state is PushState.PENDING]
    assert (len(waiting), sum(row.attempts for row in waiting)) == (40, 0)
    record.refused_users = set()
    async with bench.running("dispatch"):
        await until(lambda: len(bench.provider.sent) == 100)


async def test_what_cannot_be_decided_stops_nobody_elses_push(store: Store, benches: Callable[..., Bench]) -> None:
    """A bug in the rules: the delivery waits, without an attempt; what needs no rule goes on."""
    bench = benches(push_large_room_members="many")
    await put(store, "alice")
    await put(store, "bob", "his own message")
    await bench.round()
    alice, bob = await row_of(store, "alice"), await row_of(store, "bob")
    assert (alice.state, alice.attempts, bob.state) == (PushState.PENDING, 0, PushState.SKIPPED)
    assert alice.due_at is not None
    assert alice.due_at > datetime.now(UTC)


# --- digests ----------------------------------------------------------------------------------------------------------


async def hold(engine: AsyncEngine) -> None:
    """Everything was held until now."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE notifier.deliveries SET held = true"))


async def test_what_one_digest_tells_is_due_together(
    store: Store, benches: Callable[..., Bench], record: Record, engine: AsyncEngine
) -> None:
    """A digest that has to wait for one of two devices waits as a whole, and nothing of it is told twice."""
    record.users["alice"] = {"devices": (phone(FCM), phone(APNS))}
    fcm = RecordingProvider("fcm", services=(FCM,))
    apns = RecordingProvider("apns", services=(APNS,), failures=[TransientPushError("busy", retry_after_s=60)])
    bench = benches(fcm, apns)
    for _ in range(3):
        await put(store, "alice")
    await hold(engine)
    await bench.round()
    assert len({row.due_at for row in await store.pushes()}) == 1
    assert all(row.held for row in await store.pushes())
    async with engine.begin() as connection:
        for table in ("pushes", "deliveries"):
            due = f"UPDATE notifier.{table} SET due_at = now() WHERE state = 'pending'"
            await connection.execute(text(due))
    await bench.round()
    assert [len(one.sent) for one in (fcm, apns)] == [1, 1]
    assert fcm.sent[0].content == apns.sent[0].content == "3 messages in 3 conversations"
    assert [row.state for row in await store.pushes()] == [PushState.SKIPPED, PushState.SKIPPED, PushState.SENT]
    assert await store.untrue(3600) == 0


async def test_a_dead_digest_is_replayed_as_a_digest(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """Three dead letters, and one push when they are replayed."""
    bench = benches(RecordingProvider(failures=[PermanentPushError("no")]))
    for _ in range(3):
        await put(store, "alice")
    await hold(engine)
    await bench.round()
    assert {row.state for row in await store.pushes()} == {PushState.DEAD}
    assert await bench.record.replay(None) == 3
    await bench.round()
    assert [push.content for push in bench.provider.sent] == ["3 messages in 3 conversations"]
    assert await store.untrue(3600) == 0


async def test_what_died_of_its_age_is_sent_when_it_is_replayed(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """A replay gives it its whole time again: an outage of a day is what dead letters are for."""
    bench = benches(RecordingProvider(failures=[TransientPushError("busy", retry_after_s=7_200)]), push_ttl_s=3_600.0)
    old = offline("alice", envelope(message()))
    old = old.model_copy(update={"event": old.event.model_copy(update={"time": datetime.now(UTC)})})
    await store.take_in([Incoming(old, encode(old).decode(), about(old.event.event()))], [])
    await bench.round()
    assert (await row_of(store, "alice")).state is PushState.DEAD
    async with engine.begin() as connection:
        # The message is of yesterday.
        aged = "UPDATE notifier.deliveries SET payload = replace(payload, :today, :yesterday)"
        day = old.event.time.date()
        values = {"today": f'"time":"{day}', "yesterday": f'"time":"{day.replace(year=day.year - 1)}'}
        assert (await connection.execute(text(aged), values)).rowcount == 1
    await bench.record.replay(None)
    await bench.round()
    assert (await row_of(store, "alice")).state is PushState.SENT
