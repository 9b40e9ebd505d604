"""Notifications, live news, the ledger and the trace: what fan-out does beyond carrying messages."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nats.aio.client import Client
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.domain.commands import Actor, AdvanceRead, RemoveParticipant
from chat_api.fanout import ledger as ledgers
from chat_api.fanout.ledger import Ledger
from chat_api.fanout.receipts import About, Heard
from chat_api.testing import AT
from chat_api.testing_world import World, eventually, until
from contracts.delivery import DEVICES_HEADER, TRACE_HEADER, OfflineReason, Receipt
from contracts.devices import DeviceType
from contracts.events import UserNotified
from contracts.frames import live_key
from contracts.ids import new_id
from contracts.notices import Notification
from contracts.stream_ids import UserStream
from contracts.streams import EVENTS

MOBILE, DESKTOP, TABLET = DeviceType.MOBILE, DeviceType.DESKTOP, DeviceType.TABLET
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def notified(user_id: str, content: str, *devices: DeviceType, **changes: Any) -> UserNotified:
    """The system says something to one user."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "user_id": user_id,
        "title": "Appointment",
        "content": content,
        "type": "appointment_reminder",
        "action": "open_appointment",
        "created_at": AT,
    }
    return UserNotified(notification=Notification(**(fields | changes)), device_types=devices)


def contents(edge: Any) -> list[str]:
    """What an edge was told directly."""
    return [frame["data"]["content"] for frame in edge.frames if frame["action"] == "direct_message"]


async def notify(world: World, user_id: str, content: str, *devices: DeviceType, **changes: Any) -> None:
    """Record a notification."""
    await world.record(UserStream(user_id), notified(user_id, content, *devices, **changes))


def metric(name: str) -> float:
    """A counter's value."""
    return REGISTRY.get_sample_value(name) or 0.0


async def test_s2_a_notification_arrives_or_becomes_a_push(world: World) -> None:
    """Online it is a frame that a receipt settles; with nobody there the notifier has it at once."""
    world.fanout()
    here, away = await world.people("here", "away")
    edge = await world.edge(here, DESKTOP)
    await notify(world, here, "tomorrow at nine")
    await notify(world, away, "tomorrow at ten")
    await until(lambda: contents(edge) == ["tomorrow at nine"], "it arrives")
    await until(lambda: world.handed(away) == [("tomorrow at ten", OfflineReason.NO_CONNECTION)], "it is handed over")
    await world.until_settled()
    assert world.handed(here) == []
    assert edge.frames[-1]["data"]["action"] == "open_appointment"
    assert edge.frames[-1]["stream"] == f"user:{here}"


async def test_s8_an_important_notification_wants_a_mobile(world: World) -> None:
    """A desktop alone is not enough, as with messages; unless it is meant for desktops alone."""
    world.fanout()
    (user,) = await world.people("user")
    edge = await world.edge(user, DESKTOP)
    await notify(world, user, "for all", is_important=True)
    await until(lambda: world.handed(user) == [("for all", OfflineReason.IMPORTANT_MOBILE)], "the mobile is pushed")
    await notify(world, user, "for desktops", DESKTOP, is_important=True)
    await until(lambda: "for desktops" in contents(edge), "it arrives")
    await world.until_settled()
    assert len(world.handed(user)) == 1


async def test_s13_a_notification_for_one_kind_of_device(world: World) -> None:
    """Only mobiles get it and only they count: a desktop's receipt settles nothing, so the user gets a push."""
    world.fanout()
    both, desk = await world.people("both", "desk")
    edge, desks = await world.edge(both, MOBILE, DESKTOP), await world.edge(desk, DESKTOP)
    await notify(world, both, "on the phone", MOBILE)
    await notify(world, desk, "on the phone", MOBILE)
    await until(lambda: contents(edge) == ["on the phone"], "the mobile has it")
    assert edge.headers[-1][DEVICES_HEADER] == "mobile"
    await until(lambda: world.handed(desk) == [("on the phone", OfflineReason.UNACKNOWLEDGED)], "a push instead")
    await world.until_settled()
    assert contents(desks) == []
    assert world.handed(both) == []


