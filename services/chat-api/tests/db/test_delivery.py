"""The story of one message over HTTP, told from what fan-out wrote down; and everybody's cursors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import push_records
from chat_api.commands import handlers
from chat_api.domain.commands import Actor, AdvanceRead, RemoveParticipant
from chat_api.push_records import PushRecords
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, send
from chat_api.testing_http import Served, served
from chat_api.testing_world import World, eventually, until
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.ids import new_id
from contracts.pushes import DevicePush, DevicePushState, PushRecord, PushState, SkipReason
from contracts.times import now
from kit import tokens

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP


@pytest.fixture
async def http(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application on the world's database."""
    async with served(settings, engine, uow) as made:
        yield made


async def say(world: World, c: str, user_id: str, **more: Any) -> str:
    """A message of now; returns its id."""
    (result,) = await handlers.send_messages([send(c, user_id, now=now(), **more)], world.uow)
    assert isinstance(result, handlers.Sent), result
    return result.message.id


async def story(http: Served, message_id: str, token: str | None = None, **params: Any) -> dict[str, Any]:
    """What is told of a message."""
    told: dict[str, Any] = (await http.call("GET", f"/v1/messages/{message_id}/delivery", token, params=params)).json()
    return told


def states(told: dict[str, Any]) -> dict[str, str]:
    """State by user."""
    return {one["user_id"]: one["state"] for one in told["recipients"]}


async def test_s24_the_story_of_one_message(world: World, http: Served, db: Any) -> None:
    """Read, on two devices, handed over, left out: each recipient has his own line, in the order of the ids."""
    world.fanout()
    alice, both, reader, away, out = await world.people("alice", "both", "reader", "away", "out")
    edge = await world.edge(both, MOBILE, DESKTOP)
    await world.edge(reader, DESKTOP)
    c = await world.conversation(alice, both, reader, away, out)
    message_id = await say(world, c, alice, exclude_user_ids=(out,))
    await world.until_settled()
    await handlers.advance_read(AdvanceRead(c, reader, 2, AT), world.uow)

    async def written() -> bool:
        return bool(await db.fetchval("SELECT count(*) = 3 FROM receipts"))

    await eventually(written, "three receipts are written")
    told = await story(http, message_id)
    assert states(told) == dict(sorted({away: "handed_over", both: "delivered", reader: "read"}.items()))
    assert list(states(told)) == sorted(states(told))
    assert (told["conversation_id"], told["seq"], told["notifier"]) == (c, 2, "not_asked")
    lines = {one["user_id"]: one for one in told["recipients"]}
    assert lines[away]["push"]["handed_over"]["reason"] == "no_connection"
    assert "delivered_at" not in lines[away]
    assert {device["device_type"] for device in lines[both]["devices"]} == {"mobile", "desktop"}
    assert {device["connection_id"] for device in lines[both]["devices"]} == set(edge.connections.values())
    assert lines[both]["delivered_at"] == min(device["received_at"] for device in lines[both]["devices"])
    assert lines[reader]["read"] is True
    # The sender sees the same without the names of other people's connections.
    own = await story(http, message_id, http.token(alice))
    assert states(own) == states(told)
    assert not {"connection_id", "edge_id"} & set(own["recipients"][1]["devices"][0])


async def test_who_may_ask(world: World, http: Served) -> None:
    """The sender, a service, an admin; a member is told no, and for everybody else there is no such message."""
    alice, bob, eve = await world.people("alice", "bob", "eve")
    c = await world.conversation(alice, bob)
    message_id = await say(world, c, alice)
    path = f"/v1/messages/{message_id}/delivery"
    for token in (http.token(alice), http.token("root", "admin"), None):
        await http.call("GET", path, token)
    assert (await http.call("GET", path, http.token(bob), status=403)).json()["code"] == "forbidden"
    assert (await http.call("GET", path, http.token(eve), status=404)).json()["code"] == "not_found"
    await http.call("GET", path, http.token(eve, "doctor"), status=404)
    await http.call("GET", path, "", status=401)
    await http.call("GET", f"/v1/messages/{new_id()}/delivery", status=404)
    await http.call("GET", "/v1/messages/nonsense/delivery", status=422)
    await http.call("GET", path, params={"limit": 201}, status=422)
    await http.call("GET", path, params={"after": "not a user"}, status=422)


