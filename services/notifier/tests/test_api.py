"""The record of pushes over HTTP, on real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.ids import new_id
from contracts.pushes import PushRecord, PushState
from kit.health import Health
from kit.tokens import issue
from notifier.afterwards.record import AfterwardsRecord
from notifier.api import create_api
from notifier.deliveries import Outcome
from notifier.metrics import Metrics
from notifier.store import Incoming, Store

from .support import envelope, offline

SECRET = "a secret of at least thirty-two bytes"


def bearer(*roles: str, ttl_s: float = 86_400, secret: str = SECRET) -> dict[str, str]:
    """A token that outlives the whole run: parameters are made when tests are collected, long before they are used."""
    return {"Authorization": f"Bearer {issue(secret, 'host-app', roles, ttl_s=ttl_s)}"}


@pytest.fixture
async def client(store: Store, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; errors of the application are answers, as uvicorn would give them."""
    api = create_api(
        store=store, record=AfterwardsRecord(engine), metrics=Metrics(), health=Health("nats"), jwt_secret=SECRET
    )
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=bearer("service")) as client:
        yield client


async def fill(store: Store, *user_ids: str) -> str:
    """One event for several users; returns the event's id."""
    event = envelope()
    taken = [offline(user_id, event) for user_id in user_ids]
    await store.take_in([Incoming(each, encode(each).decode()) for each in taken], [])
    return event.id


async def test_pages_follow_one_another_by_id(client: httpx.AsyncClient, store: Store) -> None:
    """Each page begins where the last one ended; the end is an empty page that does not move."""
    await fill(store, "alice", "bob", "carol")
    seen: list[PushRecord] = []
    after_id = 0
    while True:
        page = (await client.get("/v1/pushes", params={"after_id": after_id, "limit": 2})).raise_for_status().json()
        if not page["pushes"]:
            break
        seen += [PushRecord.model_validate(push) for push in page["pushes"]]
        after_id = page["next_after_id"]
    assert [push.user_id for push in seen] == ["alice", "bob", "carol"]
    assert page["next_after_id"] == seen[-1].id


async def test_filters_by_event_and_user(client: httpx.AsyncClient, store: Store) -> None:
    """An event's pushes, a user's pushes, or both together."""
    first = await fill(store, "alice", "bob")
    await fill(store, "alice")

    async def found(**params: str) -> int:
        return len((await client.get("/v1/pushes", params=params)).raise_for_status().json()["pushes"])

    assert await found(event_id=first) == 2
    assert await found(user_id="alice") == 2
    assert await found(event_id=first, user_id="alice") == 1
    assert await found(event_id=new_id()) == 0


async def test_the_summary_counts_every_state(client: httpx.AsyncClient, store: Store) -> None:
    """States without any delivery are there with zero."""
    await fill(store, "alice", "bob", "carol")
    lease = await store.claim(1, 60)
    await store.record(lease.token, {lease.rows[0].id: Outcome(PushState.SENT)})
    counts = (await client.get("/v1/pushes/summary")).raise_for_status().json()
    assert counts == {"pending": 2, "sent": 1, "skipped": 0, "dead": 0}


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/v1/pushes", {"Authorization": ""}, ErrorCode.UNAUTHENTICATED),
        ("/v1/pushes", {"Authorization": "Basic abc"}, ErrorCode.UNAUTHENTICATED),
        ("/v1/pushes", {"Authorization": "Bearer abc"}, ErrorCode.UNAUTHENTICATED),
        ("/v1/pushes", bearer("service", secret="x" * 40), ErrorCode.UNAUTHENTICATED),
        ("/v1/pushes", bearer("service", ttl_s=-60), ErrorCode.TOKEN_EXPIRED),
        ("/v1/pushes", bearer("customer", "doctor"), ErrorCode.FORBIDDEN),
        ("/v1/pushes/summary", bearer(), ErrorCode.FORBIDDEN),
        ("/v1/pushes?limit=0", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?limit=1001", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?after_id=-1", {}, ErrorCode.VALIDATION_FAILED),
        (f"/v1/pushes?after_id={2**63}", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?after_id=one", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?event_id=1", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?user_id=alice.%3E", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/pushes?user_id=%00", {}, ErrorCode.VALIDATION_FAILED),
        ("/v1/nothing", {}, ErrorCode.NOT_FOUND),
    ],
)
async def test_what_is_wrong_is_a_problem_with_a_code(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], code: ErrorCode
) -> None:
    """RFC 9457, with a stable code and the request's id."""
    answer = await client.get(path, headers=headers | {"X-Request-Id": "r-1"})
    assert answer.status_code == code.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "r-1"
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["request_id"]) == (code.value, code.status, "r-1")
    assert problem["title"]
    assert problem["detail"]


async def test_another_method_is_refused(client: httpx.AsyncClient) -> None:
    """Nothing can be changed here."""
    answer = await client.post("/v1/pushes")
    assert (answer.status_code, answer.json()["code"]) == (405, ErrorCode.METHOD_NOT_ALLOWED.value)


async def test_a_bug_is_a_problem_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller learns nothing of the inside."""

    class Broken(Store):
        async def counts(self) -> dict[object, int]:  # type: ignore[override]
            raise RuntimeError("inside")

    api = create_api(
        store=Broken(store._engine),
        record=AfterwardsRecord(store._engine),
        metrics=Metrics(),
        health=Health(),
        jwt_secret=SECRET,
    )
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=bearer("admin")) as client:
        answer = await client.get("/v1/pushes/summary")
    assert (answer.status_code, answer.json()["code"]) == (500, ErrorCode.INTERNAL.value)
    assert "inside" not in answer.text


async def test_an_unreachable_database_is_unavailable(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """503 with Retry-After: the caller may come again."""
    from sqlalchemy import text

    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE notifier.deliveries CASCADE"))
    answer = await client.get("/v1/pushes")
    assert (answer.status_code, answer.json()["code"]) == (503, ErrorCode.UNAVAILABLE.value)
    assert answer.headers["retry-after"] == "1"


async def test_health_and_metrics_need_no_token(client: httpx.AsyncClient) -> None:
    """An orchestrator and a collector have none."""
    headers = {"Authorization": ""}
    assert (await client.get("/healthz/live", headers=headers)).status_code == 200
    ready = await client.get("/healthz/ready", headers=headers)
    assert (ready.status_code, ready.json()["missing"]) == (503, {"nats": "starting"})
    metrics = await client.get("/metrics", headers=headers)
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "natter_notifier_received_total 0.0" in metrics.text
