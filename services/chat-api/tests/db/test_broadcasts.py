"""Broadcasts on a real Postgres: accepted at once, told one by one, by whoever lives, and to nobody twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.broadcaster import Broadcaster
from chat_api.commands import handlers, notices
from chat_api.domain.commands import RegisterUser
from chat_api.domain.notices import Broadcast
from chat_api.settings import ChatApiSettings
from chat_api.store import broadcasts
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import SERVICE
from chat_api.testing_http import Served, served
from contracts.ids import new_id
from contracts.notices import NotificationDraft
from contracts.times import now

DRAFT = NotificationDraft(title="Hours", content="We open at eight.", type="announcement", data={"from": "Monday"})
BODY = {"title": "Hours", "content": "We open at eight.", "type": "announcement"}

Start = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


async def register(uow: PostgresUnitOfWork, *user_ids: str, role: str = "customer") -> None:
    """Make users known."""
    for user_id in user_ids:
        command = RegisterUser(user_id, None, (role,), now())
        await handlers.register_user(command, uow, actor_id="host", password_hash=None, once=None, status=201)


async def accept(uow: PostgresUnitOfWork, *roles: str) -> str:
    """A broadcast that is accepted and not yet told to anybody."""
    broadcast_id, _ = await notices.broadcast(Broadcast(new_id(), SERVICE, DRAFT, roles, now()), uow, None, 202)
    return broadcast_id


async def told(db: asyncpg.Connection[Any], broadcast_id: str) -> list[str]:
    """Who was told, in the order of the record; each as often as that was."""
    rows = await db.fetch("SELECT stream, data FROM events WHERE type = 'user.notified' ORDER BY txid, position")
    return [
        row["stream"].removeprefix("user:")
        for row in rows
        if json.loads(row["data"])["notification"].get("broadcast_id") == broadcast_id
    ]


async def state(engine: AsyncEngine, broadcast_id: str) -> broadcasts.StoredBroadcast:
    """How far it is."""
    async with engine.connect() as connection:
        found = await broadcasts.one(connection, broadcast_id)
    assert found is not None
    return found


async def until_done(engine: AsyncEngine, broadcast_id: str) -> broadcasts.StoredBroadcast:
    """Wait until everybody has been told."""
    async with asyncio.timeout(20):
        while True:
            found = await state(engine, broadcast_id)
            if found.done_at is not None:
                return found
            await asyncio.sleep(0.01)


@pytest.fixture
async def chat(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application, with a broadcaster that is not at work."""
    idle = Broadcaster(settings, engine, lambda: None)
    quiet = settings.model_copy(update={"rate_limits": False})
    async with served(quiet, engine, uow, broadcaster=idle) as made:
        yield made


def quick(settings: ChatApiSettings, engine: AsyncEngine, batch: int) -> Broadcaster:
    """A broadcaster that takes small batches, and no time."""
    changes = {"broadcast_batch_max": batch, "broadcast_users_per_s": 1e9}
    return Broadcaster(settings.model_copy(update=changes), engine, lambda: None)


