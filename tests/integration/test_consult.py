"""Consults, from outside: a customer asks for somebody, staff takes it, and what staff says among itself stays there.

The walk through every route is the proof that notes are private: it knows no route by name but reads the service's own
OpenAPI document, so a route that is added later is walked, too.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from contracts.ids import new_id

from .clients.api import Api
from .clients.history import events_after
from .eventually import eventually
from .world import World

SECRET = "between-us-only"
"""What every note of these tests says."""


async def opened(customer: Api, **fields: Any) -> str:
    """A consult of the customer's; returns its conversation."""
    answer = await customer.ok("POST", "/v1/consults", json={"topic": "A tooth", **fields})
    assert answer["consult"]["state"] == "waiting"
    return str(answer["conversation"]["id"])


async def step(who: Api, c: str, name: str, **options: Any) -> dict[str, Any]:
    """A step that must succeed; the consult as it is then."""
    done = await who.ok("POST", f"/v1/conversations/{c}/consult/{name}", **options)
    assert isinstance(done, dict)
    return done


async def refused(who: Api, c: str, name: str, code: str, **options: Any) -> None:
    """A step that must be refused for this reason."""
    answer = await who.call("POST", f"/v1/conversations/{c}/consult/{name}", **options)
    assert answer.json()["code"] == code, answer.text


async def note(who: Api, c: str, content: str = SECRET) -> dict[str, Any]:
    """A note on the consult."""
    body = {"client_msg_id": new_id(), "content": content}
    written = await who.ok("POST", f"/v1/conversations/{c}/notes", json=body)
    assert isinstance(written, dict)
    return written


async def online(who: Api, asker: Api) -> None:
    """Wait until the service knows that somebody is there."""
    await eventually(lambda: _online(who, asker))


async def _online(who: Api, asker: Api) -> bool:
    return bool((await asker.ok("GET", f"/v1/users/{who.user_id}/presence"))["online"])


async def test_a_customer_is_served_from_the_queue_to_the_end(world: World) -> None:
    """Opened without naming anybody, seen by staff alone, taken, talked in, closed, opened again, taken by another."""
    (anna,) = await world.people("anna")
    carla, dora = await world.person("carla", ["consultant"]), await world.person("dora", ["doctor"])
    async with world.device(anna) as phone, world.device(carla, edge=2) as desk:
        c = await opened(anna, content="It hurts", client_msg_id="first")
        live = await eventually(lambda: [one for one in desk.actions("consult_updated") if c in str(one["data"])])
        assert live[0]["data"] | {"event": ""} == {
            "conversation_id": c, "event": "", "state": "waiting", "customer_id": anna.user_id, "topic": "A tooth"
        }  # fmt: skip
        queue = (await carla.ok("GET", "/v1/consults?limit=200"))["consults"]
        (waiting,) = [one for one in queue if one["conversation_id"] == c]
        assert (waiting["customer_id"], waiting["customer_name"], waiting["topic"]) == (anna.user_id, "Anna", "A tooth")
        assert (await anna.call("GET", "/v1/consults")).status_code == 403
        # Waiting, it may be looked at, but not into.
        assert (await carla.ok("GET", f"/v1/conversations/{c}/consult"))["state"] == "waiting"
        assert (await carla.call("GET", f"/v1/conversations/{c}/messages")).status_code == 404

        taken = await step(carla, c, "take")
        assert (taken["state"], taken["assignee_id"]) == ("active", carla.user_id)
        await refused(dora, c, "take", "conflict")
        assert (await dora.call("GET", f"/v1/conversations/{c}/consult")).status_code == 404
        told = await eventually(lambda: phone.actions("system_notification")[-1:])
        await eventually(lambda: phone.actions("system_notification")[-1]["data"]["notice"]["type"] == "consult_taken")
        assert told[0]["data"]["sender_type"] == "system"
        assert "It hurts" in str(await carla.ok("GET", f"/v1/conversations/{c}/messages"))
        await carla.send(c, "Where?")
        await eventually(lambda: phone.contents(c) == ["It hurts", "Where?"])

        await step(anna, c, "close")
        assert (await carla.ok("GET", "/v1/consults?state=closed&assignee=me"))["consults"][0]["conversation_id"] == c
        await step(anna, c, "reopen")
        assert (await carla.call("GET", f"/v1/conversations/{c}/messages")).status_code == 404
        again = await step(dora, c, "take", headers={"Idempotency-Key": "dora-takes"})
        assert await step(dora, c, "take", headers={"Idempotency-Key": "dora-takes"}) == again
        assert "Where?" in str(await dora.ok("GET", f"/v1/conversations/{c}/messages"))

        durable = [one["type"] for one in await events_after(anna, c)]
        steps = ["opened", "taken", "closed", "opened", "taken"]
        assert [one for one in durable if one.startswith("consult.")] == [f"consult.{name}" for name in steps]
        shown = [one["data"]["event"] for one in phone.actions("consult_updated")]
        assert shown == [f"consult.{name}" for name in steps]
        notices = [one["data"]["notice"]["type"] for one in phone.actions("system_notification")]
        assert notices == [f"consult_{name}" for name in steps]


