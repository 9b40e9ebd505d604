"""presence_subscribe, on edges that write what is followed; a scripted chat-api says who may see whom."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client
from websockets.asyncio.client import ClientConnection

from contracts.codes import ErrorCode
from contracts.frames import FrameError
from kit import buckets
from ws_edge.app import Edge
from ws_edge.following import Following
from ws_edge.testing.servers import NatsServer, running_edge, until

from .support import Answers, frame, joined, said, silence


def visible_to_all(asked: dict[str, Any]) -> dict[str, Any]:
    """Everybody may see everybody but `hidden`; the states are none that an edge believes."""
    users = [name for name in asked["subscribe"]["user_ids"] if name != "hidden"]
    return {"users": [{"user_id": name, "online": False} for name in users]}


@pytest.fixture
async def chat_api(sender: Client) -> Answers:
    answers = Answers(visible_to_all)
    await answers.start(sender, "presence")
    return answers


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[Edge]:
    async with running_edge(nats_server.url, edge_id="edge-2") as edge:
        yield edge


def follows(edge: Edge) -> Following:
    assert edge._sockets is not None
    return edge._sockets.attendance.following


async def subscribe(client: ClientConnection, *users: str) -> list[tuple[str, bool, list[str]]]:
    """Whom the answer names, online or not, with which devices."""
    answer = await said(client, "presence_subscribe", {"user_ids": list(users)})
    assert answer["action"] == "ack", answer
    return [(one["user_id"], one["online"], one["device_types"]) for one in answer["data"]["users"]]


async def told(client: ClientConnection) -> tuple[str, bool, list[str]]:
    """The next presence frame."""
    got = await frame(client)
    assert got["action"] == "presence", got
    return got["data"]["user_id"], got["data"]["online"], got["data"]["device_types"]


async def written(edge: Edge, user_id: str) -> None:
    """The edge has written this user's sockets."""
    assert edge._sockets is not None
    writer = edge._sockets.attendance.presence
    await until(lambda: writer._written.get(user_id) is not None and user_id not in writer._dirty, "written")


async def test_changes_of_those_who_are_followed_arrive(edge: Edge, other: Edge, chat_api: Answers) -> None:
    """Seed row S15: the answer says how it stands, frames say what changes, over all edges and devices."""
    async with joined(edge, "ann") as ann, contextlib.AsyncExitStack() as bobs:
        assert await subscribe(ann, "bob", "eve") == [("bob", False, []), ("eve", False, [])]
        phone = await bobs.enter_async_context(joined(other, "bob", "?device_type=mobile"))
        assert await told(ann) == ("bob", True, ["mobile"])
        async with joined(edge, "bob", "?device_type=desktop"):
            assert await told(ann) == ("bob", True, ["desktop", "mobile"])
            async with joined(edge, "bob", "?device_type=mobile"), joined(edge, "stranger"):
                await written(edge, "stranger")
                await silence(ann)  # the same devices as before, and nobody who is followed
        assert await told(ann) == ("bob", True, ["mobile"])
        await phone.close()
        assert await told(ann) == ("bob", False, [])
    assert chat_api.asked[0]["asker"]["user_id"] == "ann"


async def test_the_answer_knows_who_was_there_before(edge: Edge, other: Edge, chat_api: Answers) -> None:
    """Sockets on any edge, written before anybody followed; both are needed to know when the user is gone."""
    async with joined(edge, "ann") as ann, joined(other, "bob") as first:
        async with joined(edge, "bob"):
            await written(edge, "bob")
            await written(other, "bob")
            assert await subscribe(ann, "bob") == [("bob", True, ["desktop"])]
        await first.close()
        assert await told(ann) == ("bob", False, [])


async def test_who_may_not_be_seen_is_not_followed(edge: Edge, chat_api: Answers) -> None:
    """Neither in the answer nor in frames; nothing is subscribed for it."""
    async with joined(edge, "ann") as ann:
        assert await subscribe(ann, "hidden", "bob", "bob") == [("bob", False, [])]
        async with joined(edge, "hidden"), joined(edge, "bob"):
            assert await told(ann) == ("bob", True, ["desktop"])
            await silence(ann)
        assert len(follows(edge)) == 1


