"""From the record to the bucket of revocations: stored before it counts as done, true whatever comes twice or late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.fanout import revocations as road
from chat_api.fanout.revocations import Revocations
from chat_api.store import revoked
from chat_api.testing_world import World, eventually
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.control import REVOCATIONS_BUCKET, Revocation, block_key, session_key, user_key
from contracts.events import EventData, SessionEnd, UserBlocked, UserSessionsEnded, UserUnblocked
from contracts.ids import new_id
from contracts.stream_ids import UserStream
from contracts.times import now
from kit import buckets
from kit.revocations import Revocations as Refusals
from kit.tokens import Principal

STREAM = buckets.stream(REVOCATIONS_BUCKET)


@pytest.fixture(autouse=True)
async def fresh(observer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bucket yet, and a quick look at it."""
    monkeypatch.setattr(road, "LOOK_EVERY_S", 0.2)
    await gone(observer)


async def gone(observer: Client) -> None:
    """The bucket is lost with everything in it."""
    try:
        await observer.jetstream().delete_stream(STREAM)
    except NotFoundError:
        return


async def said(observer: Client) -> dict[str, Revocation]:
    """What the bucket holds, by key."""
    js = observer.jetstream()
    found: dict[str, Revocation] = {}
    try:
        state = (await js.stream_info(STREAM, subjects_filter=">")).state
    except NotFoundError:
        return found
    for subject in state.subjects or {}:
        message = await js.get_last_msg(STREAM, subject)
        found[subject.removeprefix(f"$KV.{REVOCATIONS_BUCKET}.")] = decode(Revocation, message.data or b"")
    return found


async def until_said(observer: Client, *keys: str) -> dict[str, Revocation]:
    """Wait for keys; returns everything."""

    async def there() -> bool:
        return set(keys) <= set(await said(observer))

    await eventually(there, f"{keys} are stored")
    return await said(observer)


def block(user_id: str, at: datetime | None = None) -> UserBlocked:
    """An admin blocks somebody."""
    return UserBlocked(user_id=user_id, by="admin", blocked_at=at or now())


def unblock(user_id: str, at: datetime | None = None) -> UserUnblocked:
    """And lets him in again."""
    return UserUnblocked(user_id=user_id, by="admin", unblocked_at=at or now())


def end(user_id: str, session_id: str | None = None, at: datetime | None = None) -> UserSessionsEnded:
    """One session ends, or all."""
    return UserSessionsEnded(
        user_id=user_id, session_id=session_id, reason=SessionEnd.REVOKED, by="admin", ended_at=at or now()
    )


async def happen(world: World, *events: EventData) -> None:
    """Record events in the stream of the user whom each is about."""
    for event in events:
        await world.record(UserStream(event.user_id), event)  # type: ignore[attr-defined]


def verdict(entries: dict[str, Revocation], user_id: str, issued_at: datetime, session_id: str | None = None) -> Any:
    """What somebody who has just read the bucket says to a token."""
    refusals = Refusals()
    for entry in entries.values():
        refusals.apply(entry)
    return refusals.refuses(Principal(user_id, frozenset(), 2e9, None, session_id, issued_at.timestamp()))


async def test_blocked_ended_and_lifted_reach_the_bucket(world: World, observer: Client) -> None:
    """Each kind under its key, and settled; who reads the bucket refuses the right tokens and no others."""
    world.fanout()
    blocked, out, back, fine = await world.people("blocked", "out", "back", "fine")
    session, before = new_id(), now() - timedelta(seconds=10)
    await happen(world, block(blocked), end(out), end(fine, session), block(back), unblock(back))
    entries = await until_said(
        observer, block_key(blocked), user_key(out), session_key(session), block_key(back), user_key(back)
    )
    await world.until_settled()
    entries = await said(observer)
    later = now() + timedelta(seconds=2)
    assert verdict(entries, blocked, later) is ErrorCode.USER_BLOCKED
    assert verdict(entries, out, before) is ErrorCode.TOKEN_REVOKED
    assert verdict(entries, out, later) is None
    assert verdict(entries, fine, before, session) is ErrorCode.TOKEN_REVOKED
    assert verdict(entries, fine, before, new_id()) is None
    assert verdict(entries, back, before) is ErrorCode.TOKEN_REVOKED, "every session was over with the block"
    assert verdict(entries, back, later) is None


