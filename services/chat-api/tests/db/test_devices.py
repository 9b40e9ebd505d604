"""Registered devices over HTTP, on real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands.devices import Devices
from chat_api.domain.errors import SessionOver, UserIsBlocked
from chat_api.settings import ChatApiSettings
from chat_api.store import devices
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_http import PASSWORD, Served, served
from contracts.devices import DEVICES_PER_USER_MAX, DeviceDraft
from contracts.times import now


@pytest.fixture
async def natter(settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> AsyncIterator[Served]:
    """The application at work."""
    async with served(settings, engine, uow) as made:
        yield made


def draft(device_id: str = "phone-1", **changes: Any) -> dict[str, Any]:
    """An Android phone."""
    return {"device_id": device_id, "platform": "android", "token": f"token-of-{device_id}"} | changes


async def register(natter: Served, who: str, *, status: int = 201, **changes: Any) -> dict[str, Any]:
    """Register a device; the answer."""
    body = draft(**changes)
    answer: dict[str, Any] = (await natter.call("POST", "/v1/devices", who, json=body, status=status)).json()
    return answer


async def listed(natter: Served, token: str) -> list[dict[str, Any]]:
    """The user's devices."""
    found: list[dict[str, Any]] = (await natter.call("GET", "/v1/devices", token)).json()["devices"]
    return found


# --- registrations ----------------------------------------------------------------------------------------------------


async def test_a_device_is_registered_renewed_and_removed(natter: Served) -> None:
    """Its token is in no answer; the same app on the same device is the same registration, whatever its token."""
    alice = natter.token(await natter.account("alice"))
    first = await register(natter, alice, locale="zh-CN", app_version="4.2.0")
    assert first["push_service"] == "fcm"
    assert "token-of-phone-1" not in str(first) + str(await listed(natter, alice))
    again = await register(natter, alice, status=200, token="another", locale="en")
    assert again["id"] == first["id"]
    assert again["unregister_key"] != first["unregister_key"]
    [device] = await listed(natter, alice)
    assert (device["locale"], device.get("app_version")) == ("en", None)
    await natter.call("DELETE", f"/v1/devices/{first['id']}", alice, status=204)
    assert await listed(natter, alice) == []
    await natter.call("DELETE", f"/v1/devices/{first['id']}", alice, status=404)


async def test_several_apps_on_one_device_are_several_registrations(natter: Served) -> None:
    """A clinic's app for patients and one for doctors."""
    alice = natter.token(await natter.account("alice"))
    for app_id in ("patients", "doctors"):
        await register(natter, alice, app_id=app_id)
    assert [device["app_id"] for device in await listed(natter, alice)] == ["patients", "doctors"]


async def test_a_token_that_moved_to_another_user_is_detached(natter: Served) -> None:
    """Somebody else signs in on the phone: nobody's news are told to the new owner."""
    alice, bob = [natter.token(await natter.account(name)) for name in ("alice", "bob")]
    await register(natter, alice, token="the-phones")
    await register(natter, bob, token="the-phones", device_id="phone-of-bob")
    assert await listed(natter, alice) == []
    assert len(await listed(natter, bob)) == 1


async def test_tokens_that_change_places_find_their_owners(natter: Served) -> None:
    """Two phones that swap tokens at the same moment, again and again, and one that comes with the other's: each time
    a token has one owner, and nobody's request fails."""
    people = [natter.token(await natter.account(name)) for name in ("alice", "bob", "carol")]
    for turn in range(12):
        bodies = [draft(f"phone-{n}", token=f"token-{min(1, (n + turn) % 3)}") for n in range(3)]
        answers = await asyncio.gather(
            *(
                natter.http.post("/v1/devices", json=body, headers={"authorization": f"Bearer {token}"})
                for body, token in zip(bodies, people, strict=True)
            )
        )
        assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
        assert sum([len(await listed(natter, one)) for one in people]) == 2


async def test_the_same_token_again_is_as_old_as_it_was(natter: Served) -> None:
    """An app registers at each start: what its push service says about the token meanwhile still holds."""
    alice = natter.token(await natter.account("alice"))
    first = await register(natter, alice)
    again = await register(natter, alice, status=200)
    assert again["registered_at"] == first["registered_at"]
    assert again["last_seen_at"] > first["last_seen_at"]
    renewed = await register(natter, alice, status=200, token="another")
    assert renewed["registered_at"] == renewed["last_seen_at"] > first["registered_at"]


