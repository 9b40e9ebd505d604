"""Local accounts over HTTP on a real Postgres: sessions, refresh tokens, passwords, blocks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands.accounts import Accounts, Limits
from chat_api.domain.errors import RefreshTokenExpired, Refused, SessionOver
from chat_api.revocations import RevocationsWatcher
from chat_api.settings import ChatApiSettings
from chat_api.store import rebuild
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import PASSWORD, Served, served
from contracts.control import Revocation
from contracts.ids import new_id
from contracts.times import now
from kit import tokens
from kit.revocations import Revocations

GRACE_S = 10.0


@pytest.fixture
async def api_here(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application on the fresh database; nobody is held back."""
    async with served(settings, engine, uow) as made:
        yield made


async def ends(db: asyncpg.Connection[Any], user_id: str) -> list[tuple[str, bool]]:
    """The recorded ends of sessions: reason, and whether all of the user's are meant."""
    rows = await db.fetch(
        "SELECT data FROM events WHERE stream = $1 AND type = 'user.sessions_ended' ORDER BY seq", f"user:{user_id}"
    )
    data = [json.loads(row["data"]) for row in rows]
    return [(one["reason"], one.get("session_id") is None) for one in data]


def session_of(settings: ChatApiSettings, pair: dict[str, Any]) -> str:
    """The session that an access token names."""
    found = tokens.verify(settings.jwt_secret.get_secret_value(), pair["access_token"]).session_id
    assert found is not None
    return found


# --- signing in and refreshing ----------------------------------------------------------------------------------------