async def test_of_two_consultants_one_takes_it(world: World) -> None:
    """At the same moment, through real HTTP: one has it, the other is told that he came too late."""
    (anna,) = await world.people("anna")
    both = [await world.person(name, ["consultant"]) for name in ("carla", "cora")]
    for _ in range(5):
        c = await opened(anna)
        answers = await asyncio.gather(*(one.call("POST", f"/v1/conversations/{c}/consult/take") for one in both))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        winner = both[[answer.status_code for answer in answers].index(200)]
        people = (await anna.ok("GET", f"/v1/conversations/{c}"))["participants"]
        assert {one["user_id"] for one in people} == {anna.user_id, winner.user_id}


async def test_who_is_offline_is_not_assigned(world: World) -> None:
    """Assigning and handing over reach those who are connected; who goes away is offline at once."""
    (anna,) = await world.people("anna")
    carla, dora = await world.person("carla", ["consultant"]), await world.person("dora", ["doctor"])
    c = await opened(anna)
    to_dora = {"json": {"user_id": dora.user_id}}
    await refused(carla, c, "assign", "assignee_offline", **to_dora)
    await refused(carla, c, "assign", "validation_failed", json={"user_id": anna.user_id})
    async with world.device(dora, edge=2):
        await online(dora, world.service)
        assert (await step(world.service, c, "assign", **to_dora))["assignee_id"] == dora.user_id
        await refused(dora, c, "hand-over", "assignee_offline", json={"user_id": carla.user_id})
        async with world.device(carla):
            await online(carla, world.service)
            handed = await step(dora, c, "hand-over", json={"user_id": carla.user_id, "reason": SECRET})
            assert handed["assignee_id"] == carla.user_id
            assert (await dora.call("GET", f"/v1/conversations/{c}/messages")).status_code == 404
        await eventually(lambda: _offline(carla, world.service))
        back = await step(carla, c, "hand-over", json={"user_id": None})
        assert back["state"] == "waiting"


async def _offline(who: Api, asker: Api) -> bool:
    return not await _online(who, asker)


