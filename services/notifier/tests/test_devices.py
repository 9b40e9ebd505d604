"""A push per device, on real Postgres and with chat-api's answers over real NATS: each device for itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.codec import encode
from contracts.devices import DeviceType, PushService
from contracts.ids import new_id
from contracts.preferences import NotificationSettings
from contracts.pushes import DevicePushState, PushRecord, PushState, SkipReason
from notifier.afterwards.record import Read
from notifier.deliveries import about
from notifier.providers.base import (
    PermanentPushError,
    ProviderRefusedError,
    TokenGoneError,
    TransientPushError,
)
from notifier.push import Push
from notifier.store import Incoming, Store
from notifier.testing import RecordingProvider

from .support import Bench, Record, envelope, message, offline, phone, until

FCM, APNS = PushService.FCM, PushService.APNS
SENT, SKIPPED, DEAD, PENDING = PushState.SENT, PushState.SKIPPED, PushState.DEAD, PushState.PENDING


def provider(name: str, *services: PushService, **options: Any) -> RecordingProvider:
    """One that carries the tokens of these services."""
    return RecordingProvider(name, services=services, **options)


async def put(store: Store, user_id: str = "alice", **changes: Any) -> str:
    """A message for a user, as the inbox writes it; returns its id."""
    told = message(**changes)
    given = offline(user_id, envelope(told))
    await store.take_in([Incoming(given, encode(given).decode(), about(told))], [])
    return told.id


async def rows(store: Store, count: int, *, pending: int = 0) -> list[PushRecord]:
    """All rows, once so many are pending and every one is there."""

    async def there() -> list[PushRecord]:
        found = await store.pushes()
        waiting = sum(row.state is PENDING for row in found)
        return found if len(found) == count and waiting == pending else []

    return await until(there)  # type: ignore[no-any-return]


async def test_every_device_gets_its_own_push(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """Routed by its service, each with an id of its own that the app acknowledges, and the badge of this moment."""
    android, iphone = phone(FCM), phone(APNS, device_type=DeviceType.TABLET)
    record.users["alice"] = {"devices": (android, iphone), "badge": 4}
    fcm, apns = provider("fcm", FCM), provider("apns", APNS)
    bench = benches(fcm, apns)
    message_id = await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert row.state is SENT
    told = {(push.device, push.provider, push.state, push.attempts) for push in row.devices}
    assert told == {
        (android.id, "fcm", DevicePushState.ACCEPTED, 1),
        (iphone.id, "apns", DevicePushState.ACCEPTED, 1),
    }
    [first], [second] = fcm.sent, apns.sent
    assert {first.id, second.id} == {push.id for push in row.devices}
    assert first.message_id == second.message_id == message_id
    assert (first.badge, second.device_class) == (4, DeviceType.TABLET)
    assert first.target is not None
    assert first.target.token == android.token


@pytest.mark.parametrize(
    ("devices", "chosen", "expected"),
    [
        ((), ("fcm",), SkipReason.NO_DEVICE),
        ((APNS,), ("fcm",), SkipReason.NO_PROVIDER),
        ((), ("fcm", "logging"), ["logging"]),
        ((APNS,), ("fcm", "logging"), ["logging"]),
        ((FCM, APNS), ("fcm", "logging"), ["fcm", "logging"]),
        ((FCM,), ("logging", "fcm"), ["fcm"]),
    ],
)
async def test_who_carries_what(
    store: Store,
    benches: Callable[..., Bench],
    record: Record,
    devices: tuple[PushService, ...],
    chosen: tuple[str, ...],
    expected: object,
) -> None:
    """The provider of the token's service, else the first one that needs none; nobody: the reason says which it was."""
    record.users["alice"] = {"devices": tuple(phone(service) for service in devices)}
    services = {"fcm": (FCM,), "logging": ()}
    bench = benches(*(provider(name, *services[name]) for name in chosen))
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    if isinstance(expected, SkipReason):
        assert (row.state, row.skip_reason, row.devices) == (SKIPPED, expected, ())
    else:
        assert sorted(push.provider for push in row.devices) == expected