async def test_s4_reading_is_told_to_the_others_and_to_the_own_devices(world: World) -> None:
    """The reader's devices get the durable frame, the other active members a live one with the newest seq."""
    world.fanout()
    alice, bob, carol, gone = await world.people("alice", "bob", "carol", "gone")
    edges = {name: await world.edge(name, DESKTOP) for name in (alice, bob, carol, gone)}
    c = await world.conversation(alice, bob, carol, gone)
    await world.say(c, alice, *map(str, range(5)))
    await handlers.remove_participant(RemoveParticipant(c, Actor(gone), gone, AT), world.uow)
    await world.until_settled()
    for seq in range(2, 7):
        await handlers.advance_read(AdvanceRead(c, bob, seq, AT), world.uow)
    expected = {"conversation_id": c, "user_id": bob, "seq": 6}
    await until(lambda: expected in edges[alice].live_data("read"), "alice sees it")
    await until(lambda: expected in edges[carol].live_data("read"), "carol sees it")
    await world.until_settled()
    own = [frame["data"]["seq"] for frame in edges[bob].frames if frame["action"] == "read"]
    assert own == [2, 3, 4, 5, 6]
    told = [data["seq"] for data in edges[alice].live_data("read")]
    assert told == sorted(set(told)), "never an older one after a newer one"
    assert edges[alice].live[-1][0] == live_key("read", c, bob)
    assert edges[bob].live_data("read") == edges[gone].live_data("read") == []


async def test_large_conversations_get_no_live_news(world: World) -> None:
    """Above the limit nobody is told live; the cursors are there all the same."""
    world.fanout(live_members_max=2)
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edges = [await world.edge(name, MOBILE) for name in (alice, bob, carol)]
    large, small = await world.conversation(alice, bob, carol), await world.conversation(alice, bob)
    for c in (large, small):
        await world.say(c, alice, "hello")
        await handlers.advance_read(AdvanceRead(c, bob, 2, AT), world.uow)
    await until(lambda: len(edges[0].live_data("read")) == len(edges[0].live_data("delivered")) == 1, "the small one")
    await world.until_settled()
    assert {data["conversation_id"] for _, frame in edges[0].live for data in (frame["data"],)} == {small}


async def test_the_sender_hears_that_it_was_delivered(world: World) -> None:
    """Each recipient's newest seq, to the sender alone, and rarely: ten messages at once are not ten signals each."""
    world.fanout()
    alice, bob, carol, away = await world.people("alice", "bob", "carol", "away")
    alices, bobs = await world.edge(alice, DESKTOP), await world.edge(bob, MOBILE, DESKTOP)
    carols = await world.edge(carol)
    c = await world.conversation(alice, bob, carol, away)
    await world.until_settled()
    started = time.monotonic()
    await world.say(c, alice, *map(str, range(30)))
    newest = {"conversation_id": c, "user_id": bob, "seq": 31}
    await until(lambda: newest in alices.live_data("delivered"), "alice hears of the last one")
    passed = time.monotonic() - started
    told = [data["seq"] for data in alices.live_data("delivered")]
    assert told == sorted(set(told)), "never twice, never back"
    assert len(told) <= passed / 0.2 + 2
    assert {data["user_id"] for data in alices.live_data("delivered")} == {bob}, "silent and absent ones have nothing"
    assert alices.live[-1][0] == live_key("delivered", c, bob)
    assert bobs.live_data("delivered") == carols.live_data("delivered") == []


async def test_the_ledger_knows_every_device(world: World, db: Any) -> None:
    """Each device's receipt is written, also those after the first; and how far each user has the conversation."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE, DESKTOP, TABLET)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, "one", "two")
    await notify(world, bob, "and this")

    async def rows() -> list[tuple[str, int, str, str]]:
        found = await db.fetch("SELECT * FROM receipts")
        return [(row["stream"], row["seq"], row["device_type"], str(row["connection_id"])) for row in found]

    async def written() -> bool:
        return len(await rows()) == 9

    await eventually(written, "nine receipts are written")
    had = {(f"conversation:{c}", 2), (f"conversation:{c}", 3), (f"user:{bob}", edge.frames[-1]["seq"])}
    assert sorted(await rows()) == sorted(
        (stream, seq, device.value, connection_id)
        for stream, seq in had
        for device, connection_id in edge.connections.items()
    )
    cursors = await db.fetch("SELECT * FROM delivered")
    assert [(str(row["conversation_id"]), row["user_id"], row["seq"]) for row in cursors] == [(c, bob, 3)]


def heard(seq: int, user_id: str = "bob", stream: str = "") -> Heard:
    """A device has something."""
    return Heard(About(stream or f"conversation:{new_id()}", seq), user_id, True)


def receipt() -> Receipt:
    """A mobile's."""
    return Receipt(edge_id="edge-1", connection_id=new_id(), device_type=MOBILE)


