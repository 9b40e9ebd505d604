"""Who is there, as a host application, friends and staff are told: over two edges, and over the death of one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from contracts.frames import PRESENCE_USERS_MAX
from stack import StackOptions

from .clients.api import Api
from .clients.socket import Device
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

AT_ONCE_S = 1.0
AFTER_A_KILL_S = 10.0


async def within(seconds: float, look: Callable[[], Awaitable[bool]]) -> None:
    """It becomes so, and not later than that."""
    began = time.monotonic()
    await eventually(look)
    took = time.monotonic() - began
    assert took <= seconds, f"after {took:.2f} s"


async def is_online(world: World, who: Api) -> bool:
    """What the host application is told (seed row S7)."""
    return bool((await world.service.ok("GET", f"/v1/users/{who.user_id}/presence"))["online"])


async def connections(world: World, who: Api) -> list[dict[str, Any]]:
    """What the host application is told (seed row S6)."""
    found = await world.service.ok("GET", f"/v1/users/{who.user_id}/connections")
    return list(found["connections"])


async def until_devices(world: World, who: Api, *device_types: str) -> None:
    """At once exactly these devices are known to be connected."""

    async def look() -> bool:
        return sorted(one["device_type"] for one in await connections(world, who)) == sorted(device_types)

    await within(AT_ONCE_S, look)
    assert await is_online(world, who) == bool(device_types)


async def subscribe(device: Device, *user_ids: str, ref: str = "p") -> dict[str, Any]:
    """Follow these users; the answer."""
    await device.send({"action": "presence_subscribe", "ref": ref, "data": {"user_ids": list(user_ids)}})
    answer: dict[str, Any] = await eventually(lambda: device.answer(ref))
    return answer


def told(device: Device) -> list[tuple[str, bool, list[str]]]:
    """The presence frames of a device."""
    return [
        (frame["data"]["user_id"], frame["data"]["online"], sorted(frame["data"]["device_types"]))
        for frame in device.actions("presence")
    ]


async def test_presence_is_right_at_once_over_two_edges_and_several_devices(world: World) -> None:
    """Within a second of every connect and disconnect; offline only when the last device has gone (S7, S13)."""
    (anna,) = await world.people("anna")
    assert not await is_online(world, anna)
    async with AsyncExitStack() as phone, AsyncExitStack() as others:
        await phone.enter_async_context(world.device(anna, edge=1, device_type="mobile"))
        await until_devices(world, anna, "mobile")
        await others.enter_async_context(world.device(anna, edge=2, device_type="desktop"))
        await others.enter_async_context(world.device(anna, edge=2, device_type="tablet"))
        await until_devices(world, anna, "mobile", "desktop", "tablet")
        await phone.aclose()
        await until_devices(world, anna, "desktop", "tablet")
        await others.aclose()
        await until_devices(world, anna)
    assert (await world.service.ok("GET", f"/v1/users/{anna.user_id}/presence"))["last_seen_at"]


async def test_devices_of_a_user_are_listed_with_id_type_and_since_when(world: World) -> None:
    """The connection's id is the one that the device was told; over all edges, oldest first (S6)."""
    anna, ben = await world.people("anna", "ben")
    async with (
        world.device(anna, edge=1, device_type="mobile", device_id="my-phone") as phone,
        world.device(anna, edge=2, device_type="desktop") as desk,
    ):
        await until_devices(world, anna, "mobile", "desktop")
        first, second = await connections(world, anna)
        assert first["connection_id"] == phone.frames[0]["data"]["connection_id"]
        assert (first["device_type"], first["device_id"], first["edge_id"]) == (
            "mobile",
            "my-phone",
            phone.frames[0]["data"]["edge_id"],
        )
        assert second["connection_id"] == desk.frames[0]["data"]["connection_id"]
        assert first["connected_at"] <= second["connected_at"]
        assert len(await anna.ok("GET", f"/v1/users/{anna.user_id}/connections")) == 1
        refused = await ben.call("GET", f"/v1/users/{anna.user_id}/connections")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_online_users_are_listed_and_counted(world: World) -> None:
    """Who comes and goes is in the list and the count, by role (S15)."""
    doctors = [await world.person("doctor", ["doctor"]) for _ in range(3)]

    async def listed() -> list[str]:
        found = await world.service.ok("GET", "/v1/presence/online", params={"role": "doctor", "limit": 1000})
        assert found["count"] == len(found["users"])
        return [one["user_id"] for one in found["users"]]

    async with AsyncExitStack() as devices:
        for number, doctor in enumerate(doctors):
            await devices.enter_async_context(world.device(doctor, edge=1 + number % 2))

        async def all_there() -> bool:
            return {one.user_id for one in doctors} <= set(await listed())

        await within(AT_ONCE_S, all_there)

    async def all_gone() -> bool:
        return not {one.user_id for one in doctors} & set(await listed())

    await within(AT_ONCE_S, all_gone)