async def test_a_subscription_replaces_the_one_before_and_ends_with_the_socket(edge: Edge, chat_api: Answers) -> None:
    """An empty list ends it; what nobody follows any more is not subscribed any more."""
    async with joined(edge, "ann") as ann, joined(edge, "kim") as kim:
        await subscribe(ann, "bob", "eve")
        await subscribe(kim, "eve")
        assert len(follows(edge)) == 2
        await subscribe(ann, "eve")
        async with joined(edge, "bob"), joined(edge, "eve"):
            assert await told(ann) == ("eve", True, ["desktop"])
            assert await told(kim) == ("eve", True, ["desktop"])
            await silence(ann)
            await subscribe(ann)
        assert await told(kim) == ("eve", False, [])
        await silence(ann)
    await until(lambda: len(follows(edge)) == 0 and len(follows(edge).interests) == 0, "nothing is followed")


async def test_a_refusal_leaves_everything_as_it_was(edge: Edge, sender: Client) -> None:
    """Also the failure to ask at all."""
    async with joined(edge, "ann") as ann:
        answer = await said(ann, "presence_subscribe", {"user_ids": ["bob"]})
        assert (answer["action"], answer["data"]["code"]) == ("error", "unavailable")
        assert len(follows(edge)) == 0
        verdict: list[FrameError] = []
        chat_api = Answers(lambda asked: verdict[0] if verdict else visible_to_all(asked))
        await chat_api.start(sender, "presence")
        await subscribe(ann, "bob")
        verdict.append(FrameError(code=ErrorCode.RATE_LIMITED, message="too often"))
        answer = await said(ann, "presence_subscribe", {"user_ids": ["eve"]})
        assert answer["data"]["code"] == "rate_limited"
        async with joined(edge, "eve"), joined(edge, "bob"):
            assert await told(ann) == ("bob", True, ["desktop"])


async def test_no_more_users_are_followed_than_allowed(nats_server: NatsServer, chat_api: Answers) -> None:
    """The limit counts different users; those who are followed already cost nothing."""
    async with (
        running_edge(nats_server.url, presence_followed_max=200) as edge,
        joined(edge, "ann") as ann,
        joined(edge, "kim") as kim,
    ):
        users = [f"u{number}" for number in range(200)]
        assert len(await subscribe(ann, *users)) == 200
        answer = await said(kim, "presence_subscribe", {"user_ids": ["one-more"]})
        assert answer["data"]["code"] == "unavailable"
        assert len(await subscribe(kim, *users)) == 200


async def test_a_killed_edge_is_cleaned_up_and_its_users_go(edge: Edge, sender: Client, chat_api: Answers) -> None:
    """chat-api deletes what a dead edge wrote; a deletion that the bucket refused is not believed."""
    js = sender.jetstream()
    entry = {"edge_id": "dead", "instance": "0198f3a0-1b2c-7000-8000-0000000000e1"}
    socket = {"connection_id": entry["instance"], "device_type": "mobile", "connected_at": "2026-01-31T08:15:00Z"}
    await buckets.ensure(js, "presence")
    kv = await js.key_value("presence")
    value = json.dumps({**entry, "connections": [socket]}).encode()
    old = await kv.put("bob.dead", value)
    new = await kv.put("bob.dead", value)
    async with joined(edge, "ann") as ann:
        assert await subscribe(ann, "bob") == [("bob", True, ["mobile"])]
        assert not await buckets.delete(js, "presence", "bob.dead", old)
        await until(lambda: not follows(edge)._doubted and not follows(edge)._reading.locked(), "looked up")
        await silence(ann)
        assert await buckets.delete(js, "presence", "bob.dead", new)
        assert await told(ann) == ("bob", False, [])


async def test_what_changed_while_nats_was_away_is_told(
    nats_server: NatsServer, edge: Edge, other: Edge, chat_api: Answers
) -> None:
    """Who stayed is not taken for gone meanwhile, although the bucket was lost; who went is."""
    async with joined(edge, "ann") as ann, joined(other, "stays"), joined(other, "goes") as goes:
        await written(other, "stays")
        await written(other, "goes")
        assert await subscribe(ann, "stays", "goes") == [("stays", True, ["desktop"]), ("goes", True, ["desktop"])]
        await nats_server.stop()
        await until(lambda: not edge.health.ready and not other.health.ready, "both notice")
        await goes.close()
        await until(lambda: not other.registry.online("goes"), "gone")
        await nats_server.start()
        assert (await frame(ann))["action"] == "resync"
        assert await told(ann) == ("goes", False, [])
        await silence(ann)