async def test_one_service_that_fails_repeats_nothing_at_the_others(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """Three attempts at one, one at the other; the app of the first sees the same push id each time."""
    record.users["alice"] = {"devices": (phone(FCM), phone(APNS))}
    fcm, apns = provider("fcm", FCM), provider("apns", APNS, failures=[TransientPushError("busy")] * 2)
    bench = benches(fcm, apns)
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert (len(fcm.asked), len(apns.asked), len({push.id for push in apns.asked})) == (1, 3, 1)
    assert {push.provider: push.attempts for push in row.devices} == {"fcm": 1, "apns": 3}
    assert row.state is SENT


async def test_before_each_attempt_it_is_asked_how_things_stand(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """Read between two attempts: the second one is not made, and the reason says why."""

    class ReadMeanwhile(RecordingProvider):
        async def send(self, push: Push) -> str | None:
            self.asked.append(push)
            record.deliveries["alice"] = {"read": True}
            raise TransientPushError("busy")

    bench = benches(ReadMeanwhile())
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert (row.state, row.skip_reason) == (SKIPPED, SkipReason.READ)
    assert [(push.state, push.skip_reason, push.attempts) for push in row.devices] == [
        (DevicePushState.SKIPPED, SkipReason.READ, 1)
    ]
    assert len(bench.provider.asked) == 1


async def test_the_text_of_this_moment_is_sent(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """Edited while the push waited."""
    record.deliveries["alice"] = {"content": "better"}
    bench = benches()
    await put(store, content="good")
    async with bench.running("dispatch"):
        await rows(store, 1)
    assert [push.content for push in bench.provider.sent] == ["better"]


# --- errors by class --------------------------------------------------------------------------------------------------


async def test_a_token_that_is_gone_is_told_to_chat_api(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """That device alone, and only this registration of it; the others get their pushes."""
    old, good = phone(FCM), phone(APNS)
    record.users["alice"] = {"devices": (old, good)}
    bench = benches(provider("fcm", FCM, always=TokenGoneError("unregistered")), provider("apns", APNS))
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert row.state is SENT
    assert {push.device: push.skip_reason for push in row.devices} == {old.id: SkipReason.TOKEN_GONE, good.id: None}
    assert [(told.device, told.registered_at) for told in record.gone] == [(old.id, old.registered_at)]


async def test_a_word_about_an_older_token_removes_nothing(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """The service says since when; a token that was registered later is another one, and is tried again."""
    device = phone(FCM)
    record.users["alice"] = {"devices": (device,)}
    before = device.registered_at - timedelta(seconds=1)
    bench = benches(provider("fcm", FCM, failures=[TokenGoneError("gone", since=before)]))
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert (row.state, record.gone, row.devices[0].attempts) == (SENT, [], 2)


async def test_a_transient_failure_never_removes_a_token(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """However long it lasts: the push dies, the device stays."""
    record.users["alice"] = {"devices": (phone(FCM),)}
    bench = benches(provider("fcm", FCM, always=TransientPushError("busy")), retry_attempts_max=3)
    await put(store)
    async with bench.running("dispatch"):
        [row] = await rows(store, 1)
    assert (row.state, row.devices[0].state, row.devices[0].attempts) == (DEAD, DevicePushState.FAILED, 3)
    assert record.gone == []


async def test_what_is_refused_for_good_is_dead_where_nobody_took_it(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """One service that takes it is enough for `sent`; the other one's failure stays to be seen."""
    record.users["alice"] = {"devices": (phone(FCM), phone(APNS))}
    record.users["carol"] = {"devices": (phone(FCM),)}
    bench = benches(provider("fcm", FCM, always=PermanentPushError("malformed")), provider("apns", APNS))
    await put(store, "alice")
    await put(store, "carol")
    async with bench.running("dispatch"):
        alice, carol = await rows(store, 2)
    assert (alice.state, carol.state, carol.last_error) == (SENT, DEAD, "malformed")
    assert {push.state for push in alice.devices} == {DevicePushState.ACCEPTED, DevicePushState.FAILED}


async def test_a_provider_that_does_not_accept_us_is_left_alone(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """One push finds out; the others wait without an attempt, an alarm rings, and all goes out when it works again."""
    for number in range(20):
        record.users[f"user{number}"] = {"devices": (phone(FCM),)}
    fcm = provider("fcm", FCM, always=ProviderRefusedError("wrong key"))
    bench = benches(fcm, provider_refused_s=0.3, dispatch_concurrency=1)
    for number in range(20):
        await put(store, f"user{number}")

    def alarm() -> float | None:
        return bench.metrics.registry.get_sample_value("natter_notifier_provider_refused", {"provider": "fcm"})

    async with bench.running("dispatch"):
        await until(lambda: len(fcm.asked) >= 2)
        assert alarm() == 1.0
        waiting = await rows(store, 20, pending=20)
        assert sum(push.attempts for row in waiting for push in row.devices) == 0
        assert len(fcm.asked) < 10, "one at a time finds out"
        fcm.recover()
        found = await rows(store, 20)
    assert {row.state for row in found} == {SENT}
    assert alarm() == 0.0


async def test_without_chat_api_pushes_wait(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """No decision is made on what nobody knows; nothing is lost, and no attempt is used up."""
    record.refuses = "the database cannot answer now"
    bench = benches()
    await put(store)
    async with bench.running("dispatch"):
        [waiting] = await rows(store, 1, pending=1)
        assert (waiting.attempts, bench.provider.asked) == (0, [])
        record.refuses = None
        [row] = await rows(store, 1)
    assert (row.state, row.attempts) == (SENT, 1)


async def test_many_are_asked_for_in_one_request(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """A round of a hundred costs three questions, not a hundred."""
    for number in range(100):
        await put(store, f"user{number}")
    bench = benches(dispatch_batch=100)
    assert await bench.round() == 100
    assert (record.requests, len(record.asked)) == (3, 100)


# --- held -------------------------------------------------------------------------------------------------------------


def snoozed(until_: datetime) -> dict[str, Any]:
    """A user who wants no pushes until then."""
    return {"settings": NotificationSettings(snooze_until=until_)}


async def test_what_was_held_becomes_one_digest(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """Five messages in two conversations, one of them read meanwhile: one push that tells of four."""
    end = datetime.now(UTC) + timedelta(seconds=1.5)
    record.users["alice"] = snoozed(end)
    one, other = new_id(), new_id()
    bench = benches()
    for conversation in (one, one, other, one, other):
        await put(store, conversation_id=conversation)
    async with bench.running("dispatch"):
        waiting = await rows(store, 5, pending=5)
        await until(lambda: len(record.asked) >= 5)

        async def all_held() -> bool:
            return all(row.held for row in await store.pushes())

        await until(all_held)
        assert bench.provider.asked == []
        await bench.record.note([Read("alice", one, 1)], [], ())
        found = await rows(store, 5)
    assert len(bench.provider.sent) == 1
    assert [row.state for row in found].count(SENT) == 1
    reasons = [row.skip_reason for row in found if row.state is SKIPPED]
    assert reasons.count(SkipReason.READ) + reasons.count(SkipReason.DIGESTED) == 4
    assert all(row.due_at is not None for row in waiting)


async def test_two_processes_tell_one_user_once(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """Thirty users with ten held messages each, two dispatchers: thirty digests."""
    for _ in range(10):
        for number in range(30):
            await put(store, f"user{number}")
    end = datetime.now(UTC) + timedelta(seconds=3)
    for number in range(30):
        record.users[f"user{number}"] = snoozed(end)
    pair = [benches(), benches()]
    async with pair[0].running("dispatch"), pair[1].running("dispatch"):
        found = await rows(store, 300)
    told = [push.user_id for bench in pair for push in bench.provider.sent]
    assert sorted(told) == sorted({f"user{number}" for number in range(30)})
    assert [row.state for row in found].count(SENT) == 30
    assert {push.content for bench in pair for push in bench.provider.sent} == {"10 messages in 10 conversations"}


async def test_a_digest_that_fails_for_now_waits_as_a_whole(
    store: Store, benches: Callable[..., Bench], record: Record
) -> None:
    """It is composed anew for its next attempt, and what was read meanwhile is no part of it any more."""
    end = datetime.now(UTC) + timedelta(seconds=1)
    record.users["alice"] = snoozed(end)
    for _ in range(3):
        await put(store)
    bench = benches(RecordingProvider(failures=[TransientPushError("busy")]))
    async with bench.running("dispatch"):
        found = await rows(store, 3)
    assert [push.content for push in bench.provider.asked] == ["3 messages in 3 conversations"] * 2
    assert sorted(row.state for row in found) == sorted([SENT, SKIPPED, SKIPPED])


async def test_the_ledger_never_contradicts_itself(store: Store, benches: Callable[..., Bench], record: Record) -> None:
    """Whatever happens to a hundred deliveries, received is the sum of their ends, and each end fits its pushes."""
    failures = [TransientPushError("busy"), PermanentPushError("no"), TokenGoneError("gone")]
    for number in range(100):
        record.users[f"user{number}"] = {"devices": tuple(phone(FCM) for _ in range(number % 4))}
        record.deliveries[f"user{number}"] = {"read": number % 7 == 0, "member": number % 11 != 0}
        await put(store, f"user{number}")
    bench = benches(provider("fcm", FCM, failures=failures * 20), retry_attempts_max=2)
    async with bench.running("dispatch"):
        found = await rows(store, 100)
    counts = await store.counts()
    assert sum(counts.values()) == len(found) == 100
    assert counts[PENDING] == 0
    assert await store.untrue(3600) == 0
    assert bench.count("natter_notifier_settled_total") == 100
    assert bench.count("natter_notifier_skipped_total") == counts[SKIPPED]
    assert await store.waiting() == (0, counts[DEAD])
    sends = sum(push.attempts for row in found for push in row.devices)
    assert bench.count("natter_notifier_attempted_total") == sends
    assert bench.count("natter_notifier_decided_total") >= 100
