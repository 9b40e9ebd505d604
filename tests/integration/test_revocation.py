"""Whoever was blocked, signed out or removed gets nothing more: on every edge, within a second, nor by resuming."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
from websockets.exceptions import InvalidStatus

from contracts.ids import new_id
from kit.testing import IssuerForTests
from stack import StackOptions

from .clients.api import Api
from .clients.socket import Device, device
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

PASSWORD = "correct horse"
WITHIN_S = 1.0
REFUSED = 4401
BLOCKED = 4403


def admin(world: World) -> Api:
    """Somebody with the role admin."""
    return Api(world.stack, world.http, f"admin-{new_id()[-12:]}", ["admin"])


async def account(world: World, name: str) -> Api:
    """A user with a password."""
    user_id = f"{name}-{new_id()[-12:]}"
    body = {"user_id": user_id, "name": name.title(), "roles": ["customer"], "password": PASSWORD}
    await world.service.ok("POST", "/v1/users", json=body)
    return Api(world.stack, world.http, user_id, ["customer"])


async def sign_in(world: World, user_id: str) -> dict[str, Any]:
    """A session of a local account."""
    body = {"user_id": user_id, "password": PASSWORD}
    answer = await world.http.post(world.stack.api_url + "/v1/auth/token", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def using(who: Api, token: str) -> Api:
    """The same user with another token."""
    other = Api.__new__(Api)
    other.__dict__.update(who.__dict__)
    other.token = token
    return other


async def closed(one: Device, code: int, since: float) -> None:
    """The socket is closed with this code, in time."""
    await eventually(lambda: one.close_code is not None, timeout_s=5)
    assert one.close_code == code, one.close_reason
    assert time.monotonic() - since < WITHIN_S


async def turned_away(world: World, who: Api, edge: int, code: int) -> None:
    """A new socket with this token is closed before it hears anything."""
    async with world.device(who, edge=edge) as again:
        await eventually(lambda: again.close_code is not None)
        assert again.close_code == code
        assert again.frames == []


async def test_a_blocked_user_hears_nothing_more(world: World) -> None:
    """Both devices on two edges are closed within a second; no token, old or new, brings back a socket or a sync."""
    alice, bob = await account(world, "alice"), await account(world, "bob")
    c = await bob.open_conversation(alice.user_id)
    signed_in = using(alice, (await sign_in(world, alice.user_id))["access_token"])
    cursor = (await signed_in.ok("GET", "/v1/sync"))["next_cursor"]
    async with world.device(alice, edge=1) as one, world.device(signed_in, edge=2) as two:
        await bob.send(c, "before")
        await eventually(lambda: one.contents(c) == two.contents(c) == ["before"])
        since = time.monotonic()
        await admin(world).ok("POST", f"/v1/admin/users/{alice.user_id}/block")
        await asyncio.gather(closed(one, BLOCKED, since), closed(two, BLOCKED, since))
        await bob.send(c, "after")
        for who in (alice, signed_in, Api(world.stack, world.http, alice.user_id, ["customer"])):
            answer = await who.call("GET", "/v1/sync", params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (403, "user_blocked")
            for edge in (1, 2):
                await turned_away(world, who, edge, BLOCKED)
        assert one.contents(c) == two.contents(c) == ["before"]
    await admin(world).ok("POST", f"/v1/admin/users/{alice.user_id}/unblock")
    back = using(alice, (await sign_in(world, alice.user_id))["access_token"])

    async def connects() -> bool:
        async with world.device(back, edge=2) as again:
            return bool(again.actions("connected"))

    await eventually(connects)
    assert [
        message["content"] for message in (await back.ok("GET", f"/v1/conversations/{c}/messages"))["messages"]
    ] == [
        "before",
        "after",
    ]
    await turned_away(world, signed_in, 1, REFUSED)


async def test_a_session_that_ends_takes_its_socket_with_it(world: World) -> None:
    """Signing out on one device closes that device's socket and no other's."""
    alice, bob = await account(world, "alice"), await account(world, "bob")
    c = await bob.open_conversation(alice.user_id)
    here, there = [using(alice, (await sign_in(world, alice.user_id))["access_token"]) for _ in range(2)]
    cursor = (await here.ok("GET", "/v1/sync"))["next_cursor"]
    async with world.device(here, edge=1) as one, world.device(there, edge=2) as two:
        since = time.monotonic()
        await here.ok("POST", "/v1/auth/logout")
        await closed(one, REFUSED, since)
        await bob.send(c, "after")
        await eventually(lambda: two.contents(c) == ["after"])
        assert one.contents(c) == []
        assert two.close_code is None
        answer = await here.call("GET", "/v1/sync", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
        for edge in (1, 2):
            await turned_away(world, here, edge, REFUSED)
        # A socket cannot be kept alive with a token that is good no more.
        await two.send({"action": "refresh_token", "ref": "r1", "data": {"token": here.token}})
        refused = await eventually(lambda: two.answer("r1"))
        assert (refused["action"], refused["data"]["code"]) == ("error", "token_revoked")


async def test_an_admin_ends_every_session(world: World) -> None:
    """Also tokens that the host application has signed; who signs in anew is in at once."""
    alice = await account(world, "alice")
    signed_in = using(alice, (await sign_in(world, alice.user_id))["access_token"])
    async with world.device(alice, edge=1) as one, world.device(signed_in, edge=2) as two:
        since = time.monotonic()
        await admin(world).ok("POST", f"/v1/admin/users/{alice.user_id}/revoke-sessions")
        await asyncio.gather(closed(one, REFUSED, since), closed(two, REFUSED, since))
    for who in (alice, signed_in):
        await turned_away(world, who, 2, REFUSED)
        assert (await who.call("GET", "/v1/sync")).status_code == 401
    back = using(alice, (await sign_in(world, alice.user_id))["access_token"])
    async with world.device(back, edge=1) as again:
        assert again.actions("connected")


async def test_a_stolen_refresh_token_closes_the_thief_s_socket(world: World) -> None:
    """The second use of a refresh token ends the session, for whoever has a socket with it."""
    alice = await account(world, "alice")
    pair = await sign_in(world, alice.user_id)

    async def refresh(token: str) -> httpx.Response:
        return await world.http.post(world.stack.api_url + "/v1/auth/refresh", json={"refresh_token": token})

    thief = (await refresh(pair["refresh_token"])).json()
    thief = (await refresh(thief["refresh_token"])).json()
    async with world.device(using(alice, thief["access_token"]), edge=2) as one:
        since = time.monotonic()
        answer = await refresh(pair["refresh_token"])
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
        await closed(one, REFUSED, since)


async def test_a_removed_member_hears_nothing_more(world: World) -> None:
    """The sockets stay, the conversation does not: no frame after it, nothing by sync, history or events."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    c = await alice.open_conversation(bob.user_id, carol.user_id)
    other = await alice.open_conversation(bob.user_id)
    cursor = (await bob.ok("GET", "/v1/sync"))["next_cursor"]
    async with world.device(bob, edge=1) as one, world.device(bob, edge=2) as two, world.device(carol) as witness:
        await alice.send(c, "before")
        await eventually(lambda: one.contents(c) == two.contents(c) == ["before"])
        since = time.monotonic()
        await alice.ok("DELETE", f"/v1/conversations/{c}/participants/{bob.user_id}")
        await eventually(lambda: one.actions("participant_left") and two.actions("participant_left"))
        assert time.monotonic() - since < WITHIN_S
        for number in range(20):
            await alice.send(c, f"after {number}")
        await alice.send(other, "end")
        await eventually(lambda: one.contents(other) == two.contents(other) == ["end"])
        await eventually(lambda: len(witness.contents(c)) == 21)
        assert one.contents(c) == two.contents(c) == ["before"]
        page = await bob.ok("GET", "/v1/sync", params={"cursor": cursor})
        assert "after" not in json.dumps(page)
        for path in ("messages", "events?after_seq=0"):
            assert (await bob.call("GET", f"/v1/conversations/{c}/{path}")).status_code == 404
        await one.send({"action": "send_message", "ref": "r1", "data": {**_message(c)}})
        refused = await eventually(lambda: one.answer("r1"))
        assert (refused["action"], refused["data"]["code"]) == ("error", "not_found")


