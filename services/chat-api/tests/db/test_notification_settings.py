"""What users want to be told, and what they muted: over HTTP, in the record, and by sync; on real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import Served, served
from contracts.ids import new_id
from contracts.times import now, rfc3339


@pytest.fixture
async def natter(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application at work."""
    async with served(settings, engine, uow) as made:
        yield made


async def test_wishes_are_kept_as_a_whole(natter: Served, db: asyncpg.Connection[Any]) -> None:
    """What is left out is as the deployment has it; the same again is no event."""
    user_id = await natter.account("alice")
    alice = natter.token(user_id)
    assert (await natter.call("GET", "/v1/notification-settings", alice)).json()["pushes"] is True
    wishes = {"quiet_hours": {"zone": "Asia/Shanghai", "start": "22:00", "end": "07:30"}, "grace_offline_s": 5}
    said: dict[str, Any] = {}
    for _ in range(2):
        said = (await natter.call("PUT", "/v1/notification-settings", alice, json=wishes)).json()
        assert said == (await natter.call("GET", "/v1/notification-settings", alice)).json()
    assert said["quiet_hours"] == wishes["quiet_hours"]
    assert said["important_past_quiet_hours"] is True
    await natter.call("PUT", "/v1/notification-settings", alice, json={"pushes": False})
    assert "quiet_hours" not in (await natter.call("GET", "/v1/notification-settings", alice)).json()
    count = "SELECT count(*) FROM events WHERE stream = $1 AND type = 'user.settings_changed'"
    assert await db.fetchval(count, f"user:{user_id}") == 2


@pytest.mark.parametrize(
    "wishes",
    [
        {"quiet_hours": {"zone": "Mars/Olympus", "start": "22:00", "end": "07:30"}},
        {"quiet_hours": {"zone": "UTC", "start": "24:00", "end": "07:30"}},
        {"quiet_hours": {"zone": "UTC", "start": "07:30", "end": "07:30"}},
        {"grace_offline_s": -1},
        {"grace_offline_s": 3_601},
        {"pushes": "no"},
        {"surprise": True},
    ],
)
async def test_wishes_that_make_no_sense_change_nothing(natter: Served, wishes: dict[str, Any]) -> None:
    """A zone that nobody knows, a time that no clock shows."""
    alice = natter.token(await natter.account("alice"))
    await natter.call("PUT", "/v1/notification-settings", alice, json=wishes, status=422)
    assert (await natter.call("GET", "/v1/notification-settings", alice)).json()["pushes"] is True


async def test_a_conversation_is_muted_for_ever_or_for_a_while(natter: Served) -> None:
    """The list says so; an end that has passed is none; and nobody mutes what is not his."""
    user_id = await natter.account("alice")
    alice, bob = natter.token(user_id), natter.token(await natter.account("bob"))
    c = (await natter.call("POST", "/v1/conversations", alice, json={}, status=201)).json()["id"]
    path = f"/v1/conversations/{c}/mute"

    async def muted() -> bool:
        [one] = (await natter.call("GET", "/v1/conversations", alice)).json()["conversations"]
        return bool(one["muted"])

    assert not await muted()
    assert (await natter.call("PUT", path, alice, json={})).json() == {"conversation_id": c, "muted": True}
    assert await muted()
    until = rfc3339(now() + timedelta(hours=1))
    assert (await natter.call("PUT", path, alice, json={"until": until})).json()["until"] == until
    assert await muted()
    await natter.call("PUT", path, alice, json={"until": rfc3339(now() - timedelta(seconds=1))})
    assert not await muted()
    await natter.call("PUT", path, alice, json={"muted": True})
    await natter.call("PUT", path, alice, json={"muted": False})
    assert not await muted()
    await natter.call("PUT", path, alice, json={"muted": False, "until": until}, status=422)
    await natter.call("PUT", path, bob, json={}, status=404)
    await natter.call("PUT", f"/v1/conversations/{new_id()}/mute", alice, json={}, status=404)


async def test_a_conversations_own_page_says_whether_it_is_muted(natter: Served) -> None:
    """With its end, for the one who asks: what others muted is theirs."""
    alice, bob_id = natter.token(await natter.account("alice")), await natter.account("bob")
    body = {"participant_ids": [bob_id]}
    c = (await natter.call("POST", "/v1/conversations", alice, json=body, status=201)).json()["id"]
    until = rfc3339(now() + timedelta(hours=1))
    await natter.call("PUT", f"/v1/conversations/{c}/mute", alice, json={"until": until})
    seen = (await natter.call("GET", f"/v1/conversations/{c}", alice)).json()
    assert (seen["muted"], seen["muted_until"]) == (True, until)
    others = (await natter.call("GET", f"/v1/conversations/{c}", natter.token(bob_id))).json()
    assert (others["muted"], others.get("muted_until")) == (False, None)
    await natter.call("PUT", f"/v1/conversations/{c}/mute", alice, json={})
    [listed] = (await natter.call("GET", "/v1/conversations", alice)).json()["conversations"]
    assert (listed["muted"], listed.get("muted_until")) == (True, None)


async def test_other_devices_learn_of_wishes_and_mutes_by_sync(natter: Served) -> None:
    """As events of the user's own stream; nobody else's sync has them."""
    user_id, bob_id = await natter.account("alice"), await natter.account("bob")
    alice, bob = natter.token(user_id), natter.token(bob_id)
    c = (await natter.call("POST", "/v1/conversations", alice, json={"participant_ids": [bob_id]}, status=201)).json()
    cursors = [(await natter.call("GET", "/v1/sync", one)).json()["next_cursor"] for one in (alice, bob)]
    await natter.call("PUT", "/v1/notification-settings", alice, json={"show_text": False})
    await natter.call("PUT", f"/v1/conversations/{c['id']}/mute", alice, json={})
    pages = [
        (await natter.call("GET", "/v1/sync", one, params={"cursor": cursor})).json()
        for one, cursor in zip((alice, bob), cursors, strict=True)
    ]
    told = [(event["subject"], event["type"]) for event in pages[0]["events"]]
    stream = f"user:{user_id}"
    assert told == [(stream, "user.settings_changed"), (stream, "user.conversation_muted")]
    assert pages[0]["events"][0]["data"]["settings"]["show_text"] is False
    assert pages[0]["events"][1]["data"]["conversation_id"] == c["id"]
    assert pages[1]["events"] == []