async def test_the_ledger_is_bounded_and_drops_the_oldest(
    engine: AsyncEngine, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much is counted and gone; what stays is written, once, and a cursor never goes back."""
    monkeypatch.setattr(ledgers, "WAITING_MAX", 10)
    monkeypatch.setattr(ledgers, "BATCH_MAX", 4)
    book, stream, before = Ledger(engine, 7), f"conversation:{new_id()}", metric("natter_fanout_ledger_dropped_total")
    same = receipt()
    for seq in range(1, 16):
        book.note(heard(seq, stream=stream), same)
    assert metric("natter_fanout_ledger_dropped_total") - before == 5
    await book.write_waiting()
    for seq in (7, 15):
        book.note(heard(seq, stream=stream), same)
    await book.write_waiting()
    assert [row["seq"] for row in await db.fetch("SELECT seq FROM receipts ORDER BY seq")] == list(range(6, 16))
    assert await db.fetchval("SELECT seq FROM delivered") == 15


async def test_the_ledger_survives_postgres_being_away(servers: Any, engine: AsyncEngine, db: Any) -> None:
    """What could not be written waits, in its order, and is written later."""
    broken = Ledger(ledger_of(servers), 7)
    for seq in (1, 2):
        broken.note(heard(seq), receipt())
    with pytest.raises(Exception, match="Error"):
        await broken.write_waiting()
    broken._engine = engine
    await broken.write_waiting()
    assert await db.fetchval("SELECT count(*) FROM receipts") == 2


def ledger_of(servers: Any) -> AsyncEngine:
    """A pool on a server that is not there."""
    from chat_api.store.database import create_engine

    return create_engine(servers.settings(database_url="postgresql://natter@127.0.0.1:1/natter"), "test")


async def test_the_ledger_forgets_and_can_be_off(engine: AsyncEngine, db: Any) -> None:
    """Older than the days: deleted. Off: no receipts, but cursors."""
    on, off = Ledger(engine, 7), Ledger(engine, 0)
    on.note(heard(1), receipt())
    on.note(heard(2), receipt())
    await on.write_waiting()
    await db.execute("UPDATE receipts SET received_at = now() - interval '8 days' WHERE seq = 1")
    assert await on.forget() == 1
    assert [row["seq"] for row in await db.fetch("SELECT seq FROM receipts")] == [2]
    off.note(heard(3), receipt())
    await off.write_waiting()
    assert await db.fetchval("SELECT max(seq) FROM delivered") == 3
    assert await off.forget() == 1
    assert await db.fetchval("SELECT count(*) FROM receipts") == 0


async def test_s22_one_trace_from_the_event_to_frame_and_push(world: World) -> None:
    """The traceparent beside an event is a header of its frames, and a part of what the notifier is handed."""
    world.fanout()
    here, away = await world.people("here", "away")
    edge = await world.edge(here, MOBILE)
    for user_id in (here, away):
        await world.record(UserStream(user_id), notified(user_id, "traced"), traceparent=TRACE)
    await until(lambda: len(edge.headers) == 1 and len(world.offline) == 1, "both arrive")
    assert edge.headers[0][TRACE_HEADER] == TRACE
    assert world.offline[0].event.traceparent == TRACE


async def test_s23_the_way_to_the_device_is_measured(world: World) -> None:
    """A first receipt is an observation; that of a further device is none."""
    count = "natter_fanout_delivery_seconds_count"
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE, DESKTOP)
    c = await world.conversation(alice, bob)
    before = metric(count)
    await world.say(c, alice, "one", "two")
    await until(lambda: len(edge.texts()) == 2, "both arrive")
    await until(lambda: len(world.fanouts[0]._ledger._waiting) == 0, "all four receipts are written")
    await world.until_settled()
    assert metric(count) - before == 2


async def test_s23_a_hole_in_events_is_counted_when_it_is_healed(world: World, observer: Client) -> None:
    """What EVENTS lost before the lane had it is read from the record, and told to whoever watches the figures."""
    holes = "natter_fanout_holes_total"
    # One event at a time: the rest waits in EVENTS, where it can be lost.
    world.fanout(fanout_inflight_max=1)
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob)
    c = await world.conversation(alice, bob)
    await world.until_settled()
    before = metric(holes)
    js = observer.jetstream()
    first = (await js.stream_info(EVENTS.name)).state.last_seq + 1
    await world.say(c, alice, "one", "lost", "three")

    async def stored() -> bool:
        return (await js.stream_info(EVENTS.name)).state.last_seq == first + 2

    await eventually(stored, "all three are in EVENTS")
    await js.delete_msg(EVENTS.name, first + 1)
    await until(lambda: list(dict.fromkeys(edge.texts())) == ["one", "lost", "three"], "everything arrives, in order")
    await until(lambda: metric(holes) > before, "the hole is counted")
    await world.until_settled()
