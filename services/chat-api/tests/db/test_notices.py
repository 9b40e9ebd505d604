"""What the system says, over HTTP on a real Postgres: in a conversation's order, and in a user's own stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from chat_api.testing_world import World, until
from contracts.devices import DeviceType
from contracts.ids import new_id

NOTICE = {"title": "Maintenance", "message": "Back at six.", "type": "maintenance", "data": {"until": "18:00"}}
REMINDER = {
    "title": "Your appointment",
    "content": "Tomorrow at nine.",
    "type": "appointment_reminder",
    "action": "open_appointment",
    "data": {"appointment": 7},
}


@pytest.fixture
async def chat(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application on the fresh database; nobody is held back."""
    async with served(settings.model_copy(update={"rate_limits": False}), engine, uow) as made:
        yield made


async def people(chat: Served, *names: str) -> list[str]:
    """Fresh registered users."""
    made = [f"{name}-{new_id()[-12:]}" for name in names]
    for user_id in made:
        await chat.call("POST", "/v1/users", json={"user_id": user_id, "name": user_id.title()}, status=201)
    return made


async def conversation(chat: Served, owner: str, *others: str) -> str:
    """A fresh conversation's id."""
    body = {"participant_ids": list(others)}
    return str((await chat.call("POST", "/v1/conversations", chat.token(owner), json=body, status=201)).json()["id"])


async def recorded(db: asyncpg.Connection[Any]) -> int:
    """How many events there are."""
    return int(await db.fetchval("SELECT count(*) FROM events"))


async def since(chat: Served, user_id: str, cursor: str) -> list[dict[str, Any]]:
    """What a device that was away is told."""
    page = (await chat.call("GET", f"/v1/sync?cursor={cursor}", chat.token(user_id))).json()
    return list(page["events"])


async def cursor_of(chat: Served, user_id: str) -> str:
    """Where a device of the user stands now."""
    return str((await chat.call("GET", "/v1/sync", chat.token(user_id))).json()["next_cursor"])


# --- to a conversation ------------------------------------------------------------------------------------------------


async def test_a_system_notification_is_a_message_of_the_conversation(chat: Served) -> None:
    """S5: it has its place in the order, and is in history, sync, unread count and last message of everybody."""
    alice, bob = await people(chat, "alice", "bob")
    c = await conversation(chat, alice, bob)
    cursors = {who: await cursor_of(chat, who) for who in (alice, bob)}
    said = (await chat.call("POST", f"/v1/conversations/{c}/system-notifications", json=NOTICE, status=201)).json()
    assert (said["sender_id"], said["sender_type"], said["message_type"]) == ("system", "system", "system")
    assert (said["seq"], said["content"]) == (2, "Back at six.")
    assert said["notice"] == {"title": "Maintenance", "type": "maintenance", "data": {"until": "18:00"}}
    for who in (alice, bob):
        token = chat.token(who)
        page = (await chat.call("GET", f"/v1/conversations/{c}/messages", token)).json()
        assert page["messages"] == [said]
        seen = (await chat.call("GET", f"/v1/conversations/{c}", token)).json()
        assert (seen["unread_count"], seen["last_message"]) == (1, said)
        (event,) = [one for one in await since(chat, who, cursors[who]) if one["type"] == "message.created"]
        assert {name: value for name, value in event["data"].items() if name in said} == said


