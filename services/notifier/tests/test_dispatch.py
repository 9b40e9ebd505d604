"""The dispatch on real Postgres: who sends what, how often, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.codec import encode
from contracts.pushes import PushRecord, PushState
from notifier.deliveries import about
from notifier.dispatch import POSTGRES
from notifier.providers.base import PermanentPushError, TransientPushError
from notifier.push import Push
from notifier.store import Incoming, Store
from notifier.testing import RecordingProvider

from .support import Bench, Servers, envelope, message, offline, until


async def put(store: Store, *user_ids: str, **changes: Any) -> None:
    """Deliveries of one message each, as the inbox writes them."""
    taken = []
    for user_id in user_ids:
        given = offline(user_id, envelope(message(**changes)))
        what = about(given.event.event())
        taken.append(Incoming(given, encode(given).decode(), what))
    await store.take_in(taken, [])


async def settled(store: Store) -> list[PushRecord]:
    """All rows, once none is pending."""

    async def all_settled() -> list[PushRecord]:
        rows = await store.pushes()
        return [] if any(row.state is PushState.PENDING for row in rows) else rows

    return await until(all_settled)  # type: ignore[no-any-return]


async def test_a_due_delivery_is_sent_and_recorded(store: Store, benches: Callable[..., Bench]) -> None:
    """Send, then the record: state, provider, one attempt, the time."""
    bench = benches()
    await put(store, "alice", is_important=True)
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, row.provider, row.attempts) == (PushState.SENT, "recording", 1)
    assert row.settled_at is not None
    [push] = bench.provider.sent
    assert (push.user_id, push.priority.value) == ("alice", "high")
    assert bench.count("natter_notifier_sent_total") == 1
    assert POSTGRES.encode() not in bench.health.report()[1]


async def test_a_skipped_delivery_says_why(store: Store, benches: Callable[..., Bench]) -> None:
    """No provider is asked, and the reason is on record."""
    bench = benches()
    await put(store, "bob")
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, row.skip_reason, row.attempts, row.provider) == (PushState.SKIPPED, "own_message", 0, None)
    assert bench.provider.asked == []


@pytest.mark.parametrize(
    "failure",
    [TransientPushError("busy"), TransientPushError("busy", retry_after_s=0.05), ValueError("a bug of the provider")],
    ids=["transient", "with retry-after", "unexpected"],
)
async def test_a_failure_for_now_is_tried_again_until_it_works(
    store: Store, benches: Callable[..., Bench], failure: Exception
) -> None:
    """Two failures, then success: three attempts and one push."""
    bench = benches(RecordingProvider(failures=[failure, failure]))
    await put(store, "alice")
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, row.attempts, len(bench.provider.sent)) == (PushState.SENT, 3, 1)
    assert bench.count("natter_notifier_retried_total") == 2


async def test_a_failure_that_does_not_end_makes_the_delivery_dead(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """After the last attempt the row is dead and keeps the last error; another user's push is not held up."""
    bench = benches(RecordingProvider(always=TransientPushError("still busy \x00")), retry_attempts_max=3)
    await put(store, "alice", "carol")
    async with bench.running("dispatch"):
        rows = await settled(store)
    assert [(row.state, row.attempts) for row in rows] == [(PushState.DEAD, 3)] * 2
    async with engine.connect() as connection:
        errors = (await connection.execute(text("SELECT last_error FROM notifier.deliveries"))).scalars().all()
    assert all("still busy" in error for error in errors)
    assert bench.count("natter_notifier_dead_total") == 2


async def test_a_permanent_failure_is_not_tried_again(store: Store, benches: Callable[..., Bench]) -> None:
    """One attempt, dead."""
    bench = benches(RecordingProvider(failures=[PermanentPushError("no such token")]))
    await put(store, "alice")
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, row.attempts, len(bench.provider.asked)) == (PushState.DEAD, 1, 1)


class Hanging(RecordingProvider):
    """Never answers the first time."""

    async def send(self, push: Push) -> str | None:
        if not self.asked:
            self.asked.append(push)
            await asyncio.Event().wait()
        return await super().send(push)


async def test_a_provider_that_does_not_answer_is_a_transient_failure(
    store: Store, benches: Callable[..., Bench]
) -> None:
    """The wait is limited, the push is tried again."""
    bench = benches(Hanging(), push_timeout_s=0.1)
    await put(store, "alice")
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, row.attempts) == (PushState.SENT, 2)


async def test_two_processes_share_the_work_and_never_both_send(store: Store, benches: Callable[..., Bench]) -> None:
    """300 deliveries, two dispatchers: each delivery is sent by exactly one of them."""
    benches_ = [benches(dispatch_batch=10), benches(dispatch_batch=10)]
    await put(store, *(f"user{number}" for number in range(300)))
    async with benches_[0].running("dispatch"), benches_[1].running("dispatch"):
        rows = await settled(store)
    sent = [push.user_id for bench in benches_ for push in bench.provider.sent]
    assert len(sent) == len(set(sent)) == len(rows) == 300
    assert all(bench.provider.sent for bench in benches_), "both took part"
    assert all(row.attempts == 1 for row in rows)