async def test_a_session_lives_by_its_refresh_tokens(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Signing in gives a short token and the means to get the next one; each refresh gives a new pair."""
    alice = await api_here.account("alice", "doctor")
    first = await api_here.sign_in(alice)
    assert first["token_type"] == "bearer"
    assert first["expires_in"] == 900
    assert 2_591_990 < first["refresh_expires_in"] <= 2_592_000
    second = await api_here.refresh(first["refresh_token"])
    third = await api_here.refresh(second["refresh_token"])
    assert len({pair["refresh_token"] for pair in (first, second, third)}) == 3
    assert len({session_of(api_here.settings, pair) for pair in (first, second, third)}) == 1
    me = await api_here.me(third["access_token"])
    assert me == {"user_id": alice, "name": "Alice", "roles": ["doctor"]}
    assert await ends(db, alice) == []


async def test_refresh_tokens_are_not_stored(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Whoever reads the database finds digests, and cannot sign in with them; the answers are not cached."""
    alice = await api_here.account()
    answer = await api_here.call("POST", "/v1/auth/token", "", json={"user_id": alice, "password": PASSWORD})
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["refresh_token"]
    stored = await db.fetchval("SELECT token_hash FROM refresh_tokens")
    assert stored == hashlib.sha256(token.encode()).digest()
    tables = await db.fetch(
        "SELECT row_to_json(s)::text AS row FROM sessions s UNION ALL SELECT data::text FROM events"
    )
    assert not any(token in row["row"] for row in tables)


async def test_a_refresh_token_is_good_once(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Used again after its successor was used, the session ends for the thief and for the owner."""
    alice = await api_here.account()
    first = await api_here.sign_in(alice)
    second = await api_here.refresh(first["refresh_token"])
    third = await api_here.refresh(second["refresh_token"])
    other = await api_here.sign_in(alice)
    assert (await api_here.refresh(first["refresh_token"], status=401))["code"] == "token_revoked"
    assert (await api_here.refresh(third["refresh_token"], status=401))["code"] == "token_revoked"
    assert (await api_here.me(third["access_token"], status=401))["code"] == "token_revoked"
    assert await ends(db, alice) == [("refresh_token_reused", False)]
    await api_here.me(other["access_token"])
    await api_here.refresh(other["refresh_token"])


async def test_a_lost_answer_is_given_again(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """A repeat right after the first use gets the same successor, and the session goes on."""
    alice = await api_here.account()
    first = await api_here.sign_in(alice)
    lost = await api_here.refresh(first["refresh_token"])
    again = await api_here.refresh(first["refresh_token"])
    assert again["refresh_token"] == lost["refresh_token"]
    await api_here.me(again["access_token"])
    await api_here.refresh(again["refresh_token"])
    assert await ends(db, alice) == []


async def test_refreshing_at_the_same_moment(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Ten tabs with one token: all get the same successor, and nobody is thrown out."""
    alice = await api_here.account()
    first = await api_here.sign_in(alice)
    pairs = await asyncio.gather(*(api_here.refresh(first["refresh_token"]) for _ in range(10)))
    assert len({pair["refresh_token"] for pair in pairs}) == 1
    assert await ends(db, alice) == []
    assert await db.fetchval("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL") == 1


async def test_grace_and_life_end(api_here: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]) -> None:
    """After the grace a repeat is a reuse, even if the successor was never used; after its life a token is expired."""
    told: list[Revocation] = []
    accounts = Accounts(uow, "s" * 32, Limits(3600, GRACE_S, 50), told.append)
    alice = await api_here.account()
    stored = await db.fetchval("SELECT password_hash FROM credentials WHERE user_id = $1", alice)
    start = now()
    lost = await accounts.sign_in(alice, stored, None, start)
    await accounts.refresh(lost.refresh_token, start)
    await accounts.refresh(lost.refresh_token, start + timedelta(seconds=GRACE_S))
    with pytest.raises(SessionOver):
        await accounts.refresh(lost.refresh_token, start + timedelta(seconds=GRACE_S + 1))
    assert [(one.user_id, one.session_id) for one in told] == [(alice, lost.session_id)]
    late = await accounts.sign_in(alice, stored, None, start)
    with pytest.raises(RefreshTokenExpired):
        await accounts.refresh(late.refresh_token, start + timedelta(seconds=3600))
    await accounts.refresh(late.refresh_token, start + timedelta(seconds=3599))


async def test_refresh_with_nonsense(api_here: Served) -> None:
    """What was never a refresh token is refused, and so is an access token in its place."""
    alice = await api_here.account()
    pair = await api_here.sign_in(alice)
    assert (await api_here.refresh("nonsense", status=401))["code"] == "unauthenticated"
    assert (await api_here.refresh("x" * 257, status=422))["code"] == "validation_failed"
    assert (await api_here.refresh(pair["access_token"][:256], status=401))["code"] == "unauthenticated"
    assert (await api_here.me(pair["refresh_token"], status=401))["code"] == "unauthenticated"
    for body in ({}, {"refresh_token": 1}, {"refresh_token": "x", "more": 1}):
        await api_here.call("POST", "/v1/auth/refresh", "", json=body, status=422)


async def test_one_session_too_many_ends_the_longest_unused(
    api_here: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """The bound on sessions never keeps somebody out; it forgets the device that nobody uses."""
    accounts = Accounts(uow, "s" * 32, Limits(3600, GRACE_S, 3), lambda _one: None)
    alice = await api_here.account()
    stored = await db.fetchval("SELECT password_hash FROM credentials WHERE user_id = $1", alice)
    start = now()
    opened = [await accounts.sign_in(alice, stored, None, start + timedelta(seconds=n)) for n in range(3)]
    used = await accounts.refresh(opened[0].refresh_token, start + timedelta(seconds=10))
    await accounts.sign_in(alice, stored, None, start + timedelta(seconds=11))
    with pytest.raises(SessionOver):
        await accounts.refresh(opened[1].refresh_token, start + timedelta(seconds=12))
    await accounts.refresh(used.refresh_token, start + timedelta(seconds=12))
    await accounts.refresh(opened[2].refresh_token, start + timedelta(seconds=12))
    assert await ends(db, alice) == [("revoked", False)]


async def test_a_password_that_changes_while_it_is_checked(
    api_here: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Nobody gets a session with a password that was replaced while argon2 was at work."""
    accounts = Accounts(uow, "s" * 32, Limits(3600, GRACE_S, 3), lambda _one: None)
    alice = await api_here.account()
    with pytest.raises(Refused):
        await accounts.sign_in(alice, "another hash", None, now())
    assert await db.fetchval("SELECT count(*) FROM sessions") == 0


# --- signing out ------------------------------------------------------------------------------------------------------


async def test_logout_ends_this_session(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Both of its tokens are refused from then on; other sessions of the user stay."""
    alice = await api_here.account()
    here, there = await api_here.sign_in(alice), await api_here.sign_in(alice)
    await api_here.call("POST", "/v1/auth/logout", here["access_token"], status=204)
    assert (await api_here.me(here["access_token"], status=401))["code"] == "token_revoked"
    assert (await api_here.refresh(here["refresh_token"], status=401))["code"] == "token_revoked"
    await api_here.me(there["access_token"])
    assert await ends(db, alice) == [("logout", False)]


async def test_logout_everywhere(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Every token that was issued so far is refused, a host application's too; who signs in at once is in."""
    alice = await api_here.account()
    here, there = await api_here.sign_in(alice), await api_here.sign_in(alice)
    hosts = api_here.token(alice)
    await api_here.call("POST", "/v1/auth/logout", here["access_token"], json={"all": True}, status=204)
    back = await api_here.sign_in(alice)
    for token in (here["access_token"], there["access_token"], hosts):
        assert (await api_here.me(token, status=401))["code"] == "token_revoked"
    await api_here.me(back["access_token"])
    await api_here.refresh(there["refresh_token"], status=401)
    await api_here.refresh(back["refresh_token"])
    assert await ends(db, alice) == [("logout", True)]


async def test_logout_without_a_session(api_here: Served) -> None:
    """A token that the host application signed belongs to no session: that is said, not passed over."""
    token = api_here.token("alice")
    problem = (await api_here.call("POST", "/v1/auth/logout", token, status=422)).json()
    assert problem["code"] == "validation_failed"
    await api_here.me(token)
    await api_here.call("POST", "/v1/auth/logout", token, json={"all": True}, status=204)
    await api_here.me(token, status=401)


# --- passwords --------------------------------------------------------------------------------------------------------


async def test_another_password(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Other sessions end, this one goes on with new tokens, and only the new password signs in."""
    alice = await api_here.account()
    here, there = await api_here.sign_in(alice), await api_here.sign_in(alice)
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    new = (await api_here.call("PUT", "/v1/auth/password", here["access_token"], json=body)).json()
    assert session_of(api_here.settings, new) == session_of(api_here.settings, here)
    await api_here.me(new["access_token"])
    assert (await api_here.me(there["access_token"], status=401))["code"] == "token_revoked"
    await api_here.refresh(there["refresh_token"], status=401)
    assert (await api_here.sign_in(alice, status=401))["code"] == "wrong_credentials"
    await api_here.sign_in(alice, "battery staple")
    assert await ends(db, alice) == [("password_changed", False)]
    await api_here.refresh(new["refresh_token"])


async def test_the_old_refresh_token_of_a_changed_password(api_here: Served) -> None:
    """Whoever stole it before the change has nothing: its use ends the session."""
    alice = await api_here.account()
    here = await api_here.sign_in(alice)
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    await api_here.call("PUT", "/v1/auth/password", here["access_token"], json=body)
    assert (await api_here.refresh(here["refresh_token"], status=401))["code"] == "token_revoked"


async def test_a_password_is_not_changed_without_the_old_one(api_here: Served) -> None:
    """A stolen access token is not enough, nor is a new password that is none."""
    alice = await api_here.account()
    here = await api_here.sign_in(alice)

    async def change(status: int, **body: str) -> str:
        answer = await api_here.call("PUT", "/v1/auth/password", here["access_token"], json=body, status=status)
        return str(answer.json()["code"])

    assert await change(401, old_password="wrong", new_password="battery staple") == "wrong_credentials"
    assert await change(422, old_password=PASSWORD, new_password="short") == "validation_failed"
    assert await change(422, old_password=PASSWORD, new_password="x" * 257) == "validation_failed"
    assert await change(422, old_password=PASSWORD) == "validation_failed"
    no_account = api_here.token("nobody-at-all")
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    await api_here.call("PUT", "/v1/auth/password", no_account, json=body, status=401)
    await api_here.sign_in(alice)


# --- blocks -----------------------------------------------------------------------------------------------------------


async def test_a_blocked_user_is_out(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """No request, no refresh, no new token, until the block is lifted; what was issued before stays refused."""
    alice, admin = await api_here.account(), api_here.token("root-admin", "admin")
    pair, hosts = await api_here.sign_in(alice), api_here.token(alice)
    await api_here.call("POST", f"/v1/admin/users/{alice}/block", admin, status=204)
    for token in (pair["access_token"], hosts, api_here.token(alice)):
        assert (await api_here.me(token, status=403))["code"] == "user_blocked"
    assert (await api_here.sign_in(alice, status=403))["code"] == "user_blocked"
    assert (await api_here.sign_in(alice, "wrong", status=401))["code"] == "wrong_credentials"
    assert (await api_here.refresh(pair["refresh_token"], status=403))["code"] == "user_blocked"
    await api_here.call("POST", f"/v1/admin/users/{alice}/unblock", admin, status=204)
    back = await api_here.sign_in(alice)
    await api_here.me(back["access_token"])
    await api_here.me(pair["access_token"], status=401)
    await api_here.refresh(pair["refresh_token"], status=401)
    rows = await db.fetch("SELECT type FROM events WHERE stream = $1 ORDER BY seq", f"user:{alice}")
    assert [row["type"] for row in rows] == [
        "user.registered",
        "user.blocked",
        "user.unblocked",
        "user.sessions_ended",
    ]
    acts = await db.fetch("SELECT data FROM events WHERE stream = 'user:root-admin' ORDER BY seq")
    assert [(json.loads(row["data"])["act"], json.loads(row["data"])["target"]) for row in acts] == [
        ("block_user", alice),
        ("unblock_user", alice),
    ]


async def test_blocking_again_changes_nothing(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """A repeat is no second act, with or without an Idempotency-Key; nor is unblocking who is not blocked."""
    alice = await api_here.account()
    path = f"/v1/admin/users/{alice}"
    await api_here.call("POST", f"{path}/unblock", status=204)
    for key in (None, "k1", "k1"):
        headers = {} if key is None else {"idempotency-key": key}
        await api_here.call("POST", f"{path}/block", status=204, headers=headers)
    await api_here.call("POST", f"{path}/revoke-sessions", status=204)
    assert await db.fetchval("SELECT count(*) FROM events WHERE type = 'user.admin_acted'") == 1


async def test_an_admin_ends_all_sessions(api_here: Served, db: asyncpg.Connection[Any]) -> None:
    """Everything issued so far is refused; the user may sign in again at once."""
    alice = await api_here.account()
    pair = await api_here.sign_in(alice)
    await api_here.call("POST", f"/v1/admin/users/{alice}/revoke-sessions", status=204)
    back = await api_here.sign_in(alice)
    await api_here.me(pair["access_token"], status=401)
    await api_here.refresh(pair["refresh_token"], status=401)
    await api_here.me(back["access_token"])
    assert await ends(db, alice) == [("revoked", True)]


@pytest.mark.parametrize("act", ["block", "unblock", "revoke-sessions"])
async def test_who_may_not_block(api_here: Served, act: str) -> None:
    """Customers and staff may not; nobody blocks whom nobody knows, or what is no user id."""
    alice = await api_here.account()
    for role in ("customer", "doctor", "consultant"):
        token = api_here.token("bob", role)
        await api_here.call("POST", f"/v1/admin/users/{alice}/{act}", token, status=403)
    await api_here.call("POST", f"/v1/admin/users/nobody-at-all/{act}", status=404)
    await api_here.call("POST", f"/v1/admin/users/a.b/{act}", status=422)


# --- other processes, and the record ----------------------------------------------------------------------------------


async def test_another_process_learns_it_from_postgres(
    api_here: Served, engine: AsyncEngine, uow: PostgresUnitOfWork
) -> None:
    """What one process has revoked, another refuses after a look at the tables, also one that starts later."""
    alice, bob, carol = [await api_here.account(name) for name in ("alice", "bob", "carol")]
    tokens_of = {user: (await api_here.sign_in(user))["access_token"] for user in (alice, bob, carol)}
    known = Revocations()
    other = RevocationsWatcher(engine, known)
    await other.load()

    def refused(user_id: str) -> str | None:
        principal = api_here.access.verifier.verify(tokens_of[user_id])
        found = known.refuses(principal)
        return None if found is None else found.value

    assert [refused(user) for user in (alice, bob, carol)] == [None, None, None]
    await api_here.call("POST", f"/v1/admin/users/{alice}/block", status=204)
    await api_here.call("POST", "/v1/auth/logout", tokens_of[bob], status=204)
    await api_here.call("POST", f"/v1/admin/users/{carol}/revoke-sessions", status=204)
    await other.load()
    assert [refused(user) for user in (alice, bob, carol)] == ["user_blocked", "token_revoked", "token_revoked"]
    await api_here.call("POST", f"/v1/admin/users/{alice}/unblock", status=204)
    await other.load()
    assert refused(alice) == "token_revoked"
    known = Revocations()
    await RevocationsWatcher(engine, known).load()
    assert [refused(user) for user in (alice, bob, carol)] == ["token_revoked"] * 3


async def test_the_users_table_is_rebuilt_with_blocks_and_names(
    api_here: Served, settings: ChatApiSettings, db: asyncpg.Connection[Any]
) -> None:
    """Blocks and ended sessions follow from the record like everything that the read tables say."""
    from chat_api import migrate
    from chat_api.store.database import create_engine

    alice, bob = await api_here.account("alice"), await api_here.account("bob")
    for act in ("revoke-sessions", "block", "unblock", "block"):
        await api_here.call("POST", f"/v1/admin/users/{alice}/{act}", status=204)
    for act in ("block", "unblock"):
        await api_here.call("POST", f"/v1/admin/users/{bob}/{act}", status=204)
    await api_here.access.newcomers.meet_user(bob, "Robert", ("doctor",))
    engine = create_engine(settings, "test rebuild", patient=True)

    class Silent:
        def started(self, total: int) -> None: ...
        def advanced(self, count: int) -> None: ...

    try:
        found = await rebuild.rebuild(
            engine,
            revision=migrate.head_revision(),
            migration_lock=migrate.MIGRATION_LOCK,
            check=True,
            progress=Silent(),
        )
    finally:
        await engine.dispose()
    assert rebuild.equal(found)
    row = await db.fetchrow("SELECT name, roles, blocked_at FROM users WHERE user_id = $1", bob)
    assert row is not None
    assert (row["name"], row["roles"], row["blocked_at"]) == ("Robert", ["doctor"], None)


async def test_old_sessions_are_forgotten(
    api_here: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """What nobody needs any more goes, in batches; open sessions stay."""
    alice = await api_here.account()
    gone = [await api_here.sign_in(alice) for _ in range(3)]
    stays = await api_here.sign_in(alice)
    for pair in gone:
        await api_here.call("POST", "/v1/auth/logout", pair["access_token"], status=204)
    assert await uow.forget_old_sessions(now(), 2) == 0
    later = now() + timedelta(days=8)
    assert await uow.forget_old_sessions(later, 2) == 2
    assert await uow.forget_old_sessions(later, 2) == 1
    assert await db.fetchval("SELECT count(*) FROM sessions") == 1
    assert await db.fetchval("SELECT count(*) FROM refresh_tokens") == 1
    await api_here.refresh(stays["refresh_token"])


async def test_no_session_without_a_stream_of_its_own(api_here: Served) -> None:
    """A user whose id is a prefix of another's is another user."""
    name = f"u-{new_id()[-12:]}"
    for user_id in (name, f"{name}1"):
        body = {"user_id": user_id, "password": PASSWORD}
        await api_here.call("POST", "/v1/users", json=body, status=201)
    pair, other = await api_here.sign_in(name), await api_here.sign_in(f"{name}1")
    await api_here.call("POST", "/v1/auth/logout", pair["access_token"], json={"all": True}, status=204)
    await api_here.me(other["access_token"])
