"""From the record to the edges and to the notifier: scripted edges on real NATS, a real relay and real fan-outs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from nats.js import JetStreamContext
from sqlalchemy import text

from chat_api.commands import handlers
from chat_api.domain.commands import Actor, AddParticipants
from chat_api.fanout.fanout import Fanout
from chat_api.testing import AT
from chat_api.testing_world import World, until
from contracts.delivery import OfflineReason
from contracts.devices import DeviceType
from contracts.streams import EVENTS, OFFLINE_DELIVERY

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP


async def test_an_online_user_gets_the_frame_and_the_receipt_settles_it(world: World) -> None:
    """The frame arrives with everything to merge by, the receipt acknowledges the event, and nobody is pushed."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.edge(alice, DESKTOP)
    await world.say(c, alice, "hello")
    await until(lambda: edge.texts() == ["hello"], "bob gets the message")
    await world.until_settled()
    assert [frame["action"] for frame in edge.frames] == ["conversation_updated", "new_message"]
    assert [frame["seq"] for frame in edge.frames] == [1, 2]
    assert {frame["stream"] for frame in edge.frames} == {f"conversation:{c}"}
    assert world.offline == []


async def test_the_owner_is_a_recipient(world: World) -> None:
    """The owner was once forgotten: online he gets the frame, offline the push."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edge = await world.edge(alice, DESKTOP)
    online, offline = await world.conversation(alice, bob), await world.conversation(carol, bob)
    await world.say(online, bob, "to the owner")
    await world.say(offline, bob, "to the owner who is away")
    await until(lambda: edge.texts() == ["to the owner"], "the owner gets the message")
    await until(lambda: len(world.offline) == 1, "the other owner is handed over")
    assert world.handed(carol) == [("to the owner who is away", OfflineReason.NO_CONNECTION)]


async def test_nobody_subscribed_is_handed_over_at_once(world: World, js: JetStreamContext) -> None:
    """NATS itself says that no edge holds a socket: no timeout is waited for, and JetStream keeps the delivery."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    await world.until_settled()
    started = time.monotonic()
    await world.say(c, alice, "hello")
    await until(lambda: world.handed(bob) == [("hello", OfflineReason.NO_CONNECTION)], "bob is handed over")
    assert time.monotonic() - started < world.settings.delivery_ack_timeout_s
    await world.until_settled()
    assert (await js.stream_info(OFFLINE_DELIVERY.name)).state.messages == 1
    assert world.handed(alice) == [], "the sender is no reason for a push"


