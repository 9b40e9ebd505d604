"""Users of other issuers: believed by their keys, registered when first seen, on a real Postgres."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.access import Doorkeeper
from chat_api.limits.operations import Operation
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from contracts.commands import Asker
from contracts.ids import new_id
from kit.settings import IssuerSettings
from kit.testing import IssuerForTests


@pytest.fixture
async def issuer() -> AsyncIterator[IssuerForTests]:
    """An issuer with one key, whose key set is served."""
    made = IssuerForTests()
    made.add("k1", "ES256")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def here(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, issuer: IssuerForTests
) -> AsyncIterator[Served]:
    """The application, which believes that issuer and has its keys."""
    issuers = (IssuerSettings(**issuer.settings()),)
    async with served(settings.model_copy(update={"issuers": issuers}), engine, uow) as made:
        give_up = time.monotonic() + 10
        while await answer(made, issuer.token("k1", "probe")) == 503:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)
        yield made


async def answer(here: Served, token: str) -> int:
    """The status of a simple request."""
    return (await here.http.get("/v1/users/me", headers={"authorization": f"Bearer {token}"})).status_code


async def types(db: asyncpg.Connection[Any], user_id: str) -> list[str]:
    """What was recorded about a user."""
    rows = await db.fetch("SELECT type FROM events WHERE stream = $1 ORDER BY seq", f"user:{user_id}")
    return [row["type"] for row in rows]


async def test_a_user_is_registered_on_first_sight(
    here: Served, issuer: IssuerForTests, db: asyncpg.Connection[Any]
) -> None:
    """Name and roles are the token's; a second request records nothing; others may then write to the user."""
    token = issuer.token("k1", "alice", name="Alice", roles=["consultant", "uma_authorization"])
    for _ in range(3):
        assert await here.me(token) == {"user_id": "alice", "name": "Alice", "roles": ["consultant"]}
    assert await types(db, "alice") == ["user.registered"]
    bob = await here.account("bob")
    body = {"participant_ids": ["alice"]}
    await here.call("POST", "/v1/conversations", here.token(bob), json=body, status=201)


async def test_many_first_requests_at_once(here: Served, issuer: IssuerForTests, db: asyncpg.Connection[Any]) -> None:
    """A page that loads asks many things at once; the user is registered once."""
    token = issuer.token("k1", "alice")
    assert set(await asyncio.gather(*(answer(here, token) for _ in range(12)))) == {200}
    assert await types(db, "alice") == ["user.registered"]


async def test_changed_name_and_roles_follow_the_token(
    here: Served, issuer: IssuerForTests, db: asyncpg.Connection[Any]
) -> None:
    """Another name or other roles are an event; a token without a name changes no name."""
    await here.me(issuer.token("k1", "alice", name="Alice"))
    assert await here.me(issuer.token("k1", "alice", name="Alice B", roles=["doctor"])) == {
        "user_id": "alice",
        "name": "Alice B",
        "roles": ["doctor"],
    }
    assert (await here.me(issuer.token("k1", "alice", roles=["doctor"])))["name"] == "Alice B"
    assert await types(db, "alice") == ["user.registered", "user.updated"]


async def test_our_own_tokens_register_nobody(here: Served, db: asyncpg.Connection[Any]) -> None:
    """Whom a host application names it registers itself."""
    await here.me(here.token("stranger"))
    assert await types(db, "stranger") == []


async def test_a_new_key_is_a_matter_of_a_moment(here: Served, issuer: IssuerForTests) -> None:
    """A key that is not here yet is 503 with Retry-After, never 401: the client shall try again, not log in."""
    issuer.add("k2", "RS256")
    refused = await here.call("GET", "/v1/users/me", issuer.token("k2", "alice"), status=503)
    assert refused.json()["code"] == "unavailable"
    assert refused.headers["retry-after"] == "1"


async def test_bad_tokens_of_an_issuer(here: Served, issuer: IssuerForTests, db: asyncpg.Connection[Any]) -> None:
    """Another audience, another issuer, expired: 401 with its code, and nobody is registered."""
    expired = issuer.token("k1", "alice", exp=int(time.time()) - 60)
    assert (await here.me(expired, status=401))["code"] == "token_expired"
    for token in (issuer.token("k1", "alice", aud="shop"), issuer.token("k1", "alice", iss="https://other.example")):
        assert (await here.me(token, status=401))["code"] == "unauthenticated"
    assert await types(db, "alice") == []


async def test_a_blocked_user_of_an_issuer(here: Served, issuer: IssuerForTests) -> None:
    """The issuer goes on vouching, and we go on refusing, until the block is lifted and a new token comes."""
    await here.me(issuer.token("k1", "alice"))
    await here.call("POST", "/v1/admin/users/alice/block", status=204)
    assert (await here.me(issuer.token("k1", "alice"), status=403))["code"] == "user_blocked"
    await here.call("POST", "/v1/admin/users/alice/unblock", status=204)
    # Tokens of theirs say the second only: one from the same second counts as from before.
    later = issuer.token("k1", "alice", iat=int(time.time()) + 2)
    await here.me(later)


async def test_their_sessions_are_not_ours(here: Served, issuer: IssuerForTests) -> None:
    """A claim `sid` of theirs ends nothing here, and is not taken for a session of ours."""
    token = issuer.token("k1", "alice", sid=new_id())
    await here.call("POST", "/v1/auth/logout", token, status=422)
    await here.me(token)


async def test_a_socket_s_first_command_registers_its_user(here: Served, db: asyncpg.Connection[Any]) -> None:
    """Whoever came over a socket first is known afterwards, too; with our own token nobody is registered."""
    door = Doorkeeper(here.access)
    for user_id, issuer in (("alice", "https://login.example"), ("bob", None)):
        asker = Asker(user_id=user_id, name="N", roles=("doctor",), issuer=issuer, connection_id=new_id())
        await door.admit_asker(Operation.TYPING, asker)
    assert await types(db, "alice") == ["user.registered"]
    assert await types(db, "bob") == []
