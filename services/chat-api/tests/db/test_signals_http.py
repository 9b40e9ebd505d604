"""Typing and read receipts over HTTP and over the edges' commands, against a whole chat-api."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from chat_api.testing_world import until
from contracts import subjects
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.commands import MARK_READ, TYPING, CommandReply
from contracts.ids import new_id


@dataclass
class Chat:
    """A client, an edge's connection, and what is published to the users of this test."""

    http: httpx.AsyncClient
    stack: Any
    nats: Client

    async def call(self, method: str, path: str, user: str = "host", *, status: int = 200, **options: Any) -> Any:
        """A request that must be answered with `status`; the user "host" is a service."""
        token = self.stack.token(user, roles=("service" if user == "host" else "customer",))
        answer = await self.http.request(method, path, headers={"authorization": f"Bearer {token}"}, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    async def room(self, *names: str, messages: int = 3) -> tuple[str, list[str], list[str]]:
        """A fresh conversation, its people (the first owns it and has written the messages), the messages' ids."""
        people = [f"{name}-{new_id()[-12:]}" for name in names]
        for user_id in people:
            await self.call("POST", "/v1/users", json={"user_id": user_id}, status=201)
        body = {"participant_ids": people[1:]}
        c = (await self.call("POST", "/v1/conversations", people[0], json=body, status=201))["id"]
        sent = [
            await self.call(
                "POST",
                f"/v1/conversations/{c}/messages",
                people[0],
                json={"client_msg_id": new_id(), "content": f"message {number}"},
                status=201,
            )
            for number in range(messages)
        ]
        return c, people, [one["id"] for one in sent]

    async def ask(self, name: str, user: str, **data: Any) -> CommandReply:
        """What an edge asks for a socket."""
        body = json.dumps({"asker": {"user_id": user, "connection_id": new_id()}, **data}).encode()
        return decode(CommandReply, (await self.nats.request(subjects.command(name), body, timeout=10)).data)

    async def hear(self, user_id: str) -> list[tuple[str, Any]]:
        """The frames that are published to a user from now on: action, data."""
        heard: list[tuple[str, Any]] = []

        async def take(message: Msg) -> None:
            frame = json.loads(message.data)
            heard.append((frame["action"], frame["data"]))

        await self.nats.subscribe(subjects.user(user_id), cb=take)
        await self.nats.flush()
        return heard


@pytest.fixture
async def chat(api: Any) -> AsyncIterator[Chat]:
    """A chat-api, and a connection as an edge's."""
    client = await nats.connect(
        api.stack.nats_url,
        user="ws-edge",
        password=api.stack.nats_password("ws-edge"),
        inbox_prefix=b"_INBOX.ws-edge",
    )
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=20) as http:
        yield Chat(http, api.stack, client)
    await client.close()


async def test_typing_over_http_is_for_oneself_or_by_a_service(chat: Chat) -> None:
    """204 and a frame to the others; a user cannot type for another, a stranger not at all."""
    c, (anna, ben), _ = await chat.room("anna", "ben")
    heard = await chat.hear(ben)
    path = f"/v1/conversations/{c}/typing"
    await chat.call("POST", path, anna, json={"is_typing": True}, status=204)
    await chat.call("POST", path, json={"is_typing": False, "user_id": anna}, status=204)
    expected = [{"conversation_id": c, "user_id": anna, "is_typing": is_typing} for is_typing in (True, False)]
    await until(lambda: [data for action, data in heard if action == "typing"] == expected, "ben is told twice")
    for user, body, status in (
        (ben, {"is_typing": True, "user_id": anna}, 403),
        ("eve", {"is_typing": True}, 404),
        ("host", {"is_typing": True}, 404),
        (anna, {}, 422),
        (anna, {"is_typing": "maybe"}, 422),
        (anna, {"is_typing": True, "more": 1}, 422),
    ):
        await chat.call("POST", path, user, json=body, status=status)
    await chat.call("POST", f"/v1/conversations/{new_id()}/typing", anna, json={"is_typing": True}, status=404)


