"""Typing, reads, targeted and role-wide frames, figures and traces, through a real edge and a scripted chat-api."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError
from websockets.asyncio.client import connect

from contracts import subjects
from contracts.codes import ErrorCode
from contracts.delivery import DELIVERY_HEADER, DEVICES_HEADER, Live, delivery_header
from contracts.frames import FrameError, live_key
from contracts.ids import new_id
from kit import tracing
from ws_edge.app import Edge
from ws_edge.testing.servers import NatsServer, running_edge, token, until

from .support import Answers, frame, joined, said, silence

CONVERSATION = new_id()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def typing(is_typing: bool = True, conversation_id: str = CONVERSATION) -> dict[str, Any]:
    return {"conversation_id": conversation_id, "is_typing": is_typing}


async def chat_api(client: Client, name: str, answer: dict[str, Any] | FrameError | None = None) -> Answers:
    answers = Answers(lambda _asked: {} if answer is None else answer)
    await answers.start(client, name)
    return answers


# --- typing ---


async def test_typing_is_forwarded_and_coalesced(edge: Edge, sender: Client) -> None:
    """The same again within two seconds is acked and goes no further; its end always goes."""
    answers = await chat_api(sender, "typing")
    async with joined(edge, "ann", roles=("customer",)) as ann:
        for state in (True, True, True, False, True):
            assert await said(ann, "typing", typing(state)) == {"action": "ack", "ref": 1, "data": {}}
        assert [asked["typing"]["is_typing"] for asked in answers.asked] == [True, False, True]
        assert answers.asked[0]["asker"] == {
            "user_id": "ann",
            "roles": ["customer"],
            "connection_id": edge.registry.of("ann")[0].id,
        }


async def test_who_leaves_while_typing_has_stopped(edge: Edge, sender: Client) -> None:
    """chat-api is told when the socket is gone; of a socket that was not typing it is told nothing."""
    answers = await chat_api(sender, "typing")
    async with joined(edge, "ann") as ann, joined(edge, "bob") as bob:
        await said(ann, "typing", typing())
        await said(bob, "typing", typing())
        await said(bob, "typing", typing(False))
    await until(lambda: len(answers.asked) == 4, "the end of it")
    assert (answers.asked[3]["asker"]["user_id"], answers.asked[3]["typing"]) == ("ann", typing(False))


async def test_typing_that_was_refused_is_tried_again(edge: Edge, sender: Client) -> None:
    """The error reaches the client, and its next attempt reaches chat-api."""
    answers = await chat_api(sender, "typing", FrameError(code=ErrorCode.NOT_FOUND, message="no such conversation"))
    async with joined(edge, "ann") as ann:
        for _ in range(2):
            answer = await said(ann, "typing", typing())
            assert (answer["action"], answer["data"]["code"]) == ("error", "not_found")
    assert len(answers.asked) == 2


async def test_a_signal_ends_by_itself(edge: Edge, sender: Client) -> None:
    """Not renewed, it is taken back on every socket of whoever was told of it."""
    key = live_key("typing", CONVERSATION, "bob")
    async with joined(edge, "ann") as phone, joined(edge, "ann") as laptop:
        for expires_in_ms in (60_000, 50):
            headers = {DELIVERY_HEADER: delivery_header(Live(key, expires_in_ms))}
            await sender.publish(subjects.user("ann"), b'{"action":"typing","data":{}}', headers=headers)
        for client in (phone, laptop):
            seen = [await frame(client)]
            while seen[-1]["data"] == {}:
                seen.append(await frame(client))
            assert seen[-1] == {
                "action": "typing",
                "data": {"conversation_id": CONVERSATION, "user_id": "bob", "is_typing": False},
            }


# --- reads ---


async def test_mark_read_round_trip(edge: Edge, sender: Client) -> None:
    """The ack says what holds now."""
    cursor = {"conversation_id": CONVERSATION, "user_id": "ann", "seq": 7}
    answers = await chat_api(sender, "mark_read", cursor)
    async with joined(edge, "ann") as ann:
        answer = await said(ann, "mark_read", {"conversation_id": CONVERSATION, "seq": 5})
    assert (answer["action"], answer["data"]) == ("ack", cursor)
    assert answers.asked[0]["read"] == {"conversation_id": CONVERSATION, "seq": 5}


# --- who gets a frame ---


async def test_a_frame_for_phones_reaches_phones(edge: Edge, sender: Client) -> None:
    """Seed row S13: sockets of other kinds see nothing of it."""
    async with joined(edge, "ann", "?device_type=mobile") as phone, joined(edge, "ann") as laptop:
        headers = {DELIVERY_HEADER: "l x", DEVICES_HEADER: "mobile"}
        await sender.publish(subjects.user("ann"), b'{"action":"for_phones"}', headers=headers)
        assert await frame(phone) == {"action": "for_phones"}
        await silence(laptop)


async def test_a_frame_for_a_role_reaches_everybody_with_it(edge: Edge, sender: Client) -> None:
    """On all their sockets, and on no other; an edge without one is not subscribed."""
    headers = {DELIVERY_HEADER: "l x"}

    async def is_heard(role: str) -> bool:
        try:
            await sender.request(subjects.role(role), b"", timeout=0.05)
        except NoRespondersError:
            return False
        except TimeoutError:
            return True
        return True

    async with joined(edge, "kim") as kim:
        async with joined(edge, "ann", roles=("doctor",)) as ann, joined(edge, "bob", roles=("doctor", "x y")) as bob:
            while not await is_heard("doctor"):
                pass
            await sender.publish(subjects.role("doctor"), b'{"action":"for_doctors"}', headers=headers)
            for client in (ann, bob):
                assert await frame(client) == {"action": "for_doctors"}
            await silence(kim)
            assert not await is_heard("consultant")
        while await is_heard("doctor"):
            pass


async def test_a_new_token_brings_its_roles(edge: Edge, sender: Client) -> None:
    """What is said to a role follows the token that counts now."""
    async with joined(edge, "ann", roles=("doctor",)) as ann:
        assert (await said(ann, "refresh_token", {"token": token(edge, "ann", "consultant")}))["action"] == "ack"
        assert edge._sockets is not None
        roles = edge._sockets.attendance.roles
        assert roles.counts() == {"consultant": 1}
        await until(lambda: list(roles.interests._interests) == ["consultant"], "subscribed")
        await until(lambda: roles.interests._interests["consultant"].interest is not None, "sent")
        await sender.flush()
        got: list[dict[str, Any]] = []
        while not got:
            await sender.publish(subjects.role("consultant"), b'{"action":"hi"}', headers={DELIVERY_HEADER: "l x"})
            await ann.send('{"action":"ping"}')
            got = [one for one in [await frame(ann)] if one["action"] == "hi"]


# --- figures ---


async def test_admins_get_live_figures(nats_server: NatsServer, sender: Client) -> None:
    """Asked once per edge and interval, told to all admin sockets, and only while there is one."""
    answers = await chat_api(sender, "stats", {"connections": 3})
    query = "?connection_type=admin"
    async with (
        running_edge(nats_server.url, stats_interval_s=0.05) as edge,
        joined(edge, "kim", roles=("admin",)) as chat,
    ):
        await silence(chat)
        assert answers.asked == []
        async with (
            joined(edge, "root", query, roles=("admin",)) as one,
            joined(edge, "root", query, roles=("admin",)) as two,
        ):
            for client in (one, two, one):
                assert await frame(client) == {"action": "stats", "data": {"connections": 3}}
            assert answers.asked[0]["asker"]["roles"] == ["admin"]
        assert edge._sockets is not None
        stats = edge._sockets.attendance.stats
        await until(lambda: not stats._watchers, "nobody looks")
        await silence(chat)


async def test_features_follow_the_connection_type(edge: Edge) -> None:
    """Seed rows W1 and W7: who chats monitors nothing, and the other way round; limits are told."""
    seen = {}
    for kind in ("chat", "admin"):
        url = f"ws://127.0.0.1:{edge.port}/v1/ws?connection_type={kind}"
        headers = {"Authorization": f"Bearer {token(edge, 'root', 'admin')}"}
        async with connect(url, additional_headers=headers) as client:
            seen[kind] = (await frame(client))["data"]
    assert {"messaging", "typing_indicator", "file_upload", "voice_note"} <= set(seen["chat"]["features"])
    assert {"system_notifications", "user_monitoring", "real_time_stats"} <= set(seen["admin"]["features"])
    assert not {"user_monitoring", "real_time_stats"} & set(seen["chat"]["features"])
    assert not {"messaging", "typing_indicator", "file_upload"} & set(seen["admin"]["features"])
    assert seen["chat"]["limits"]["frames_per_s"] == edge.settings.frames_per_second


# --- traces ---


@pytest.mark.parametrize("given", [TRACE, None, 7, "rubbish"])
async def test_a_send_is_part_of_a_trace(edge: Edge, sender: Client, given: object) -> None:
    """The client's own, if it has one that is valid; else one begins here."""
    answers = await chat_api(sender, "send_message")
    async with joined(edge, "ann") as ann:
        data = {"conversation_id": CONVERSATION, "client_msg_id": new_id(), "content": "hello"}
        await ann.send(json.dumps({"action": "send_message", "data": data, "traceparent": given}))
        assert (await frame(ann))["action"] == "ack"
    passed_on = answers.asked[0]["traceparent"]
    assert tracing.valid(passed_on)
    assert (tracing.trace_id(passed_on) == tracing.trace_id(TRACE)) is (given == TRACE)
    assert passed_on != TRACE