async def test_nobody_removes_a_device_of_somebody_else(natter: Served) -> None:
    """It looks as if there were none."""
    alice, bob = [natter.token(await natter.account(name)) for name in ("alice", "bob")]
    device = await register(natter, alice)
    await natter.call("DELETE", f"/v1/devices/{device['id']}", bob, status=404)
    assert len(await listed(natter, alice)) == 1


async def test_a_user_has_at_most_25_devices(natter: Served) -> None:
    """One more is refused and changes nothing; renewing one of them is no new one."""
    alice = natter.token(await natter.account("alice"))
    for number in range(DEVICES_PER_USER_MAX):
        await register(natter, alice, device_id=f"phone-{number}")
    refused = await register(natter, alice, device_id="one-more", status=422)
    assert refused["code"] == "limit_reached"
    await register(natter, alice, device_id="phone-3", token="renewed", status=200)
    assert len(await listed(natter, alice)) == DEVICES_PER_USER_MAX


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"token": ""}, "token"),
        ({"token": "with space"}, "token"),
        ({"token": "x" * 5_000}, "token"),
        ({"platform": "fridge"}, "platform"),
        ({"platform": "other"}, "push_service"),
        ({"platform": "web", "token": "https://push.example/1"}, "keys"),
        (
            {"platform": "web", "token": "http://push.example/1", "keys": {"p256dh": "B" * 87, "auth": "a" * 22}},
            "https",
        ),
        (
            {"platform": "web", "token": "https://push.example/1", "keys": {"p256dh": "short", "auth": "a" * 22}},
            "p256dh",
        ),
        ({"keys": {"p256dh": "B" * 87, "auth": "a" * 22}}, "keys"),
        ({"locale": "not a locale"}, "locale"),
        ({"device_id": "a b"}, "device_id"),
        ({"sandbox": 1}, "sandbox"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_registration_says_what_is_wrong(natter: Served, changes: dict[str, Any], says: str) -> None:
    """And changes nothing."""
    alice = natter.token(await natter.account("alice"))
    answer = await register(natter, alice, status=422, **changes)
    assert says in str(answer)
    assert await listed(natter, alice) == []


async def test_a_browsers_subscription_keeps_its_keys(natter: Served, engine: AsyncEngine) -> None:
    """What the notifier needs to encrypt for it."""
    user_id = await natter.account("alice")
    keys = {"p256dh": "B" * 87, "auth": "a" * 22}
    await register(natter, natter.token(user_id), platform="web", token="https://push.example/1", keys=keys)
    async with engine.connect() as connection:
        [device] = (await devices.of_users(connection, [user_id]))[user_id]
    assert (device.push_service, device.token) == ("webpush", "https://push.example/1")
    assert device.keys is not None
    assert device.keys.p256dh == keys["p256dh"]


async def test_staff_sees_why_nothing_rang(natter: Served) -> None:
    """A service or an admin lists a user's devices; other users may not."""
    user_id = await natter.account("alice")
    await register(natter, natter.token(user_id))
    found = (await natter.call("GET", f"/v1/users/{user_id}/devices")).json()["devices"]
    assert [device["device_id"] for device in found] == ["phone-1"]
    await natter.call("GET", f"/v1/users/{user_id}/devices", natter.token("bob"), status=403)


# --- the end of a session ---------------------------------------------------------------------------------------------


async def test_who_signs_out_is_told_nothing_more(natter: Served) -> None:
    """The device goes with the session in which it was registered; another session's stays."""
    user_id = await natter.account("alice")
    here, there = [await natter.sign_in(user_id) for _ in range(2)]
    await register(natter, here["access_token"], device_id="here")
    await register(natter, there["access_token"], device_id="there")
    await natter.call("POST", "/v1/auth/logout", here["access_token"], status=204)
    assert [device["device_id"] for device in await listed(natter, there["access_token"])] == ["there"]


async def test_a_refresh_token_used_twice_takes_the_device_along(natter: Served) -> None:
    """Whoever stole it is told nothing, either."""
    user_id = await natter.account("alice")
    signed_in = await natter.sign_in(user_id)
    await register(natter, signed_in["access_token"])
    renewed = await natter.refresh(signed_in["refresh_token"])
    await natter.refresh(renewed["refresh_token"])
    await natter.refresh(signed_in["refresh_token"], status=401)
    other = await natter.sign_in(user_id)
    assert await listed(natter, other["access_token"]) == []


async def test_another_password_leaves_the_device_at_hand(natter: Served) -> None:
    """Those of the other sessions go, with their sessions; an admin's word ends all of them."""
    user_id = await natter.account("alice")
    here, there = [await natter.sign_in(user_id) for _ in range(2)]
    await register(natter, here["access_token"], device_id="here")
    await register(natter, there["access_token"], device_id="there")
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    renewed = (await natter.call("PUT", "/v1/auth/password", here["access_token"], json=body)).json()
    assert [device["device_id"] for device in await listed(natter, renewed["access_token"])] == ["here"]
    await natter.call("POST", f"/v1/admin/users/{user_id}/revoke-sessions", natter.token("root", "admin"), status=204)
    assert (await natter.call("GET", f"/v1/users/{user_id}/devices")).json() == {"devices": []}


async def test_a_session_that_is_over_registers_nothing(
    natter: Served, uow: PostgresUnitOfWork, db: asyncpg.Connection[Any]
) -> None:
    """Its last request was on its way when it ended; likewise of somebody who was blocked meanwhile."""
    user_id = await natter.account("alice")
    signed_in = await natter.sign_in(user_id)
    await natter.call("POST", "/v1/auth/logout", signed_in["access_token"], status=204)
    session_id = str(await db.fetchval("SELECT session_id FROM sessions WHERE user_id = $1", user_id))
    late = DeviceDraft.model_validate(draft())
    with pytest.raises(SessionOver):
        await Devices(uow).register(user_id, session_id, late, now())
    await natter.call("POST", f"/v1/admin/users/{user_id}/block", natter.token("root", "admin"), status=204)
    with pytest.raises(UserIsBlocked):
        await Devices(uow).register(user_id, None, late, now())
    assert await db.fetchval("SELECT count(*) FROM push_devices WHERE user_id = $1", user_id) == 0


async def test_a_device_nobody_came_back_to_goes_with_its_session(natter: Served, uow: PostgresUnitOfWork) -> None:
    """A session that ran out long ago signs nobody in; a host application's own tokens know no session of ours."""
    user_id = await natter.account("alice")
    await register(natter, (await natter.sign_in(user_id))["access_token"], device_id="ran-out")
    await register(natter, natter.token(user_id), device_id="stays")
    later = now() + timedelta(seconds=natter.settings.refresh_token_ttl_s) + timedelta(days=30)
    assert await uow.forget_old_sessions(later, 100) == 1
    assert [device["device_id"] for device in await listed(natter, natter.token(user_id))] == ["stays"]


async def test_a_blocked_user_has_no_devices(natter: Served, db: asyncpg.Connection[Any]) -> None:
    """Also those that a host application's token registered."""
    user_id = await natter.account("alice")
    await register(natter, natter.token(user_id))
    await natter.call("POST", f"/v1/admin/users/{user_id}/block", status=204)
    assert await db.fetchval("SELECT count(*) FROM push_devices WHERE user_id = $1", user_id) == 0


async def test_who_logged_out_without_network_unregisters_later(natter: Served) -> None:
    """With the key, and without a token; a wrong key and a device that is gone look the same."""
    alice = natter.token(await natter.account("alice"))
    device = await register(natter, alice)
    path = f"/v1/devices/{device['id']}/unregister"
    await natter.call("POST", path, "", json={"unregister_key": "wrong"}, status=204)
    assert len(await listed(natter, alice)) == 1
    for _ in range(2):
        await natter.call("POST", path, "", json={"unregister_key": device["unregister_key"]}, status=204)
    assert await listed(natter, alice) == []
    await natter.call("POST", path, "", json={}, status=422)


async def test_only_the_registration_that_a_service_spoke_of_is_removed(natter: Served, engine: AsyncEngine) -> None:
    """A token that was renewed after it is another one, and stays."""
    user_id = await natter.account("alice")
    device = await register(natter, natter.token(user_id))
    async with engine.begin() as connection:
        [known] = (await devices.of_users(connection, [user_id]))[user_id]
        told_of = known.registered_at.replace(microsecond=known.registered_at.microsecond // 1000 * 1000)
        assert not await devices.remove(connection, device["id"], told_of - timedelta(milliseconds=1))
        assert await devices.remove(connection, device["id"], told_of)
        assert not await devices.remove(connection, device["id"], told_of)