async def test_who_is_blocked_is_not_told(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Neither counted nor told, also if the block comes after the broadcast."""
    await register(uow, "alice", "bob", "carol")
    await db.execute("UPDATE users SET blocked_at = now() WHERE user_id = 'alice'")
    broadcast_id = await accept(uow)
    await db.execute("UPDATE users SET blocked_at = now() WHERE user_id = 'carol'")
    assert [await quick(settings, engine, 7).step() for _ in range(2)] == [1, None]
    assert await told(db, broadcast_id) == ["bob"]
    assert (await state(engine, broadcast_id)).recipients == 2


async def test_everybody_is_told_once_in_batches(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Each batch is one transaction, and each recipient has it as a notification of their own."""
    users = [f"user-{n:02}" for n in range(20)]
    await register(uow, *users)
    broadcast_id = await accept(uow)
    broadcaster = quick(settings, engine, 7)
    assert [await broadcaster.step() for _ in range(4)] == [7, 7, 6, None]
    assert await told(db, broadcast_id) == users
    found = await state(engine, broadcast_id)
    assert (found.recipients, found.sent) == (20, 20)
    assert found.done_at is not None
    batches = await db.fetch(
        "SELECT count(*) AS n FROM events WHERE type = 'user.notified' GROUP BY txid ORDER BY txid"
    )
    assert [row["n"] for row in batches] == [7, 7, 6]
    rows = await db.fetch("SELECT * FROM notifications ORDER BY user_id")
    assert [(row["user_id"], row["title"], str(row["broadcast_id"])) for row in rows] == [
        (user_id, "Hours", broadcast_id) for user_id in users
    ]


async def test_killed_between_and_inside_batches_it_goes_on_and_tells_nobody_twice(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    uow: PostgresUnitOfWork,
    db: asyncpg.Connection[Any],
    background: Start,
) -> None:
    """Two processes at a time are at it, and one after the other is killed at any moment."""
    users = [f"user-{n:03}" for n in range(150)]
    await register(uow, *users)
    broadcast_id = await accept(uow)
    killed, chance = 0, random.Random(7)
    working = [background(quick(settings, engine, 3).run()) for _ in range(2)]
    async with asyncio.timeout(60):
        while (await state(engine, broadcast_id)).done_at is None:
            await asyncio.sleep(chance.uniform(0, 0.03))
            victim = working.pop(0)
            victim.cancel()
            await asyncio.gather(victim, return_exceptions=True)
            killed += 1
            working.append(background(quick(settings, engine, 3).run()))
    assert killed > 3
    assert await told(db, broadcast_id) == users
    assert (await state(engine, broadcast_id)).sent == len(users)


async def test_a_batch_that_fails_leaves_no_trace(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    uow: PostgresUnitOfWork,
    db: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Events and cursor commit together: after a kill between the two the next one begins where nobody was told."""
    await register(uow, "a", "b", "c")
    broadcast_id = await accept(uow)

    class Killed(Exception):
        pass

    async def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(broadcasts, "told", killed)
        with pytest.raises(Killed):
            await quick(settings, engine, 2).step()
    assert await told(db, broadcast_id) == []
    assert (await state(engine, broadcast_id)).cursor_user_id is None
    assert await quick(settings, engine, 2).step() == 2
    assert await told(db, broadcast_id) == ["a", "b"]


async def test_who_registers_meanwhile_is_not_told(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """It is for those who were there when it was accepted, whatever their ids are."""
    await register(uow, "b", "d")
    broadcast_id = await accept(uow)
    broadcaster = quick(settings, engine, 1)
    await broadcaster.step()
    await register(uow, "a", "c", "e")
    while await broadcaster.step() is not None:
        pass
    assert await told(db, broadcast_id) == ["b", "d"]


async def test_roles_choose_the_recipients(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """One of the roles is enough; two broadcasts are told one after the other."""
    await register(uow, "anna", "ben")
    await register(uow, "cleo", role="consultant")
    await register(uow, "dora", role="doctor")
    staff, admins = await accept(uow, "consultant", "doctor"), await accept(uow, "admin")
    everybody = await accept(uow)
    found = await state(engine, admins)
    assert (found.recipients, found.done_at is not None) == (0, True), "nobody is an admin"
    broadcaster = quick(settings, engine, 100)
    while await broadcaster.step() is not None:
        pass
    assert await told(db, staff) == ["cleo", "dora"]
    assert await told(db, admins) == []
    assert await told(db, everybody) == ["anna", "ben", "cleo", "dora"]


async def test_it_takes_its_time(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    uow: PostgresUnitOfWork,
    db: asyncpg.Connection[Any],
    background: Start,
) -> None:
    """`broadcast_users_per_s` is a limit: a wake-up does not make it faster."""
    await register(uow, *(f"user-{n}" for n in range(8)))
    broadcast_id = await accept(uow)
    slow = Broadcaster(
        settings.model_copy(update={"broadcast_batch_max": 2, "broadcast_users_per_s": 10.0}), engine, lambda: None
    )
    background(slow.run())
    await until_done(engine, broadcast_id)
    row = await db.fetchrow("SELECT min(recorded_at), max(recorded_at) FROM events WHERE type = 'user.notified'")
    assert row is not None
    first, last = row
    assert last - first >= timedelta(seconds=0.6), "four batches of two, 0.2 s apart"


# --- over HTTP --------------------------------------------------------------------------------------------------------


async def test_a_broadcast_over_http(
    chat: Served, settings: ChatApiSettings, engine: AsyncEngine, db: asyncpg.Connection[Any], background: Start
) -> None:
    """Accepted with its number of recipients; recorded as the admin's act; followed by its id; told."""
    for user_id in ("ann", "bob"):
        await chat.call("POST", "/v1/users", json={"user_id": user_id}, status=201)
    admin = chat.token("root", "admin")
    body = BODY | {"roles": ["customer"], "is_important": True}
    accepted = (await chat.call("POST", "/v1/admin/broadcasts", admin, json=body, status=202)).json()
    assert accepted["recipients"] == 2
    act = json.loads(await db.fetchval("SELECT data FROM events WHERE type = 'user.admin_acted'"))
    assert (act["user_id"], act["act"], act["target"]) == ("root", "broadcast", accepted["broadcast_id"])
    assert act["details"]["roles"] == ["customer"]
    path = f"/v1/admin/broadcasts/{accepted['broadcast_id']}"
    waiting = (await chat.call("GET", path, admin)).json()
    assert (waiting["sent"], waiting["recipients"], waiting["created_by"]) == (0, 2, "root")
    assert "done_at" not in waiting
    background(Broadcaster(settings, engine, lambda: None).run())
    await until_done(engine, accepted["broadcast_id"])
    assert (await chat.call("GET", path, admin)).json()["sent"] == 2
    (said,) = (await chat.call("GET", "/v1/notifications", chat.token("ann"))).json()["notifications"]
    assert (said["title"], said["is_important"], said["broadcast_id"]) == ("Hours", True, accepted["broadcast_id"])


async def test_a_repeated_broadcast_is_one(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """The same Idempotency-Key gives the first answer, another body with it is refused."""
    await chat.call("POST", "/v1/users", json={"user_id": "ann"}, status=201)
    key = {"idempotency-key": new_id()}
    first = await chat.call("POST", "/v1/admin/broadcasts", json=BODY, headers=key, status=202)
    again = await chat.call("POST", "/v1/admin/broadcasts", json=BODY, headers=key, status=202)
    assert again.json() == first.json()
    await chat.call("POST", "/v1/admin/broadcasts", json=BODY | {"title": "x"}, headers=key, status=422)
    assert await db.fetchval("SELECT count(*) FROM broadcasts") == 1
    assert await db.fetchval("SELECT count(*) FROM events WHERE type = 'user.admin_acted'") == 1


async def test_broadcasts_are_listed_newest_first(chat: Served) -> None:
    """In pages; an unknown one is 404."""
    made = [
        (await chat.call("POST", "/v1/admin/broadcasts", json=BODY | {"title": str(n)}, status=202)).json()
        for n in range(3)
    ]
    first = (await chat.call("GET", "/v1/admin/broadcasts?limit=2")).json()["broadcasts"]
    assert [one["title"] for one in first] == ["2", "1"]
    rest = (await chat.call("GET", f"/v1/admin/broadcasts?before={first[-1]['broadcast_id']}")).json()["broadcasts"]
    assert [one["broadcast_id"] for one in rest] == [made[0]["broadcast_id"]]
    await chat.call("GET", f"/v1/admin/broadcasts/{new_id()}", status=404)


async def test_who_may_not_broadcast_changes_nothing(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """Customers and staff are refused, a body that is wrong likewise."""
    for role in ("customer", "consultant", "doctor"):
        token = chat.token("somebody", role)
        await chat.call("POST", "/v1/admin/broadcasts", token, json=BODY, status=403)
        await chat.call("GET", "/v1/admin/broadcasts", token, status=403)
        await chat.call("GET", f"/v1/admin/broadcasts/{new_id()}", token, status=403)
    for change in ({"roles": ["king"]}, {"title": ""}, {"surprise": 1}):
        await chat.call("POST", "/v1/admin/broadcasts", json=BODY | change, status=422)
    assert await db.fetchval("SELECT count(*) FROM broadcasts") == 0
    assert await db.fetchval("SELECT count(*) FROM events") == 0
