"""A trace begins with the request or the frame, and every event that it records carries it on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import nats
import pytest

from contracts import subjects
from contracts.commands import SEND_MESSAGE
from contracts.ids import new_id
from kit import tracing

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = tracing.trace_id(GIVEN)


@pytest.fixture
async def http(api: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A service's HTTP client."""
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    async with httpx.AsyncClient(base_url=api.stack.api_url, headers=headers, timeout=20) as one:
        yield one


async def opened(http: httpx.AsyncClient, **headers: str) -> tuple[str, str]:
    """A conversation's id and its owner."""
    owner = f"alice-{new_id()[-12:]}"
    assert (await http.post("/v1/users", json={"user_id": owner})).status_code == 201
    return (await http.post("/v1/conversations", json={"owner_id": owner}, headers=headers)).json()["id"], owner


async def traces(http: httpx.AsyncClient, conversation_id: str) -> list[str | None]:
    """The trace ids of a conversation's events, in order."""
    page = (await http.get(f"/v1/conversations/{conversation_id}/events?after_seq=0")).json()
    return [tracing.trace_id(event.get("traceparent")) for event in page["events"]]


async def test_a_requests_trace_is_in_its_events(http: httpx.AsyncClient) -> None:
    """A command that writes by itself, and a send, which shares its transaction with others."""
    conversation, owner = await opened(http, traceparent=GIVEN)
    body = {"client_msg_id": "m-1", "content": "hello", "sender_id": owner}
    sent = await http.post(f"/v1/conversations/{conversation}/messages", json=body, headers={"traceparent": GIVEN})
    assert sent.status_code == 201
    assert await traces(http, conversation) == [TRACE, TRACE]


async def test_a_request_without_a_trace_begins_one(http: httpx.AsyncClient) -> None:
    """Each request its own; nonsense counts as none."""
    conversation, owner = await opened(http, traceparent="nonsense")
    for name in ("m-1", "m-2"):
        body = {"client_msg_id": name, "content": "hello", "sender_id": owner}
        await http.post(f"/v1/conversations/{conversation}/messages", json=body)
    found = await traces(http, conversation)
    assert None not in found
    assert len(set(found)) == 3


async def test_a_frames_trace_is_in_its_event(api: Any, http: httpx.AsyncClient) -> None:
    """What the edge passes on with the command."""
    conversation, owner = await opened(http)
    edge = await nats.connect(
        api.stack.nats_url,
        user="ws-edge",
        password=api.stack.nats_password("ws-edge"),
        inbox_prefix=b"_INBOX.ws-edge",
    )
    command = {
        "sender_id": owner,
        "connection_id": new_id(),
        "message": {"client_msg_id": "m-1", "content": "hello", "conversation_id": conversation},
        "traceparent": GIVEN,
    }
    try:
        await edge.request(subjects.command(SEND_MESSAGE), json.dumps(command).encode(), timeout=10)
    finally:
        await edge.close()
    assert (await traces(http, conversation))[-1] == TRACE
