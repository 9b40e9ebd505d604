"""Rate limits and the bounds of what there may be, over HTTP and sockets' commands, on a real Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.access import Doorkeeper
from chat_api.domain.errors import RateLimited, UserIsBlocked
from chat_api.limits.operations import Operation
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import PASSWORD, Served, served
from contracts.commands import Asker
from contracts.control import Revocation
from contracts.ids import new_id
from contracts.times import now

Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> Serve:
    """The application with settings of the test's choice."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[Served]:
        address = changes.pop("address", "192.0.2.1")
        limited = settings.model_copy(update={"rate_limits": True} | changes)
        async with served(limited, engine, uow, address=address) as made:
            yield made

    return start


async def statuses(here: Served, count: int, method: str, path: str, token: str, **options: Any) -> Counter[int]:
    """How so many requests in a row were answered; a refusal must say when to come again."""
    found: Counter[int] = Counter()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    for _ in range(count):
        answer = await here.http.request(method, path, headers=headers, **options)
        found[answer.status_code] += 1
        if answer.status_code == 429:
            assert answer.json()["code"] == "rate_limited"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return found


async def test_who_sends_too_fast_is_held_back(serve: Serve) -> None:
    """Beyond the burst 429 with Retry-After; others, and reading, are not concerned; nothing refused was stored."""
    async with serve(rate_send_per_s=0.001, rate_send_burst=3) as here:
        alice, bob = await here.account("alice"), await here.account("bob")
        body = {"participant_ids": [bob]}
        opened = await here.call("POST", "/v1/conversations", here.token(alice), json=body, status=201)
        path = f"/v1/conversations/{opened.json()['id']}/messages"
        found: Counter[int] = Counter()
        for _ in range(5):
            message = {"client_msg_id": new_id(), "content": "x"}
            found += await statuses(here, 1, "POST", path, here.token(alice), json=message)
        assert found == {201: 3, 429: 2}
        page = (await here.call("GET", path, here.token(alice))).json()
        assert len(page["messages"]) == 3
        message = {"client_msg_id": new_id(), "content": "x"}
        await here.call("POST", path, here.token(bob), json=message, status=201)


async def test_every_kind_has_its_own_bucket(serve: Serve) -> None:
    """Reads, writes and read cursors of one user do not use up one another."""
    async with serve(rate_read_per_s=0.001, rate_read_burst=4, rate_write_per_s=0.001, rate_write_burst=2) as here:
        token = here.token("alice")
        assert await statuses(here, 6, "GET", "/v1/users/me", token) == {200: 4, 429: 2}
        assert await statuses(here, 4, "POST", "/v1/conversations", token, json={}) == {422: 2, 429: 2}


async def test_a_service_may_do_more(serve: Serve) -> None:
    """Fifty times by default; with the factor 0 as much as it likes."""
    for factor, expected in ((3.0, {200: 6, 429: 2}), (0.0, {200: 8})):
        async with serve(rate_read_per_s=0.001, rate_read_burst=2, rate_service_factor=factor) as here:
            assert await statuses(here, 8, "GET", "/v1/users/me", here.token("host", "service")) == expected
            assert await statuses(here, 4, "GET", "/v1/users/me", here.token("root", "admin")) == {200: 2, 429: 2}


async def test_passwords_cannot_be_tried_fast(serve: Serve) -> None:
    """Five for one user, then 429 even for the right one, and argon2 is not asked; other users may sign in."""
    async with serve() as here:
        alice, bob = await here.account("alice"), await here.account("bob")
        body = {"user_id": alice, "password": "wrong"}
        assert await statuses(here, 7, "POST", "/v1/auth/token", "", json=body) == {401: 5, 429: 2}
        body = {"user_id": alice, "password": PASSWORD}
        assert await statuses(here, 1, "POST", "/v1/auth/token", "", json=body) == {429: 1}
        pair = await here.sign_in(bob)
        change = {"old_password": "wrong", "new_password": "battery staple"}
        answers = await statuses(here, 6, "PUT", "/v1/auth/password", pair["access_token"], json=change)
        assert answers == {401: 4, 429: 2}


async def test_one_address_cannot_try_many_users(serve: Serve) -> None:
    """Twenty a minute from one address, whatever the names; another address is not concerned."""
    async with serve(rate_password_address_per_min=3) as here:
        found: Counter[int] = Counter()
        for number in range(5):
            body = {"user_id": f"nobody-{number}", "password": "x"}
            found += await statuses(here, 1, "POST", "/v1/auth/token", "", json=body)
        assert found == {401: 3, 429: 2}


