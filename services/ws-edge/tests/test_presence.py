"""What an edge writes down of itself, read from a real bucket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js.kv import KeyValue

from contracts.codec import decode
from contracts.presence import EDGES_BUCKET, PRESENCE_BUCKET, EdgeLease, EdgePresence
from ws_edge import presence
from ws_edge.app import Edge
from ws_edge.testing.servers import NatsServer, running_edge, until

from .support import frame, joined

PATIENCE_S = 10.0


async def value(client: Client, bucket: str, key: str) -> bytes | None:
    """What stands under the key now."""
    try:
        kv: KeyValue = await client.jetstream().key_value(bucket)
        return (await kv.get(key)).value
    except (nats.js.errors.NotFoundError, nats.js.errors.BucketNotFoundError):
        return None


async def entry(client: Client, user_id: str, edge_id: str = "edge-1") -> EdgePresence | None:
    found = await value(client, PRESENCE_BUCKET, f"{user_id}.{edge_id}")
    return None if found is None else decode(EdgePresence, found)


async def lease(client: Client, edge_id: str = "edge-1") -> EdgeLease | None:
    found = await value(client, EDGES_BUCKET, edge_id)
    return None if found is None else decode(EdgeLease, found)


async def becomes(true: Callable[[], Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not await true():  # each look is a round trip to NATS
            pass


async def is_written(client: Client, user_id: str, sockets: int) -> bool:
    found = await entry(client, user_id)
    return (0 if found is None else len(found.connections)) == sockets


@pytest.fixture
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed every 100 ms."""
    monkeypatch.setattr(presence, "LEASE_RENEW_S", 0.1)


async def test_presence_is_right_within_a_second_of_coming_and_going(edge: Edge, sender: Client) -> None:
    """Seed rows S6, S7: every socket with its device and since when; the key goes with the last one."""
    async with joined(edge, "ann", "?device_type=mobile&device_id=p1", roles=("doctor", "nonsense")):
        await becomes(lambda: is_written(sender, "ann", 1), 1.0)
        async with joined(edge, "ann", "?connection_type=admin", roles=("admin",)):
            await becomes(lambda: is_written(sender, "ann", 2), 1.0)
        await becomes(lambda: is_written(sender, "ann", 1), 1.0)
        found = await entry(sender, "ann")
        assert found is not None
        (phone,) = found.connections
        assert (phone.device_type.value, phone.device_id, phone.roles) == ("mobile", "p1", ("doctor",))
        assert phone.connection_id == edge.registry.of("ann")[0].id
        assert timedelta(0) <= datetime.now(UTC) - phone.connected_at < timedelta(seconds=10)
        alive = await lease(sender)
        assert alive is not None
        assert alive.instance == found.instance
    await becomes(lambda: is_written(sender, "ann", 0), 1.0)


@pytest.mark.usefixtures("quick_lease")
async def test_whether_somebody_sits_there_is_written(edge: Edge, sender: Client) -> None:
    """Within a second of the app's word, and nothing is written when it says the same again."""

    async def written(idle: bool) -> bool:
        found = await entry(sender, "ann")
        return found is not None and [one.idle for one in found.connections] == [idle]

    async with joined(edge, "ann", "?device_type=desktop") as client:
        await becomes(lambda: written(False), 1.0)
        for active in (False, False, True):
            await client.send(json.dumps({"action": "activity", "ref": 1, "data": {"active": active}}))
            assert await frame(client) == {"action": "ack", "ref": 1, "data": {"active": active}}
            await becomes(lambda: written(not active), 1.0)  # noqa: B023 - awaited before the next turn


async def test_the_lease_is_renewed_with_figures(edge: Edge, sender: Client) -> None:
    """Whoever reads it knows that the edge lives, and how many it holds."""
    async with joined(edge, "ann", "?device_type=tablet", roles=("customer",)):

        async def counted() -> bool:
            found = await lease(sender)
            return found is not None and found.figures.connections == 1

        await becomes(counted)
        first = await lease(sender)
        assert first is not None
        assert first.figures.by_device == {"tablet": 1}
        assert first.figures.by_role == {"customer": 1}

        async def renewed() -> bool:
            found = await lease(sender)
            return found is not None and found.renewed_at > first.renewed_at

        await becomes(renewed)


