"""The app's word that a push arrived, and dead letters, passed on to a notifier that speaks real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import push_records
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from chat_api.testing_world import until
from contracts.delivery import OfflineReason
from contracts.ids import new_id
from contracts.pushes import PushRecord, PushState
from contracts.times import now
from kit import tokens

ALICE, PUSH = "alice", new_id()
DEAD = "/v1/admin/pushes/dead"


class Notifier:
    """Answers as the notifier does; `asked` is what it heard: path, query, body."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Response | None = None
        """Instead of a proper answer."""
        self.wait_s = 0.0
        self.dead = [
            PushRecord(
                id=number,
                event_id=new_id(),
                user_id=ALICE,
                reason=OfflineReason.NO_CONNECTION,
                state=PushState.DEAD,
                attempts=9,
                last_error="HTTP 500",
                received_at=now(),
            )
            for number in (7, 8)
        ]
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._heard, methods=["GET", "POST"])

    async def _heard(self, path: str, request: Request) -> Response:
        bearer = tokens.verify(self._secret, request.headers["authorization"].removeprefix("Bearer "))
        assert bearer.acts_for_others
        body = await request.body()
        self.asked.append((f"/{path}", dict(request.query_params), json.loads(body) if body else None))
        await asyncio.sleep(self.wait_s)
        return self.answer or self._proper(f"/{path}", self.asked[-1][2])

    def _proper(self, path: str, body: Any) -> Response:
        if path.endswith("/ack"):
            known = (path, body) == (f"/v1/pushes/{PUSH}/ack", {"user_id": ALICE})
            return Response(status_code=204 if known else 404)
        if path == "/v1/pushes/dead":
            page = {"pushes": [one.model_dump(mode="json") for one in self.dead], "next_after_id": 8}
            return Response(json.dumps(page), media_type="application/json")
        count = len(self.dead) if body.get("all") else len(body["ids"])
        return Response(json.dumps({"count": count}), media_type="application/json")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address, while it listens."""
        server = uvicorn.Server(
            uvicorn.Config(self.app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started, "the notifier listens")
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
def notifier(settings: ChatApiSettings) -> Notifier:
    """The other side."""
    return Notifier(settings.jwt_secret.get_secret_value())


@pytest.fixture
async def http(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, notifier: Notifier
) -> AsyncIterator[Served]:
    """The application, which knows where the notifier is."""
    async with (
        notifier.listening() as url,
        served(settings.model_copy(update={"notifier_url": url}), engine, uow) as made,
    ):
        yield made


async def acts(db: asyncpg.Connection[Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What admins did: who, what, details."""
    rows = await db.fetch("SELECT data FROM events WHERE type = 'user.admin_acted' ORDER BY position")
    found = [json.loads(row["data"]) for row in rows]
    return [(one["user_id"], one["act"], one["details"]) for one in found]


async def test_an_app_says_that_a_push_arrived(http: Served, notifier: Notifier) -> None:
    """It is the caller's own word, whatever role; a push of somebody else is none."""
    await http.call("POST", f"/v1/pushes/{PUSH}/ack", http.token(ALICE), status=204)
    assert notifier.asked == [(f"/v1/pushes/{PUSH}/ack", {}, {"user_id": ALICE})]
    for who in (http.token("bob"), http.token("root", "admin")):
        answer = await http.call("POST", f"/v1/pushes/{PUSH}/ack", who, status=404)
        assert answer.json()["code"] == "not_found"
    await http.call("POST", "/v1/pushes/nonsense/ack", http.token(ALICE), status=422)
    await http.call("POST", f"/v1/pushes/{PUSH}/ack", "", status=401)
    assert len(notifier.asked) == 3


