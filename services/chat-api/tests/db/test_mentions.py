"""Users whom a message mentions: over HTTP, on real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from contracts.ids import new_id


@pytest.fixture
async def natter(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application at work."""
    async with served(settings, engine, uow) as made:
        yield made


async def talk(natter: Served, *others: str) -> tuple[str, str]:
    """Alice's token, and the messages' path of her conversation with others."""
    alice = natter.token(await natter.account("alice"))
    opened = await natter.call("POST", "/v1/conversations", alice, json={"participant_ids": list(others)}, status=201)
    return alice, f"/v1/conversations/{opened.json()['id']}/messages"


def draft(*mentions: str, **more: Any) -> dict[str, Any]:
    """A message that mentions somebody."""
    return {"client_msg_id": new_id(), "content": "you too", "mentions": list(mentions)} | more


async def only(natter: Served, token: str, path: str) -> dict[str, Any]:
    """The one message that there is."""
    [found] = (await natter.call("GET", path, token)).json()["messages"]
    message: dict[str, Any] = found
    return message


async def test_a_mention_is_part_of_the_message(natter: Served) -> None:
    """As it was sent, in history and lists; an edit keeps it, a tombstone has none; a repeat with others is none."""
    ben, carl = await natter.account("ben"), await natter.account("carl")
    alice, path = await talk(natter, ben, carl)
    body = draft(ben, carl, ben)
    sent = (await natter.call("POST", path, alice, json=body, status=201)).json()
    assert sent["mentions"] == [ben, carl]
    assert (await only(natter, alice, path))["mentions"] == [ben, carl]
    [listed] = (await natter.call("GET", "/v1/conversations", alice)).json()["conversations"]
    assert listed["last_message"]["mentions"] == [ben, carl]
    await natter.call("POST", path, alice, json=body, status=200)
    wrong = (await natter.call("POST", path, alice, json=body | {"mentions": [ben]}, status=422)).json()
    assert wrong["code"] == "idempotency_conflict"
    edited = await natter.call("PATCH", f"/v1/messages/{sent['id']}", alice, json={"content": "both of you"})
    assert edited.json()["mentions"] == [ben, carl]
    assert (await only(natter, alice, path))["mentions"] == [ben, carl]
    await natter.call("DELETE", f"/v1/messages/{sent['id']}", alice)
    assert "mentions" not in await only(natter, alice, path)


async def test_only_who_takes_part_can_be_mentioned(natter: Served) -> None:
    """A stranger, somebody who left and somebody who does not exist get the same answer, and nothing is stored."""
    ben, stranger = await natter.account("ben"), await natter.account("stranger")
    alice, path = await talk(natter, ben)
    await natter.call("DELETE", path.replace("messages", f"participants/{ben}"), alice, status=204)
    for who in (stranger, ben, "nobody"):
        refused = (await natter.call("POST", path, alice, json=draft(who), status=422)).json()
        assert refused["code"] == "unknown_user"
        assert refused["detail"] == f"Mentioned, but not in this conversation: {who}."
    assert (await natter.call("GET", path, alice)).json()["messages"] == []


async def test_a_repeat_is_one_even_if_the_mentioned_left(natter: Served) -> None:
    """What was accepted once is not judged again."""
    ben = await natter.account("ben")
    alice, path = await talk(natter, ben)
    body = draft(ben)
    first = (await natter.call("POST", path, alice, json=body, status=201)).json()
    await natter.call("DELETE", path.replace("messages", f"participants/{ben}"), alice, status=204)
    assert (await natter.call("POST", path, alice, json=body, status=200)).json() == first


async def test_whoever_is_called_null_can_be_mentioned(natter: Served, db: asyncpg.Connection[Any]) -> None:
    """Postgres has an idea of its own what that word means in a list."""
    await natter.call("POST", "/v1/users", json={"user_id": "NULL", "name": "N"}, status=201)
    alice, path = await talk(natter, "NULL")
    await natter.call("POST", path, alice, json=draft("NULL"), status=201)
    assert (await only(natter, alice, path))["mentions"] == ["NULL"]
    assert await db.fetchval("SELECT mentions FROM messages WHERE mentions = ARRAY['NULL']") == ["NULL"]
