"""Pushes from end to end: what nobody takes waits for an operator, what was taken is in the message's story."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from contracts.ids import new_id
from stack import StackOptions

from .clients.api import Api
from .clients.history import events_after
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

DEAD_S = 30.0


async def notifier(world: World, *words: str) -> list[str]:
    """The lines that the operator's command prints."""
    stack = world.stack
    environment = {
        **os.environ,
        "NATTER_DATABASE_URL": stack.database_url,
        "NATTER_DATABASE_PASSWORD": stack.database_password,
        "NATTER_JWT_SECRET": stack.jwt_secret,
    }
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", *words, env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEAD_S):
        printed, _ = await command.communicate()
    assert command.returncode == 0, printed.decode()
    return printed.decode().splitlines()


async def with_a_phone(who: Api) -> Api:
    """Registers a device that the stub pushes to."""
    token = {"device_id": "phone", "platform": "android", "push_service": "stub", "token": f"stub-{new_id()}"}
    await who.ok("POST", "/v1/devices", json=token)
    return who


async def test_what_nobody_takes_is_dead_until_it_is_replayed(open_world: OpenWorld, tmp_path: Path) -> None:
    """The stub is told to fail: exactly those are listed, at the shell and to admins; replayed, each is taken once."""
    answer, taken = tmp_path / "answer", tmp_path / "taken"
    answer.write_text("permanent")
    stub = {"NOTIFICATION_PROVIDER": "stub", "NATTER_STUB_FILE": str(answer), "NATTER_STUB_LOG": str(taken)}
    async with open_world(StackOptions(edges=1, env={"*": QUICK, "notifier": stub})) as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        for one in (ben, cleo):
            await with_a_phone(one)
        conversation = await anna.open_conversation(ben.user_id, cleo.user_id)
        sent = [await anna.send(conversation, f"nobody takes this {n}") for n in range(3)]
        due = {(message["id"], one.user_id) for message in sent for one in (ben, cleo)}
        places = {message["seq"]: message["id"] for message in sent}
        ids = {
            event["id"]: places[event["seq"]]
            for event in await events_after(anna, conversation)
            if event["seq"] in places
        }

        async def listed() -> list[dict[str, Any]]:
            return [json.loads(line) for line in await notifier(world, "dead", "list", "--json")]

        async def all_dead() -> bool:
            return len(await listed()) == len(due)

        await eventually(all_dead, timeout_s=DEAD_S)
        dead = await listed()
        assert {(ids[row["event_id"]], row["user_id"]) for row in dead} == due
        admin = await world.person("admin", roles=("admin",))
        page = await admin.ok("GET", "/v1/admin/pushes/dead")
        assert [row["id"] for row in page["pushes"]] == [row["id"] for row in dead]
        assert not taken.exists() or not taken.read_text()

        answer.write_text("ok")
        assert await notifier(world, "dead", "replay", "--all") == [f"{len(due)} due again"]

        def taken_by_the_stub() -> list[dict[str, Any]]:
            return [json.loads(line) for line in taken.read_text().splitlines()] if taken.exists() else []

        await eventually(lambda: len(taken_by_the_stub()) >= len(due), timeout_s=DEAD_S)

        async def nothing_is_dead() -> bool:
            return await notifier(world, "dead", "list") == ["nothing is dead"]

        await eventually(nothing_is_dead, timeout_s=DEAD_S)
        assert Counter((push["message_id"], push["user_id"]) for push in taken_by_the_stub()) == Counter(due)

        await told_in_the_story(anna, ben, sent[0]["id"], taken_by_the_stub())


async def told_in_the_story(sender: Api, user: Api, message_id: str, taken: list[dict[str, Any]]) -> None:
    """The sender sees the push per device, and that the app has shown it."""
    [push] = [push for push in taken if (push["message_id"], push["user_id"]) == (message_id, user.user_id)]
    path = f"/v1/pushes/{push['push_id']}/ack"
    for _ in range(2):
        assert (await user.call("POST", path)).status_code == 204
    assert (await sender.call("POST", path)).status_code == 404, "it is not the sender's"

    async def acknowledged() -> bool:
        story = await sender.ok("GET", f"/v1/messages/{message_id}/delivery")
        [line] = [one for one in story["recipients"] if one["user_id"] == user.user_id]
        decision = line["push"]["decision"]
        [device] = decision["devices"]
        assert (decision["state"], decision["provider"]) == ("sent", "stub")
        assert (device["device_type"], device["state"]) == ("mobile", "accepted")
        return "acknowledged_at" in device

    await eventually(acknowledged)