async def test_dead_letters_are_listed_for_admins(http: Served, notifier: Notifier) -> None:
    """As the notifier tells them, with the filters passed on."""
    admin = http.token("root", "admin")
    params = {"after_id": 3, "limit": 5, "user_id": ALICE, "provider": "fcm"}
    page = (await http.call("GET", DEAD, admin, params=params)).json()
    assert notifier.asked == [
        ("/v1/pushes/dead", {"after_id": "3", "limit": "5", "user_id": ALICE, "provider": "fcm"}, None)
    ]
    assert page["next_after_id"] == 8
    assert [PushRecord.model_validate(one) for one in page["pushes"]] == [
        PushRecord.model_validate_json(one.model_dump_json()) for one in notifier.dead
    ]
    await http.call("GET", DEAD, admin)
    assert notifier.asked[-1][1] == {"after_id": "0", "limit": "100"}
    for wrong in ({"limit": 1001}, {"after_id": -1}, {"user_id": "a b"}, {"provider": "F"}):
        await http.call("GET", DEAD, admin, params=wrong, status=422)
    assert len(notifier.asked) == 2


async def test_replaying_and_dropping_are_recorded(
    http: Served, notifier: Notifier, db: asyncpg.Connection[Any]
) -> None:
    """Some or all; who did it, to which, and how many they were."""
    admin = http.token("root", "admin")
    assert (await http.call("POST", f"{DEAD}/replay", admin, json={"ids": [7]})).json() == {"count": 1}
    assert (await http.call("POST", f"{DEAD}/drop", admin, json={"all": True})).json() == {"count": 2}
    assert notifier.asked == [
        ("/v1/pushes/dead/replay", {}, {"ids": [7]}),
        ("/v1/pushes/dead/drop", {}, {"all": True}),
    ]
    assert await acts(db) == [
        ("root", "replay_pushes", {"ids": [7], "count": 1}),
        ("root", "drop_pushes", {"all": True, "count": 2}),
    ]
    bodies: list[dict[str, Any]] = [{}, {"ids": []}, {"ids": [7], "all": True}, {"all": 1}]
    bodies += [{"ids": ["7"]}, {"ids": [0]}, {"ids": [2**63]}]
    for wrong in bodies:
        await http.call("POST", f"{DEAD}/replay", admin, json=wrong, status=422)
    assert len(notifier.asked) == 2


async def test_nobody_else_may(http: Served, notifier: Notifier, db: asyncpg.Connection[Any]) -> None:
    """Dead letters are for admins: neither users nor services see or touch them."""
    for who in (http.token(ALICE), http.token("d", "doctor"), http.token("host", "service")):
        await http.call("GET", DEAD, who, status=403)
        for act in ("replay", "drop"):
            await http.call("POST", f"{DEAD}/{act}", who, json={"all": True}, status=403)
    await http.call("GET", DEAD, "", status=401)
    assert notifier.asked == []
    assert await acts(db) == []


async def everything_is_away(http: Served, db: asyncpg.Connection[Any]) -> None:
    """Each of the calls says 503, and no act is recorded that was not carried out."""
    admin = http.token("root", "admin")
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"/v1/pushes/{PUSH}/ack", {}),
        ("GET", DEAD, {}),
        ("POST", f"{DEAD}/replay", {"json": {"all": True}}),
        ("POST", f"{DEAD}/drop", {"json": {"ids": [7]}}),
    ]
    for method, path, options in calls:
        answer = await http.call(method, path, admin, status=503, **options)
        assert answer.json()["code"] == "unavailable"
    assert await acts(db) == []


async def test_the_notifier_is_away(
    http: Served, notifier: Notifier, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow, broken, older than this release, or talking nonsense: it is as good as away, and says so in time."""
    for answer in (Response(status_code=500), Response(status_code=401), Response("{}"), Response("nonsense")):
        notifier.answer = answer
        await everything_is_away(http, db)
    notifier.answer = Response(status_code=404)
    admin = http.token("root", "admin")
    await http.call("GET", DEAD, admin, status=503)
    await http.call("POST", f"{DEAD}/drop", admin, json={"all": True}, status=503)
    notifier.answer, notifier.wait_s = None, 5.0
    monkeypatch.setattr(push_records, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(push_records, "DEAD_TIMEOUT_S", 0.2)
    async with asyncio.timeout(4):
        await everything_is_away(http, db)


async def test_nobody_knows_where_the_notifier_is(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Without `NATTER_NOTIFIER_URL`, and with one where nobody listens."""
    for url in ("", "http://127.0.0.1:1"):
        async with served(settings.model_copy(update={"notifier_url": url}), engine, uow) as made:
            await everything_is_away(made, db)