async def test_a_repeated_notification_is_one(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """The same Idempotency-Key gives the first answer; with another body it is refused."""
    alice, bob = await people(chat, "alice", "bob")
    c = await conversation(chat, alice)
    for path, body in (
        (f"/v1/conversations/{c}/system-notifications", NOTICE),
        (f"/v1/users/{bob}/notifications", REMINDER),
    ):
        before, key = await recorded(db), {"idempotency-key": new_id()}
        first = await chat.call("POST", path, json=body, headers=key, status=201)
        again = await chat.call("POST", path, json=body, headers=key, status=201)
        assert again.json() == first.json()
        other = await chat.call("POST", path, json=body | {"title": "Other"}, headers=key, status=422)
        assert other.json()["code"] == "idempotency_conflict"
        assert await recorded(db) == before + 1


async def test_only_a_service_or_an_admin_speaks_for_the_system(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """A customer, and a consultant who takes part, are refused; a service and an admin need not take part."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    before = await recorded(db)
    paths = [(f"/v1/conversations/{c}/system-notifications", NOTICE), (f"/v1/users/{alice}/notifications", REMINDER)]
    for path, body in paths:
        for role in ("customer", "consultant", "doctor"):
            refused = await chat.call("POST", path, chat.token(alice, role), json=body, status=403)
            assert refused.json()["code"] == "forbidden"
    assert await recorded(db) == before
    for path, body in paths:
        for role in ("service", "admin"):
            await chat.call("POST", path, chat.token("somebody", role), json=body, status=201)


async def test_bad_notices_change_nothing(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """An unknown conversation or user is 404; fields that are missing, too long or unknown are 422."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    before = await recorded(db)
    await chat.call("POST", f"/v1/conversations/{new_id()}/system-notifications", json=NOTICE, status=404)
    await chat.call("POST", "/v1/users/nobody/notifications", json=REMINDER, status=404)
    for change in (
        {"title": ""},
        {"type": "Not A Type"},
        {"data": {"x": "y" * 5000}},
        {"surprise": 1},
        {"title": None},
    ):
        for path, body in (
            (f"/v1/conversations/{c}/system-notifications", NOTICE),
            (f"/v1/users/{alice}/notifications", REMINDER),
        ):
            await chat.call("POST", path, json=body | change, status=422)
    wrong: tuple[dict[str, Any], ...] = (
        {"device_types": ["toaster"]},
        {"action": "no action"},
        {"conversation_id": "x"},
    )
    for field in wrong:
        await chat.call("POST", f"/v1/users/{alice}/notifications", json=REMINDER | field, status=422)
    assert await recorded(db) == before


async def test_a_notice_comes_as_a_system_notification_frame_and_as_a_push(world: World) -> None:
    """S5: everybody gets the frame, nobody is its sender; whoever is away is handed to the notifier."""
    alice, bob, carol = await world.people("alice", "bob", "carol")
    c = await world.conversation(alice, bob, carol)
    world.fanout()
    edges = {who: await world.edge(who, DeviceType.DESKTOP) for who in (alice, bob)}
    async with served(world.settings, world._engine, world.uow) as chat:
        await chat.call("POST", f"/v1/conversations/{c}/system-notifications", json=NOTICE, status=201)

    def told(who: str) -> list[str]:
        return [one["data"]["notice"]["title"] for one in edges[who].frames if one["action"] == "system_notification"]

    await until(lambda: all(told(who) == ["Maintenance"] for who in (alice, bob)), "both have the frame")
    await until(lambda: len(world.handed(carol)) == 1, "carol is handed over")
    await world.until_settled()
    assert world.handed(alice) == world.handed(bob) == []


# --- to one user ------------------------------------------------------------------------------------------------------


async def test_a_direct_message_is_in_sync_and_among_the_notifications(chat: Served) -> None:
    """S2: one user gets it, with everything that was said; nobody else sees a trace of it."""
    alice, bob = await people(chat, "alice", "bob")
    c = await conversation(chat, alice)
    cursors = {who: await cursor_of(chat, who) for who in (alice, bob)}
    body = REMINDER | {"conversation_id": c, "is_important": True}
    said = (await chat.call("POST", f"/v1/users/{alice}/notifications", json=body, status=201)).json()
    assert {name: said[name] for name in body} == body
    assert (said["user_id"], said["sender_type"]) == (alice, "system")
    assert "broadcast_id" not in said
    (event,) = await since(chat, alice, cursors[alice])
    assert (event["type"], event["subject"], event["data"]["notification"]) == ("user.notified", f"user:{alice}", said)
    assert await since(chat, bob, cursors[bob]) == []
    mine = (await chat.call("GET", "/v1/notifications", chat.token(alice))).json()
    assert mine == {"notifications": [said]}
    assert (await chat.call("GET", "/v1/notifications", chat.token(bob))).json() == {"notifications": []}


async def test_device_types_are_part_of_the_event(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """S13: fan-out learns from the event for which devices it is; a type named twice counts once."""
    (alice,) = await people(chat, "alice")
    body = REMINDER | {"device_types": ["mobile", "tablet", "mobile"]}
    await chat.call("POST", f"/v1/users/{alice}/notifications", json=body, status=201)
    data = json.loads(await db.fetchval("SELECT data FROM events WHERE type = 'user.notified'"))
    assert data["device_types"] == ["mobile", "tablet"]
    assert "device_types" not in data["notification"]


async def test_notifications_come_in_pages_newest_first(chat: Served) -> None:
    """Each page goes on below the one before, until there is nothing older."""
    (alice,) = await people(chat, "alice")
    for n in range(5):
        body = REMINDER | {"title": str(n)}
        await chat.call("POST", f"/v1/users/{alice}/notifications", json=body, status=201)
    token, titles, before = chat.token(alice), [], ""
    while page := (await chat.call("GET", f"/v1/notifications?limit=2{before}", token)).json()["notifications"]:
        assert len(page) <= 2
        titles += [one["title"] for one in page]
        before = f"&before={page[-1]['id']}"
    assert titles == ["4", "3", "2", "1", "0"]
    for query in ("limit=0", "limit=201", "before=x"):
        await chat.call("GET", f"/v1/notifications?{query}", token, status=422)


# --- sender_type ------------------------------------------------------------------------------------------------------


async def test_sender_type_is_chat_or_system_and_nothing_else(chat: Served, db: asyncpg.Connection[Any]) -> None:
    """S9: a role's name, or another spelling, is refused; `system` is for a service or an admin."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    path, token = f"/v1/conversations/{c}/messages", chat.token(alice)
    for wrong in ("customer", "consultant", "doctor", "admin", "service", "CHAT", "System", "", None, 1):
        body = {"client_msg_id": new_id(), "content": "hi", "sender_type": wrong, "sender_id": alice}
        await chat.call("POST", path, json=body, status=422)
    for forbidden in ({"sender_type": "system"}, {"sender_name": "The Boss"}):
        told = {"client_msg_id": new_id(), "content": "hi"} | forbidden
        await chat.call("POST", path, token, json=told, status=403)
    said = await chat.call(
        "POST", path, token, json={"client_msg_id": new_id(), "content": "hi", "sender_type": "chat"}, status=201
    )
    assert said.json()["sender_type"] == "chat"
    kinds = await db.fetch("SELECT DISTINCT sender_type FROM messages")
    assert [one["sender_type"] for one in kinds] == ["chat"]


async def test_a_host_application_names_sender_type_and_sender_name(chat: Served) -> None:
    """S1, S9: both are in the message as given; a repeat is one message, another sender_type is no repeat."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    path = f"/v1/conversations/{c}/messages"
    body = {"client_msg_id": new_id(), "content": "hi", "sender_id": alice, "sender_name": "Dr. A."}
    first = (await chat.call("POST", path, json=body | {"sender_type": "system"}, status=201)).json()
    assert (first["sender_id"], first["sender_type"], first["sender_name"]) == (alice, "system", "Dr. A.")
    assert (await chat.call("POST", path, json=body | {"sender_type": "system"})).json() == first
    conflict = await chat.call("POST", path, json=body, status=422)
    assert conflict.json()["code"] == "idempotency_conflict"
    named = body | {"client_msg_id": new_id()}
    registered = {name: value for name, value in named.items() if name != "sender_name"} | {"client_msg_id": new_id()}
    assert (await chat.call("POST", path, json=named, status=201)).json()["sender_name"] == "Dr. A."
    assert (await chat.call("POST", path, json=registered, status=201)).json()["sender_name"] == alice.title()


async def test_the_system_speaks_in_a_conversation_that_it_takes_no_part_in(chat: Served) -> None:
    """S9: `sender_type: system` without a sender is the system itself, which nobody can be registered as."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    body = {"client_msg_id": new_id(), "content": "hi", "sender_type": "system"}
    said = (await chat.call("POST", f"/v1/conversations/{c}/messages", json=body, status=201)).json()
    assert (said["sender_id"], said["sender_type"]) == ("system", "system")
    taken = await chat.call("POST", "/v1/users", json={"user_id": "system"}, status=409)
    assert taken.json()["code"] == "already_exists"
    pretender = {"client_msg_id": new_id(), "content": "hi", "sender_id": "system"}
    await chat.call("POST", f"/v1/conversations/{c}/messages", json=pretender, status=404)


async def test_what_the_system_said_is_changed_by_the_privileged_alone(chat: Served) -> None:
    """In whose name ever it was said; a deleted notice leaves a tombstone without its title."""
    (alice,) = await people(chat, "alice")
    c = await conversation(chat, alice)
    named = {"client_msg_id": new_id(), "content": "hi", "sender_type": "system", "sender_id": alice}
    messages = [
        (await chat.call("POST", f"/v1/conversations/{c}/messages", json=named, status=201)).json(),
        (await chat.call("POST", f"/v1/conversations/{c}/system-notifications", json=NOTICE, status=201)).json(),
    ]
    for message in messages:
        path = f"/v1/messages/{message['id']}"
        await chat.call("PATCH", path, chat.token(alice), json={"content": "mine now"}, status=403)
        await chat.call("DELETE", path, chat.token(alice), status=403)
        edited = (await chat.call("PATCH", path, json={"content": "Back at seven."})).json()
        assert (edited["content"], edited.get("notice")) == ("Back at seven.", message.get("notice"))
        gone = (await chat.call("DELETE", path, chat.token("root", "admin"))).json()
        assert (gone["content"], gone.get("notice")) == ("", None)
    page = (await chat.call("GET", f"/v1/conversations/{c}/messages")).json()
    assert [(one["content"], one.get("notice")) for one in page["messages"]] == [("", None)] * 2