async def test_refresh_is_counted_by_address(serve: Serve) -> None:
    """Guessing refresh tokens is held back, too."""
    async with serve(rate_write_per_s=0.001, rate_write_burst=2) as here:
        body = {"refresh_token": "x"}
        assert await statuses(here, 4, "POST", "/v1/auth/refresh", "", json=body) == {401: 2, 429: 2}


async def test_keys_of_devices_cannot_be_guessed_fast(serve: Serve) -> None:
    """Who unregisters without signing in is counted by address, as with refresh tokens."""
    async with serve(rate_write_per_s=0.001, rate_write_burst=2) as here:
        path, body = f"/v1/devices/{new_id()}/unregister", {"unregister_key": "x"}
        assert await statuses(here, 4, "POST", path, "", json=body) == {204: 2, 429: 2}


async def test_nobody_is_counted_without_a_token(serve: Serve) -> None:
    """A request without a good token is 401, however many there are; health is free."""
    async with serve(rate_read_burst=1, rate_read_per_s=0.001) as here:
        assert await statuses(here, 5, "GET", "/v1/users/me", "nonsense") == {401: 5}
        assert await statuses(here, 5, "GET", "/healthz/live", "") == {200: 5}


async def test_limits_can_be_off(serve: Serve) -> None:
    """For tests and measurements."""
    async with serve(rate_limits=False, rate_read_burst=1, rate_read_per_s=0.001) as here:
        assert await statuses(here, 20, "GET", "/v1/users/me", here.token("alice")) == {200: 20}


async def test_a_socket_s_commands_pass_the_same_door(serve: Serve) -> None:
    """The same buckets as over HTTP; who is blocked is refused; the error says in how many ms to come again."""
    async with serve(rate_read_per_s=0.5, rate_read_burst=2) as here:
        door = Doorkeeper(here.access)
        alice = Asker(user_id="alice", roles=("customer",), connection_id=new_id())
        await here.me(here.token("alice"))
        await door.admit_asker(Operation.READ, alice)
        with pytest.raises(RateLimited) as refused:
            await door.admit_asker(Operation.READ, alice)
        assert refused.value.retry_after_ms is not None
        assert 1000 < refused.value.retry_after_ms <= 2000
        await door.admit_asker(Operation.TYPING, alice)
        here.access.revocations.apply(Revocation(user_id="alice", blocked=True, at=now()))
        with pytest.raises(UserIsBlocked):
            await door.admit_asker(Operation.TYPING, alice)


async def test_a_user_s_conversations_are_bounded(serve: Serve) -> None:
    """One more than may be is refused, whoever opens it for the owner; leaving one makes room."""
    async with serve(conversations_per_user_max=2, rate_limits=False) as here:
        alice, bob = await here.account("alice"), await here.account("bob")
        await here.call("POST", "/v1/conversations", here.token(alice), json={}, status=201)
        body = {"participant_ids": [alice]}
        opened = await here.call("POST", "/v1/conversations", here.token(bob), json=body, status=201)
        bobs = opened.json()["id"]
        refused = await here.call("POST", "/v1/conversations", here.token(alice), json={}, status=422)
        assert refused.json()["code"] == "limit_reached"
        refused = await here.call("POST", "/v1/conversations", json={"owner_id": alice}, status=422)
        assert refused.json()["code"] == "limit_reached"
        await here.call("DELETE", f"/v1/conversations/{bobs}/participants/{alice}", here.token(alice), status=204)
        await here.call("POST", "/v1/conversations", here.token(alice), json={}, status=201)


async def test_a_conversation_s_people_are_bounded(serve: Serve) -> None:
    """Neither at once nor one after the other; who is in already needs no room."""
    async with serve(participants_max=3, rate_limits=False) as here:
        people = [await here.account(name) for name in ("alice", "bob", "carol", "dave")]
        token = here.token(people[0])
        everybody = {"participant_ids": people}
        refused = await here.call("POST", "/v1/conversations", token, json=everybody, status=422)
        assert refused.json()["code"] == "limit_reached"
        body = {"participant_ids": people[1:2]}
        opened = (await here.call("POST", "/v1/conversations", token, json=body, status=201)).json()["id"]
        path = f"/v1/conversations/{opened}/participants"
        refused = await here.call("POST", path, token, json={"user_ids": people[2:]}, status=422)
        assert refused.json()["code"] == "limit_reached"
        await here.call("POST", path, token, json={"user_ids": people[1:3]})
        await here.call("POST", path, token, json={"user_ids": people[:3]})
        await here.call("POST", path, token, json={"user_ids": people[3:]}, status=422)
