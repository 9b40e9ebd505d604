"""Who may see whose presence, over HTTP and over an edge's command, against a whole chat-api."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from chat_api.testing_presence import ScriptedEdge
from contracts import subjects
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.commands import PRESENCE, CommandReply
from contracts.devices import DeviceType
from contracts.frames import PRESENCE_USERS_MAX
from contracts.ids import new_id

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP


@dataclass
class House:
    """A client, the tokens of everybody, and a living edge."""

    http: httpx.AsyncClient
    stack: Any
    nats: Client
    edge: ScriptedEdge

    async def call(
        self, method: str, path: str, user: str = "host", role: str = "customer", *, status: int = 200, **options: Any
    ) -> Any:
        """A request that must be answered with `status`; the user "host" is a service."""
        token = self.stack.token(user, roles=("service" if user == "host" else role,))
        answer = await self.http.request(method, path, headers={"authorization": f"Bearer {token}"}, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    async def users(self, *names: str) -> list[str]:
        """Fresh registered users."""
        made = [f"{name}-{new_id()[-12:]}" for name in names]
        for user_id in made:
            await self.call("POST", "/v1/users", json={"user_id": user_id}, status=201)
        return made

    async def conversation(self, owner: str, *others: str) -> str:
        """A fresh conversation's id."""
        body = {"participant_ids": others}
        return str((await self.call("POST", "/v1/conversations", owner, json=body, status=201))["id"])

    async def ask(self, user: str, role: str, user_ids: Any) -> CommandReply:
        """What an edge asks for a socket's `presence_subscribe`."""
        asker = {"user_id": user, "roles": [role], "connection_id": new_id()}
        body = json.dumps({"asker": asker, "subscribe": {"user_ids": user_ids}}).encode()
        return decode(CommandReply, (await self.nats.request(subjects.command(PRESENCE), body, timeout=10)).data)


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Poll until it is so."""
    give_up = time.monotonic() + 10
    while not await look():
        assert time.monotonic() < give_up, "it did not become so within 10 s"


@pytest.fixture
async def house(api: Any) -> AsyncIterator[House]:
    """A chat-api that hears an edge."""
    client = await nats.connect(
        api.stack.nats_url,
        user="ws-edge",
        password=api.stack.nats_password("ws-edge"),
        inbox_prefix=b"_INBOX.ws-edge",
    )
    edge = ScriptedEdge(client)
    await edge.live()
    async with httpx.AsyncClient(base_url=api.stack.api_url, timeout=20) as http:
        yield House(http, api.stack, client, edge)
    await edge.die()
    await client.close()


async def online(house: House, *user_ids: str) -> None:
    """Wait until the users are seen to be online."""

    async def there() -> bool:
        found = await house.call("POST", "/v1/presence/query", json={"user_ids": user_ids})
        return all(one["online"] for one in found["users"])

    await eventually(there)


async def test_a_users_connections_over_all_edges(house: House) -> None:
    """Device, edge and since when, for the user itself and a host application; for nobody else, staff included."""
    anna, ben = await house.users("anna", "ben")
    await house.conversation(anna, ben)
    await house.edge.holds(anna, MOBILE, DESKTOP)
    await online(house, anna)
    path = f"/v1/users/{anna}/connections"
    found = (await house.call("GET", path))["connections"]
    assert sorted(one["device_type"] for one in found) == ["desktop", "mobile"]
    assert all(one["edge_id"] == house.edge.edge_id and one["connected_at"].endswith("Z") for one in found)
    assert len({one["connection_id"] for one in found}) == 2
    assert (await house.call("GET", path, anna))["connections"] == found
    assert (await house.call("GET", path, "boss", "admin"))["connections"] == found
    for user, role in ((ben, "customer"), ("doc", "doctor")):
        assert (await house.call("GET", path, user, role, status=403))["code"] == "forbidden"
    assert (await house.call("GET", "/v1/users/nobody/connections"))["connections"] == []
    assert (await house.call("GET", "/v1/users/a.b/connections", status=422))["code"] == "validation_failed"


async def test_presence_of_one_user_for_those_who_share_a_conversation(house: House) -> None:
    """A companion, staff and the host application see it; a stranger gets 404, and so does a companion who left."""
    anna, ben, eve = await house.users("anna", "ben", "eve")
    c = await house.conversation(anna, ben)
    await house.edge.holds(anna, MOBILE)
    await online(house, anna)
    path = f"/v1/users/{anna}/presence"
    state = {"user_id": anna, "online": True, "device_types": ["mobile"]}
    for user, role in (("host", ""), (ben, "customer"), (anna, "customer"), ("doc", "doctor"), ("con", "consultant")):
        assert await house.call("GET", path, user, role) == state
    assert (await house.call("GET", path, eve, status=404))["code"] == "not_found"
    await house.call("DELETE", f"/v1/conversations/{c}/participants/{ben}", ben, status=204)
    await house.call("GET", path, ben, status=404)
    await house.edge.holds(anna)

    async def gone() -> bool:
        return not (await house.call("GET", path))["online"]

    await eventually(gone)
    assert "last_seen_at" in await house.call("GET", path)
    unknown = await house.call("GET", "/v1/users/nobody-ever/presence")
    assert unknown == {"user_id": "nobody-ever", "online": False, "device_types": []}


async def test_a_list_leaves_out_whom_the_caller_may_not_see(house: House) -> None:
    """The order of the question, each once; over HTTP and over the command alike; more than 200 are refused."""
    anna, ben, eve, zoe = await house.users("anna", "ben", "eve", "zoe")
    await house.conversation(anna, ben)
    await house.edge.holds(ben, MOBILE)
    await house.edge.holds(eve, DESKTOP)
    await online(house, ben, eve)
    asked = [eve, ben, zoe, anna, ben]

    async def seen(user: str, role: str) -> list[tuple[str, bool]]:
        found = await house.call("POST", "/v1/presence/query", user, role, json={"user_ids": asked})
        reply = await house.ask(user, role, asked)
        assert reply.ack is not None
        states = [(one["user_id"], one["online"]) for one in found["users"]]
        assert [(one["user_id"], one["online"]) for one in reply.ack["users"]] == states
        return states

    assert await seen(anna, "customer") == [(ben, True), (anna, False)]
    assert await seen("doc", "doctor") == [(eve, True), (ben, True), (zoe, False), (anna, False)]
    too_many = [f"user-{number}" for number in range(PRESENCE_USERS_MAX + 1)]
    await house.call("POST", "/v1/presence/query", json={"user_ids": too_many}, status=422)
    assert (await house.call("POST", "/v1/presence/query", json={"user_ids": too_many[1:]}))["users"][0] is not None
    assert (await house.call("POST", "/v1/presence/query", json={"user_ids": []})) == {"users": []}
    for wrong in (too_many, ["a.>"], "anna", None):
        reply = await house.ask(anna, "customer", wrong)
        assert reply.error is not None
        assert reply.error.code is ErrorCode.VALIDATION_FAILED


async def test_online_users_are_listed_and_counted(house: House) -> None:
    """Page by page in the order of ids, by role, for a host application or an admin only."""
    role = "doctor"
    people = sorted(f"online-{new_id()[-12:]}" for _ in range(5))
    for user_id in people:
        await house.edge.holds(user_id, MOBILE, roles=(role,))
    await online(house, *people)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await house.call("GET", "/v1/presence/online", params={"role": role, "limit": 2, **cursor})
        assert page["count"] == 5
        assert len(page["users"]) <= 2
        seen += [one["user_id"] for one in page["users"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == people
    everybody = await house.call("GET", "/v1/presence/online", "boss", "admin", params={"limit": 1000})
    assert everybody["count"] == len(everybody["users"]) >= 5
    for user, other in (("someone", "customer"), ("doc", "doctor")):
        await house.call("GET", "/v1/presence/online", user, other, status=403)
    for wrong in ({"cursor": "a.b"}, {"limit": 0}, {"limit": 1001}, {"role": "king"}):
        await house.call("GET", "/v1/presence/online", params=wrong, status=422)


async def test_without_nats_nobody_pretends_to_know(house: House, api: Any) -> None:
    """503 while the edges cannot be heard, instead of an answer that may be stale; then as before."""
    anna, *_ = await house.users("anna")
    await house.edge.holds(anna, MOBILE)
    await online(house, anna)
    server = api.stack.part("nats")
    await api.do(server.kill())
    path = f"/v1/users/{anna}/presence"
    headers = {"authorization": f"Bearer {api.stack.token('host', roles=('service',))}"}
    try:

        async def refused() -> bool:
            answer = await house.http.get(path, headers=headers)
            assert answer.status_code in (200, 503)
            assert answer.status_code == 503 or answer.json()["online"], "nobody goes offline because we hear nothing"
            return answer.status_code == 503

        await eventually(refused)
    finally:
        await api.do(server.start())

    async def back() -> bool:
        answer = await house.http.get(path, headers=headers)
        return answer.status_code == 200 and bool(answer.json()["online"])

    await eventually(back)
