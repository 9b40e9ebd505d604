"""`natter.command.send_message` against a whole chat-api: what an edge asks, and what it passes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from contracts import subjects
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.commands import SEND_MESSAGE, SendMessageReply
from contracts.ids import new_id


@pytest.fixture
async def edge(api: Any) -> AsyncIterator[Client]:
    """An edge's connection to NATS."""
    made = await nats.connect(
        api.stack.nats_url,
        user="ws-edge",
        password=api.stack.nats_password("ws-edge"),
        inbox_prefix=b"_INBOX.ws-edge",
    )
    yield made
    await made.close()


@pytest.fixture
async def room(api: Any) -> AsyncIterator[tuple[str, str, httpx.AsyncClient]]:
    """A fresh conversation's id, its owner, and a service's HTTP client."""
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    async with httpx.AsyncClient(base_url=api.stack.api_url, headers=headers, timeout=20) as http:
        owner = f"alice-{new_id()[-12:]}"
        assert (await http.post("/v1/users", json={"user_id": owner, "name": "Alice"})).status_code == 201
        opened = await http.post("/v1/conversations", json={"owner_id": owner})
        yield opened.json()["id"], owner, http


async def ask(edge: Client, body: Any) -> SendMessageReply:
    """One request, as bytes or as an object."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(SendMessageReply, (await edge.request(subjects.command(SEND_MESSAGE), data, timeout=10)).data)


def command(c: str, sender: str, **message: Any) -> dict[str, Any]:
    """A command as an edge writes it."""
    return {
        "sender_id": sender,
        "sender_name": "what the token says",
        "connection_id": new_id(),
        "message": {"client_msg_id": "m-1", "content": "hello 你好", "conversation_id": c} | message,
    }


async def history(http: httpx.AsyncClient, c: str) -> list[dict[str, Any]]:
    """All messages of a conversation."""
    return list((await http.get(f"/v1/conversations/{c}/messages")).json()["messages"])


async def test_sending(edge: Client, room: tuple[str, str, httpx.AsyncClient]) -> None:
    """The ack names the message and its place; a repeat is told and changes nothing; another text is a conflict."""
    c, alice, http = room
    first = (await ask(edge, command(c, alice))).ack
    assert first is not None
    assert (first.conversation_id, first.seq, first.client_msg_id, first.duplicate) == (c, 2, "m-1", False)
    again = (await ask(edge, command(c, alice))).ack
    assert again is not None
    assert again == first.model_copy(update={"duplicate": True})
    conflict = (await ask(edge, command(c, alice, content="other"))).error
    assert conflict is not None
    assert conflict.code is ErrorCode.IDEMPOTENCY_CONFLICT
    (message,) = await history(http, c)
    assert (message["id"], message["content"], message["sender_name"]) == (first.message_id, "hello 你好", "Alice")


async def test_socket_and_http_are_one(edge: Client, room: tuple[str, str, httpx.AsyncClient]) -> None:
    """What was sent over HTTP is a repeat over the socket."""
    c, alice, http = room
    body = {"client_msg_id": "m-1", "content": "hello", "sender_id": alice}
    sent = (await http.post(f"/v1/conversations/{c}/messages", json=body)).json()
    ack = (await ask(edge, command(c, alice, content="hello"))).ack
    assert ack is not None
    assert (ack.message_id, ack.duplicate) == (sent["id"], True)


async def test_refusals(edge: Client, room: tuple[str, str, httpx.AsyncClient]) -> None:
    """Foreign and unknown conversations, replies to nothing: the code of HTTP, and nothing is written."""
    c, alice, http = room
    for asked, code in (
        (command(c, "stranger"), ErrorCode.NOT_FOUND),
        (command(new_id(), alice), ErrorCode.NOT_FOUND),
        (command(c, alice, reply_to=new_id()), ErrorCode.VALIDATION_FAILED),
    ):
        error = (await ask(edge, asked)).error
        assert error is not None
        assert error.code is code
        assert error.retry_after_ms is None
    assert await history(http, c) == []


async def test_nonsense(edge: Client, room: tuple[str, str, httpx.AsyncClient]) -> None:
    """Whatever arrives is answered, without repeating what it was, and the next command is served."""
    c, alice, http = room
    for asked in (
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        {},
        command(c, "alice.>"),
        command(c, alice, content=""),
        command(c, alice, content="secret-text\x00"),
        command(c, alice, content="x" * 10_001),
        command(c, alice, client_msg_id="secret-text !"),
        command("secret-text", alice),
        command(c, alice, extra_metadata={"k": "\ud800"}),
    ):
        error = (await ask(edge, asked)).error
        assert error is not None
        assert error.code is ErrorCode.VALIDATION_FAILED
        assert "secret-text" not in error.message
    assert await history(http, c) == []
    assert (await ask(edge, command(c, alice))).ack is not None


async def test_postgres_away(api: Any, edge: Client, room: tuple[str, str, httpx.AsyncClient]) -> None:
    """`unavailable` with a time to wait; the same command later is accepted once."""
    c, alice, http = room
    postgres = api.stack.part("postgres")
    await api.do(postgres.kill())
    try:
        error = (await ask(edge, command(c, alice))).error
        assert error is not None
        assert error.code is ErrorCode.UNAVAILABLE
        assert error.retry_after_ms
    finally:
        await api.do(postgres.start())
    for _ in range(50):
        reply = await ask(edge, command(c, alice))
        if reply.ack is not None:
            break
        assert reply.error is not None
        assert reply.error.code is ErrorCode.UNAVAILABLE
    assert len(await history(http, c)) == 1