async def test_sessions_that_end_do_not_hide_a_block(world: World, observer: Client) -> None:
    """Whoever reads the bucket for the first time knows of both."""
    world.fanout()
    (user,) = await world.people("user")
    await happen(world, block(user), end(user))
    await until_said(observer, block_key(user), user_key(user))
    await world.until_settled()
    assert verdict(await said(observer), user, now() + timedelta(seconds=2)) is ErrorCode.USER_BLOCKED


async def test_an_event_that_is_handled_again_does_not_bring_the_past_back(
    world: World, observer: Client, engine: AsyncEngine
) -> None:
    """Blocked, unblocked, and the first event once more: the user stays unblocked."""
    (user,) = await world.people("user")
    await happen(world, block(user), unblock(user))
    parts = Revocations(engine, world.js)
    await parts._ensure()
    for event in (unblock(user), block(user)):
        await parts._tell(user, event.type, event.model_dump(mode="json"))
    entries = await said(observer)
    assert entries[block_key(user)].lifted
    assert not entries[block_key(user)].blocked


async def test_an_older_truth_never_replaces_a_newer_one(
    world: World, observer: Client, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process read "blocked", was slow, and meanwhile another one stored "unblocked": the slow one reads again."""
    (user,) = await world.people("user")
    await happen(world, block(user))
    slow, other = Revocations(engine, world.js), Revocations(engine, world.js)
    await slow._ensure()
    read, reads = revoked.of_user, 0

    async def reading(engine: AsyncEngine, user_id: str) -> list[revoked.Standing]:
        nonlocal reads
        reads += 1
        found = await read(engine, user_id)
        if reads == 1:
            await happen(world, unblock(user))
            await other._refresh(user)
        return found

    monkeypatch.setattr(revoked, "of_user", reading)
    await slow._refresh(user)
    assert reads == 3, "the slow one, the other one, the slow one again"
    assert (await said(observer))[block_key(user)].lifted


async def test_a_lost_bucket_is_filled_again(world: World, observer: Client, db: Any) -> None:
    """Blocks of any age and the sessions of a week come back; what no token can outlive does not."""
    world.fanout()
    old, new, past, once = await world.people("old", "new", "past", "once")
    session, ancient = new_id(), new_id()
    long_ago = now() - timedelta(days=30)
    await happen(world, block(old, long_ago), end(new, session), end(past, ancient, long_ago), end(new))
    await happen(world, block(once, long_ago), unblock(once, long_ago))
    keys = (block_key(old), session_key(session), user_key(new))
    await until_said(observer, *keys)
    await world.until_settled()
    await db.execute("ALTER TABLE events DISABLE TRIGGER USER")
    await db.execute(
        "UPDATE events SET recorded_at = $1 WHERE stream = ANY($2)",
        long_ago,
        [f"user:{user_id}" for user_id in (old, past, once)],
    )
    await gone(observer)
    entries = await until_said(observer, *keys)

    async def noted() -> bool:
        info = await observer.jetstream().stream_info(STREAM)
        row = await db.fetchrow("SELECT * FROM buckets WHERE name = $1", REVOCATIONS_BUCKET)
        return row is not None and row["stream_created"] == str(info.created)

    await eventually(noted, "it is noted which one was filled")
    entries = await said(observer)
    assert set(entries) == set(keys)


async def test_a_bucket_that_lost_its_tail_is_filled_again(world: World, observer: Client, engine: AsyncEngine) -> None:
    """The same stream, shorter than what was seen: as after a crash of NATS that had not written to the disk yet."""
    (user,) = await world.people("user")
    await happen(world, block(user))
    parts = Revocations(engine, world.js)
    await parts.look()
    assert set(await said(observer)) == {block_key(user), user_key(user)}
    info = await observer.jetstream().stream_info(STREAM)
    await observer.jetstream().purge_stream(STREAM)
    parts._stored_seq = info.state.last_seq + 1
    await parts.look()
    assert set(await said(observer)) == {block_key(user), user_key(user)}
    await observer.jetstream().purge_stream(STREAM)
    await parts.look()
    assert await said(observer) == {}, "a bucket that is whole is left alone"


async def test_a_revocation_is_settled_only_when_it_is_stored(world: World, observer: Client, servers: Any) -> None:
    """With NATS killed in between, it is stored when it is back, and until then the event is not done."""
    world.fanout()
    (user,) = await world.people("user")
    await world.until_settled()
    await servers.do(servers.stack.part("nats").kill())
    await happen(world, block(user))
    assert await world.unsettled()
    await servers.do(servers.stack.part("nats").start())
    await until_said(observer, block_key(user))
    await world.until_settled(40)