async def test_recipients_come_in_pages_and_are_those_of_that_moment(world: World, http: Served) -> None:
    """Who joined later is none; who left later is one, also after coming back; pages miss nobody."""
    (alice, *others) = await world.people("alice", *(f"user{n}" for n in range(7)))
    late, left, back = await world.people("late", "left", "back")
    c = await world.conversation(alice, *others, left, back)
    message_id = await say(world, c, alice)
    from chat_api.domain.commands import AddParticipants

    for user_id in (left, back):
        await handlers.remove_participant(RemoveParticipant(c, Actor(user_id), user_id, AT), world.uow)
    await handlers.add_participants(AddParticipants(c, Actor(alice), (late, back), AT), world.uow, None, 200)
    found: list[str] = []
    after: str | None = None
    while True:
        page = await story(http, message_id, limit=4, **({"after": after} if after else {}))
        found += states(page)
        after = page.get("next_after")
        if after is None:
            break
        assert len(page["recipients"]) == 4
    assert found == sorted([*others, left, back])


async def test_what_is_on_its_way_settled_or_too_old_to_tell(world: World, http: Served, db: Any) -> None:
    """Nobody has fanned it out: waiting. Settled and gone from the notifier's queue: handed over. Too old: unknown."""
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    message_id = await say(world, c, alice)
    assert states(await story(http, message_id)) == {bob: "waiting"}
    world.fanout()
    await until(lambda: world.handed(bob) == [("hello", OfflineReason.NO_CONNECTION)], "bob is handed over")
    await world.until_settled()
    await db.execute("DELETE FROM handovers")  # as when the notifier has taken it
    assert states(await story(http, message_id)) == {bob: "waiting"}, "a receipt might not be written down yet"
    await db.execute("ALTER TABLE events DISABLE TRIGGER USER")
    await db.execute("UPDATE events SET recorded_at = $1", now() - timedelta(minutes=1))
    assert states(await story(http, message_id)) == {bob: "handed_over"}
    await db.execute("UPDATE events SET recorded_at = $1", now() - timedelta(days=8))
    assert states(await story(http, message_id)) == {bob: "unknown"}
    await db.execute("INSERT INTO delivered VALUES ($1, $2, 2)", c, bob)
    assert states(await story(http, message_id)) == {bob: "delivered"}, "the cursor outlives the ledger"


def notifier(settings: ChatApiSettings, records: list[PushRecord], *, slow: bool = False) -> httpx.MockTransport:
    """A notifier that answers as `GET /v1/pushes` does, two records at a time."""

    async def answer(request: httpx.Request) -> httpx.Response:
        if slow:
            await asyncio.sleep(30)
        principal = tokens.verify(settings.jwt_secret.get_secret_value(), request.headers["authorization"][7:])
        assert principal.acts_for_others
        assert request.url.params["event_id"]
        after = int(request.url.params["after_id"])
        page = [one for one in records if one.id > after][: push_records.PAGE_MAX]
        body = {
            "pushes": [one.model_dump(mode="json") for one in page],
            "next_after_id": page[-1].id if page else after,
        }
        return httpx.Response(200, json=body)

    return httpx.MockTransport(answer)