async def test_a_socket_follows_its_companions(world: World) -> None:
    """The ack tells how they are, frames tell what changes, and nothing else; strangers are left out."""
    anna, ben, eve = await world.people("anna", "ben", "eve")
    await anna.open_conversation(ben.user_id)
    async with world.device(anna, edge=1) as device:
        answer = await subscribe(device, ben.user_id, eve.user_id)
        assert answer["action"] == "ack"
        assert answer["data"]["users"] == [{"user_id": ben.user_id, "online": False, "device_types": []}]
        async with world.device(eve, edge=1), world.device(ben, edge=2, device_type="mobile"):
            expected = [(ben.user_id, True, ["mobile"])]
            await eventually(lambda: told(device) == expected, timeout_s=5)
            async with world.device(ben, edge=1, device_type="mobile"):
                pass  # a second device of a kind that was there changes nothing that is told
            async with world.device(ben, edge=1, device_type="desktop"):
                expected.append((ben.user_id, True, ["desktop", "mobile"]))
                await eventually(lambda: told(device) == expected, timeout_s=5)
            expected.append((ben.user_id, True, ["mobile"]))
            await eventually(lambda: told(device) == expected, timeout_s=5)
        expected.append((ben.user_id, False, []))
        await eventually(lambda: told(device) == expected, timeout_s=5)
        # What comes later replaces what was followed; an empty list ends it.
        assert (await subscribe(device, ref="none"))["data"] == {"users": []}
        async with world.device(ben, edge=2):
            await until_devices(world, ben, "desktop")
            await device.send({"action": "ping", "ref": "end"})
            await eventually(lambda: device.answer("end"))
        assert told(device) == expected


async def test_staff_follow_everybody_and_nobody_follows_too_many(world: World) -> None:
    """A doctor sees a stranger's state; more than 200 at once are refused, and change nothing."""
    doctor = await world.person("doctor", ["doctor"])
    (eve,) = await world.people("eve")
    async with world.device(eve, edge=2, device_type="tablet"), world.device(doctor, edge=1) as device:
        await until_devices(world, eve, "tablet")
        answer = await subscribe(device, eve.user_id)
        assert answer["data"]["users"] == [{"user_id": eve.user_id, "online": True, "device_types": ["tablet"]}]
        refused = await subscribe(device, *(f"user-{n}" for n in range(PRESENCE_USERS_MAX + 1)), ref="many")
        assert (refused["action"], refused["data"]["code"]) == ("error", "validation_failed")
        async with world.device(eve, edge=2, device_type="mobile"):
            await eventually(lambda: (eve.user_id, True, ["mobile", "tablet"]) in told(device))


async def test_a_killed_edge_takes_its_users_offline_within_ten_seconds(open_world: OpenWorld) -> None:
    """For the host application at every process, and for who follows them; who is back elsewhere is online."""
    options = StackOptions(split_chat_api=True, serves=2, notifier=False, env={"*": QUICK})
    async with open_world(options) as world, AsyncExitStack() as doomed:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        await anna.open_conversation(ben.user_id, carl.user_id)
        for who in (ben, carl):
            await doomed.enter_async_context(world.device(who, edge=1, device_type="mobile"))
        async with world.device(anna, edge=2) as device, world.device(carl, edge=2, device_type="desktop"):
            for who, kinds in ((ben, ["mobile"]), (carl, ["desktop", "mobile"])):
                await until_devices(world, who, *kinds)
            assert (await subscribe(device, ben.user_id, carl.user_id))["action"] == "ack"
            await world.stack.part("edge-1").kill()
            expected = [(ben.user_id, False, []), (carl.user_id, True, ["desktop"])]

            async def gone() -> bool:
                for url in world.stack.api_urls:
                    host = world.service.through(url)
                    state = await host.ok("GET", f"/v1/users/{ben.user_id}/presence")
                    mine = await host.ok("GET", f"/v1/users/{carl.user_id}/presence")
                    if state["online"] or mine["device_types"] != ["desktop"]:
                        return False
                return sorted(told(device)) == sorted(expected)

            await within(AFTER_A_KILL_S, gone)
            async with world.device(ben, edge=2):
                await until_devices(world, ben, "desktop")
                await eventually(lambda: told(device)[-1] == (ben.user_id, True, ["desktop"]))


async def test_an_edge_that_is_stopped_takes_its_users_along_at_once(open_world: OpenWorld) -> None:
    """A drain closes the sockets and takes everything back: nobody waits for a lease to run out."""
    options = StackOptions(notifier=False, env={"*": QUICK, "edge-1": {"NATTER_DRAIN_WINDOW_S": "0"}})
    async with open_world(options) as world:
        (anna,) = await world.people("anna")
        async with world.device(anna, edge=1):
            await until_devices(world, anna, "desktop")
            await world.stack.part("edge-1").terminate()
            await until_devices(world, anna)


async def test_without_nats_it_is_said_that_nobody_knows_and_afterwards_it_is_right(open_world: OpenWorld) -> None:
    """NATS restarts and has forgotten the buckets: 503 meanwhile, never a wrong "offline"; sockets are still known."""
    async with open_world(StackOptions(edges=1, notifier=False, env={"*": QUICK})) as world:
        (anna,) = await world.people("anna")
        path = f"/v1/users/{anna.user_id}/presence"
        async with world.device(anna, edge=1):
            await until_devices(world, anna, "desktop")
            await world.stack.part("nats").kill()

            async def unknown() -> bool:
                answer = await world.service.call("GET", path)
                assert answer.status_code == 503 or answer.json()["online"], answer.text
                return answer.status_code == 503

            await eventually(unknown)
            await world.stack.part("nats").start()
            seen: list[bool] = []

            async def known() -> bool:
                answer = await world.service.call("GET", path)
                if answer.status_code == 200:
                    seen.append(answer.json()["online"])
                return len(seen) > 100

            await eventually(known, timeout_s=30)
            assert all(seen)
        await until_devices(world, anna)