async def test_one_users_pushes_go_in_their_order(store: Store, benches: Callable[..., Bench]) -> None:
    """However many users are served at once, one user's pushes keep the order of their arrival."""
    bench = benches(dispatch_batch=1000)
    for number in range(20):
        await put(store, "alice", "carol", content=str(number))
    async with bench.running("dispatch"):
        await settled(store)
    for user_id in ("alice", "carol"):
        contents = [push.content for push in bench.provider.sent if push.user_id == user_id]
        assert contents == [str(number) for number in range(20)]


async def test_the_lease_of_a_dead_process_runs_out(store: Store, benches: Callable[..., Bench]) -> None:
    """Nobody touches what another process has claimed, until the lease ends; then it is sent, once."""
    await put(store, "alice")
    dead = await store.claim(10, 1.0)
    assert len(dead.rows) == 1
    assert (await store.claim(10, 1.0)).rows == ()
    bench = benches()
    async with bench.running("dispatch"):
        [row] = await settled(store)
    assert (row.state, len(bench.provider.sent)) == (PushState.SENT, 1)


async def test_an_outcome_that_comes_after_the_lease_changes_nothing(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """A process that was frozen beyond its lease finds that another one has taken over, and says so."""

    class Frozen(RecordingProvider):
        async def send(self, push: Push) -> str | None:
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE notifier.deliveries SET lease_until = now() - interval '1 s'"))
            assert len((await store.claim(10, 60)).rows) == 1
            return await super().send(push)

    bench = benches(Frozen())
    await put(store, "alice")
    await bench.round()
    [row] = await store.pushes()
    assert (row.state, row.attempts) == (PushState.PENDING, 0)
    assert bench.count("natter_notifier_leases_lost_total") == 1


async def test_what_is_not_begun_at_the_stop_is_given_back_at_once(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """The push in hand is finished and recorded, the others are due again without waiting for the lease."""

    class StopsAfterOne(RecordingProvider):
        async def send(self, push: Push) -> str | None:
            bench.stop.set()
            return await super().send(push)

    bench = benches(StopsAfterOne())
    for _ in range(5):
        await put(store, "alice")
    async with bench.running("dispatch"):
        await bench.stop.wait()
    assert [row.state for row in await store.pushes()].count(PushState.SENT) == len(bench.provider.sent) == 1
    async with engine.connect() as connection:
        leased = text("SELECT count(*) FROM notifier.deliveries WHERE lease_token IS NOT NULL")
        assert (await connection.execute(leased)).scalar_one() == 0
    assert len((await store.claim(10, 60)).rows) == 4


async def test_nothing_is_begun_that_could_end_after_the_lease(store: Store, benches: Callable[..., Bench]) -> None:
    """A claim that is nearly over is given back: another process would send the same push."""
    bench = benches(lease_s=0.5, push_timeout_s=1.0)
    await put(store, "alice")
    await bench.round()
    assert bench.provider.asked == []
    assert len((await store.claim(10, 60)).rows) == 1


async def test_a_row_that_cannot_be_read_any_more_is_dead(
    store: Store, benches: Callable[..., Bench], engine: AsyncEngine
) -> None:
    """A row of an earlier release blocks nothing: it is given up with the reason, the next one is sent."""
    await put(store, "alice", "carol")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE notifier.deliveries SET payload = '{}' WHERE user_id = 'alice'"))
    bench = benches()
    async with bench.running("dispatch"):
        rows = await settled(store)
    assert [row.state for row in rows] == [PushState.DEAD, PushState.SENT]


class CutsPostgres(RecordingProvider):
    """Postgres dies while the first push is on its way."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self._servers = servers

    async def send(self, push: Push) -> str | None:
        """Send, into a world without Postgres."""
        if not self.sent:
            await self._servers.part("postgres", "kill")
        return await super().send(push)


async def test_a_push_sent_while_postgres_goes_away_is_recorded_when_it_is_back(
    servers: Servers, store: Store, benches: Callable[..., Bench]
) -> None:
    """Sent is sent: the outcome is kept in memory until it can be written, instead of sending again."""

    bench = benches(CutsPostgres(servers))
    await put(store, "alice")
    async with bench.running("dispatch"):
        try:
            await until(lambda: POSTGRES.encode() in bench.health.report()[1] and bench.provider.sent)
        finally:
            await until(lambda: not servers.stack.part("postgres").running)
            await servers.part("postgres", "start")
        [row] = await settled(store)
        await until(lambda: POSTGRES.encode() not in bench.health.report()[1])
    assert (row.state, row.attempts, len(bench.provider.sent)) == (PushState.SENT, 1, 1)


async def test_a_push_is_not_sent_again_after_an_outage_longer_than_its_lease(
    servers: Servers, store: Store, benches: Callable[..., Bench]
) -> None:
    """The lease ended, so the delivery is claimed again; the process knows that it went out, and writes just that."""

    bench = benches(CutsPostgres(servers), lease_s=2.0, push_timeout_s=1.5)
    await put(store, "alice")
    async with bench.running("dispatch"):
        try:
            await until(lambda: bench.dispatch.unrecorded == 1)
        finally:
            await until(lambda: not servers.stack.part("postgres").running)
            await servers.part("postgres", "start")
        [row] = await settled(store)
    assert (row.state, len(bench.provider.sent), bench.dispatch.unrecorded) == (PushState.SENT, 1, 0)