async def test_a_stopped_edge_takes_everything_back(nats_server: NatsServer, sender: Client) -> None:
    """Nobody has to wait for its lease to run out."""
    async with running_edge(nats_server.url, edge_id="edge-1") as edge, joined(edge, "ann"), joined(edge, "bob"):
        await becomes(lambda: is_written(sender, "bob", 1))
        edge.stop()
        await becomes(lambda: is_written(sender, "ann", 0))

        async def gone() -> bool:
            return await lease(sender) is None

        await becomes(gone)
        assert await is_written(sender, "bob", 0)


async def test_buckets_lost_with_nats_are_written_anew(nats_server: NatsServer, edge: Edge, sender: Client) -> None:
    """They are in memory: after a restart of NATS every edge says again who is there."""
    async with joined(edge, "ann") as client:
        await becomes(lambda: is_written(sender, "ann", 1))
        await nats_server.stop()
        await until(lambda: not edge.health.ready, "not ready")
        await nats_server.start()
        assert (await frame(client))["action"] == "resync"
        await until(lambda: sender.is_connected, "the test is connected, too")
        await becomes(lambda: is_written(sender, "ann", 1))
    await becomes(lambda: is_written(sender, "ann", 0))


@pytest.mark.usefixtures("quick_lease")
async def test_buckets_that_somebody_deleted_are_made_again(edge: Edge, sender: Client) -> None:
    """Noticed by the lease, without any interruption of the connection."""
    async with joined(edge, "ann"):
        await becomes(lambda: is_written(sender, "ann", 1))
        for bucket in (PRESENCE_BUCKET, EDGES_BUCKET):
            await sender.jetstream().delete_key_value(bucket)
        await becomes(lambda: is_written(sender, "ann", 1))


@pytest.mark.usefixtures("quick_lease")
async def test_an_edge_that_was_frozen_writes_everything_anew(edge: Edge, sender: Client) -> None:
    """Others took it for dead and cleaned up behind it; its connection never broke."""
    async with joined(edge, "ann"):
        await becomes(lambda: is_written(sender, "ann", 1))
        kv = await sender.jetstream().key_value(PRESENCE_BUCKET)
        await kv.delete("ann.edge-1")
        assert edge._sockets is not None
        edge._sockets.attendance.presence._renewed_at_s -= 100
        await becomes(lambda: is_written(sender, "ann", 1))


async def test_the_mark_of_a_deletion_ends_by_itself(edge: Edge, sender: Client) -> None:
    """Users who come once and never again leave nothing behind."""
    async with joined(edge, "ann"):
        await becomes(lambda: is_written(sender, "ann", 1))
    await becomes(lambda: is_written(sender, "ann", 0))
    answer = await sender.request(
        "$JS.API.DIRECT.GET.KV_presence", json.dumps({"last_by_subj": "$KV.presence.ann.edge-1"}).encode()
    )
    headers: Any = answer.headers
    assert (headers["KV-Operation"], headers["Nats-TTL"]) == ("DEL", "60s")


async def test_many_who_come_at_once_are_all_written(nats_server: NatsServer, sender: Client) -> None:
    """More than one batch of writes; whoever leaves meanwhile is not left behind."""
    async with running_edge(nats_server.url, edge_id="edge-1") as edge:
        assert edge._sockets is not None
        writer = edge._sockets.attendance.presence
        async with joined(edge, "ann"):
            everybody = [f"u{number}" for number in range(300)]
            (real,) = edge.registry.of("ann")
            for user_id in everybody:
                edge.registry._users[user_id] = (real,)
                writer.changed(user_id)
            await becomes(lambda: is_written(sender, "u299", 1))
            for user_id in everybody:
                del edge.registry._users[user_id]
                writer.changed(user_id)
            await until(lambda: list(writer._written) == ["ann"], "all deleted")
            assert await is_written(sender, "u0", 0)