async def test_a_silent_edge_becomes_a_push(world: World) -> None:
    """A socket that never answers is not delivery: after the timeout the notifier has it."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob)
    c = await world.conversation(alice, bob)
    started = time.monotonic()
    await world.say(c, alice, "hello")
    await until(lambda: len(world.offline) == 1, "bob is handed over")
    assert time.monotonic() - started >= world.settings.delivery_ack_timeout_s
    assert world.handed(bob) == [("hello", OfflineReason.UNACKNOWLEDGED)]
    assert edge.texts() == ["hello"]
    await world.until_settled()


async def test_a_desktop_with_nobody_before_it_is_not_enough(world: World) -> None:
    """The notifier hears of it, and decides; a phone settles it, and so does somebody who sits there."""
    world.fanout()
    alice, idle, there, both = await world.people("alice", "idle", "there", "both")
    (await world.edge(idle, DESKTOP)).idle = True
    (await world.edge(both, DESKTOP, MOBILE)).idle = True
    await world.edge(there, DESKTOP)
    c = await world.conversation(alice, idle, there, both)
    await world.say(c, alice, "hello")
    await until(lambda: len(world.offline) == 1, "the notifier hears of it")
    await world.until_settled()
    assert world.handed(idle) == [("hello", OfflineReason.IDLE_DESKTOP)]
    assert len(world.offline) == 1


async def test_a_deployment_may_push_phones_in_any_case(world: World) -> None:
    """NATTER_PUSH_ACTIVE_DESKTOP: what only a desktop has is handed over although somebody sits there."""
    world.fanout(push_active_desktop=True)
    alice, there, both = await world.people("alice", "there", "both")
    await world.edge(there, DESKTOP)
    await world.edge(both, DESKTOP, MOBILE)
    c = await world.conversation(alice, there, both)
    await world.say(c, alice, "hello")
    await until(lambda: len(world.offline) == 1, "the notifier hears of it")
    await world.until_settled()
    assert world.handed(there) == [("hello", OfflineReason.ACTIVE_DESKTOP)]
    assert len(world.offline) == 1


async def test_an_important_message_wants_a_mobile(world: World) -> None:
    """On a desktop alone it is pushed to the mobile; with a mobile it is not; an ordinary one never is."""
    world.fanout()
    alice, desk, both = await world.people("alice", "desk", "both")
    await world.edge(desk, DESKTOP)
    await world.edge(both, DESKTOP, MOBILE)
    c = await world.conversation(alice, desk, both)
    await world.say(c, alice, "ordinary")
    await world.say(c, alice, "important", is_important=True)
    await until(lambda: len(world.offline) == 1, "the mobile is pushed")
    await world.until_settled()
    assert world.handed(desk) == [("important", OfflineReason.IMPORTANT_MOBILE)]
    assert world.handed(both) == []


async def test_the_sender_s_devices_get_the_echo_and_never_a_push(world: World) -> None:
    """The sender's other devices follow, without a receipt being asked for."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    silent = await world.edge(alice)
    await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, "hello", is_important=True)
    await until(lambda: silent.texts() == ["hello"], "alice gets her echo")
    await world.until_settled()
    assert silent.replies[-1] == ""
    assert silent.frames[-1]["data"]["client_msg_id"]
    assert world.offline == []


async def test_excluded_users_get_nothing(world: World) -> None:
    """Neither frame nor push, and nobody learns who was left out."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edges = [await world.edge(bob, MOBILE), await world.edge(carol, MOBILE)]
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, "not for bob", exclude_user_ids=(bob,))
    await world.say(c, alice, "for both")
    await until(lambda: all("for both" in edge.texts() for edge in edges), "both get the second")
    assert edges[0].texts() == ["for both"]
    assert edges[1].texts() == ["not for bob", "for both"]
    assert "exclude_user_ids" not in edges[1].frames[1]["data"]
    await world.until_settled()
    assert world.offline == []


async def test_who_joins_and_leaves(world: World) -> None:
    """From the joining on everything, up to the leaving, and nothing after it."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice)
    await world.say(c, alice, "before")
    await handlers.add_participants(AddParticipants(c, Actor(alice), (bob,), AT), world.uow, None, 200)
    await world.say(c, alice, "during")
    from chat_api.domain.commands import RemoveParticipant

    await handlers.remove_participant(RemoveParticipant(c, Actor(bob), bob, AT), world.uow)
    await world.say(c, alice, "after")
    await world.until_settled()
    assert [frame["action"] for frame in edge.frames] == ["participant_joined", "new_message", "participant_left"]
    assert world.handed(bob) == []


async def test_what_was_recorded_while_no_fanout_ran_is_delivered(world: World) -> None:
    """A fan-out that comes late begins where nobody was; the receipts of others do not matter to it."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(20)))
    world.fanout()
    await until(lambda: edge.texts() == [str(n) for n in range(20)], "bob gets everything")
    await world.until_settled()


async def test_a_killed_fanout_is_followed_from_its_floor(world: World) -> None:
    """What the dead one had not settled comes again from the next one, nothing is missing, order holds."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    first, client = await world.other_process()
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(10)))
    await until(lambda: len(edge.texts()) == 10, "the first ten arrive")
    edge.devices = ()
    await world.say(c, alice, *map(str, range(10, 20)))
    await until(lambda: len(edge.texts()) == 20, "ten more arrive, unconfirmed")
    # As a kill -9 leaves it: the connection is cut before anything can be given back.
    await client.close()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    edge.devices = (MOBILE,)
    await world.say(c, alice, *map(str, range(20, 30)))
    world.fanout()
    await until(lambda: "29" in edge.texts(), "the next one goes on")
    await world.until_settled()
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 32)]
    assert world.handed(bob) == []