def _message(conversation_id: str) -> dict[str, str]:
    return {"conversation_id": conversation_id, "client_msg_id": new_id(), "content": "let me in"}


async def test_a_user_of_another_issuer(open_world: OpenWorld) -> None:
    """Over HTTP and sockets alike: believed by key, registered when first seen, rotated keys in a moment, blocked at
    once."""
    issuer = IssuerForTests()
    issuer.add("k1", "RS256")
    await issuer.start()
    env = QUICK | {"NATTER_ISSUERS": json.dumps([issuer.settings()])}
    try:
        async with open_world(StackOptions(env={"*": env}, edges=1)) as world:
            await _other_issuer(world, issuer)
    finally:
        await issuer.stop()


async def _other_issuer(world: World, issuer: IssuerForTests) -> None:
    bob = await world.person("bob")
    name = f"alice-{new_id()[-12:]}"
    alice = using(Api(world.stack, world.http, name, ["customer"]), issuer.token("k1", name, name="Alice"))
    await eventually(lambda: _ok(alice))
    c = await bob.open_conversation(name)
    async with world.device(alice) as one:
        await bob.send(c, "hello")
        await eventually(lambda: one.contents(c) == ["hello"])
        issuer.add("k2", "EdDSA")
        rotated = using(alice, issuer.token("k2", name, name="Alice"))

        async def connects() -> bool:
            try:
                async with device(world.stack.edge_urls[0], rotated.token, name) as again:
                    return bool(again.actions("connected"))
            except InvalidStatus as refused:
                if refused.response.status_code != 503:  # while the key is fetched
                    raise
                return False

        await eventually(connects, timeout_s=20, every_s=0.5)
        await eventually(lambda: _ok(rotated), timeout_s=20)
        since = time.monotonic()
        await admin(world).ok("POST", f"/v1/admin/users/{name}/block")
        await closed(one, BLOCKED, since)
    assert (await rotated.call("GET", "/v1/users/me")).status_code == 403


async def _ok(who: Api) -> bool:
    return (await who.call("GET", "/v1/users/me")).status_code == 200