async def test_the_notifier_s_part_of_the_story(
    world: World, http: Served, settings: ChatApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked if it is known where it is; an answer that does not come in time is "unknown", and nothing waits for it."""
    monkeypatch.setattr(push_records, "PAGE_MAX", 2)
    alice, bob, carol = await world.people("alice", "bob", "carol")
    c = await world.conversation(alice, bob, carol)
    message_id = await say(world, c, alice)
    records = [
        PushRecord(
            id=number,
            event_id=new_id(),
            user_id=user_id,
            reason=OfflineReason.NO_CONNECTION,
            state=PushState.SKIPPED,
            skip_reason=SkipReason.MUTED,
            received_at=AT,
        )
        for number, user_id in enumerate(("x", "y", "z", bob), 1)
    ]

    def asks(transport: httpx.MockTransport) -> None:
        app = http.http._transport.app  # type: ignore[attr-defined]
        app.state.push_records = PushRecords("http://notifier", settings.jwt_secret, transport)

    asks(notifier(settings, records))
    told = await story(http, message_id)
    assert told["notifier"] == "answered"
    lines = {one["user_id"]: one for one in told["recipients"]}
    decided = {"state": "skipped", "attempts": 0, "devices": []}
    assert lines[bob]["push"]["decision"] == decided | {"skip_reason": "muted", "held": False}
    assert states(told) == {bob: "handed_over", carol: "waiting"}
    own = {one["user_id"]: one for one in (await story(http, message_id, http.token(alice)))["recipients"]}
    assert own[bob]["push"]["decision"] == decided, "whom bob does not want to hear is not for alice to know"
    monkeypatch.setattr(push_records, "TIMEOUT_S", 0.2)
    for broken in (
        notifier(settings, records, slow=True),
        httpx.MockTransport(lambda _: httpx.Response(500)),
        httpx.MockTransport(lambda _: httpx.Response(200, json={"pushes": "nonsense"})),
    ):
        asks(broken)
        started = time.monotonic()
        told = await story(http, message_id)
        assert told["notifier"] == "unknown"
        assert states(told) == {bob: "waiting", carol: "waiting"}
        assert time.monotonic() - started < 5


async def test_the_push_to_each_device(world: World, http: Served, settings: ChatApiSettings) -> None:
    """Services see everything; the sender sees how far each push is, and not whose device it went to, or why not."""
    alice, bob = await world.people("alice", "bob")
    message_id = await say(world, await world.conversation(alice, bob), alice)
    accepted = DevicePush(
        id=new_id(),
        device=new_id(),
        device_type=MOBILE,
        provider="fcm",
        state=DevicePushState.ACCEPTED,
        attempts=2,
        provider_ref="projects/x/messages/1",
        last_error="HTTP 503",
        attempted_at=AT,
        accepted_at=AT,
        acknowledged_at=AT,
        retracted_at=AT,
    )
    skipped = DevicePush(
        id=new_id(),
        device=new_id(),
        device_type=MOBILE,
        provider="apns",
        state=DevicePushState.SKIPPED,
        skip_reason=SkipReason.TOKEN_GONE,
        attempts=1,
    )
    record = PushRecord(
        id=1,
        event_id=new_id(),
        user_id=bob,
        reason=OfflineReason.NO_CONNECTION,
        state=PushState.SENT,
        provider="fcm",
        received_at=AT,
        due_at=AT,
        held=True,
        devices=(accepted, skipped),
    )
    app = http.http._transport.app  # type: ignore[attr-defined]
    app.state.push_records = PushRecords("http://notifier", settings.jwt_secret, notifier(settings, [record]))

    async def decision(token: str | None) -> dict[str, Any]:
        (told,) = (await story(http, message_id, token))["recipients"]
        found: dict[str, Any] = told["push"]["decision"]
        return found

    for staff in (None, http.token("root", "admin")):
        whole = await decision(staff)
        assert (whole["held"], "due_at" in whole) == (True, True)
        assert [one | {"id": one.pop("push_id")} for one in whole["devices"]] == [
            one.model_dump(mode="json", exclude_none=True) for one in (accepted, skipped)
        ]
    own = await decision(http.token(alice))
    at = accepted.model_dump(mode="json")["accepted_at"]
    times = ("attempted_at", "accepted_at", "acknowledged_at", "retracted_at")
    assert own == {
        "state": "sent",
        "provider": "fcm",
        "attempts": 0,
        "devices": [
            {"device_type": "mobile", "provider": "fcm", "state": "accepted", "attempts": 2} | dict.fromkeys(times, at),
            {"device_type": "mobile", "provider": "apns", "state": "skipped", "attempts": 1},
        ],
    }


async def test_cursors_tell_a_client_that_was_away(world: World, http: Served, db: Any) -> None:
    """Read and delivered of every member, the furthest first; for members and privileged callers only."""
    world.fanout()
    alice, bob, carol, eve = await world.people("alice", "bob", "carol", "eve")
    await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob, carol)
    for _ in range(3):
        await say(world, c, alice)
    await handlers.advance_read(AdvanceRead(c, carol, 3, AT), world.uow)

    async def written() -> bool:
        return bool(await db.fetchval("SELECT seq = 4 FROM delivered WHERE user_id = $1", bob))

    await eventually(written, "bob's cursor is written")
    path = f"/v1/conversations/{c}/cursors"
    told = (await http.call("GET", path, http.token(alice))).json()["cursors"]
    assert told == [
        {"user_id": bob, "read_seq": 1, "delivered_seq": 4},
        {"user_id": carol, "read_seq": 3, "delivered_seq": 3},
        {"user_id": alice, "read_seq": 1, "delivered_seq": 1},
    ]
    await http.call("GET", path)
    await http.call("GET", path, http.token(eve), status=404)
    await http.call("GET", f"/v1/conversations/{new_id()}/cursors", status=404)
    await http.call("GET", "/v1/conversations/nonsense/cursors", http.token(alice), status=422)


async def test_the_story_walks_indexes(world: World, db: Any) -> None:
    """None of its questions reads a whole table of those that grow with use."""
    await db.execute("SET enable_seqscan = off")
    for query in (
        "SELECT * FROM receipts WHERE stream = 's' AND seq = 1 AND user_id = ANY(ARRAY['a'])",
        "SELECT * FROM receipts WHERE received_at < now() - interval '7 days' ORDER BY received_at LIMIT 10",
        "SELECT * FROM events WHERE stream = 's' AND type IN ('user.blocked', 'user.unblocked') ORDER BY seq DESC",
        "SELECT * FROM events WHERE recorded_at > now() - interval '7 days' AND type = 'user.sessions_ended'"
        " ORDER BY recorded_at, position LIMIT 10",
    ):
        plan = "\n".join(row[0] for row in await db.fetch(f"EXPLAIN {query}"))
        assert "Seq Scan" not in plan, plan