def _walk(document: dict[str, Any], known: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every operation with every known id in every place of its path."""
    for path, operations in document["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        choices = [known.get(name, known["*"]) for name in names]
        for chosen in itertools.product(*choices):
            filled = path
            for name, value in zip(names, chosen, strict=True):
                filled = filled.replace("{" + name + "}", value)
            for method in operations:
                yield method.upper(), filled


async def test_a_customer_finds_no_trace_of_a_note_anywhere(world: World) -> None:
    """Frames, pushes, sync from the very beginning, every route there is with every id that the customer could guess,
    also those that he cannot know: no answer has the note's words, its id, or the id of the notes."""
    (anna,) = await world.people("anna")
    carla, dora = await world.person("carla", ["consultant"]), await world.person("dora", ["doctor"])
    beginning = (await anna.ok("GET", "/v1/sync"))["next_cursor"]
    async with AsyncExitStack() as devices:
        phone = await devices.enter_async_context(world.device(anna, device_type="mobile"))
        desk = await devices.enter_async_context(world.device(carla, edge=2))
        colleague = await devices.enter_async_context(world.device(dora))
        await online(dora, world.service)
        c = await opened(anna, content="It hurts")
        notes = (await step(carla, c, "take"))["notes_conversation_id"]
        await note(carla, c)
        await note(world.service, c)
        await eventually(lambda: len(desk.contents(notes)) == 2)
        await step(carla, c, "hand-over", json={"user_id": dora.user_id, "reason": SECRET})
        await eventually(lambda: SECRET in colleague.contents(notes))
        await carla.call("POST", f"/v1/conversations/{c}/participants", json={"user_ids": [dora.user_id]})
        await note(dora, c)
        found = (await dora.ok("GET", f"/v1/conversations/{c}/notes"))["messages"]
        assert [one["content"] for one in found] == [SECRET] * 4
        await dora.send(c, "the end")
        await eventually(lambda: "the end" in phone.contents(c))
        assert phone.actions("consult_updated")
        hidden = {SECRET, notes, *(one["id"] for one in found)}
        traces = [frame for frame in phone.frames if any(one in str(frame) for one in hidden)]
        assert traces == []
        # Whoever is let into the notes by hand is refused, by whomever.
        for who in (dora, world.service, anna):
            answer = await who.call(
                "POST", f"/v1/conversations/{notes}/participants", json={"user_ids": [anna.user_id]}
            )
            assert answer.status_code in (403, 404), answer.text
    # Away, the customer is pushed what was said to him, and no note.
    await eventually(lambda: _offline(anna, world.service))
    await note(dora, c)
    await dora.send(c, "are you there?")
    await eventually(lambda: world.pushed(anna, 1), timeout_s=20)
    pushes = str(await world.pushes.of(anna.user_id))
    assert not any(one in pushes for one in hidden)

    message = (await anna.ok("GET", f"/v1/conversations/{c}/messages"))["messages"][0]["id"]
    known = {
        "conversation_id": [c, notes],
        "message_id": [message, *(one["id"] for one in found)],
        "user_id": [anna.user_id, dora.user_id],
        "*": [notes, found[0]["id"]],
    }
    document = await anna.ok("GET", "/openapi.json")
    assert await _traces(dora, document, known, hidden, methods=("GET",)), "a walk that finds nothing proves nothing"
    assert await _traces(anna, document, known, hidden) == []
    pages: list[Any] = []
    cursor: str | None = beginning
    for first in (None, beginning):
        cursor, more = first, True
        while more:
            page = await anna.ok("GET", "/v1/sync", params={} if cursor is None else {"cursor": cursor})
            pages.append(page)
            cursor, more = page["next_cursor"], page["has_more"]
    assert "the end" in str(pages)
    assert not any(one in str(pages) for one in hidden)
    # The customer's own order has no holes where notes were written.
    seqs = [one["seq"] for one in await events_after(anna, c)]
    assert seqs == list(range(1, len(seqs) + 1))


async def _traces(
    who: Api,
    document: dict[str, Any],
    known: dict[str, list[str]],
    hidden: set[str],
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "PATCH", "DELETE"),
) -> list[tuple[str, str]]:
    """Walk every route as `who`: the ones whose answers have something hidden in them."""
    found: list[tuple[str, str]] = []
    walked = answered = 0
    for method, path in _walk(document, known):
        if method not in methods:
            continue
        options: dict[str, Any] = {} if method == "GET" else {"json": {"reply_to": known["*"][1]}}
        answer = await _unhurried(who, method, path, **options)
        # Only what the asker has named himself may come back, in the words of a refusal.
        told = answer.text.replace(path, "")
        walked += 1
        answered += answer.is_success
        if any(one in told for one in hidden):
            found.append((method, path))
    assert walked > 20 * len(methods) / 2
    assert answered > 8
    return found


async def _unhurried(who: Api, method: str, path: str, **options: Any) -> Any:
    """The answer, asked for as slowly as the limits want it."""
    while True:
        answer = await who.call(method, path, **options)
        if answer.status_code != 429:
            return answer
        await asyncio.sleep(float(answer.headers["retry-after"]) / 4)


async def test_notes_are_a_conversation_among_staff(world: World) -> None:
    """They reach the others live and by sync, are listed apart, and end for who hands the consult over."""
    (anna,) = await world.people("anna")
    carla, dora = await world.person("carla", ["consultant"]), await world.person("dora", ["doctor"])
    c = await opened(anna)
    assert (await dora.call("GET", f"/v1/conversations/{c}/notes")).status_code == 404
    assert (await world.service.call("GET", f"/v1/conversations/{c}/notes")).status_code == 409
    notes = (await step(carla, c, "take"))["notes_conversation_id"]
    first = await note(carla, c)
    assert first["conversation_id"] == notes
    body = {"client_msg_id": first["client_msg_id"], "content": SECRET}
    repeat = await carla.call("POST", f"/v1/conversations/{c}/notes", json=body)
    assert (repeat.status_code, repeat.json()["id"]) == (200, first["id"])
    for who in (anna, dora):
        assert (await who.call("POST", f"/v1/conversations/{c}/notes", json=body)).status_code in (403, 404)
    shown = await carla.ok("GET", "/v1/conversations")
    assert [one["id"] for one in shown["conversations"]] == [c]
    (apart,) = (await carla.ok("GET", "/v1/conversations?kind=notes"))["conversations"]
    assert (apart["id"], apart["kind"], apart["notes_of"]) == (notes, "notes", c)
    snapshot = {one["id"]: one["kind"] for one in (await carla.ok("GET", "/v1/sync"))["conversations"]}
    assert snapshot == {c: "chat", notes: "notes"}
    async with world.device(dora) as desk:
        await online(dora, world.service)
        await step(carla, c, "hand-over", json={"user_id": dora.user_id})
        assert (await carla.call("GET", f"/v1/conversations/{c}/notes")).status_code == 404
        assert (await dora.ok("GET", f"/v1/conversations/{c}/notes?after_seq=0"))["messages"][0]["id"] == first["id"]
        await note(dora, c, "mine now")
        await eventually(lambda: desk.contents(notes) == ["mine now"])