async def test_two_fanouts_share_the_lanes_and_one_takes_over(world: World) -> None:
    """Both work; after one's death the other delivers everything, each conversation in its order."""
    world.settings = world.settings.model_copy(update={"fanout_partitions": 4})
    (alice,) = await world.people("alice")
    bobs = await world.people(*(f"bob{n}" for n in range(8)))
    edges = [await world.edge(bob, MOBILE) for bob in bobs]
    conversations = [await world.conversation(alice, bob) for bob in bobs]
    first, client = await world.other_process()
    await world.other_process()

    async def owners() -> dict[str, int]:
        async with world._engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT owner, count(*) AS held FROM fanout_lanes WHERE lease_until > now() GROUP BY owner")
            )
            return {row.owner: row.held for row in rows}

    give_up = time.monotonic() + 20
    while sorted((await owners()).values()) != [2, 2]:
        assert time.monotonic() < give_up, f"the lanes are not shared: {await owners()}"
        await asyncio.sleep(0.05)

    async def talk(start: int) -> None:
        for n in range(start, start + 5):
            for c in conversations:
                await world.say(c, alice, str(n))

    await talk(0)
    await client.close()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await talk(5)
    await until(lambda: all("9" in edge.texts() for edge in edges), "everybody gets the last message")
    await world.until_settled()
    for edge, c in zip(edges, conversations, strict=True):
        assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 12)]


async def test_a_lane_that_comes_back_knows_who_joined_meanwhile(world: World) -> None:
    """While another process had the lane somebody joined: the one that had it before does not forget him."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    own = Fanout(world.settings, world._engine, world._client, world.js)
    world.start(own.run())
    c = await world.conversation(alice)
    await world.say(c, alice, "the first one knows the members now")
    await world.until_settled()
    # Another process takes the lane, works on it, and goes.
    (number,) = own._held
    await own._let_go(number)
    other, _ = await world.other_process()
    await until(lambda: not other.done(), "it runs")
    await handlers.add_participants(AddParticipants(c, Actor(alice), (bob,), AT), world.uow, None, 200)
    await world.say(c, alice, "while the other one worked")
    await until(lambda: len(edge.texts()) == 1, "bob is found by whoever works")
    await world.until_settled()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    await until(lambda: bool(own._held), "the lane comes back")
    await world.say(c, alice, "when it was back")
    await until(lambda: edge.texts()[-1] == "when it was back", "bob is not forgotten")


async def test_consumers_do_not_pile_up(world: World, js: JetStreamContext) -> None:
    """However often a lane begins anew, one consumer is left."""
    own = Fanout(world.settings, world._engine, world._client, world.js)
    world.start(own.run())
    (alice,) = await world.people("alice")
    for _ in range(5):
        await until(lambda: bool(own._held), "the lane is held")
        before = {info.name for info in await js.consumers_info(EVENTS.name)}
        own.interrupted("test")
        give_up = time.monotonic() + 10
        while not (now := {info.name for info in await js.consumers_info(EVENTS.name)}) or now == before:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)
    await world.conversation(alice)
    await world.until_settled()
    assert len(await js.consumers_info(EVENTS.name)) == 1


async def test_nats_restarting_loses_nothing(world: World, servers: Any) -> None:
    """Messages said before, during and after a restart of NATS all arrive, in order."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(10)))
    await until(lambda: len(edge.texts()) == 10, "the first ten arrive")
    await servers.do(servers.stack.part("nats").kill())
    await world.say(c, alice, *map(str, range(10, 20)))
    await servers.do(servers.stack.part("nats").start())
    await world.say(c, alice, *map(str, range(20, 30)))
    await until(lambda: "29" in edge.texts(), "the last one arrives", 40)
    await world.until_settled(40)
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 32)]