async def test_typing_over_a_socket_is_acknowledged_with_what_is_told(chat: Chat) -> None:
    """The command's ack is the update; a stranger's is refused; nonsense is answered."""
    c, (anna, ben), _ = await chat.room("anna", "ben")
    heard = await chat.hear(ben)
    reply = await chat.ask(TYPING, anna, typing={"conversation_id": c, "is_typing": True})
    assert reply.ack == {"conversation_id": c, "user_id": anna, "is_typing": True}
    await until(lambda: ("typing", reply.ack) in heard, "ben is told")
    stranger = await chat.ask(TYPING, "eve", typing={"conversation_id": c, "is_typing": True})
    assert stranger.error is not None
    assert stranger.error.code is ErrorCode.NOT_FOUND
    for wrong in ({}, {"conversation_id": "x", "is_typing": True}, {"conversation_id": c}):
        refused = await chat.ask(TYPING, anna, typing=wrong)
        assert refused.error is not None
        assert refused.error.code is ErrorCode.VALIDATION_FAILED


async def test_a_receipt_over_a_socket_moves_the_cursor_and_the_unread_count(chat: Chat) -> None:
    """Forward only; the ack says what holds; beyond the end and by strangers it is refused."""
    c, (_, ben), _ = await chat.room("anna", "ben")

    async def state() -> tuple[int, int]:
        found = await chat.call("GET", f"/v1/conversations/{c}", ben)
        return found["read_seq"], found["unread_count"]

    assert await state() == (1, 3), "who joins has read the opening"
    for seq, holds, unread in ((3, 3, 1), (2, 3, 1), (0, 3, 1), (4, 4, 0)):
        reply = await chat.ask(MARK_READ, ben, read={"conversation_id": c, "seq": seq})
        assert reply.ack == {"conversation_id": c, "user_id": ben, "seq": holds}
        assert await state() == (holds, unread)
    for user, seq, code in ((ben, 5, ErrorCode.SEQ_OUT_OF_RANGE), ("eve", 3, ErrorCode.NOT_FOUND)):
        refused = await chat.ask(MARK_READ, user, read={"conversation_id": c, "seq": seq})
        assert refused.error is not None
        assert refused.error.code is code
    for wrong in ({"conversation_id": c, "seq": -1}, {"conversation_id": c, "seq": 2**63}, {"conversation_id": c}):
        refused = await chat.ask(MARK_READ, ben, read=wrong)
        assert refused.error is not None
        assert refused.error.code is ErrorCode.VALIDATION_FAILED


async def test_a_host_application_reports_read_messages_by_their_ids(chat: Chat) -> None:
    """The latest of those of this conversation counts (seed row S4); only a service may, and only for members."""
    c, (anna, ben), ids = await chat.room("anna", "ben")
    _, _, foreign = await chat.room("carl", "dora", messages=5)
    path = f"/v1/conversations/{c}/read"
    body = {"user_id": ben, "message_ids": [ids[1], ids[0], foreign[4], new_id()]}
    assert await chat.call("PUT", path, json=body) == {"seq": 3}
    assert (await chat.call("GET", f"/v1/conversations/{c}", ben))["unread_count"] == 1
    assert await chat.call("PUT", path, json={"user_id": ben, "message_ids": [ids[0]]}) == {"seq": 3}
    assert await chat.call("PUT", path, json={"user_id": ben, "seq": 4}) == {"seq": 4}
    assert await chat.call("PUT", path, ben, json={"seq": 4, "user_id": ben}) == {"seq": 4}
    for user, wrong, code in (
        ("host", {"user_id": ben, "message_ids": [foreign[0]]}, "validation_failed"),
        ("host", {"user_id": ben, "message_ids": []}, "validation_failed"),
        ("host", {"user_id": ben, "message_ids": [new_id()] * 201}, "validation_failed"),
        ("host", {"user_id": ben, "message_ids": ids, "seq": 2}, "validation_failed"),
        ("host", {"user_id": ben}, "validation_failed"),
        ("host", {"user_id": "eve", "message_ids": ids}, "not_found"),
        ("host", {"message_ids": ids}, "not_found"),
        (anna, {"user_id": ben, "seq": 4}, "forbidden"),
        (anna, {"message_ids": ids}, "forbidden"),
    ):
        status = ErrorCode(code).status
        assert (await chat.call("PUT", path, user, json=wrong, status=status))["code"] == code
    assert (await chat.call("GET", f"/v1/conversations/{c}", ben))["read_seq"] == 4
