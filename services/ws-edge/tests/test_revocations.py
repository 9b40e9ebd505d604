"""Revoked tokens at a real edge: sockets close at once, and the door stays closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import StorageType
from websockets.asyncio.client import connect

from contracts import subjects
from contracts.codec import encode
from contracts.control import (
    REVOCATIONS_AGE_MAX_S,
    REVOCATIONS_BUCKET,
    Disconnect,
    Revocation,
    block_key,
    session_key,
    user_key,
)
from contracts.delivery import DELIVERY_HEADER
from contracts.ids import new_id
from kit import buckets
from ws_edge import revocations
from ws_edge.app import Edge
from ws_edge.testing.servers import NatsServer, running_edge, token, until

from .support import close_code, frame, joined, said

SESSION = new_id()


async def revoke(client: Client, key: str, user_id: str = "ann", **fields: Any) -> None:
    """What fan-out writes."""
    js = client.jetstream()
    await buckets.ensure(js, REVOCATIONS_BUCKET, storage=StorageType.FILE, max_age_s=REVOCATIONS_AGE_MAX_S)
    kv = await js.key_value(REVOCATIONS_BUCKET)
    await kv.put(key, encode(Revocation(**{"user_id": user_id, "at": datetime.now(UTC), **fields})))


async def turned_away(edge: Edge, given: str) -> int:
    """The code with which this token is refused at the door."""
    headers = {"Authorization": f"Bearer {given}"}
    async with connect(f"ws://127.0.0.1:{edge.port}/v1/ws", additional_headers=headers) as client:
        return await close_code(client)


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[Edge]:
    async with running_edge(nats_server.url, edge_id="edge-2") as edge:
        yield edge


async def test_a_revoked_session_ends_on_every_edge_within_a_second(edge: Edge, other: Edge, sender: Client) -> None:
    """Its sockets close and get nothing more, its token opens no socket and refreshes none; the others stay."""
    mine = token(edge, "ann", session_id=SESSION)
    async with (
        joined(edge, "ann", given=mine) as one,
        joined(other, "ann", given=mine) as two,
        joined(edge, "ann", given=token(edge, "ann", session_id=new_id())) as stays,
    ):
        async with asyncio.timeout(1):
            await revoke(sender, session_key(SESSION), session_id=SESSION)
            assert [await close_code(one), await close_code(two)] == [4401, 4401]
        await sender.publish(subjects.user("ann"), b'{"n":1}', headers={DELIVERY_HEADER: "l x"})
        assert await frame(stays) == {"n": 1}
        assert [await turned_away(edge, mine), await turned_away(other, mine)] == [4401, 4401]
        answer = await said(stays, "refresh_token", {"token": mine})
        assert (answer["action"], answer["data"]["code"]) == ("error", "token_revoked")


async def test_a_blocked_user_is_out_until_unblocked(edge: Edge, sender: Client) -> None:
    """4403, with old and new tokens alike; nobody else notices."""
    async with joined(edge, "ann") as ann, joined(edge, "bob") as bob:
        await revoke(sender, block_key("ann"), blocked=True)
        assert await close_code(ann) == 4403
        assert ann.close_reason is not None
        assert ann.close_reason.startswith("user_blocked")
        assert await turned_away(edge, token(edge, "ann")) == 4403
        await revoke(sender, block_key("ann"), lifted=True)
        await until(lambda: not edge.expulsion._revocations.is_blocked("ann"), "unblocked")
        async with joined(edge, "ann"):
            assert (await said(bob, "ping", {}))["action"] == "pong"


async def test_all_tokens_up_to_a_moment(edge: Edge, sender: Client) -> None:
    """What was issued later is good."""
    old = token(edge, "ann")
    await revoke(sender, user_key("ann"))
    await until(lambda: len(edge.expulsion._revocations) == 1, "heard")
    assert await turned_away(edge, old) == 4401
    async with joined(edge, "ann"):
        pass


async def test_an_edge_that_starts_knows_what_was_revoked_before(nats_server: NatsServer, sender: Client) -> None:
    """It reads the bucket before it says that it is ready."""
    for number in range(300):
        await revoke(sender, session_key(new_id()), f"u{number}", session_id=new_id())
    await revoke(sender, block_key("ann"), blocked=True)
    async with running_edge(nats_server.url) as edge:
        assert await turned_away(edge, token(edge, "ann")) == 4403


async def test_what_was_revoked_while_the_edge_did_not_hear(
    nats_server: NatsServer, edge: Edge, sender: Client
) -> None:
    """Cut off from NATS, or with a new connection: it reads everything again; the bucket survives NATS' restart."""
    await revoke(sender, block_key("zoe"), "zoe", blocked=True)
    async with joined(edge, "ann") as ann:
        await nats_server.stop()
        await until(lambda: not edge.health.ready, "not ready")
        await nats_server.start()
        assert (await frame(ann))["action"] == "resync"
        await until(lambda: sender.is_connected, "the test is connected, too")
        await revoke(sender, block_key("ann"), blocked=True)
        assert await close_code(ann) == 4403
    await until(lambda: edge.health.ready, "ready again")
    assert await turned_away(edge, token(edge, "zoe")) == 4403


async def test_a_watch_that_died_is_noticed(
    nats_server: NatsServer, sender: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its subscription is gone, and nothing says so: the bucket's end is compared with what was heard."""
    monkeypatch.setattr(revocations.RevocationWatch.__init__, "__kwdefaults__", {"check_every_s": 0.2})
    async with running_edge(nats_server.url) as edge, joined(edge, "ann") as ann:
        assert edge._bus is not None
        deaf = edge._bus._client
        dropped = [sid for sid, one in deaf._subs.items() if "KV_revocations" in str(one._jsi and one._jsi._stream)]
        assert dropped
        for sid in dropped:
            del deaf._subs[sid]
        await revoke(sender, block_key("ann"), blocked=True)
        assert await close_code(ann) == 4403


async def test_an_admin_disconnects_a_user(edge: Edge, other: Edge, sender: Client) -> None:
    """Every edge closes what matches; the user may come back."""
    async with (
        joined(edge, "ann", "?device_type=mobile") as phone,
        joined(other, "ann") as laptop,
        joined(edge, "bob") as bob,
    ):
        order = Disconnect.model_validate({"user_id": "ann", "device_type": "mobile"})
        await sender.publish(subjects.DISCONNECT, encode(order))
        assert await close_code(phone) == 1001
        await sender.publish(subjects.DISCONNECT, encode(Disconnect(user_id="ann")))
        assert await close_code(laptop) == 1001
        assert (await said(bob, "ping", {}))["action"] == "pong"
        async with joined(edge, "ann"):
            pass
